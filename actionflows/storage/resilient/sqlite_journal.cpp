// The durable journal: a thread of its own writes. Group commit: whatever changes wait are done in
// one transaction, which costs one fsync, and are answered together.
#include "actionflows/base/error.hpp"
#include "actionflows/storage/resilient/commit_text.hpp"
#include "actionflows/storage/resilient/journal.hpp"
#include "actionflows/storage/resilient/journal_file.hpp"
#include "actionflows/storage/waiter.hpp"

#include <sqlite3.h>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace actionflows {
namespace {

// Changes of one transaction at the most: bounds how long the first of them waits for the last.
constexpr std::size_t most_at_once = 256;

// Calls `work` and tells SQLite's failures as StorageErrors.
template <class Work>
auto telling_failures(const Work& work) {
  try {
    return work();
  } catch (const DatabaseFailure& failed) {
    throw journal_error(failed);
  }
}

// One change or question, in the frame of the coroutine that asks for it.
struct Change {
  // May be called again after its transaction was rolled back.
  std::function<void(JournalFile&)> apply;
  bool writes = true;
  std::optional<StorageError> error;
  std::optional<Waiter> waiter;
};

using Group = std::vector<Change*>;

class SqliteJournal final : public Journal {
 public:
  SqliteJournal(const std::string& path, JournalUse use) : file_(path, use) {
    thread_ = std::jthread([this] { work(); });
  }
  // Finishes what it has accepted.
  ~SqliteJournal() override {
    {
      const std::lock_guard lock(inbox_mutex_);
      closed_ = true;
      arrived_.notify_one();
    }
    thread_.join();
  }
  SqliteJournal(const SqliteJournal&) = delete;
  SqliteJournal& operator=(const SqliteJournal&) = delete;

  Task<std::uint64_t> append(JournalKind kind, std::shared_ptr<const Commit> commit,
                             Timestamp at) override {
    const std::string text = text_of_commit(*commit);
    const std::string when = format_rfc3339(at);
    std::uint64_t id = 0;
    Change change;
    change.apply = [&](JournalFile& file) { id = file.append(to_string(kind), when, text); };
    co_await ask(change);
    co_return id;
  }

  Task<void> remove(std::span<const std::uint64_t> ids) override {
    if (ids.empty()) co_return;
    Change change;
    change.apply = [ids](JournalFile& file) {
      for (const std::uint64_t id : ids) file.remove(id);
    };
    co_await ask(change);
  }

  Task<void> poison(std::uint64_t id, std::string_view reason) override {
    Change change;
    change.apply = [id, reason](JournalFile& file) { file.set_poison(id, reason); };
    co_await ask(change);
  }

  Task<bool> changed_by_others() override {
    bool changed = false;
    Change change;
    change.writes = false;
    change.apply = [&](JournalFile& file) { changed |= file.changed_by_others(); };
    co_await ask(change);
    co_return changed;
  }

  bool retry(std::uint64_t id) override {
    const std::lock_guard lock(file_mutex_);
    if (refusal_) throw StorageError(*refusal_);
    return telling_failures([&] { return file_.retry(id); });
  }

  std::vector<JournalEntry> entries() override {
    const std::lock_guard lock(file_mutex_);
    return telling_failures([&] { return file_.entries(); });
  }

  [[nodiscard]] const std::string& damage() const override { return file_.damage(); }
  [[nodiscard]] bool durable() const override { return true; }

 private:
  struct Enter;
  Task<void> ask(Change& change);

  void work();
  bool take(Group& group);
  void run_group(const Group& group);
  void fail(const Group& group, const DatabaseFailure& failed);
  void break_off(const DatabaseFailure& failed);
  void keep_log_short();

  // what waits
  std::mutex inbox_mutex_;
  std::condition_variable arrived_;
  Group waiting_;
  bool closed_ = false;

  // what is written to; held while a transaction runs
  std::mutex file_mutex_;
  JournalFile file_;
  std::optional<StorageError> refusal_;  // once a write or an fsync has failed

  std::jthread thread_;  // the last, so that it finds everything made
};

// Runs once the coroutine is suspended.
struct SqliteJournal::Enter {
  SqliteJournal* journal;
  Change* change;

