// SqliteStorage against what SQLite itself does on the same disk in the same run: what grouping
// commits brings, what the threads between caller and database cost, how much memory a large file
// takes and how long it takes to open it.
//
// Every benchmark tells a `figure`, the `limit` it must keep and the `ratio` between them: 1 or
// more is kept. ACTIONFLOWS_BENCH_FOLDER is where the files are made, instead of the system's
// folder for temporary ones, which may be no disk.
#include "actionflows/storage/sqlite/connection.hpp"
#include "actionflows/storage/sqlite/sqlite_storage.hpp"
#include "tests/support/bench.hpp"
#include "tests/support/change.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/run.hpp"

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

namespace actionflows {
namespace {

using sqlite::Blob;
using sqlite::Connection;
using sqlite::Statement;
using test::Change;
using test::compare;
using test::Folder;
using test::Limit;
using test::median;
using test::run;
using test::seconds_of;
using test::tell;
using namespace std::chrono_literals;

constexpr int rounds = 5;
constexpr std::size_t writers = 64;
constexpr std::size_t io_threads = 1;
constexpr std::size_t many_sessions = 2'000;

// As long as records and events usually are.
const Bytes record_bytes(std::string(400, 'r'));
const Bytes event_bytes(std::string(300, 'e'));

// ---- a store ------------------------------------------------------------------------------------

std::string name_of(std::size_t session) {
  const std::string number = std::to_string(session);
  std::string name = "0198d0f3-7c1e-7a52-9b1d-";
  name.append(12 - number.size(), '0');
  return name.append(number);
}
SessionId id_of(std::size_t session) { return *SessionId::parse(name_of(session)); }

struct Store {
  explicit Store(std::size_t sessions) {
    options.path = folder.path("bench.db");
    options.limits.max_events = 1'000'000;
    driver = open_sqlite_storage(options);
    std::vector<Task<void>> tasks;
    for (std::size_t n = 0; n < writers; ++n) tasks.push_back(create(*driver, n, sessions));
    test::run_together(std::move(tasks), io_threads);
  }

  static Task<void> create(StorageDriver& driver, std::size_t from, std::size_t sessions) {
    for (std::size_t n = from; n < sessions; n += writers) {
      Change change(id_of(n));
      change.create(*UserId::parse(std::string("user-").append(std::to_string(n / 20))));
      change.put(test::chain(1), 0, record_bytes).put(test::step(1, 1), 0, record_bytes);
      static_cast<void>(co_await driver.commit(change));
    }
  }

  static std::string parent() {
    const char* named = std::getenv("ACTIONFLOWS_BENCH_FOLDER");
    return named != nullptr ? named : std::filesystem::temp_directory_path().string();
  }

