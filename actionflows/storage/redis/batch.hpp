// What a link sends at once, and how the replies find their commands.
#pragma once

#include "actionflows/storage/redis/command.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"

#include <boost/redis/request.hpp>
#include <boost/redis/resp3/node.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

namespace actionflows::redis {

// Thread-safety: none; belongs to its link.
struct Batch {
  enum class Role { command, asking, wait, ping };
  struct Slot {
    Command* command;  // nullptr: nobody waits for it
    Role role;
  };

  // Appends a command. `words` is room to work in.
  void add(Command& command, std::vector<std::string_view>& words);
  // No more follow.
  void finish(const RedisOptions& options);

  // A part of the reply to the slot. Whatever came before it is complete.
  void take(std::size_t slot, const boost::redis::resp3::node_view& node);
  // All replies have arrived.
  void answer_all();
  // Those after the last complete reply.
  [[nodiscard]] std::span<const Slot> unanswered() const;
  void forget(const Command& command);
  // Whether its answers wait for replicas.
  [[nodiscard]] bool waits() const { return waits_; }

  boost::redis::request request;
  std::vector<Slot> slots;  // one for each reply
  std::chrono::steady_clock::time_point sent;
  std::function<void(Command&)> on_answer;
  std::string ping_error;  // what a sign of life was answered by, where that is an error

 private:
  void answer(std::size_t slot);

  std::size_t answered_ = 0;
  bool waits_ = false;  // nothing is answered before all is
};

// How Boost.Redis hands over replies.
struct BatchAdapter {
  Batch* batch;

  [[nodiscard]] static constexpr std::size_t get_supported_response_size() noexcept {
    return std::numeric_limits<std::size_t>::max();
  }
  void operator()(std::size_t slot, const boost::redis::resp3::node_view& node,
                  boost::system::error_code& /*error*/) const {
    batch->take(slot, node);
  }
};

inline BatchAdapter boost_redis_adapt(Batch& batch) noexcept { return {&batch}; }

}  // namespace actionflows::redis