  template <class Handler>
  void operator()(Handler&& handler) {
    boost::asio::any_io_executor executor = boost::asio::get_associated_executor(handler);
    change->waiter.emplace(std::move(executor), std::forward<Handler>(handler));
    // Notified under the lock: once it is released the change may be answered.
    const std::lock_guard lock(journal->inbox_mutex_);
    journal->waiting_.push_back(change);
    journal->arrived_.notify_one();
  }
};

Task<void> SqliteJournal::ask(Change& change) {
  Enter enter{this, &change};
  co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
      enter, boost::asio::use_awaitable);
  if (change.error) throw StorageError(*change.error);
}

// ---- the thread ---------------------------------------------------------------------------------

void SqliteJournal::work() {
  Group group;
  while (take(group)) {
    {
      const std::lock_guard lock(file_mutex_);
      run_group(group);
    }
    std::vector<Waiter> waiters;
    for (Change* change : std::exchange(group, {})) waiters.push_back(*std::move(change->waiter));
    Waiter::resume_all(std::move(waiters));
    const std::lock_guard lock(file_mutex_);
    keep_log_short();
  }
}

// False: the journal is being closed and nothing waits.
bool SqliteJournal::take(Group& group) {
  std::unique_lock lock(inbox_mutex_);
  arrived_.wait(lock, [&] { return !waiting_.empty() || closed_; });
  const std::size_t count = std::min(most_at_once, waiting_.size());
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
  group.assign(waiting_.begin(), end);
  waiting_.erase(waiting_.begin(), end);
  return count != 0;
}

void SqliteJournal::run_group(const Group& group) {
  if (refusal_) {
    for (Change* change : group) change->error = *refusal_;
    return;
  }
  const bool writes = std::ranges::any_of(group, &Change::writes);
  try {
    if (writes) file_.begin();
    for (Change* change : group) change->apply(file_);
    if (writes) file_.commit();
  } catch (const DatabaseFailure& failed) {
    file_.roll_back();
    fail(group, failed);
  } catch (const std::exception& failed) {
    file_.roll_back();
    fail(group, {SQLITE_NOMEM, failed.what()});
  }
}

// What is wrong may concern one of them only, which finds no room or a damaged page: so each gets a
// transaction of its own, but not where they all would fail the same way.
void SqliteJournal::fail(const Group& group, const DatabaseFailure& failed) {
  const bool of_one = failed.code == SQLITE_FULL || failed.code == SQLITE_CORRUPT ||
                      failed.code == SQLITE_TOOBIG || failed.code == SQLITE_CONSTRAINT ||
                      failed.code == SQLITE_NOMEM;
  if (of_one && group.size() > 1) {
    for (Change* change : group) run_group({change});
    return;
  }
  if (failed.code == SQLITE_IOERR) break_off(failed);
  StorageError told = journal_error(failed);
  // What is damaged here is nothing that the caller asked for.
  if (told.code() == ErrorCode::corrupt) {
    told = failure(ErrorCode::unavailable, told.message(), told.operation);
    told.set_cause(failed.message);
  }
  for (Change* change : group) change->error = told;
}

// Nothing is written any more: after an error of the disk nobody knows what it holds.
void SqliteJournal::break_off(const DatabaseFailure& failed) {
  refusal_ = failure(ErrorCode::unavailable,
                     "the disk has failed to keep a write of the journal; nothing is written to it "
                     "until it is opened again",
                     "journal");
  refusal_->retryable = false;
  refusal_->set_cause(failed.message);
}

// Here and not in the commit, so that the changes are answered before, and so that an fsync which
// fails is seen: SQLite itself would go on.
void SqliteJournal::keep_log_short() {
  if (refusal_) return;
  try {
    file_.keep_log_short();
  } catch (const DatabaseFailure& failed) {
    if (failed.code == SQLITE_IOERR) break_off(failed);
  }
}

}  // namespace

std::unique_ptr<Journal> open_journal(const std::string& path, JournalUse use) {
  return telling_failures([&] { return std::make_unique<SqliteJournal>(path, use); });
}

}  // namespace actionflows
