// What the parts of the driver talk to servers with: commands in, replies out.
#pragma once

#include "actionflows/base/task.hpp"
#include "actionflows/storage/redis/command.hpp"
#include "actionflows/storage/redis/lane.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace actionflows::redis {

// Thread-safety: shared objects: safe.
class Client {
 public:
  // The options must outlive it.
  Client(const RedisOptions& options, std::function<void(const std::string&)> reports);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Of a call that begins now: however many steps it takes, it is answered by then.
  [[nodiscard]] Call::TimePoint deadline() const;

  // Returns when every command was answered or has failed; each tells which. Commands of one node
  // are done in their order. Throws unavailable when too many calls wait already.
  Task<void> run(std::span<Command* const> commands, Call::TimePoint deadline);

  // The same for one command; throws what it failed with.
  Task<void> run(Command& command, Call::TimePoint deadline, std::string operation,
                 std::string record);

  // The lane on whose thread the driver's own work runs.
  [[nodiscard]] Lane& first_lane() { return *lanes_.front(); }

  // Tries now to connect to whom it is not connected, instead of after the pause it is in.
  void hurry();

  // All calls that wait, and all later ones, are answered as closed.
  void close();
  // Returns once the lanes' threads have ended; after `close`.
  void join();

 private:
  const RedisOptions& options_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::atomic<std::size_t> waiting_{0};
};

}  // namespace actionflows::redis
