#include "tests/redis/redis_store.hpp"

#include "tests/support/wait_until.hpp"

#include <algorithm>
#include <iostream>
#include <set>

namespace actionflows::test {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

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
  while (!stop) co_await write_once(stop);
}

Task<void> Writer::write_once(const std::atomic<bool>& stop) {
  Change change(session_);
  change.put(session_record, version_);
  while (!stop) {
    std::optional<StorageError> error;
    try {
      co_await driver_.commit(change);
      ++version_;
      keep(change.operation_id);
      co_return;
    } catch (const StorageError& thrown) {
      error = thrown;
    }
    if (error->code() == ErrorCode::conflict) co_return co_await take_up(stop);
    note(*error);
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

void Writer::note(const StorageError& error) {
  ++errors_;
  const std::lock_guard lock(mutex_);
  last_error_ = error.message();
}

std::string Writer::state() const {
  const std::lock_guard lock(mutex_);
  std::string state = session_.str();
  state.append(": ").append(std::to_string(count_)).append(" written, ");
  return state.append(std::to_string(errors_)).append(" failed: ").append(last_error_);
}

Task<void> Writer::take_up(const std::atomic<bool>& stop) {
  const std::vector<RecordKey> keys = {session_record};
  while (!stop) {
    try {
      const ReadResult read = co_await driver_.read(session_, keys);
      if (!read.live) throw std::logic_error("the session itself is lost");
      version_ = read.records.at(0)->version;
      co_return;
    } catch (const StorageError& error) {
      note(error);
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

Load::Load(StorageDriver& driver, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
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
  const bool came = wait_until([&] {
    for (std::size_t i = 0; i < writers_.size(); ++i)
      if (writers_[i]->acknowledged() < wanted[i]) return false;
    return true;
  });
  if (!came)
    for (const auto& writer : writers_) std::cout << writer->state() << std::endl;
  return came;
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
