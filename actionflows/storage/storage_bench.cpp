// The typed layer over MemoryStorage: how much one thread does, what a second one adds, what a
// session occupies, and that none of it grows with the number of sessions.
//
// What one thread is to do a second was set on a machine whose bare JSON walk (bare_walk.hpp) does
// 9.4 million a second. On any other the limit moves with the walk, measured in the same round.
//
// Every benchmark tells a `figure`, the `limit` it must keep and the `ratio` between them: 1 or
// more is kept, whichever way the limit points. The figure is the median of several rounds, `best`
// the best of them; single threads are measured by the time they ran, so that other work on the
// machine counts little.
#include "actionflows/schema/testing/bare_walk.hpp"
#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/storage.hpp"
#include "tests/support/bench.hpp"
#include "tests/support/run.hpp"

#include <benchmark/benchmark.h>
#include <malloc.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace actionflows {
namespace {

using test::Limit;
using test::median;
using test::run;
using Seconds = std::chrono::duration<double>;

constexpr int rounds = 9;
constexpr std::size_t hot_sessions = 1'000;
constexpr std::size_t many_sessions = 1'000'000;
constexpr std::size_t sessions_of_user = 20;

// ---- what is measured with

// For how long this thread has run.
Seconds thread_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

Seconds time_of(const std::function<void()>& work) {
  const Seconds begun = thread_time();
  work();
  return thread_time() - begun;
}

void tell(benchmark::State& state, const std::vector<double>& figures, Limit kind, double limit) {
  test::tell(state, median(figures), kind, limit);
  const auto [least, most] = std::minmax_element(figures.begin(), figures.end());
  state.counters["best"] = kind == Limit::at_least ? *most : *least;
}

// How fast this machine is just now, beside the one the limits were set on.
double speed() {
  constexpr double reference = 9.4e6;
  constexpr int count = 100'000;
  static simdjson::ondemand::parser parser;
  static const simdjson::padded_string text(schema::session_text);
  const Seconds time = time_of([] {
    for (int n = 0; n < count; ++n) benchmark::DoNotOptimize(schema::walk(parser, text));
  });
  return count / time.count() / reference;
}

// Tells the rate of `round`, which does `count` of something and says how long it took; `limit` as
// on the reference machine.
void tell_rate(benchmark::State& state, std::size_t count, double limit,
               const std::function<Seconds()>& round) {
  std::vector<double> rates;
  std::vector<double> speeds;
  std::vector<double> ratios;
  for (int n = 0; n < rounds; ++n) {
    const double before = speed();
    rates.push_back(static_cast<double>(count) / round().count());
    speeds.push_back((before + speed()) / 2);
    ratios.push_back(rates.back() / speeds.back() / limit);
  }
  tell(state, rates, Limit::at_least, limit * median(speeds));
  state.counters["ratio"] = median(ratios);
}

// ---- what is measured on

UserId user_of(std::size_t session) {
  return *UserId::parse("user-" + std::to_string(session / sessions_of_user));
}

// As long as a UUID.
SessionId name_of(std::size_t session) {
  std::string number = std::to_string(session);
  number.insert(0, 12 - number.size(), '0');
  return *SessionId::parse("0198d0f3-7c1e-7a52-9b1d-" + number);
}

SessionData small_session() {
  SessionData data;
  data.title = "Nightly build";
  data.cwd = "/srv/app";
  data.hostname = "build-7";
  data.metadata = json::Raw::parse(R"({"branch":"main","try":2,"tags":["ci"]})");
  return data;
}

// A storage with some sessions, and a way to its driver.
class Store {
 public:
  explicit Store(std::size_t sessions) {
    MemoryOptions options;
    options.max_sessions = 10 * many_sessions;
    options.max_bytes = std::uint64_t{64} << 30;
    options.limits.max_events = many_sessions;
    options.limits.touch_interval = std::chrono::minutes(1);  // as the program sets it
    auto made = make_memory_storage(options);
    driver = made.get();
    storage.emplace(std::move(made));
    run(fill(*storage, sessions));
  }

  StorageDriver* driver = nullptr;
  std::optional<Storage> storage;

