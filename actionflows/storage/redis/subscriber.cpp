#include "actionflows/storage/redis/subscriber.hpp"

#include "actionflows/storage/redis/meta.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/redis/connection.hpp>

#include <exception>
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
  // Also told of an error reply to SUBSCRIBE: no other reply belongs to that.
  void operator()(std::size_t /*slot*/, const boost::redis::resp3::node_view& node,
                  boost::system::error_code& /*error*/) const {
    using boost::redis::resp3::type;
    auto& push = subscriber->push_;
    if (node.data_type == type::simple_error || node.data_type == type::blob_error)
      return subscriber->refused(node.value);
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
      health_(lane.context()),
      listening_changed_(lane.context()) {
  listening_changed_.expires_at(asio::steady_timer::time_point::max());
}

Subscriber::~Subscriber() = default;

void Subscriber::start() {
  asio::co_spawn(lane_.context(), run(), asio::detached);
  asio::co_spawn(lane_.context(), watch(), asio::detached);
}

void Subscriber::stop() {
  stopped_ = true;
  pause_.cancel();
  health_.cancel();
  listening_changed_.cancel();
  if (connection_) connection_->cancel();
}

Task<void> Subscriber::run() {
  while (!stopped_) {
    co_await attempt();
    if (stopped_) break;
    pause_.expires_after(reconnect_pause(options_, failures_));
    boost::system::error_code ignored;
    co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

// From the attempt to connect to the end of the connection.
Task<void> Subscriber::attempt() {
  const RedisAddress address = lane_.next_server();
  try {
    connection_ = make_connection(lane_.context(), options_, address);
  } catch (const std::exception&) {
    ++failures_;  // the link to the same server tells why
    co_return;
  }
  const auto connection = connection_;
  pinged_ = std::chrono::steady_clock::now();
  owes_sign_ = false;
  connection->set_receive_response(*this);
  asio::co_spawn(lane_.context(), receive(connection), asio::detached);
  const auto subscribe = std::make_shared<boost::redis::request>();
  subscribe->push("SUBSCRIBE", channel_);
  connection->async_exec(*subscribe, boost::redis::ignore,
                         [subscribe](boost::system::error_code, std::size_t) {});
  boost::redis::config config = connection_config(options_, address);
  config.health_check_interval = std::chrono::seconds(0);  // see Link
  boost::system::error_code error;
  co_await connection->async_run(config,
                                 boost::redis::logger(boost::redis::logger::level::disabled),
                                 asio::redirect_error(asio::use_awaitable, error));
  connection->cancel();
  connection_.reset();
  if (error == boost::redis::error::resp3_hello) fail(LinkFailure::rejected);
  if (!listening_.exchange(false)) ++failures_;
}

// Gives up a connection that does not come to listen, or owes a sign of life, for too long.
Task<void> Subscriber::watch() {
  while (!stopped_) {
    health_.expires_after(options_.health_interval / 8);
    boost::system::error_code ignored;
    co_await health_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (stopped_ || !connection_) continue;
    const auto silent = std::chrono::steady_clock::now() - pinged_;
    if ((owes_sign_ || !listening_) && silent >= 2 * options_.health_interval) {
      connection_->cancel(boost::redis::operation::run);
    } else if (listening_ && !owes_sign_ && silent >= options_.health_interval) {
      ping();
    }
  }
}

// Whatever is answered is a sign of life.
void Subscriber::ping() {
  pinged_ = std::chrono::steady_clock::now();
  owes_sign_ = true;
  struct Ping {
    boost::redis::request request;
    boost::redis::generic_response reply;
  };
  const auto ping = std::make_shared<Ping>();
  ping->request.push("PING");
  connection_->async_exec(
      ping->request, ping->reply,
      [this, ping, connection = connection_](boost::system::error_code error, std::size_t) {
        if (!error && connection == connection_) owes_sign_ = false;
      });
}

// What arrives is taken apart as it does; this only makes room for more.
Task<void> Subscriber::receive(std::shared_ptr<boost::redis::connection> connection) {
  boost::system::error_code error;
  while (!error)
    co_await connection->async_receive(asio::redirect_error(asio::use_awaitable, error));
}

void Subscriber::heard() {
  if (stopped_ || !connection_) return;
  failures_ = 0;
  listening_ = true;
  boost::system::error_code ignored;
  auto& socket = connection_->next_layer().lowest_layer();
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  {
    const std::lock_guard lock(mutex_);
    trouble_.reset();
  }
  // What was published while nobody listened is lost.
  if (std::exchange(heard_before_, true)) wakeups_.miss();
  listening_changed_.cancel();
}

void Subscriber::refused(std::string_view reply) {
  if (listening_) return;
  {
    const std::lock_guard lock(mutex_);
    trouble_ = to_storage_error(reply, "subscribe", {});
  }
  // Not at once: the connection is at work on the reply.
  asio::post(lane_.context(), [connection = connection_] {
    if (connection) connection->cancel(boost::redis::operation::run);
  });
}

void Subscriber::fail(LinkFailure failure) {
  const std::lock_guard lock(mutex_);
  trouble_ = to_storage_error(failure, "subscribe", {});
}

std::optional<StorageError> Subscriber::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
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

Task<std::optional<StorageError>> Subscriber::wait_until_listening(
    std::chrono::steady_clock::time_point deadline) {
  while (!listening_ && !stopped_ && std::chrono::steady_clock::now() < deadline) {
    asio::steady_timer timeout(lane_.context(), deadline);
    timeout.async_wait([this](boost::system::error_code error) {
      if (!error) listening_changed_.cancel();
    });
    boost::system::error_code ignored;
    co_await listening_changed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  std::optional<StorageError> why;
  if (!listening_) why = trouble();
  if (!listening_ && !why) why = to_storage_error(LinkFailure::refused, "subscribe", {});
  co_return why;
}

}  // namespace actionflows::redis
