#include "actionflows/storage/waiter.hpp"

#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>

namespace actionflows {

class WaitingCalls : public boost::asio::execution_context::service {
 public:
  using key_type = WaitingCalls;
  inline static boost::asio::execution_context::id id;

  explicit WaitingCalls(boost::asio::execution_context& context) : service(context) {}

  void enter() {
    const std::lock_guard lock(mutex_);
    ++count_;
  }
  void leave() {
    const std::lock_guard lock(mutex_);
    if (--count_ == 0) none_.notify_all();
  }

 private:
  // The context is being destroyed. A thread that is at work on a request needs its caller's frame,
  // and will hand the answer to this context: so both must still be there.
  void shutdown() override {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [&] { return count_ == 0; });
  }

  std::mutex mutex_;
  std::condition_variable none_;
  std::size_t count_ = 0;  // guarded by mutex_
};

Waiter::Waiter(boost::asio::any_io_executor executor, Handler handler)
    : handler_(std::move(handler)),
      work_(executor),
      calls_(&boost::asio::use_service<WaitingCalls>(
          boost::asio::query(work_.get_executor(), boost::asio::execution::context))) {
  calls_->enter();
}

void Waiter::resume() && {
  WaitingCalls* const calls = calls_;
  boost::asio::post(work_.get_executor(),
                    [handler = std::move(handler_)]() mutable { std::move(handler)(); });
  work_.reset();
  calls->leave();  // the last: from here on the context may be gone
}

}  // namespace actionflows
