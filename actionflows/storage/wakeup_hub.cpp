#include "actionflows/storage/wakeup_hub.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include <atomic>
#include <list>
#include <mutex>
#include <utility>

namespace actionflows {
namespace {

using Strand = boost::asio::strand<boost::asio::any_io_executor>;
using Signal = boost::asio::experimental::concurrent_channel<void(boost::system::error_code)>;

// What waits for one follower.
class Queue {
 public:
  Queue(const Strand& strand, std::size_t max_pending)
      : max_pending_(max_pending), signal_(strand, 1) {}

  void push(const Wakeup& wakeup) {
    {
      const std::lock_guard lock(mutex_);
      const auto same = places_.find(wakeup.session.str());
      if (same != places_.end()) {
        // The newest number wins; the oldest unseen type stays out of the way: it is only a hint.
        pending_[same->second] = wakeup;
      } else if (pending_.size() >= max_pending_) {
        missed_ = true;
      } else {
        places_.emplace(wakeup.session.str(), pending_.size());
        pending_.push_back(wakeup);
      }
    }
    signal_.try_send(boost::system::error_code());  // full: a signal is already on its way
  }

  Subscription::Batch take() {
    const std::lock_guard lock(mutex_);
    places_.clear();
    return {std::exchange(pending_, {}), std::exchange(missed_, false)};
  }

  Task<void> wait(std::chrono::milliseconds timeout) {
    co_await signal_.async_receive(
        boost::asio::cancel_after(timeout, boost::asio::as_tuple(boost::asio::use_awaitable)));
  }

 private:
  const std::size_t max_pending_;
  Signal signal_;
  std::mutex mutex_;
  // guarded by mutex_
  std::vector<Wakeup> pending_;
  boost::unordered_flat_map<std::string, std::size_t> places_;  // in pending_, by session
  bool missed_ = false;
};

}  // namespace

struct WakeupHub::State {
  explicit State(std::size_t max) : max_pending(max) {}

  const std::size_t max_pending;
  std::atomic<std::size_t> followers{0};
  std::mutex mutex;
  // guarded by mutex
  std::list<std::shared_ptr<Queue>> of_all;
  boost::unordered_flat_map<std::string, std::vector<std::shared_ptr<Queue>>> of_session;

  void add(const std::optional<SessionId>& session, const std::shared_ptr<Queue>& queue) {
    const std::lock_guard lock(mutex);
    if (session) {
      of_session[session->str()].push_back(queue);
    } else {
      of_all.push_back(queue);
    }
    ++followers;
  }

  void remove(const std::optional<SessionId>& session, const std::shared_ptr<Queue>& queue) {
    const std::lock_guard lock(mutex);
    --followers;
    if (!session) {
      of_all.remove(queue);
      return;
    }
    const auto found = of_session.find(session->str());
    std::erase(found->second, queue);
    if (found->second.empty()) of_session.erase(found);
  }
};

class WakeupHub::Follower final : public Subscription {
 public:
  Follower(std::shared_ptr<State> state, const boost::asio::any_io_executor& executor,
           std::optional<SessionId> session)
      : state_(std::move(state)),
        session_(std::move(session)),
        strand_(boost::asio::make_strand(executor)),
        queue_(std::make_shared<Queue>(strand_, state_->max_pending)) {
    state_->add(session_, queue_);
  }
  ~Follower() override { state_->remove(session_, queue_); }
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  Task<Batch> next(std::chrono::milliseconds timeout) override {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    Batch batch = queue_->take();
    while (batch.wakeups.empty() && !batch.missed) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) break;
      // On a strand: the timeout's cancellation and the signal must not run side by side.
      co_await boost::asio::co_spawn(strand_, queue_->wait(left), boost::asio::use_awaitable);
      batch = queue_->take();  // may be empty again: the signal of a batch that was taken already
    }
    co_return batch;
  }

 private:
  const std::shared_ptr<State> state_;
  const std::optional<SessionId> session_;
  const Strand strand_;
  const std::shared_ptr<Queue> queue_;
};

WakeupHub::WakeupHub(std::size_t max_pending) : state_(std::make_shared<State>(max_pending)) {}
WakeupHub::~WakeupHub() = default;

std::unique_ptr<Subscription> WakeupHub::subscribe(boost::asio::any_io_executor executor,
                                                   std::optional<SessionId> session) {
  return std::make_unique<Follower>(state_, executor, std::move(session));
}

bool WakeupHub::idle() const noexcept { return state_->followers == 0; }

void WakeupHub::publish(const Wakeup& wakeup) {
  const std::lock_guard lock(state_->mutex);
  for (const auto& queue : state_->of_all) queue->push(wakeup);
  const auto found = state_->of_session.find(wakeup.session.str());
  if (found == state_->of_session.end()) return;
  for (const auto& queue : found->second) queue->push(wakeup);
}

}  // namespace actionflows
