#include "actionflows/storage/sqlite/requests.hpp"

#include "actionflows/storage/sqlite/connection.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace actionflows::sqlite {

void Request::fail_with_current() {
  try {
    throw;
  } catch (const StorageError& error) {
    fail(error);
  } catch (const DatabaseError& error) {
    fail(to_storage_error(error, "storage"));
  } catch (const std::exception& error) {
    StorageError told = failure(ErrorCode::unavailable, "there is not enough memory", "storage");
    told.set_cause(error.what());
    fail(told);
  }
}

void Request::answer() {
  Waiter waiter = std::move(*waiter_);
  std::move(waiter).resume();
}

// ---- Inbox --------------------------------------------------------------------------------------

// Runs once the coroutine is suspended.
struct Inbox::Enter {
  Inbox* inbox;
  Request* request;

  template <class Handler>
  void operator()(Handler&& handler) {
    boost::asio::any_io_executor executor = boost::asio::get_associated_executor(handler);
    request->waiter_.emplace(std::move(executor), std::forward<Handler>(handler));
    inbox->push(*request);
  }
};

Task<void> Inbox::ask(Request& request) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || admitted_ >= capacity_) {
      StorageError error =
          failure(ErrorCode::unavailable,
                  closed_ ? "the storage is being closed" : "too many calls wait for the storage",
                  "storage");
      error.retryable = !closed_;
      throw error;
    }
    ++admitted_;
  }
  Enter enter{this, &request};
  co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
      enter, boost::asio::use_awaitable);
  if (request.error_) throw StorageError(*request.error_);
}

void Inbox::push(Request& request) {
  // Notified under the lock: once it is released the request may be answered, and its caller may
  // close the inbox.
  const std::lock_guard lock(mutex_);
  waiting_.push_back(&request);
  arrived_.notify_one();
}

bool Inbox::take(std::vector<Request*>& out, std::size_t most, std::size_t parts,
                 std::optional<TimePoint> until) {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return !waiting_.empty() || woken_ || (closed_ && admitted_ == 0); };
  if (until) {
    arrived_.wait_until(lock, *until, ready);
  } else {
    arrived_.wait(lock, ready);
  }
  woken_ = false;
  const std::size_t count = std::min(most, (waiting_.size() + parts - 1) / parts);
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(count);
  out.insert(out.end(), waiting_.begin(), end);
  waiting_.erase(waiting_.begin(), end);
  admitted_ -= count;
  if (closed_ && admitted_ == 0) arrived_.notify_all();  // the other takers are through, too
  return count > 0 || !closed_ || admitted_ > 0;
}

void Inbox::wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  arrived_.notify_one();
}

void Inbox::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  arrived_.notify_all();
}

}  // namespace actionflows::sqlite
