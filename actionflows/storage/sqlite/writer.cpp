#include "actionflows/storage/sqlite/writer.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

namespace actionflows::sqlite {
namespace {

// Calls of one transaction at the most: bounds how long the first of them waits for the last.
constexpr std::size_t most_writes_at_once = 256;

// How long a slice of upkeep may keep commits waiting, before its own fsync.
constexpr std::chrono::milliseconds slice{6};

// Pages of the log (of 4 KiB) from which on it is copied into the database file. Pages that are
// written often are then copied once for many commits; and what a kill leaves is read in no time.
constexpr std::int64_t long_log = 8'000;

}  // namespace

Writer::Writer(Connection connection, const Options& options, WakeupHub& hub)
    : options_(options),
      hub_(hub),
      inbox_(options.max_waiting),
      connection_(std::move(connection)),
      changes_(connection_, options.limits),
      upkeep_(connection_, options.limits),
      others_(connection_, hub),
      begin_(connection_, "BEGIN IMMEDIATE"),
      commit_(connection_, "COMMIT") {
  page_size_ = static_cast<std::uint64_t>(connection_.integer("PRAGMA page_size"));
  const auto count_pages = [](void* self, sqlite3*, const char*, int in_log) {
    auto& writer = *static_cast<Writer*>(self);
    writer.log_pages_ = in_log;
    if (in_log < writer.copied_pages_) writer.copied_pages_ = 0;  // the log has begun anew
    return SQLITE_OK;
  };
  sqlite3_wal_hook(connection_.get(), count_pages, this);
  thread_ = std::jthread([this] { work(); });
}

Writer::~Writer() {
  inbox_.close();
  thread_.join();
}

std::optional<StorageError> Writer::refusal() const {
  const std::lock_guard lock(mutex_);
  return refusal_;
}

std::uint64_t Writer::log_bytes() const {
  const std::int64_t copied = copied_pages_;
  return static_cast<std::uint64_t>(std::max<std::int64_t>(log_pages_ - copied, 0)) * page_size_;
}

void Writer::work() {
  for (;;) {
    std::optional<Inbox::TimePoint> until;
    if (!hub_.idle()) until = std::chrono::steady_clock::now() + options_.poll_interval;
    if (!sliced_.empty()) until = Inbox::TimePoint::min();
    if (!inbox_.take(taken_, most_writes_at_once, 1, until) && sliced_.empty()) return;
    for (Request* request : std::exchange(taken_, {})) {
      auto* const write = static_cast<WriteRequest*>(request);
      if (write->is_sliced()) {
        sliced_.push_back(write);
      } else {
        group_.push_back(write);
      }
    }
    if (!group_.empty()) run_group(group_);
    group_.clear();
    if (!sliced_.empty()) run_slice();
    look();
    keep_log_short();
  }
}

// ---- groups -------------------------------------------------------------------------------------

void Writer::run_group(Group& group) {
  if (broken_) return refuse(group);
  try {
    run_transaction(group);
    for (WriteRequest* request : group) request->answer();
  } catch (const DatabaseError& error) {
    roll_back();
    fail(group, error);
  }
}

void Writer::run_transaction(const Group& group) {
  begin_.run();
  for (WriteRequest* request : group) apply(*request);
  commit();
  requests_ += group.size();
}

void Writer::apply(WriteRequest& request) {
  try {
    request.apply(changes_);
  } catch (const DatabaseError&) {
    throw;
  } catch (const std::exception&) {
    request.fail_with_current();  // refused before it has changed anything
  }
}

// What is wrong may concern one of them only: a page that is damaged, a record that finds no room.
// So each gets a transaction of its own, but not where they all would fail the same way.
void Writer::fail(const Group& group, const DatabaseError& error) {
  const int why = error.primary();
  const bool of_one = why == SQLITE_FULL || why == SQLITE_CORRUPT || why == SQLITE_TOOBIG ||
                      why == SQLITE_CONSTRAINT || why == SQLITE_NOMEM;
  if (of_one && group.size() > 1) {
    for (WriteRequest* request : group) {
      request->clear_failure();
      Group alone{request};
      run_group(alone);
    }
    return;
  }
  if (why == SQLITE_IOERR) break_off(error);
  const StorageError told = to_storage_error(error, "commit");
  for (WriteRequest* request : group) {
    request->fail(told);
    request->answer();
  }
}

void Writer::refuse(const Group& group) {
  for (WriteRequest* request : group) {
    request->fail(*refusal_);
    request->answer();
  }
}

// ---- transactions -------------------------------------------------------------------------------

void Writer::commit() {
  const std::vector<Wakeup> wakeups = changes_.take_wakeups();
  others_.add(wakeups);
  const std::int64_t lives = changes_.take_lives() + upkeep_.take_lives();
  if (lives != 0) upkeep_.add_lives(lives);
  if (connection_.has_moved())
    throw DatabaseError(SQLITE_IOERR, "the file was removed, moved or replaced");
  commit_.run();
  ++transactions_;
  if (hub_.idle()) return;
  for (const Wakeup& wakeup : wakeups) hub_.publish(wakeup);
}

void Writer::roll_back() {
  changes_.take_wakeups();
  changes_.take_lives();
  upkeep_.take_lives();
  others_.forget_own();
  connection_.roll_back();
}

// Nothing is written any more: after an error of the disk nobody knows what it holds, and in a file
// that was removed it would not last.
void Writer::break_off(const DatabaseError& error) {
  if (std::exchange(broken_, true)) return;
  StorageError told = failure(ErrorCode::unavailable,
                              "the disk has failed to keep a write; nothing is written until the "
                              "storage is opened again",
                              "commit");
  told.retryable = false;
  told.set_cause(error.what());
  const std::lock_guard lock(mutex_);
  refusal_ = std::move(told);
}

// ---- upkeep -------------------------------------------------------------------------------------

void Writer::run_slice() {
  WriteRequest* const request = sliced_.front();
  if (broken_) {
    sliced_.pop_front();
    return refuse({request});
  }
  bool done = true;
  try {
    begin_.run();
    done = request->advance(upkeep_, std::chrono::steady_clock::now() + slice);
    commit();
  } catch (const DatabaseError& error) {
    roll_back();
    sliced_.pop_front();
    return fail({request}, error);
  } catch (const std::exception&) {
    roll_back();
    request->fail_with_current();
    done = true;
  }
  // They take turns, so that a short one does not wait for a long one.
  sliced_.pop_front();
  if (done) {
    request->answer();
  } else {
    sliced_.push_back(request);
  }
}

void Writer::look() {
  if (broken_ || hub_.idle()) return;
  try {
    others_.look();
  } catch (const std::exception&) {
    hub_.miss();  // the next look may succeed; until then followers read the logs
  }
}

// Here and not in the commit, so that the commits are answered before, and so that an fsync which
// fails is seen: the log would be overwritten although the file does not hold what was in it.
void Writer::keep_log_short() {
  if (broken_ || log_pages_ - copied_pages_ < long_log) return;
  // Also when readers keep it from copying everything: then it tries again so many pages later.
  copied_pages_ = log_pages_.load();
  try {
    connection_.checkpoint();
  } catch (const DatabaseError& error) {
    if (error.primary() == SQLITE_IOERR) break_off(error);
  }
}

}  // namespace actionflows::sqlite
