// A real Redis cluster for tests: three masters, each with a replica, that notice within two
// seconds that one of them is gone.
#pragma once

#include "actionflows/storage/redis/redis_storage.hpp"
#include "tests/support/redis_server.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace actionflows::test {

// Thread-safety: one caller at a time. The thread that makes it has to outlive it.
class RedisCluster {
 public:
  static constexpr std::size_t masters = 3;

  // Returns when every slot is served and every replica is in step. Throws std::runtime_error when
  // that takes more than a minute.
  explicit RedisCluster(const RedisServerOptions& options = {});

  [[nodiscard]] std::vector<RedisAddress> addresses() const;
  // For make_redis_storage: all nodes. The prefix stays "af".
  [[nodiscard]] RedisOptions storage_options() const;
  // The same as a URL, with one master and one replica only.
  [[nodiscard]] std::string url() const;

  [[nodiscard]] const std::vector<std::unique_ptr<RedisServer>>& nodes() const { return nodes_; }

  // Who owns the slot, as the nodes that run tell it. Throws std::runtime_error while that is
  // nobody who runs.
  [[nodiscard]] RedisServer& master_of(std::uint16_t slot) const;

  // Waits until every node that runs says that each slot is served by a node that runs, and, with
  // `replicas`, that all who are no master are in step with one. Throws std::runtime_error when it
  // takes more than a minute.
  enum class Replicas { ignored, in_step };
  void wait_until_well(Replicas replicas = Replicas::ignored) const;

  // Gives one slot, with its keys, to another master; the nodes redirect meanwhile.
  void move_slot(std::uint16_t slot, RedisServer& to) const;

 private:
  struct Range {
    std::uint16_t first = 0;
    std::uint16_t last = 0;
    RedisServer* master = nullptr;  // nullptr: none of ours
  };
  [[nodiscard]] std::vector<Range> ranges(const RedisServer& as_seen_by) const;
  [[nodiscard]] bool is_well(const RedisServer& as_seen_by) const;

  std::vector<std::unique_ptr<RedisServer>> nodes_;
};

}  // namespace actionflows::test
