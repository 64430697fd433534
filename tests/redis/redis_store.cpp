#include "tests/redis/redis_store.hpp"

#include <algorithm>
#include <iostream>
#include <set>

namespace actionflows {

void PrintTo(ErrorCode code, std::ostream* out) { *out << to_string(code); }

}  // namespace actionflows

namespace actionflows::test {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

// Coroutines take by value what has to outlive whoever makes them.

Task<void> read(StorageDriver& driver, SessionId session) {
  const std::vector<RecordKey> keys = {session_record};
  co_await driver.read(session, keys);
}

Task<void> commit(StorageDriver& driver, SessionId session) {
  const Change change(session);
  co_await driver.commit(change);
}

Task<void> list_sessions(StorageDriver& driver) {
  const ListQuery query;
  co_await driver.list_sessions(query);
}

Task<void> list_archive(StorageDriver& driver) {
  const ListQuery query;
  co_await driver.list_archive(query);
}

Task<void> read_events(StorageDriver& driver, SessionId session) {
  const EventQuery query;
  co_await driver.read_events(session, query);
}

Task<void> touch(StorageDriver& driver, SessionId session) {
  const Activity activity{test_start + 1s, test_start + 2h};
  co_await driver.touch(session, activity);
}

Task<void> prune_events(StorageDriver& driver, SessionId session) {
  co_await driver.prune_events(session, 1);
}

Task<void> sweep(StorageDriver& driver) {
  SweepQuery query;
  query.now = test_start;
  co_await driver.sweep(query);
}

Task<void> erase_session(StorageDriver& driver, SessionId session) {
  co_await driver.erase_session(session);
}

Task<void> health(StorageDriver& driver) {
  const Health found = co_await driver.health();
  if (!found.ok) throw failure(ErrorCode::unavailable, found.detail, "health");
}

Task<void> watched(std::string name, Task<void> call, std::vector<Outcome>& outcomes) {
  Outcome outcome{.call = std::move(name), .took = {}, .error = std::nullopt};
  const auto start = std::chrono::steady_clock::now();
  try {
    co_await std::move(call);
  } catch (const StorageError& error) {
    outcome.error = error.code();
  }
  outcome.took = duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
  outcomes.push_back(std::move(outcome));
}

// All events of a log, oldest first.
std::vector<StoredEvent> whole_log(StorageDriver& driver, const SessionId& session) {
  std::vector<StoredEvent> all;
  EventQuery query;
  for (;;) {
    EventPage page = run(driver.read_events(session, query));
    if (page.events.empty()) return all;
    query.after = page.events.back().sequence;
    std::ranges::move(page.events, std::back_inserter(all));
  }
}

}  // namespace

std::vector<std::pair<std::string, Task<void>>> all_calls(StorageDriver& driver,
                                                          const SessionId& session) {
  std::vector<std::pair<std::string, Task<void>>> calls;
  calls.emplace_back("read", read(driver, session));
  calls.emplace_back("commit", commit(driver, session));
  calls.emplace_back("list_sessions", list_sessions(driver));
  calls.emplace_back("list_archive", list_archive(driver));
  calls.emplace_back("read_events", read_events(driver, session));
  calls.emplace_back("touch", touch(driver, session));
  calls.emplace_back("prune_events", prune_events(driver, session));
  calls.emplace_back("sweep", sweep(driver));
  calls.emplace_back("erase_session", erase_session(driver, session));
  calls.emplace_back("health", health(driver));
  return calls;
}

std::vector<Outcome> outcomes_of(std::vector<std::pair<std::string, Task<void>>> calls) {
  std::vector<Outcome> outcomes;
  std::vector<Task<void>> tasks;
  for (auto& [name, call] : calls) tasks.push_back(watched(name, std::move(call), outcomes));
  run_together(std::move(tasks), 1);
  return outcomes;
}

// ---- Log ----------------------------------------------------------------------------------------

std::function<void(std::string_view)> Log::sink() {
  return [this](std::string_view line) {
    const std::lock_guard lock(mutex_);
    text_.append(line).append("\n");
  };
}

std::string Log::text() const {
  const std::lock_guard lock(mutex_);
  return text_;
}

// ---- Writer -------------------------------------------------------------------------------------

