// WakeupHub: carries the wake-ups of one process from those who commit to those who follow.
// What every driver uses behind `subscribe`.
//
// A slow follower costs the committers nothing: each subscription keeps at most `max_pending`
// wake-ups, one per session (a newer one replaces an older), and says `missed` when it dropped
// some.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace actionflows {

// Thread-safety: shared objects: safe. Subscriptions may outlive the hub; they then only time out.
class WakeupHub {
 public:
  explicit WakeupHub(std::size_t max_pending);
  ~WakeupHub();

  std::unique_ptr<Subscription> subscribe(std::optional<SessionId> session);

  // Nobody listens: the caller can spare itself the making of a wake-up. One atomic read.
  [[nodiscard]] bool idle() const noexcept;

  // Never waits for a follower. Calls for one session must be made in the order of its commits.
  void publish(const Wakeup& wakeup);

  // The sessions that somebody follows by name.
  [[nodiscard]] std::vector<SessionId> followed() const;
  [[nodiscard]] bool follows(const SessionId& session) const;

  // What was told of the session's events behind this number is not what stands there.
  void rewind(const SessionId& session, std::uint64_t sequence);

  // Some wake-ups are lost: every subscription says that it has missed some.
  void miss();

 private:
  struct State;
  class Follower;
  std::shared_ptr<State> state_;  // constant after construction; shared with the followers
};

}  // namespace actionflows
