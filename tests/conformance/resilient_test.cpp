// ResilientStorage keeps the contract of what it wraps.
#include "actionflows/storage/resilient/resilient_storage.hpp"

#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"
#include "actionflows/storage/sqlite/sqlite_storage.hpp"
#include "tests/conformance/conformance.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/redis_server.hpp"

namespace actionflows::test {
namespace {

std::unique_ptr<StorageDriver> wrapped(std::shared_ptr<StorageDriver> primary,
                                       const DriverLimits& limits, std::size_t max_wakeups,
                                       std::optional<std::chrono::milliseconds> primary_timeout) {
  MemoryOptions fallback;
  fallback.limits = limits;
  ResilientOptions options;
  options.primary_timeout = primary_timeout;
  options.max_wakeups = max_wakeups;
  return make_resilient_storage(std::move(primary), make_memory_storage(fallback),
                                make_memory_journal(), options);
}

std::shared_ptr<StorageDriver> memory(const DriverLimits& limits, std::size_t max_wakeups) {
  MemoryOptions options;
  options.limits = limits;
  options.max_wakeups = max_wakeups;
  return make_memory_storage(options);
}

DriverUnderTest over_memory() {
  DriverUnderTest driver;
  driver.name = "over_memory";
  driver.open = [max_wakeups = driver.max_wakeups](const DriverLimits& limits) {
    return wrapped(memory(limits, max_wakeups), limits, max_wakeups, 0ms);
  };
  return driver;
}

// As around a driver that may hang: every attempt is watched by a timer.
DriverUnderTest watched() {
  DriverUnderTest driver;
  driver.name = "watched";
  driver.searches_appends = true;
  driver.sequences = 1'000;
  driver.open = [max_wakeups = driver.max_wakeups](const DriverLimits& limits) {
    return wrapped(memory(limits, max_wakeups), limits, max_wakeups, std::nullopt);
  };
  return driver;
}

DriverUnderTest over_sqlite() {
  DriverUnderTest driver;
  driver.name = "over_sqlite";
  driver.searches_appends = true;
  driver.sequences = 1'000;
  driver.open = [max_wakeups = driver.max_wakeups](const DriverLimits& limits) {
    static const Folder folder = Folder::in_memory();
    SqliteOptions options;
    options.path = folder.path("resilient.db");
    options.limits = limits;
    options.max_wakeups = max_wakeups;
    return wrapped(open_sqlite_storage(options), limits, max_wakeups, std::nullopt);
  };
  return driver;
}

// As in production.
DriverUnderTest over_redis() {
  DriverUnderTest driver;
  driver.name = "over_redis";
  driver.missing = redis_is_missing;
  driver.searches_appends = true;
  driver.sequences = 300;
  driver.open = [max_wakeups = driver.max_wakeups](const DriverLimits& limits) {
    static const RedisServer server;
    RedisOptions options = server.storage_options();
    options.limits = limits;
    options.max_wakeups = max_wakeups;
    return wrapped(make_redis_storage(options), limits, max_wakeups, options.timeout);
  };
  return driver;
}

INSTANTIATE_TEST_SUITE_P(Resilient, DriverConformance,
                         testing::Values(over_memory(), watched(), over_sqlite(), over_redis()),
                         name_of_driver);

}  // namespace
}  // namespace actionflows::test
