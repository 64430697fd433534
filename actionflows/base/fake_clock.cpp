#include "actionflows/base/fake_clock.hpp"

#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <map>
#include <mutex>
#include <vector>

namespace actionflows {
namespace {

using Alarm = boost::asio::experimental::concurrent_channel<void(boost::system::error_code)>;

}  // namespace

struct FakeClock::State {
  mutable std::mutex mutex;
  // guarded by mutex
  Timestamp start;
  std::chrono::nanoseconds elapsed{0};
  std::multimap<std::chrono::nanoseconds, std::shared_ptr<Alarm>> alarms;
};

FakeClock::FakeClock(Timestamp start) : state_(std::make_shared<State>()) { state_->start = start; }
FakeClock::~FakeClock() = default;

Timestamp FakeClock::now() const {
  const std::lock_guard lock(state_->mutex);
  return state_->start + std::chrono::floor<std::chrono::milliseconds>(state_->elapsed);
}

Clock::Monotonic FakeClock::monotonic() const {
  const std::lock_guard lock(state_->mutex);
  return Monotonic(std::chrono::duration_cast<Monotonic::duration>(state_->elapsed));
}

// Whichever way a sleeper ends, its alarm goes with it: it must not outlive the sleeper's executor.
struct FakeClock::Waking {
  Waking(std::shared_ptr<State> of, std::shared_ptr<Alarm> with)
      : state(std::move(of)), alarm(std::move(with)) {}
  ~Waking() {
    const std::lock_guard lock(state->mutex);
    std::erase_if(state->alarms, [&](const auto& entry) { return entry.second == alarm; });
  }
  Waking(const Waking&) = delete;
  Waking& operator=(const Waking&) = delete;

  const std::shared_ptr<State> state;
  const std::shared_ptr<Alarm> alarm;
};

Task<void> FakeClock::sleep_for(std::chrono::nanoseconds duration) {
  const auto state = state_;
  const auto alarm = std::make_shared<Alarm>(co_await boost::asio::this_coro::executor, 1);
  {
    const std::lock_guard lock(state->mutex);
    if (duration.count() <= 0) co_return;
    state->alarms.emplace(state->elapsed + duration, alarm);
  }
  const Waking waking(state, alarm);
  co_await alarm->async_receive(boost::asio::use_awaitable);
}

void FakeClock::advance(std::chrono::nanoseconds duration) {
  std::vector<std::shared_ptr<Alarm>> due;
  {
    const std::lock_guard lock(state_->mutex);
    state_->elapsed += duration;
    const auto end = state_->alarms.upper_bound(state_->elapsed);
    for (auto it = state_->alarms.begin(); it != end; ++it) due.push_back(it->second);
    state_->alarms.erase(state_->alarms.begin(), end);
  }
  for (const auto& alarm : due) alarm->try_send(boost::system::error_code());
}

std::size_t FakeClock::sleepers() const {
  const std::lock_guard lock(state_->mutex);
  return state_->alarms.size();
}

}  // namespace actionflows
