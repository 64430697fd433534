#include "actionflows/storage/wakeup_hub.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include <algorithm>
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
  explicit Queue(std::size_t max_pending) : max_pending_(max_pending) {}

  void push(const Wakeup& wakeup) {
    const std::lock_guard lock(mutex_);
    const auto same = places_.find(wakeup.session.str());
    if (same != places_.end()) {
      pending_[same->second] = wakeup;
    } else if (pending_.size() >= max_pending_) {
      missed_ = true;
    } else {
      places_.emplace(wakeup.session.str(), pending_.size());
      pending_.push_back(wakeup);
    }
    if (signal_) signal_->try_send(boost::system::error_code());  // full: one is on its way already
  }

  void miss() {
    const std::lock_guard lock(mutex_);
    missed_ = true;
    if (signal_) signal_->try_send(boost::system::error_code());
  }

  void rewind(std::uint64_t sequence) {
    const std::lock_guard lock(mutex_);
    rewind_ = std::min(rewind_.value_or(sequence), sequence);
    if (signal_) signal_->try_send(boost::system::error_code());
  }

  // What there is. If there is nothing, `signal` tells when there is.
  Subscription::Batch take(std::shared_ptr<Signal> signal) {
    const std::lock_guard lock(mutex_);
    Subscription::Batch batch{std::exchange(pending_, {}), std::exchange(missed_, false),
                              std::exchange(rewind_, std::nullopt)};
    signal_ = batch.empty() ? std::move(signal) : nullptr;
    places_.clear();
    return batch;
  }

  // Nobody waits any more.
  void forget_signal() {
    const std::lock_guard lock(mutex_);
    signal_.reset();
  }

 private:
  const std::size_t max_pending_;
  std::mutex mutex_;
  // guarded by mutex_
  std::vector<Wakeup> pending_;
  boost::unordered_flat_map<std::string, std::size_t> places_;  // in pending_, by session
  bool missed_ = false;
  std::optional<std::uint64_t> rewind_;
  std::shared_ptr<Signal> signal_;
};

// The signal must not outlive the executor it was made on: whichever way its caller ends, also by
// being destroyed while it waits, the queue lets go of it.
struct SignalGuard {
  explicit SignalGuard(std::shared_ptr<Queue> of) : queue(std::move(of)) {}
  ~SignalGuard() { queue->forget_signal(); }
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

  const std::shared_ptr<Queue> queue;
};

Task<void> wait_for(std::shared_ptr<Signal> signal, std::chrono::milliseconds timeout) {
  co_await signal->async_receive(
      boost::asio::cancel_after(timeout, boost::asio::as_tuple(boost::asio::use_awaitable)));
}

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
  Follower(std::shared_ptr<State> state, std::optional<SessionId> session)
      : state_(std::move(state)),
        session_(std::move(session)),
        queue_(std::make_shared<Queue>(state_->max_pending)) {
    state_->add(session_, queue_);
  }
  ~Follower() override { state_->remove(session_, queue_); }
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  Task<Batch> next(std::chrono::milliseconds timeout) override {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    // The caller's own executor: each call may come from another thread. On a strand, because the
    // timeout's cancellation and the signal must not run side by side.
    const Strand strand = boost::asio::make_strand(co_await boost::asio::this_coro::executor);
    const auto signal = std::make_shared<Signal>(strand, 1);
    const SignalGuard guard(queue_);
    Batch batch = queue_->take(signal);
    while (batch.empty()) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) break;
      co_await boost::asio::co_spawn(strand, wait_for(signal, left), boost::asio::use_awaitable);
      batch = queue_->take(signal);
    }
    co_return batch;
  }

 private:
  const std::shared_ptr<State> state_;
  const std::optional<SessionId> session_;
  const std::shared_ptr<Queue> queue_;
};

WakeupHub::WakeupHub(std::size_t max_pending) : state_(std::make_shared<State>(max_pending)) {}
WakeupHub::~WakeupHub() = default;

std::unique_ptr<Subscription> WakeupHub::subscribe(std::optional<SessionId> session) {
  return std::make_unique<Follower>(state_, std::move(session));
}

bool WakeupHub::idle() const noexcept { return state_->followers == 0; }

void WakeupHub::publish(const Wakeup& wakeup) {
  const std::lock_guard lock(state_->mutex);
  for (const auto& queue : state_->of_all) queue->push(wakeup);
  const auto found = state_->of_session.find(wakeup.session.str());
  if (found == state_->of_session.end()) return;
  for (const auto& queue : found->second) queue->push(wakeup);
}

std::vector<SessionId> WakeupHub::followed() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<SessionId> sessions;
  for (const auto& [session, queues] : state_->of_session)
    if (auto id = SessionId::parse(session)) sessions.push_back(*std::move(id));
  return sessions;
}

bool WakeupHub::follows(const SessionId& session) const {
  const std::lock_guard lock(state_->mutex);
  return state_->of_session.contains(session.str());
}

void WakeupHub::rewind(const SessionId& session, std::uint64_t sequence) {
  const std::lock_guard lock(state_->mutex);
  for (const auto& queue : state_->of_all) queue->miss();
  const auto found = state_->of_session.find(session.str());
  if (found == state_->of_session.end()) return;
  for (const auto& queue : found->second) queue->rewind(sequence);
}

void WakeupHub::miss() {
  const std::lock_guard lock(state_->mutex);
  for (const auto& queue : state_->of_all) queue->miss();
  for (const auto& [session, queues] : state_->of_session)
    for (const auto& queue : queues) queue->miss();
}

}  // namespace actionflows
