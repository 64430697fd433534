// Follower: one client that follows a session's events as its process tells them. It looks at the
// log when it was woken and at no other time, so that a wake-up which gets lost is found out.
#pragma once

#include "actionflows/storage/storage.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace actionflows::test {

// Thread-safety: none. The storage must outlive it.
class Follower {
 public:
  Follower(Storage& storage, SessionId session) : storage_(storage), session_(std::move(session)) {}

  [[nodiscard]] const SessionId& session() const { return session_; }
  // Looks whether it was woken, and then reads what is new. At once done where it is doing so yet.
  static Task<void> look(std::shared_ptr<Follower> self);

  // It has read all that it was told of.
  [[nodiscard]] bool at_rest() const { return !looking_ && !behind_; }
  // What was handed out of order; empty: nothing.
  [[nodiscard]] const std::string& broken() const { return broken_; }
  // The events it has seen, the first is number 1: type and operation id of each.
  [[nodiscard]] const std::vector<std::string>& seen() const { return seen_; }
  // How often it was told that events have got other numbers.
  [[nodiscard]] int rewinds() const { return rewinds_; }

 private:
  Task<void> wake();
  Task<void> catch_up();

  Storage& storage_;
  const SessionId session_;
  std::unique_ptr<Subscription> subscription_;
  std::vector<std::string> seen_;
  bool behind_ = true;
  bool looking_ = false;
  int rewinds_ = 0;
  std::string broken_;
};

// As Follower::seen has it.
std::string seen_as(const Event& event);

}  // namespace actionflows::test