 private:
  static Task<void> fill(Storage& storage, std::size_t sessions) {
    const SessionData data = small_session();
    for (std::size_t n = 0; n < sessions; ++n)
      co_await storage.create_session(user_of(n), data, name_of(n));
  }
};

// The hot sessions, evenly among all of a store, in an order that no cache line foresees.
std::vector<SessionId> hot_names(std::size_t sessions) {
  std::vector<SessionId> names;
  for (std::size_t n = 0; n < hot_sessions; ++n)
    names.push_back(name_of((n * 617 % hot_sessions) * (sessions / hot_sessions)));
  return names;
}

// ---- one thread

// Of the users that own the sessions from `first` on.
Task<void> create(Storage& storage, std::size_t count, std::size_t first = 0) {
  const SessionData data = small_session();
  for (std::size_t n = first; n < first + count; ++n) {
    const Session made = co_await storage.create_session(user_of(n), data);
    benchmark::DoNotOptimize(made.version);
  }
}

Task<void> get(Storage& storage, const std::vector<SessionId>& names, std::size_t count) {
  for (std::size_t n = 0; n < count; ++n) {
    const std::optional<Session> session = co_await storage.get_session(names[n % names.size()]);
    benchmark::DoNotOptimize(session->version);
  }
}

Task<void> read(StorageDriver& driver, const std::vector<SessionId>& names, std::size_t count) {
  constexpr RecordKey key = RecordKey::of_session();
  for (std::size_t n = 0; n < count; ++n) {
    const ReadResult found = co_await driver.read(names[n % names.size()], std::span(&key, 1));
    benchmark::DoNotOptimize(found.records[0]->bytes.size());
  }
}

Task<void> update(Storage& storage, const std::vector<SessionId>& names, std::size_t count) {
  SessionUpdate update;
  for (std::size_t n = 0; n < count; ++n) {
    update.set(&Session::title, n / names.size() % 2 == 0 ? "Another title" : "One more title");
    co_await storage.update_session(names[n % names.size()], update);
  }
}

Task<void> append(Storage& storage, const std::vector<SessionId>& names, std::size_t count) {
  EventData data;
  data.type = *EventType::parse("note:made");
  data.data = json::Raw::parse(R"({"text":"something to remember"})");
  for (std::size_t n = 0; n < count; ++n)
    co_await storage.append_event(names[n % names.size()], data);
}

// Rounds of `work(count)`; tells how many a second.
void measure_rate(benchmark::State& state, std::size_t count, double limit,
                  const std::function<void(std::size_t)>& work) {
  for (auto _ : state)
    tell_rate(state, count, limit, [&] { return time_of([&] { work(count); }); });
}

void create_session(benchmark::State& state) {
  constexpr std::size_t count = 100'000;
  for (auto _ : state) {
    tell_rate(state, count, 400e3, [] {
      Store store(0);
      return time_of([&] { run(create(*store.storage, count)); });
    });
  }
}

void typed_get(benchmark::State& state) {
  Store store(hot_sessions);
  const std::vector<SessionId> names = hot_names(hot_sessions);
  measure_rate(state, 300'000, 2e6,
               [&](std::size_t count) { run(get(*store.storage, names, count)); });
}

void driver_read(benchmark::State& state) {
  Store store(hot_sessions);
  const std::vector<SessionId> names = hot_names(hot_sessions);
  measure_rate(state, 1'000'000, 10e6,
               [&](std::size_t count) { run(read(*store.driver, names, count)); });
}

// ---- two threads

// How much more two threads do at the same time than one alone does, each on sessions of its own.
void two_threads(benchmark::State& state, double limit,
                 const std::function<void(Store&, std::size_t thread)>& work) {
  for (auto _ : state) {
    std::vector<double> gains;
    for (int round = 0; round < 3 * rounds; ++round) {
      Store store(hot_sessions);
      const auto timed = [&](std::size_t threads) {
        std::barrier start(static_cast<std::ptrdiff_t>(threads) + 1);
        std::vector<std::jthread> running;
        for (std::size_t n = 0; n < threads; ++n)
          running.emplace_back([&, n] {
            start.arrive_and_wait();
            work(store, n);
          });
        start.arrive_and_wait();
        const auto begun = std::chrono::steady_clock::now();
        running.clear();
        return Seconds(std::chrono::steady_clock::now() - begun).count();
      };
      timed(1);
      const double one = timed(1);
      gains.push_back(2 * one / timed(2));
    }
    tell(state, gains, Limit::at_least, limit);
  }
}

const std::vector<SessionId>& half(std::size_t thread) {
  static const std::vector<SessionId> all = hot_names(hot_sessions);
  static const std::vector<SessionId> halves[] = {{all.begin(), all.begin() + hot_sessions / 2},
                                                  {all.begin() + hot_sessions / 2, all.end()}};
  return halves[thread];
}

void two_threads_get(benchmark::State& state) {
  two_threads(state, 1.7, [](Store& store, std::size_t thread) {
    run(get(*store.storage, half(thread), 100'000));
  });
}

void two_threads_update(benchmark::State& state) {
  two_threads(state, 1.7, [](Store& store, std::size_t thread) {
    run(update(*store.storage, half(thread), 20'000));
  });
}

void two_threads_create(benchmark::State& state) {
  two_threads(state, 1.7, [](Store& store, std::size_t thread) {
    run(create(*store.storage, 20'000, thread * many_sessions));
  });
}

// ---- memory

std::size_t allocated() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// Of one small session with its first event.
void session_memory(benchmark::State& state) {
  constexpr std::size_t count = 100'000;
  for (auto _ : state) {
    const std::size_t before = allocated();
    Store store(count);
    const double each = static_cast<double>(allocated() - before) / count;
    const std::vector<SessionId> first{name_of(0)};
    constexpr RecordKey key = RecordKey::of_session();
    const ReadResult found = run(store.driver->read(first[0], std::span(&key, 1)));
    const auto json = static_cast<double>(found.records[0]->bytes.size());
    test::tell(state, each, Limit::at_most, 2 * json + 500);
  }
}

// ---- cost that does not grow

// A store of few sessions and one of many, made once.
struct Sizes {
  Store few{hot_sessions};
  Store many{many_sessions};

  static Sizes& get() {
    static Sizes sizes;
    return sizes;
  }
};

// How many times as much time `work` takes on many sessions as on few.
void measure_growth(benchmark::State& state,
                    const std::function<void(Store&, std::size_t sessions)>& work) {
  Sizes& sizes = Sizes::get();
  for (auto _ : state) {
    std::vector<double> growth;
    for (int round = 0; round < 2 * rounds; ++round) {
      const Seconds few = time_of([&] { work(sizes.few, hot_sessions); });
      const Seconds many = time_of([&] { work(sizes.many, many_sessions); });
      growth.push_back(many / few);
    }
    tell(state, growth, Limit::at_most, 1.3);
  }
}

const std::vector<SessionId>& hot(std::size_t sessions) {
  static const std::vector<SessionId> few = hot_names(hot_sessions);
  static const std::vector<SessionId> many = hot_names(many_sessions);
  return sessions == many_sessions ? many : few;
}

void growth_of_get(benchmark::State& state) {
  measure_growth(state, [](Store& store, std::size_t sessions) {
    run(get(*store.storage, hot(sessions), 100'000));
  });
}

void growth_of_update(benchmark::State& state) {
  measure_growth(state, [](Store& store, std::size_t sessions) {
    run(update(*store.storage, hot(sessions), 20'000));
  });
}

void growth_of_append(benchmark::State& state) {
  measure_growth(state, [](Store& store, std::size_t sessions) {
    run(append(*store.storage, hot(sessions), 20'000));
  });
}

// Of as many users in a store of many sessions as there are in one of few.
Task<void> list(Storage& storage, std::size_t sessions) {
  constexpr std::size_t users = hot_sessions / sessions_of_user;
  for (std::size_t n = 0; n < 2'000; ++n) {
    SessionFilter filter;
    filter.user = user_of(n * 617 % users * (sessions / users));
    const Page<Session> page = co_await storage.list_sessions(std::move(filter));
    benchmark::DoNotOptimize(page.items.size());
  }
}

void growth_of_list(benchmark::State& state) {
  measure_growth(state,
                 [](Store& store, std::size_t sessions) { run(list(*store.storage, sessions)); });
}

// Any session at any time: what is measured is memory further and further away. Told, not limited.
void uniform_get(benchmark::State& state) {
  std::vector<SessionId> names;
  SeededRandom random(1);
  for (int n = 0; n < 100'000; ++n) names.push_back(name_of(random.below(many_sessions)));
  for (auto _ : state) {
    const Seconds time = time_of([&] { run(get(*Sizes::get().many.storage, names, 100'000)); });
    state.counters["figure"] = 100'000 / time.count();
  }
}

BENCHMARK(create_session)->Iterations(1);
BENCHMARK(typed_get)->Iterations(1);
BENCHMARK(driver_read)->Iterations(1);
BENCHMARK(two_threads_get)->Iterations(1);
BENCHMARK(two_threads_update)->Iterations(1);
BENCHMARK(two_threads_create)->Iterations(1);
BENCHMARK(session_memory)->Iterations(1);
BENCHMARK(growth_of_get)->Iterations(1);
BENCHMARK(growth_of_update)->Iterations(1);
BENCHMARK(growth_of_append)->Iterations(1);
BENCHMARK(growth_of_list)->Iterations(1);
BENCHMARK(uniform_get)->Iterations(1);

}  // namespace
}  // namespace actionflows