  const Folder folder{Store::parent()};
  SqliteOptions options;
  std::unique_ptr<StorageDriver> driver;
};

// ---- writing ------------------------------------------------------------------------------------

// A step's record in its next version and an event that tells of it, again and again.
Task<void> update(StorageDriver& driver, std::size_t session, std::size_t count) {
  const SessionId id = id_of(session);
  const RecordKey key = test::step(1, 1);
  const std::array keys = {key};
  const ReadResult read = co_await driver.read(id, keys);
  std::uint64_t version = read.records[0]->version;
  for (std::size_t n = 0; n < count; ++n) {
    Commit change;
    change.session = id;
    change.operation_id = name_of(version);
    change.at = test::test_start;
    change.puts.push_back({key, record_bytes, version, version + 1});
    change.events.push_back({event_bytes, "step:updated", {}});
    static_cast<void>(co_await driver.commit(change));
    ++version;
  }
}

double commits_per_second(Store& store, std::size_t concurrent, std::size_t each) {
  std::vector<Task<void>> tasks;
  for (std::size_t n = 0; n < concurrent; ++n) tasks.push_back(update(*store.driver, n, each));
  return static_cast<double>(concurrent * each) /
         seconds_of([&] { test::run_together(std::move(tasks), io_threads); });
}

// The same rows, written by a loop of prepared statements in transactions of 64, without looking at
// what stands there.
double bare_writes_per_second(Store& store, std::size_t count) {
  Connection connection(store.options.path, 5s);
  connection.execute("PRAGMA synchronous = FULL");
  Statement begin(connection, "BEGIN IMMEDIATE");
  Statement commit(connection, "COMMIT");
  Statement record(connection,
                   "UPDATE records SET version = version + 1, bytes = ? "
                   "WHERE session = (SELECT id FROM sessions WHERE name = ?) "
                   "AND chain = 1 AND step = 1");
  Statement event(connection,
                  "INSERT INTO events(session, sequence, operation, bytes) "
                  "SELECT id, last_sequence + 1, ?, ? FROM sessions WHERE name = ?");
  Statement session(connection,
                    "UPDATE sessions SET last_sequence = last_sequence + 1 WHERE name = ?");
  std::vector<std::string> names;
  for (std::size_t n = 0; n < writers; ++n) names.push_back(name_of(n));
  return static_cast<double>(count) / seconds_of([&] {
           for (std::size_t n = 0; n < count; n += writers) {
             begin.run();
             for (const std::string& name : names) {
               record.run(Blob{record_bytes.view()}, name);
               event.run(name, Blob{event_bytes.view()}, name);
               session.run(name);
             }
             commit.run();
           }
         });
}

void writers_64_to_1(benchmark::State& state) {
  Store store(many_sessions);
  compare(
      state, [&] { return commits_per_second(store, writers, 300); },
      [&] { return commits_per_second(store, 1, 300); }, 10);
}

void writers_64_to_bare(benchmark::State& state) {
  Store store(many_sessions);
  compare(
      state, [&] { return commits_per_second(store, writers, 300); },
      [&] { return bare_writes_per_second(store, writers * 300); }, 0.5);
}

// ---- reading ------------------------------------------------------------------------------------

Task<void> read_on(StorageDriver& driver, std::size_t from, std::size_t count) {
  const std::array keys = {RecordKey::of_session()};
  for (std::size_t n = 0; n < count; ++n) {
    const SessionId id = id_of((from + n * 617) % many_sessions);
    const ReadResult found = co_await driver.read(id, keys);
    benchmark::DoNotOptimize(found.records[0]->bytes.size());
  }
}

double reads_per_second(Store& store, std::size_t concurrent, std::size_t each) {
  std::vector<Task<void>> tasks;
  for (std::size_t n = 0; n < concurrent; ++n)
    tasks.push_back(read_on(*store.driver, n * 31, each));
  return static_cast<double>(concurrent * each) /
         seconds_of([&] { test::run_together(std::move(tasks), io_threads); });
}

double bare_reads_per_second(Store& store, std::size_t count) {
  Connection connection(store.options.path, 5s);
  Statement select(connection,
                   "SELECT s.live, s.last_active, s.expires, s.last_sequence, r.version, r.bytes "
                   "FROM sessions s JOIN records r ON r.session = s.id AND r.chain = 0 AND "
                   "r.step = 0 WHERE s.name = ?");
  std::size_t bytes = 0;
  const double seconds = seconds_of([&] {
    for (std::size_t n = 0; n < count; ++n) {
      const std::string name = name_of(n * 617 % many_sessions);
      Statement::Rows rows = select.query(name);
      if (rows.next()) bytes += Bytes(rows.blob(5)).size();
    }
  });
  benchmark::DoNotOptimize(bytes);
  return static_cast<double>(count) / seconds;
}

void reads_to_bare(benchmark::State& state) {
  Store store(many_sessions);
  compare(
      state, [&] { return reads_per_second(store, 256, 400); },
      [&] { return bare_reads_per_second(store, 100'000); }, 0.5);
}

// ---- upkeep -------------------------------------------------------------------------------------

// Logs of ended sessions, past their retention.
void leave_old_logs(Store& store, std::size_t logs, std::size_t events_of_each) {
  for (std::size_t n = 0; n < logs; ++n) {
    Change change(*SessionId::parse("old-" + std::to_string(n)));
    change.create(*UserId::parse("old")).event_count(events_of_each);
    run(store.driver->commit(change));
    Change end(change.session);
    run(store.driver->commit(end.end()));
  }
}

Task<void> remove_old_logs(StorageDriver& driver, bool& done) {
  SweepQuery query;
  query.now = test::test_start + 24h * 365;
  bool more = true;
  while (more) {
    const SweepResult result = co_await driver.sweep(query);
    more = result.logs_removed > 0;
  }
  done = true;
}

Task<void> time_commits(StorageDriver& driver, const bool& done, std::vector<double>& waits) {
  while (!done) {
    const Change change(id_of(0));
    const auto begun = std::chrono::steady_clock::now();
    static_cast<void>(co_await driver.commit(change));
    waits.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun)
            .count());
  }
}

// The longest that a commit takes while old logs are removed, beyond what it takes otherwise.
void commit_during_sweep_ms(benchmark::State& state) {
  Store store(many_sessions);
  const double alone = 1'000 / commits_per_second(store, 1, 300);
  for (auto _ : state) {
    std::vector<double> longest;
    for (int round = 0; round < rounds; ++round) {
      leave_old_logs(store, 20, 5'000);
      bool done = false;
      std::vector<double> waits;
      std::vector<Task<void>> tasks;
      tasks.push_back(remove_old_logs(*store.driver, done));
      tasks.push_back(time_commits(*store.driver, done, waits));
      test::run_together(std::move(tasks), 1);
      longest.push_back(*std::max_element(waits.begin(), waits.end()) - alone);
    }
    tell(state, median(longest), Limit::at_most, 20);
  }
}

// ---- a large file -------------------------------------------------------------------------------

double resident_megabytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

// 2 GB of records, made once.
Store& large() {
  static Store& store = *[] {
    static Store made(many_sessions);
    const Bytes megabyte(std::string(1'000'000, 'x'));
    for (std::size_t n = 0; n < many_sessions; ++n) {
      Change change(id_of(n));
      change.put(test::chain(2), 0, megabyte);
      run(made.driver->commit(change));
    }
    return &made;
  }();
  return store;
}

// Of the whole process, while everything in the file is read once.
void memory_of_2_gb(benchmark::State& state) {
  Store& store = large();
  for (auto _ : state) {
    double most = 0;
    const std::array keys = {test::chain(2), RecordKey::of_session()};
    for (std::size_t n = 0; n < many_sessions; ++n) {
      run(store.driver->read(id_of(n), keys));
      if (n % 50 == 0) most = std::max(most, resident_megabytes());
    }
    tell(state, most, Limit::at_most, 150);
  }
}

void opening_2_gb(benchmark::State& state) {
  Store& store = large();
  for (auto _ : state) {
    std::vector<double> milliseconds;
    for (int round = 0; round < rounds; ++round) {
      store.driver.reset();
      milliseconds.push_back(
          1'000 * seconds_of([&] { store.driver = open_sqlite_storage(store.options); }));
    }
    tell(state, median(milliseconds), Limit::at_most, 200);
  }
}

BENCHMARK(memory_of_2_gb)->Iterations(1);
BENCHMARK(opening_2_gb)->Iterations(1);
BENCHMARK(commit_during_sweep_ms)->Iterations(1);
BENCHMARK(writers_64_to_1)->Iterations(1);
BENCHMARK(writers_64_to_bare)->Iterations(1);
BENCHMARK(reads_to_bare)->Iterations(1);

}  // namespace
}  // namespace actionflows
