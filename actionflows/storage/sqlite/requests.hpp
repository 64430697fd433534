// How a coroutine waits for another thread's work: it leaves a Request in an Inbox, a thread takes
// it out, does what it says and answers it; the coroutine goes on where it ran before.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/base/task.hpp"
#include "actionflows/storage/waiter.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

namespace actionflows::sqlite {

// One call, in the frame of the coroutine that makes it.
class Request {
 public:
  Request() = default;
  virtual ~Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  // What its caller is to be told instead of a result. Each call gets an error of its own, thrown
  // on its own thread, so that no two threads share one.
  void fail(StorageError error) { error_ = std::move(error); }
  // The exception that is being handled, as a StorageError.
  void fail_with_current();
  // It is tried again.
  void clear_failure() { error_.reset(); }

  // The caller goes on, and the request may be gone at once.
  void answer();

 private:
  friend class Inbox;

  std::optional<StorageError> error_;
  std::optional<Waiter> waiter_;
};

// Thread-safety: shared objects: safe.
class Inbox {
 public:
  explicit Inbox(std::size_t capacity) : capacity_(capacity) {}

  // Returns when the request was answered. Throws what it failed with, or unavailable when too many
  // wait already.
  Task<void> ask(Request& request);

  using TimePoint = std::chrono::steady_clock::time_point;

  // Appends up to `share` of what waits, rounded up, and at most `most` to `out`. Waits until there
  // is something, `until` has come, somebody calls `wake`, or the inbox was closed. False: it was
  // closed and is empty.
  bool take(std::vector<Request*>& out, std::size_t most, std::size_t parts,
            std::optional<TimePoint> until);

  // Ends one wait of a taker early.
  void wake();

  // Nothing is accepted any more.
  void close();

 private:
  struct Enter;
  void push(Request& request);

  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  // guarded by mutex_
  std::deque<Request*> waiting_;
  std::size_t admitted_ = 0;  // those that wait, and those that are about to
  bool woken_ = false;
  bool closed_ = false;
};

}  // namespace actionflows::sqlite
