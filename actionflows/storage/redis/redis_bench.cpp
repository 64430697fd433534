// RedisStorage against redis-benchmark on the same server in the same run: what the way from the
// caller to the server and back costs; and what its keys and scripts cost the server itself.
//
// Every benchmark tells a `figure`, the `limit` it must keep and the `ratio` between them: 1 or
// more is kept. ACTIONFLOWS_BENCH_SESSIONS: how many sessions the large store has (1,000,000).
#include "actionflows/storage/redis/commit_command.hpp"
#include "actionflows/storage/redis/keys.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"
#include "tests/support/bench.hpp"
#include "tests/support/change.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/run.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace actionflows {
namespace {

using test::Change;
using test::compare;
using test::Limit;
using test::RedisServer;
using test::run;
using test::seconds_of;
using test::tell;
using namespace std::chrono_literals;

constexpr std::size_t in_flight = 64;
constexpr std::size_t calls = 100'000;

const Bytes record_bytes(std::string(400, 'r'));
const Bytes event_bytes(std::string(400, 'e'));

std::string name_of(std::size_t number) { return "bench-" + std::to_string(number); }
SessionId id_of(std::size_t number) { return *SessionId::parse(name_of(number)); }

// A server of its own, and a driver on it.
struct Store {
  Store() {
    options = server.storage_options();
    options.limits.max_events = 1'000'000'000;
    options.limits.touch_interval = 1min;
    options.timeout = 60s;
    driver = make_redis_storage(options);
  }

  // As many at the same time as `in_flight`.
  void each(std::size_t count, const std::function<Task<void>(std::size_t)>& work) const {
    std::vector<Task<void>> tasks;
    for (std::size_t n = 0; n < in_flight; ++n) tasks.push_back(share(n, count, work));
    test::run_together(std::move(tasks), 1);
  }
  static Task<void> share(std::size_t from, std::size_t count,
                          const std::function<Task<void>(std::size_t)>& work) {
    for (std::size_t n = from; n < count; n += in_flight) co_await work(n);
  }

  // Small sessions, twenty to a user.
  void fill(std::size_t from, std::size_t until) const {
    const auto create = [&](std::size_t n) -> Task<void> {
      return create_small(*driver, from + n);
    };
    each(until - from, create);
  }
  static Task<void> create_small(StorageDriver& driver, std::size_t number) {
    Change change(id_of(number));
    change.create(*UserId::parse("user-" + std::to_string(number / 20)));
    static_cast<void>(co_await driver.commit(change));
  }