Task<void> Writer::begin() {
  Change change(session_);
  change.create(user_named("ann"));
  co_await driver_.commit(change);
  version_ = 1;
  keep(change.operation_id);
}

Task<void> Writer::write(const std::atomic<bool>& stop) {
  while (!stop) co_await write_once();
}

Task<void> Writer::write_once() {
  Change change(session_);
  change.put(session_record, version_);
  for (;;) {
    std::optional<StorageError> error;
    try {
      co_await driver_.commit(change);
      ++version_;
      keep(change.operation_id);
      co_return;
    } catch (const StorageError& thrown) {
      error = thrown;
    }
    if (error->code() == ErrorCode::conflict) co_return co_await take_up();
    ++errors_;
    if (!error->retryable) throw StorageError(*error);
    change.repeat();
    co_await system_clock().sleep_for(20ms);
  }
}

void Writer::keep(const std::string& operation) {
  const auto now = std::chrono::steady_clock::now();
  if (last_acknowledged_)
    longest_gap_ = std::max<std::chrono::nanoseconds>(longest_gap_, now - *last_acknowledged_);
  last_acknowledged_ = now;
  acknowledged_.push_back(operation);
  ++count_;
}

Task<void> Writer::take_up() {
  const std::vector<RecordKey> keys = {session_record};
  for (;;) {
    try {
      const ReadResult read = co_await driver_.read(session_, keys);
      if (!read.live) throw std::logic_error("the session itself is lost");
      version_ = read.records.at(0)->version;
      co_return;
    } catch (const StorageError& error) {
      ++errors_;
      if (!error.retryable) throw;
    }
    co_await system_clock().sleep_for(20ms);
  }
}

milliseconds Writer::longest_gap() const { return duration_cast<milliseconds>(longest_gap_); }

std::size_t Writer::lost() const {
  const std::vector<StoredEvent> log = whole_log(driver_, session_);
  std::set<std::string> operations;
  for (std::size_t i = 0; i < log.size(); ++i) {
    EXPECT_EQ(log[i].sequence, i + 1) << session_.str() << " has a gap";
    EXPECT_TRUE(operations.insert(log[i].operation_id).second)
        << session_.str() << ": " << log[i].operation_id << " was applied twice";
  }
  const std::vector<RecordKey> keys = {session_record};
  const ReadResult read = run(driver_.read(session_, keys));
  EXPECT_TRUE(read.live);
  if (read.live) {
    EXPECT_EQ(read.records.at(0)->version, log.size()) << session_.str();
  }
  return static_cast<std::size_t>(std::ranges::count_if(
      acknowledged_, [&](const std::string& id) { return !operations.contains(id); }));
}

// ---- Load ---------------------------------------------------------------------------------------

Load::Load(StorageDriver& driver, std::size_t writers) {
  for (std::size_t i = 0; i < writers; ++i) {
    writers_.push_back(
        std::make_unique<Writer>(driver, session_named("load-" + std::to_string(i))));
    run(writers_.back()->begin());
  }
  thread_ = std::thread([this] {
    std::vector<Task<void>> tasks;
    for (const auto& writer : writers_) tasks.push_back(writer->write(stop_));
    try {
      run_together(std::move(tasks), 1);
    } catch (const std::exception& error) {
      ADD_FAILURE() << "a writer gave up: " << error.what();
    }
  });
}

bool Load::wait_for_more(std::size_t each) const {
  std::vector<std::size_t> wanted;
  for (const auto& writer : writers_) wanted.push_back(writer->acknowledged() + each);
  return wait_until([&] {
    for (std::size_t i = 0; i < writers_.size(); ++i)
      if (writers_[i]->acknowledged() < wanted[i]) return false;
    return true;
  });
}

void Load::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

Load::Total Load::total(std::string_view what) const {
  Total total;
  for (const auto& writer : writers_) {
    total.acknowledged += writer->acknowledged();
    total.lost += writer->lost();
    total.errors += writer->errors();
    total.longest_gap = std::max(total.longest_gap, writer->longest_gap());
  }
  std::cout << what << ": " << total.acknowledged << " commits acknowledged, " << total.lost
            << " of them lost; " << total.errors << " calls failed; " << total.longest_gap.count()
            << " ms without an answer" << std::endl;
  return total;
}

}  // namespace actionflows::test
