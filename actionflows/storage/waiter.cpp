#include "actionflows/storage/waiter.hpp"

#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>

#include <algorithm>
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
  void leave(std::size_t calls) {
    const std::lock_guard lock(mutex_);
    count_ -= calls;
    if (count_ == 0) none_.notify_all();
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
      executor_(boost::asio::prefer(std::move(executor),
                                    boost::asio::execution::outstanding_work.tracked)),
      calls_(&boost::asio::use_service<WaitingCalls>(
          boost::asio::query(executor_, boost::asio::execution::context))) {
  calls_->enter();
}

void Waiter::resume() && {
  WaitingCalls* const calls = calls_;
  boost::asio::post(executor_, [handler = std::move(handler_)]() mutable { std::move(handler)(); });
  executor_ = {};   // no part of the context may be held any longer,
  calls->leave(1);  // for from here on it may be gone
}

void Waiter::resume_all(std::vector<Waiter> waiters) {
  for (auto begin = waiters.begin(); begin != waiters.end();) {
    boost::asio::any_io_executor executor = begin->executor_;
    const auto end = std::find_if(begin, waiters.end(),
                                  [&](const Waiter& other) { return other.executor_ != executor; });
    std::vector<Handler> handlers;
    for (auto at = begin; at != end; ++at) handlers.push_back(std::move(at->handler_));
    boost::asio::post(executor, [executor, handlers = std::move(handlers)]() mutable {
      // Posted and not called: other threads of the context may take some of them.
      for (auto at = handlers.begin() + 1; at != handlers.end(); ++at)
        boost::asio::post(executor, std::move(*at));
      std::move(handlers.front())();
    });
    WaitingCalls* const calls = begin->calls_;
    for (auto at = begin; at != end; ++at) at->executor_ = {};
    executor = {};
    calls->leave(static_cast<std::size_t>(end - begin));  // as above
    begin = end;
  }
}

}  // namespace actionflows