  RedisServer server;
  RedisOptions options;
  std::unique_ptr<StorageDriver> driver;
};

// Requests a second of redis-benchmark for one command, on one connection, with as many in flight.
double yardstick(const RedisServer& server, const std::vector<std::string_view>& words) {
  std::string line = "redis-benchmark -p " + std::to_string(server.address().port);
  line.append(" -c 1 -P ").append(std::to_string(in_flight));
  line.append(" -n ").append(std::to_string(calls)).append(" --csv");
  for (const std::string_view word : words) line.append(" '").append(word).append("'");
  line.append(" 2>/dev/null");
  const auto close = [](FILE* pipe) { pclose(pipe); };
  const std::unique_ptr<FILE, decltype(close)> pipe(popen(line.c_str(), "r"), close);
  std::string out;
  std::array<char, 4096> part{};
  while (pipe && std::fgets(part.data(), part.size(), pipe.get()) != nullptr) out += part.data();
  // Below the heads of the columns: "the command","requests a second",...
  const std::size_t begin = out.find("\",\"", out.find('\n') + 1);
  if (begin == out.npos) throw std::runtime_error("redis-benchmark said nothing");
  return std::strtod(out.c_str() + begin + 3, nullptr);
}

// ---- the client ---------------------------------------------------------------------------------

Commit an_event(const SessionId& session) {
  Commit commit;
  commit.session = session;
  commit.operation_id = "operation-of-usual-length";
  commit.at = test::test_start;
  commit.events.push_back({event_bytes, "agent:noted", {}});
  return commit;
}

Task<void> append(StorageDriver& driver, const Commit& commit) {
  static_cast<void>(co_await driver.commit(commit));
}

void redis_commits(benchmark::State& state) {
  const Store store;
  store.fill(0, 1);
  const Commit commit = an_event(id_of(0));
  const redis::Keys names("af");
  const redis::SessionKeys keys{names.session(commit.session), names.log(commit.session),
                                names.archive(commit.session)};
  redis::Wakeups nobody(1);
  redis::CommitAnswer answer(commit, nobody);
  const std::string channel = names.wakeups(0);
  const std::string instance = "0123456789abcdef";
  const redis::CommitCommandOptions with{store.options, keys, channel, instance};
  const redis::Command command = redis::commit_command(commit, with, answer);
  std::vector<std::string_view> words;
  command.words(words);
  const auto work = [&](std::size_t) -> Task<void> { return append(*store.driver, commit); };
  compare(
      state, [&] { return calls / seconds_of([&] { store.each(calls, work); }); },
      [&] { return yardstick(store.server, words); }, 0.85);
}

Task<void> read_session(StorageDriver& driver, const SessionId& session) {
  static constexpr std::array keys = {RecordKey::of_session()};
  const ReadResult read = co_await driver.read(session, keys);
  benchmark::DoNotOptimize(read.live);
}

void redis_reads(benchmark::State& state) {
  const Store store;
  store.fill(0, 1);
  const SessionId session = id_of(0);
  const auto work = [&](std::size_t) -> Task<void> { return read_session(*store.driver, session); };
  compare(
      state, [&] { return calls / seconds_of([&] { store.each(calls, work); }); },
      [&] { return yardstick(store.server, {"HMGET", "af:{bench-0}", "meta", "session"}); }, 0.7);
}

// ---- the server ---------------------------------------------------------------------------------

double microseconds_of_lists(const Store& store, std::size_t users) {
  constexpr std::size_t lists = 2'000;
  const double seconds = seconds_of([&] {
    for (std::size_t n = 0; n < lists; ++n) {
      ListQuery query;
      query.user = *UserId::parse("user-" + std::to_string(n * 7 % users));
      query.limit = 20;
      const SessionPage page = run(store.driver->list_sessions(query));
      if (page.items.size() != 20) throw std::runtime_error("a list is short");
    }
  });
  return seconds / lists * 1e6;
}

void redis_growth_of_list(benchmark::State& state) {
  const char* wanted = std::getenv("ACTIONFLOWS_BENCH_SESSIONS");
  const std::size_t many = wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : 1'000'000;
  for (auto _ : state) {
    const Store store;
    store.fill(0, 1'000);
    microseconds_of_lists(store, 50);
    const double few = microseconds_of_lists(store, 50);
    store.fill(1'000, many);
    microseconds_of_lists(store, many / 20);
    tell(state, microseconds_of_lists(store, many / 20) / few, Limit::at_most, 1.2);
  }
}

// A chain, five steps and eight events.
Change usual_session(std::size_t number) {
  Change change(id_of(number));
  change.put(test::session_record, 0, Bytes(std::string(300, 's')));
  change.active_until(change.at + 24h);
  change.list_as(*UserId::parse("user-" + std::to_string(number / 20)), "active");
  change.put(test::chain(1), 0, record_bytes);
  for (std::uint32_t n = 1; n <= 5; ++n) change.put(test::step(1, n), 0, record_bytes);
  for (int n = 0; n < 8; ++n) change.event("agent:noted", std::string(400, 'e'));
  return change;
}

Task<void> create_usual(StorageDriver& driver, std::size_t number) {
  const Change change = usual_session(number);
  static_cast<void>(co_await driver.commit(change));
}

void redis_session_memory(benchmark::State& state) {
  constexpr std::size_t sessions = 10'000;
  constexpr double json = 300 + 6 * 400 + 8 * 400;
  for (auto _ : state) {
    const Store store;
    const auto used = [&] {
      return std::strtod(store.server.info("used_memory").c_str(), nullptr);
    };
    const double before = used();
    store.each(sessions, [&](std::size_t n) { return create_usual(*store.driver, n); });
    tell(state, (used() - before) / sessions, Limit::at_most, 1.5 * json + 1'500);
  }
}

// What a server has spent on a command, in microseconds.
double server_time(const std::string& stats, const std::string& command) {
  const std::size_t line = stats.find("cmdstat_" + command + ":");
  if (line == stats.npos) return 0;
  return std::strtod(stats.c_str() + stats.find("usec=", line) + 5, nullptr);
}

// A session with its event, version, indexes and TTL, against a plain SETEX of the same bytes.
void redis_cost_of_a_create(benchmark::State& state) {
  constexpr std::size_t sessions = 50'000;
  const auto time_of = [](const Store& store, const std::function<void()>& work,
                          const std::vector<std::pair<std::string, double>>& commands) {
    static_cast<void>(store.server.call({"CONFIG", "RESETSTAT"}));
    work();
    const std::string stats = store.server.text({"INFO", "commandstats"});
    double total = 0;
    for (const auto& [command, share] : commands) total += share * server_time(stats, command);
    return total;
  };
  for (auto _ : state) {
    const Store store;
    store.fill(0, 1'000);
    // A script's time has that of its commands in it: half of PEXPIREAT's calls are its own.
    const double create = time_of(store, [&] { store.fill(1'000, 1'000 + sessions); },
                                  {{"evalsha", 1}, {"zadd", 1}, {"pexpireat", 0.5}});
    const std::string value(300 + 300, 'v');
    const double bare =
        time_of(store, [&] { yardstick(store.server, {"SETEX", "bench", "86400", value}); },
                {{"setex", 1}});
    tell(state, create / sessions, Limit::at_most, 4 * bare / calls);
  }
}

BENCHMARK(redis_commits)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK(redis_reads)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK(redis_session_memory)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK(redis_cost_of_a_create)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK(redis_growth_of_list)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace actionflows
