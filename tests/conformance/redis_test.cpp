// RedisStorage keeps the contract, on one server and on a cluster.
#include "actionflows/storage/redis/redis_storage.hpp"

#include "tests/conformance/conformance.hpp"
#include "tests/support/redis_cluster.hpp"
#include "tests/support/redis_server.hpp"

namespace actionflows::test {
namespace {

// A driver on the servers that `servers` names, which are started at the first call and serve all
// tests of the process: each opens what the one before has left.
DriverUnderTest on(std::string name, RedisOptions (*servers)()) {
  DriverUnderTest driver;
  driver.name = std::move(name);
  driver.missing = redis_is_missing;
  driver.open = [max_wakeups = driver.max_wakeups, servers](const DriverLimits& limits) {
    RedisOptions options = servers();
    options.limits = limits;
    options.max_wakeups = max_wakeups;
    return make_redis_storage(options);
  };
  return driver;
}

// The whole suite under a user who may do what RedisStorage needs and nothing else: only with its
// own keys and channels, and never go through all keys.
RedisServerOptions with_a_limited_user() {
  RedisServerOptions options;
  options.config = {
      "user actionflows on >sesame ~af:* &af:* +@all -@dangerous -@admin +info -keys -scan"};
  return options;
}

DriverUnderTest redis() {
  DriverUnderTest driver = on("redis", [] {
    static const RedisServer server(with_a_limited_user());
    RedisOptions options = server.storage_options();
    options.user = "actionflows";
    options.password = "sesame";
    return options;
  });
  // Each call goes over a socket and back: 10,000 take some minutes.
  driver.sequences = 1'000;
  return driver;
}

DriverUnderTest redis_cluster() {
  DriverUnderTest driver = on("redis_cluster", [] {
    static const RedisCluster cluster;
    return cluster.storage_options();
  });
  // What a list or a sweep looks at stands on several nodes.
  driver.sequences = 300;
  return driver;
}

INSTANTIATE_TEST_SUITE_P(Redis, DriverConformance, testing::Values(redis()), name_of_driver);
INSTANTIATE_TEST_SUITE_P(RedisCluster, DriverConformance, testing::Values(redis_cluster()),
                         name_of_driver);

}  // namespace
}  // namespace actionflows::test
