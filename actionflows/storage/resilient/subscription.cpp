#include "actionflows/storage/resilient/subscription.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace actionflows {
namespace {

using namespace std::chrono_literals;

// While the primary is away, how often it is looked whether it is back: the breaker's reopening
// wakes local followers, so this is only for what that misses.
constexpr std::chrono::milliseconds look_interval = 1s;

class ResilientSubscription final : public Subscription {
 public:
  ResilientSubscription(Gate& gate, std::unique_ptr<Subscription> local,
                        std::unique_ptr<Subscription> distant, std::optional<SessionId> session)
      : gate_(gate),
        local_(std::move(local)),
        distant_(std::move(distant)),
        session_(std::move(session)) {}

  Task<Batch> next(std::chrono::milliseconds timeout) override {
    const auto end = std::chrono::steady_clock::now() + timeout;
    for (;;) {
      const bool connected = co_await connect();
      if (connected) {
        Batch missed;
        missed.missed = true;
        co_return missed;
      }
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now() + 999us);
      auto wait = std::max(left, 0ms);
      if (distant_ == nullptr) wait = std::min(wait, look_interval);
      Batch batch;
      if (distant_ == nullptr) {
        batch = co_await local_->next(wait);
      } else {
        batch = co_await next_of_both(wait);
      }
      if (!batch.empty() || std::chrono::steady_clock::now() >= end) co_return batch;
    }
  }

 private:
  struct Side {
    Batch batch;
    bool failed = false;
    boost::asio::cancellation_signal stop;
  };
  struct Both {
    explicit Both(const boost::asio::any_io_executor& executor) : ended(executor, 2) {}
    Side local;
    Side distant;
    boost::asio::experimental::concurrent_channel<void(boost::system::error_code)> ended;
  };

  // Subscribes at the primary, if it is there and that has not been done. True: just now.
  Task<bool> connect() {
    if (distant_ != nullptr || !gate_.admits()) co_return false;
    const auto primary = gate_.primary();
    const auto session = session_;
    const auto start = [primary,
                        session](int) -> std::function<Task<std::unique_ptr<Subscription>>()> {
      return [primary, session] { return primary->subscribe(session); };
    };
    try {
      distant_ = co_await gate_.call<std::unique_ptr<Subscription>>(start, CallKind::read,
                                                                    gate_.deadline());
    } catch (const StorageError& error) {
      if (error.code() != ErrorCode::unavailable && error.code() != ErrorCode::timeout) throw;
    }
    co_return distant_ != nullptr;
  }

  // Whichever comes first; the other is called off, and what it has brought in the last moment is
  // taken, too.
  Task<Batch> next_of_both(std::chrono::milliseconds wait) {
    const boost::asio::any_io_executor own = co_await boost::asio::this_coro::executor;
    const auto strand = boost::asio::make_strand(own);
    const auto both = std::make_shared<Both>(strand);
    co_await boost::asio::co_spawn(strand, follow_both(both, wait), boost::asio::use_awaitable);
    Batch batch = std::move(both->local.batch);
    batch.missed |= both->distant.batch.missed;
    for (Wakeup& wakeup : both->distant.batch.wakeups) batch.wakeups.push_back(std::move(wakeup));
    if (both->distant.failed) {
      // The primary can't deliver any more: another subscription may, and has missed something.
      distant_.reset();
      batch.missed = true;
    }
    co_return batch;
  }

  // On a strand: the two end each other.
  Task<void> follow_both(std::shared_ptr<Both> both, std::chrono::milliseconds wait) {
    const boost::asio::any_io_executor strand = co_await boost::asio::this_coro::executor;
    boost::asio::co_spawn(
        strand, follow(both, both->local, *local_, wait),
        boost::asio::bind_cancellation_slot(both->local.stop.slot(), boost::asio::detached));
    boost::asio::co_spawn(
        strand, follow(both, both->distant, *distant_, wait),
        boost::asio::bind_cancellation_slot(both->distant.stop.slot(), boost::asio::detached));
    bool called_off = false;
    try {
      co_await both->ended.async_receive(boost::asio::use_awaitable);
    } catch (const boost::system::system_error&) {
      called_off = true;
    }
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    both->local.stop.emit(boost::asio::cancellation_type::terminal);
    both->distant.stop.emit(boost::asio::cancellation_type::terminal);
    // Both use what this subscription owns, and the next wait must not begin before they are over.
    co_await both->ended.async_receive(boost::asio::use_awaitable);
    if (!called_off) co_return;
    co_await both->ended.async_receive(boost::asio::use_awaitable);
    throw boost::system::system_error(boost::asio::error::operation_aborted);
  }

  static Task<void> follow(std::shared_ptr<Both> both, Side& side, Subscription& subscription,
                           std::chrono::milliseconds wait) {
    try {
      side.batch = co_await subscription.next(wait);
    } catch (const StorageError&) {
      side.failed = true;
    } catch (const boost::system::system_error&) {
      // It was called off.
    }
    both->ended.try_send(boost::system::error_code());
  }

  Gate& gate_;
  const std::unique_ptr<Subscription> local_;
  std::unique_ptr<Subscription> distant_;
  const std::optional<SessionId> session_;
};

}  // namespace

std::unique_ptr<Subscription> make_resilient_subscription(Gate& gate,
                                                          std::unique_ptr<Subscription> local,
                                                          std::unique_ptr<Subscription> distant,
                                                          std::optional<SessionId> session) {
  return std::make_unique<ResilientSubscription>(gate, std::move(local), std::move(distant),
                                                 std::move(session));
}

}  // namespace actionflows
