#include "actionflows/storage/resilient/async_mutex.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace actionflows {

struct AsyncMutex::Waiter {
  explicit Waiter(const boost::asio::any_io_executor& executor) : turn(executor, 1) {}
  boost::asio::experimental::concurrent_channel<void(boost::system::error_code)> turn;
};

namespace {

// Does what it holds unless it was told that all went well: also for a coroutine that is destroyed
// while it waits.
template <class Undo>
struct Unless {
  explicit Unless(Undo what) : undo(std::move(what)) {}
  ~Unless() {
    if (!done) undo();
  }
  Unless(const Unless&) = delete;
  Unless& operator=(const Unless&) = delete;

  Undo undo;
  bool done = false;
};

}  // namespace

Task<AsyncMutex::Guard> AsyncMutex::lock() {
  const std::shared_ptr<AsyncMutex> self = shared_from_this();
  const auto waiter = std::make_shared<Waiter>(co_await boost::asio::this_coro::executor);
  bool free = false;
  {
    const std::lock_guard lock(mutex_);
    free = !std::exchange(locked_, true);
    if (!free) waiting_.push_back(waiter);
  }
  if (!free) {
    Unless withdrawal([self, waiter] { self->withdraw(waiter); });
    co_await waiter->turn.async_receive(boost::asio::use_awaitable);
    withdrawal.done = true;
  }
  co_return Guard(self);
}

AsyncMutex::Guard AsyncMutex::try_lock() {
  const std::lock_guard lock(mutex_);
  return std::exchange(locked_, true) ? Guard() : Guard(shared_from_this());
}

void AsyncMutex::unlock() {
  std::shared_ptr<Waiter> next;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      locked_ = false;
      return;
    }
    next = std::move(waiting_.front());
    waiting_.pop_front();
  }
  next->turn.try_send(boost::system::error_code());
}

void AsyncMutex::withdraw(const std::shared_ptr<Waiter>& waiter) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find(waiting_.begin(), waiting_.end(), waiter);
    if (found != waiting_.end()) {
      waiting_.erase(found);
      return;
    }
  }
  unlock();  // it was its turn
}

}  // namespace actionflows
