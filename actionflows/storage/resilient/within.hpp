// within: a task that is waited for no longer than a deadline allows.
//
// A task that overruns is not cancelled, because a backend that hangs may not heed that: it goes on
// by itself and its result is dropped. So it must own whatever it needs.
#pragma once

#include "actionflows/base/clock.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <utility>

namespace actionflows {
namespace within_detail {

using Executor = boost::asio::any_io_executor;
using Done = boost::asio::experimental::concurrent_channel<void(boost::system::error_code)>;

template <class T>
struct Race {
  explicit Race(const Executor& executor) : done(executor, 2) {}

  Done done;
  boost::asio::cancellation_signal stop_alarm;
  std::unique_ptr<T> value;
  std::exception_ptr error;
};

template <class T>
Task<void> do_work(std::shared_ptr<Race<T>> race, std::function<Task<T>()> work) {
  try {
    race->value = std::make_unique<T>(co_await work());
  } catch (...) {
    race->error = std::current_exception();
  }
  race->done.try_send(boost::system::error_code());
}

template <class T>
Task<void> sound_alarm(std::shared_ptr<Race<T>> race, Clock& clock,
                       std::chrono::nanoseconds after) {
  co_await clock.sleep_for(after);
  race->done.try_send(boost::system::error_code());
}

// On a strand: both racers and whoever waits for them touch the same things.
template <class T>
Task<std::unique_ptr<T>> run_race(std::function<Task<T>()> work, Clock& clock,
                                  std::chrono::nanoseconds limit) {
  const Executor executor = co_await boost::asio::this_coro::executor;
  const auto race = std::make_shared<Race<T>>(executor);
  boost::asio::co_spawn(executor, do_work<T>(race, std::move(work)), boost::asio::detached);
  boost::asio::co_spawn(
      executor, sound_alarm<T>(race, clock, limit),
      boost::asio::bind_cancellation_slot(race->stop_alarm.slot(), boost::asio::detached));
  co_await race->done.async_receive(boost::asio::use_awaitable);
  race->stop_alarm.emit(boost::asio::cancellation_type::terminal);
  if (race->error) std::rethrow_exception(race->error);
  co_return std::move(race->value);
}

}  // namespace within_detail

// What `work()` returns or throws; nullptr: `limit` has passed on `clock`, and the work goes on
// unwatched. The clock must outlive it.
template <class T>
Task<std::unique_ptr<T>> within(std::function<Task<T>()> work, Clock& clock,
                                std::chrono::nanoseconds limit) {
  const within_detail::Executor own = co_await boost::asio::this_coro::executor;
  auto strand = boost::asio::make_strand(own);
  co_return co_await boost::asio::co_spawn(
      strand, within_detail::run_race<T>(std::move(work), clock, limit),
      boost::asio::use_awaitable);
}

}  // namespace actionflows
