// Commands that are put together one by one and run as one call.
#pragma once

#include "actionflows/storage/redis/client.hpp"

#include <deque>
#include <utility>
#include <vector>

namespace actionflows::redis {

// For commands whose reply says nothing that is needed.
class Nothing final : public Sink {
 public:
  void restart() override {}
  void add(const ReplyPart& /*part*/) override {}
};

inline Sink& nothing() {
  static Nothing shared;
  return shared;
}

// Thread-safety: none.
class Commands {
 public:
  Command& add(Command command) {
    Command& added = commands_.emplace_back(std::move(command));
    pointers_.push_back(&added);
    return added;
  }
  [[nodiscard]] bool empty() const { return pointers_.empty(); }
  [[nodiscard]] std::span<Command* const> all() const { return pointers_; }

  // Throws the first that has failed.
  void check(const std::string& operation, const std::string& record) const {
    for (const Command& command : commands_) command.check(operation, record);
  }

 private:
  std::deque<Command> commands_;  // which don't move
  std::vector<Command*> pointers_;
};

}  // namespace actionflows::redis
