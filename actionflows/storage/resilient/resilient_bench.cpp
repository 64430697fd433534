// What ResilientStorage costs: while the primary answers, against the primary alone; while it does
// not, per call that is refused and per commit that is journaled.
//
// Every benchmark tells a `figure`, the `limit` it must keep and the `ratio` between them: 1 or
// more is kept. Both sides of a comparison are measured in turn; the ratio is the median of the
// rounds' quotients.
#include "actionflows/storage/resilient/resilient_storage.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"
#include "actionflows/storage/resilient/testing/link.hpp"
#include "actionflows/storage/storage.hpp"
#include "tests/support/bench.hpp"
#include "tests/support/change.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/run.hpp"

#include <benchmark/benchmark.h>

#include <atomic>
#include <ctime>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace actionflows {
namespace {

using test::Change;
using test::compare;
using test::Limit;
using test::Link;
using test::median;
using test::Moment;
using test::RedisServer;
using test::run;
using test::seconds_of;
using test::tell;
using namespace std::chrono_literals;

constexpr int rounds = 15;

const UserId ann = *UserId::parse("ann");
const Bytes record_bytes(std::string(400, 'r'));
const Bytes event_bytes(std::string(300, 'e'));

// For how long this thread has run: other work on the machine counts little.
double thread_seconds_of(const std::function<void()>& work) {
  const auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  };
  const double begun = now();
  work();
  return now() - begun;
}

std::unique_ptr<StorageDriver> memory() {
  MemoryOptions options;
  options.max_bytes = std::uint64_t{64} << 30;
  options.limits.max_events = 10'000'000;
  return make_memory_storage(options);
}

// As the program wraps a primary that ends each call in time by itself.
std::unique_ptr<StorageDriver> wrapped(std::shared_ptr<StorageDriver> primary,
                                       std::chrono::milliseconds primary_timeout,
                                       BreakerOptions breaker = {}) {
  ResilientOptions options;
  options.breaker = breaker;
  options.primary_timeout = primary_timeout;
  options.primary_supersedes = true;
  options.max_journal = 10'000'000;
  options.retry.max_attempts = 1;
  return make_resilient_storage(std::move(primary), memory(), make_memory_journal(), options);
}

SessionId id_of(std::size_t number) { return *SessionId::parse("bench-" + std::to_string(number)); }

// ---- closed -------------------------------------------------------------------------------------

constexpr std::size_t typed_sessions = 1'000;

std::unique_ptr<Storage> typed(std::unique_ptr<StorageDriver> driver) {
  auto storage = std::make_unique<Storage>(std::move(driver));
  for (std::size_t n = 0; n < typed_sessions; ++n)
    run(storage->create_session(ann, SessionData{}, id_of(n)));
  return storage;
}

Task<void> update(Storage& storage, std::size_t count) {
  SessionUpdate update;
  for (std::size_t n = 0; n < count; ++n) {
    update.set(&Session::title, n / typed_sessions % 2 == 0 ? "Another title" : "One more title");
    const SessionId id = id_of(n * 617 % typed_sessions);
    co_await storage.update_session(id, update);
  }
}

// Commits through the typed layer, wrapped against bare.
void resilient_over_memory(benchmark::State& state) {
  constexpr std::size_t count = 10'000;
  const auto bare = typed(memory());
  const auto safe = typed(wrapped(memory(), 0ms));
  const auto rate = [](Storage& storage) {
    return count / thread_seconds_of([&] { run(update(storage, count)); });
  };
  compare(state, [&] { return rate(*safe); }, [&] { return rate(*bare); }, 0.95, 3 * rounds);
}

Commit an_event(const SessionId& session) {
  Commit commit;
  commit.session = session;
  commit.operation_id = "operation-of-usual-length";
  commit.at = test::test_start;
  commit.events.push_back({event_bytes, "agent:noted", {}});
  return commit;
}

Task<void> append(StorageDriver& driver, SessionId session, std::size_t count) {
  const Commit commit = an_event(session);
  for (std::size_t n = 0; n < count; ++n) static_cast<void>(co_await driver.commit(commit));
}

void resilient_over_redis(benchmark::State& state) {
  constexpr std::size_t in_flight = 64;
  constexpr std::size_t each = 400;
  const RedisServer server;
  RedisOptions options = server.storage_options();
  options.timeout = 2s;
  options.limits.max_events = 10'000'000;
  const std::shared_ptr<StorageDriver> bare = make_redis_storage(options);
  const auto safe = wrapped(make_redis_storage(options), 2s);
  for (std::size_t n = 0; n < in_flight; ++n) run(bare->commit(Change(id_of(n)).create(ann)));
  const auto rate = [](StorageDriver& driver) {
    std::vector<Task<void>> tasks;
    for (std::size_t n = 0; n < in_flight; ++n) tasks.push_back(append(driver, id_of(n), each));
    return in_flight * each / seconds_of([&] { test::run_together(std::move(tasks), 1); });
  };
  compare(state, [&] { return rate(*safe); }, [&] { return rate(*bare); }, 0.98, rounds);
}

