// Notices that a server has lost its data (FLUSHALL, a restart without persistence, another server
// under the same address): by names that are left on it, one for each part of the indexes.
//
// Without this, everything that was lost would be told as absent, as if it had been deleted.
#pragma once

#include "actionflows/storage/redis/client.hpp"
#include "actionflows/storage/redis/keys.hpp"

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace actionflows::redis {

// Thread-safety: shared objects: safe.
class StoreWatch {
 public:
  StoreWatch(Client& client, const RedisOptions& options, const Keys& keys,
             std::function<void(const std::string&)> report);

  // One look at all names; to be called every second or two. Never throws.
  Task<void> look();

  // A small write on each node, with a look at its name. Throws what a server that takes no writes
  // answers, though it may serve reads.
  Task<void> probe(Call::TimePoint deadline);

  // To be awaited before anything is told as absent: throws unavailable where data was lost.
  Task<void> confirm_absence(Call::TimePoint deadline, std::string operation, std::string record);

  // In plain words while a loss is not taken as a fact yet; nullopt: nothing was lost.
  [[nodiscard]] std::optional<std::string> loss() const;

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  Task<bool> names_stand(bool refresh, Call::TimePoint deadline);
  Task<void> adopt(Call::TimePoint deadline);
  void lose();

  Client& client_;
  const RedisOptions& options_;
  const std::function<void(const std::string&)> report_;
  std::vector<std::string> keys_;

  mutable std::mutex mutex_;
  // guarded by mutex_
  std::vector<std::string> names_;  // by key; empty: not known yet
  std::optional<TimePoint> lost_at_;
};

}  // namespace actionflows::redis
