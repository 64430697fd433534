// The typed layer over MemoryStorage: how much one thread does, what a second one adds, what a
// session occupies, and that none of it grows with the number of sessions.
//
// Every benchmark tells a `figure`, the `limit` it must keep and the `ratio` between them: 1 or
// more is kept, whichever way the limit points. The figure is the median of several rounds, `best`
// the best of them; single threads are measured by the time they ran, so that other work on the
// machine counts little.
#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/storage.hpp"
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

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Whether more or less is better.
enum class Limit { at_least, at_most };

void tell(benchmark::State& state, const std::vector<double>& figures, Limit kind, double limit) {
  const double figure = median(figures);
  const auto [least, most] = std::minmax_element(figures.begin(), figures.end());
  state.counters["figure"] = figure;
  state.counters["best"] = kind == Limit::at_least ? *most : *least;
  state.counters["limit"] = limit;
  state.counters["ratio"] = kind == Limit::at_least ? figure / limit : limit / figure;
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

Task<void> create(Storage& storage, std::size_t count) {
  const SessionData data = small_session();
  for (std::size_t n = 0; n < count; ++n) {
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
  for (auto _ : state) {
    std::vector<double> rates;
    for (int round = 0; round < rounds; ++round)
      rates.push_back(static_cast<double>(count) / time_of([&] { work(count); }).count());
    tell(state, rates, Limit::at_least, limit);
  }
}

void create_session(benchmark::State& state) {
  constexpr std::size_t count = 100'000;
  for (auto _ : state) {
    std::vector<double> rates;
    for (int round = 0; round < rounds; ++round) {
      Store store(0);
      rates.push_back(count / time_of([&] { run(create(*store.storage, count)); }).count());
    }
    tell(state, rates, Limit::at_least, 400e3);
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
                 const std::function<void(Store&, const std::vector<SessionId>&)>& work) {
  const std::vector<SessionId> all = hot_names(hot_sessions);
  const std::vector<SessionId> halves[2] = {{all.begin(), all.begin() + hot_sessions / 2},
                                            {all.begin() + hot_sessions / 2, all.end()}};
  for (auto _ : state) {
    std::vector<double> gains;
    for (int round = 0; round < rounds; ++round) {
      Store store(hot_sessions);
      const auto timed = [&](std::size_t threads) {
        std::barrier start(static_cast<std::ptrdiff_t>(threads) + 1);
        std::vector<std::jthread> running;
        for (std::size_t n = 0; n < threads; ++n)
          running.emplace_back([&, n] {
            start.arrive_and_wait();
            work(store, halves[n]);
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

void two_threads_get(benchmark::State& state) {
  two_threads(state, 1.7, [](Store& store, const std::vector<SessionId>& names) {
    run(get(*store.storage, names, 300'000));
  });
}

void two_threads_update(benchmark::State& state) {
  two_threads(state, 1.7, [](Store& store, const std::vector<SessionId>& names) {
    run(update(*store.storage, names, 50'000));
  });
}

void two_threads_create(benchmark::State& state) {
  two_threads(state, 1.7, [](Store& store, const std::vector<SessionId>&) {
    run(create(*store.storage, 50'000));
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
    state.counters["json"] = json;
    tell(state, {each}, Limit::at_most, 2 * json + 500);
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

Task<void> list(Storage& storage, std::size_t sessions) {
  for (std::size_t n = 0; n < 2'000; ++n) {
    SessionFilter filter;
    filter.user = user_of(n * 617 % hot_sessions * (sessions / hot_sessions));
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