// ---- open ---------------------------------------------------------------------------------------

// A storage whose primary can be taken away, and be back within a moment.
struct Away {
  explicit Away(std::unique_ptr<StorageDriver> primary = memory(),
                std::chrono::milliseconds primary_timeout = 0ms)
      : link(std::make_shared<Link>(std::move(primary))),
        driver(wrapped(link, primary_timeout, {.first_open = 50ms, .longest_open = 50ms})) {}

  void lose() const {
    link->hook = [this](Moment) -> Task<void> {
      if (lost) throw StorageError(ErrorCode::unavailable, "away");
      co_return;
    };
    lost = true;
    while (run(driver->health()).resilience->breaker == "closed") {
      try {
        run(driver->list_sessions({}));
      } catch (const StorageError&) {
      }
    }
  }

  mutable std::atomic<bool> lost{false};
  std::shared_ptr<Link> link;
  std::unique_ptr<StorageDriver> driver;
};

Task<void> be_refused(StorageDriver& driver, std::size_t count) {
  const SessionId unknown = id_of(typed_sessions);
  for (std::size_t n = 0; n < count; ++n) {
    try {
      static_cast<void>(co_await driver.read(unknown, {}));
    } catch (const StorageError&) {
      continue;
    }
    throw std::runtime_error("a call was not refused");
  }
}

void refused_call_us(benchmark::State& state) {
  constexpr std::size_t count = 20'000;
  const Away away;
  away.lose();
  for (auto _ : state) {
    std::vector<double> figures;
    for (int round = 0; round < rounds; ++round)
      figures.push_back(1e6 / count *
                        thread_seconds_of([&] { run(be_refused(*away.driver, count)); }));
    tell(state, median(figures), Limit::at_most, 5);
  }
}

// A step's record in its next version and an event that tells of it, again and again.
Task<void> put(StorageDriver& driver, const SessionId& id, std::uint64_t& version,
               std::size_t count) {
  for (std::size_t n = 0; n < count; ++n, ++version) {
    Commit change;
    change.session = id;
    change.operation_id = "operation-" + std::to_string(version);
    change.at = test::test_start;
    change.puts.push_back({test::step(1, 1), record_bytes, version, version + 1});
    change.events.push_back({event_bytes, "step:updated", {}});
    static_cast<void>(co_await driver.commit(change));
  }
}

// The time of a commit that is journaled in memory, against that of one in the memory driver.
void journaled_commit(benchmark::State& state) {
  constexpr std::size_t count = 2'000;
  const auto made = [](StorageDriver& driver) {
    Change change(id_of(0));
    run(driver.commit(change.create(ann).put(test::chain(1)).put(test::step(1, 1))));
  };
  const auto bare = memory();
  const Away away;
  made(*bare);
  made(*away.driver);
  away.lose();
  std::uint64_t bare_version = 1;
  std::uint64_t version = 1;
  for (auto _ : state) {
    std::vector<double> quotients;
    for (int round = 0; round < rounds; ++round) {
      const double alone =
          thread_seconds_of([&] { run(put(*bare, id_of(0), bare_version, count)); });
      const double kept =
          thread_seconds_of([&] { run(put(*away.driver, id_of(0), version, count)); });
      quotients.push_back(kept / alone);
    }
    tell(state, median(quotients), Limit::at_most, 2);
  }
}

// Journaled changes that come into Redis per second, once it is back.
void replay_into_redis(benchmark::State& state) {
  constexpr std::size_t sessions = 200;
  constexpr std::size_t each = 50;
  for (auto _ : state) {
    const RedisServer server;
    RedisOptions options = server.storage_options();
    options.timeout = 2s;
    const Away away(make_redis_storage(options), 2s);
    for (std::size_t n = 0; n < sessions; ++n) {
      Change change(id_of(n));
      run(away.driver->commit(change.create(ann).put(test::chain(1)).put(test::step(1, 1))));
    }
    away.lose();
    for (std::size_t n = 0; n < sessions; ++n) {
      std::uint64_t version = 1;
      run(put(*away.driver, id_of(n), version, each));
    }
    const double seconds = seconds_of([&] {
      away.lost = false;
      while (run(away.driver->health()).resilience->journal_entries != 0)
        std::this_thread::sleep_for(1ms);
    });
    tell(state, sessions * each / seconds, Limit::at_least, 2'000);
  }
}

BENCHMARK(resilient_over_memory)->Iterations(1);
BENCHMARK(resilient_over_redis)->Iterations(1);
BENCHMARK(refused_call_us)->Iterations(1);
BENCHMARK(journaled_commit)->Iterations(1);
BENCHMARK(replay_into_redis)->Iterations(1);

}  // namespace
}  // namespace actionflows
