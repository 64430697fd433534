#include "actionflows/storage/redis/subscriber.hpp"

#include "actionflows/storage/redis/meta.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/redis/connection.hpp>

#include <limits>
#include <utility>

namespace actionflows::redis {

namespace asio = boost::asio;

// How Boost.Redis hands over pushes, part by part.
struct PushAdapter {
  Subscriber* subscriber;

  [[nodiscard]] static constexpr std::size_t get_supported_response_size() noexcept {
    return std::numeric_limits<std::size_t>::max();
  }
  void operator()(std::size_t /*slot*/, const boost::redis::resp3::node_view& node,
                  boost::system::error_code& /*error*/) const {
    auto& push = subscriber->push_;
    if (node.depth == 0) return push.clear();
    push.emplace_back(node.value);
    if (push.size() != 3) return;
    if (push[0] == "subscribe") subscriber->heard();
    if (push[0] == "message") subscriber->take(push[2]);
  }
};

inline PushAdapter boost_redis_adapt(Subscriber& subscriber) noexcept { return {&subscriber}; }

Subscriber::Subscriber(Lane& lane, const RedisOptions& options, std::string channel,
                       std::string instance, Wakeups& wakeups)
    : lane_(lane),
      options_(options),
      channel_(std::move(channel)),
      instance_(std::move(instance)),
      wakeups_(wakeups),
      pause_(lane.context()),
      listening_changed_(lane.context()) {
  listening_changed_.expires_at(asio::steady_timer::time_point::max());
}

Subscriber::~Subscriber() = default;

void Subscriber::start() { asio::co_spawn(lane_.context(), run(), asio::detached); }

void Subscriber::stop() {
  stopped_ = true;
  pause_.cancel();
  listening_changed_.cancel();
  if (connection_) connection_->cancel();
}

Task<void> Subscriber::run() {
  boost::redis::request subscribe;
  subscribe.push("SUBSCRIBE", channel_);
  while (!stopped_) {
    const RedisAddress address = lane_.next_server();
    const auto connection = make_connection(lane_.context(), options_, address);
    connection_ = connection;
    connection->set_receive_response(*this);
    asio::co_spawn(lane_.context(), receive(connection), asio::detached);
    connection->async_exec(subscribe, boost::redis::ignore, asio::detached);
    boost::redis::config config = connection_config(options_, address);
    config.health_check_interval = options_.health_interval;
    boost::system::error_code error;
    co_await connection->async_run(config,
                                   boost::redis::logger(boost::redis::logger::level::disabled),
                                   asio::redirect_error(asio::use_awaitable, error));
    connection->cancel();
    connection_.reset();
    if (!listening_.exchange(false)) ++failures_;
    if (stopped_) break;
    pause_.expires_after(reconnect_pause(options_, failures_));
    co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
}

// What arrives is taken apart as it does; this only makes room for more.
Task<void> Subscriber::receive(std::shared_ptr<boost::redis::connection> connection) {
  boost::system::error_code error;
  while (!error)
    co_await connection->async_receive(asio::redirect_error(asio::use_awaitable, error));
}

void Subscriber::heard() {
  if (stopped_) return;
  failures_ = 0;
  listening_ = true;
  // What was published while nobody listened is lost.
  if (std::exchange(heard_before_, true)) wakeups_.miss();
  listening_changed_.cancel();
}

// "<instance> <sequence> <user> <session> <type>".
void Subscriber::take(std::string_view message) {
  if (wakeups_.idle()) return;
  Words words(message);
  if (words.next() == instance_) return;
  const std::uint64_t sequence = words.count();
  auto user = UserId::parse(words.next());
  auto session = SessionId::parse(words.next());
  if (!words.ok() || !user || !session) return;  // not one of ours
  wakeups_.publish({*std::move(session), *std::move(user), sequence, std::string(words.rest())});
}

Task<bool> Subscriber::wait_until_listening(std::chrono::steady_clock::time_point deadline) {
  while (!listening_ && !stopped_ && std::chrono::steady_clock::now() < deadline) {
    asio::steady_timer timeout(lane_.context(), deadline);
    timeout.async_wait([this](boost::system::error_code error) {
      if (!error) listening_changed_.cancel();
    });
    boost::system::error_code ignored;
    co_await listening_changed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  co_return listening_;
}

}  // namespace actionflows::redis
