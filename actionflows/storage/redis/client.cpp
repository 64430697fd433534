#include "actionflows/storage/redis/client.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>

namespace actionflows::redis {
namespace {

// Runs once the coroutine is suspended.
struct Enter {
  Lane* lane;
  Call* call;

  template <class Handler>
  void operator()(Handler&& handler) {
    boost::asio::any_io_executor executor = boost::asio::get_associated_executor(handler);
    call->waiter.emplace(std::move(executor), std::forward<Handler>(handler));
    lane->submit(*call);
  }
};

}  // namespace

Client::Client(const RedisOptions& options, std::function<void(const std::string&)> reports)
    : options_(options) {
  for (std::size_t i = 0; i < std::max<std::size_t>(options_.io_threads, 1); ++i)
    lanes_.push_back(std::make_unique<Lane>(
        options_, i == 0 ? reports : std::function<void(const std::string&)>()));
}

Client::~Client() = default;

void Client::hurry() {
  for (const auto& lane : lanes_) lane->hurry();
}

void Client::close() {
  for (const auto& lane : lanes_) lane->close();
}

void Client::join() {
  for (const auto& lane : lanes_) lane->join();
}

Call::TimePoint Client::deadline() const {
  return std::chrono::steady_clock::now() + options_.timeout;
}

Task<void> Client::run(std::span<Command* const> commands, Call::TimePoint deadline) {
  if (commands.empty()) co_return;
  if (waiting_++ >= options_.max_waiting) {
    --waiting_;
    throw to_storage_error(LinkFailure::queue_full, "storage", {});
  }
  Call call(commands, deadline);
  call.counter = &waiting_;
  // Calls for one session take one way, so that their wake-ups come in order. Its own command is
  // the last: what comes before it is of the indexes.
  Enter enter{lanes_[commands.back()->slot() % lanes_.size()].get(), &call};
  co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
      enter, boost::asio::use_awaitable);
}

Task<void> Client::run(Command& command, Call::TimePoint deadline, std::string operation,
                       std::string record) {
  const std::array<Command*, 1> commands{&command};
  co_await run(commands, deadline);
  command.check(operation, record);
}

}  // namespace actionflows::redis
