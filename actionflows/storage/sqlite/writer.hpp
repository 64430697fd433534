// The thread that writes. Group commit: whatever commits wait are applied in one transaction, which
// costs one fsync, and are answered together. While that one is being written the next gather.
//
// Upkeep is done in slices between the groups, so that no commit waits long for it.
#pragma once

#include "actionflows/storage/sqlite/changes.hpp"
#include "actionflows/storage/sqlite/foreign_commits.hpp"
#include "actionflows/storage/sqlite/requests.hpp"
#include "actionflows/storage/sqlite/upkeep.hpp"

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace actionflows::sqlite {

// A call that writes; exactly one of the two below.
class WriteRequest : public Request {
 public:
  // Done in a group. May be called again after its transaction was rolled back. Throws StorageError
  // and has changed nothing, or DatabaseError, which ends the transaction.
  virtual void apply(Changes& changes) = 0;
  // Done in slices, each a transaction of its own: true once nothing is left to do.
  virtual bool advance(Upkeep& upkeep, Deadline deadline) = 0;

  [[nodiscard]] virtual bool is_sliced() const = 0;
};

class GroupedRequest : public WriteRequest {
 public:
  bool advance(Upkeep&, Deadline) final { return true; }
  [[nodiscard]] bool is_sliced() const final { return false; }
};

class SlicedRequest : public WriteRequest {
 public:
  void apply(Changes&) final {}
  [[nodiscard]] bool is_sliced() const final { return true; }
};

// Thread-safety: shared objects: safe.
class Writer {
 public:
  struct Options {
    DriverLimits limits;
    std::size_t max_waiting = 1;
    std::chrono::milliseconds poll_interval;
  };

  // The hub must outlive it. Throws DatabaseError.
  Writer(Connection connection, const Options& options, WakeupHub& hub);
  // Finishes what it has accepted.
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Returns when `request` is done and durable. Throws what it failed with, unavailable, exhausted
  // or corrupt.
  Task<void> ask(WriteRequest& request) { return inbox_.ask(request); }

  // Somebody has subscribed: from now on the commits of other processes are looked for.
  void look_for_others() { inbox_.wake(); }

  // Why it refuses to write; nullopt: it writes.
  [[nodiscard]] std::optional<StorageError> refusal() const;

  // For measuring: how many transactions have been committed for how many requests.
  struct Counts {
    std::uint64_t transactions = 0;
    std::uint64_t requests = 0;
  };
  [[nodiscard]] Counts counts() const { return {transactions_, requests_}; }

  // What stands in SQLite's log and not yet in the database file.
  [[nodiscard]] std::uint64_t log_bytes() const;

 private:
  using Group = std::vector<WriteRequest*>;

  void work();
  void take();
  void run_group(Group& group);
  void run_transaction(const Group& group);
  void apply(WriteRequest& request);
  void run_slice();
  void commit();
  void roll_back();
  void keep_log_short();
  void look();
  void fail(const Group& group, const DatabaseError& error);
  void refuse(const Group& group);
  void break_off(const DatabaseError& error);

  // constant after construction
  const Options options_;
  WakeupHub& hub_;
  std::uint64_t page_size_ = 0;

  // with locks of their own
  Inbox inbox_;
  mutable std::mutex mutex_;
  std::optional<StorageError> refusal_;  // guarded by mutex_; written by the thread only
  std::atomic<std::uint64_t> transactions_{0};
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::int64_t> log_pages_{0};     // in the log
  std::atomic<std::int64_t> copied_pages_{0};  // of these, when it was last copied into the file

  // the thread's
  Connection connection_;
  Changes changes_;
  Upkeep upkeep_;
  ForeignCommits others_;
  Statement begin_;
  Statement commit_;
  Group group_;
  std::deque<WriteRequest*> sliced_;
  std::vector<Request*> taken_;
  bool broken_ = false;

  std::jthread thread_;  // the last, so that it finds everything made
};

}  // namespace actionflows::sqlite
