#include "actionflows/storage/redis/link.hpp"

#include "actionflows/base/random.hpp"
#include "actionflows/storage/redis/batch.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/redis/connection.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace actionflows::redis {

namespace asio = boost::asio;

namespace {

using Clock = std::chrono::steady_clock;

asio::ssl::context tls_context(const RedisOptions& options) {
  asio::ssl::context context(asio::ssl::context::tls_client);
  if (!options.tls) return context;
  boost::system::error_code error;
  if (options.ca_file.empty()) {
    context.set_default_verify_paths(error);
  } else {
    context.load_verify_file(options.ca_file, error);
  }
  if (error)
    throw failure(ErrorCode::unavailable, "the certificates to trust can't be read", "open");
  context.set_verify_mode(asio::ssl::verify_peer);
  return context;
}

boost::redis::logger silent() {
  return boost::redis::logger(boost::redis::logger::level::disabled);
}

std::string headline(bool was_up, LinkFailure why) {
  if (was_up) return "lost the connection to ";
  return why == LinkFailure::rejected ? "refused by " : "can't connect to ";
}

}  // namespace

void check_tls(const RedisOptions& options) { tls_context(options); }

std::shared_ptr<boost::redis::connection> make_connection(asio::io_context& context,
                                                          const RedisOptions& options,
                                                          const RedisAddress& address) {
  auto made = std::make_shared<boost::redis::connection>(context, tls_context(options));
  if (options.tls) {
    auto& stream = made->next_layer();
    stream.set_verify_callback(asio::ssl::host_name_verification(address.host));
    SSL_set_tlsext_host_name(stream.native_handle(), address.host.c_str());
  }
  return made;
}

boost::redis::config connection_config(const RedisOptions& options, const RedisAddress& address) {
  boost::redis::config config;
  config.use_ssl = options.tls;
  config.addr = {address.host, std::to_string(address.port)};
  config.username = options.user.empty() ? "default" : options.user;
  config.password = options.password;
  config.clientname = "actionflows";
  config.database_index = options.database;
  config.resolve_timeout = options.timeout;
  config.connect_timeout = options.timeout;
  config.ssl_handshake_timeout = options.timeout;
  // Zero: no attempts of its own. They are made here, where their pauses can have jitter.
  config.reconnect_wait_interval = std::chrono::seconds(0);
  return config;
}

std::chrono::milliseconds reconnect_pause(const RedisOptions& options, int failures) {
  auto most = options.reconnect_min;
  for (int i = 0; i < failures && most < options.reconnect_max; ++i) most *= 2;
  most = std::min(most, options.reconnect_max);
  const auto bound = static_cast<std::uint64_t>(most.count()) + 1;
  return std::chrono::milliseconds(system_random().below(bound));
}

std::string name_of(const RedisAddress& address) {
  return address.host + ":" + std::to_string(address.port);
}

Link::Link(asio::io_context& context, const RedisOptions& options, RedisAddress address,
           Owner& owner)
    : context_(context),
      options_(options),
      address_(std::move(address)),
      owner_(owner),
      pause_(context),
      health_(context) {}

Link::~Link() = default;

void Link::start() {
  asio::co_spawn(context_, run(), asio::detached);
  asio::co_spawn(context_, watch(), asio::detached);
}

void Link::stop() {
  if (std::exchange(stopped_, true)) return;
  pause_.cancel();
  health_.cancel();
  if (connection_) connection_->cancel();
}

void Link::hurry() {
  if (state_ != State::down || stopped_) return;
  state_ = State::connecting;  // so that what is sent next waits for the attempt
  pause_.cancel();
}

// Not at once: this may be called while the connection is at work on a reply.
void Link::drop() {
  if (!connection_) return;
  asio::post(context_,
             [connection = connection_] { connection->cancel(boost::redis::operation::run); });
}

// ---- connecting ---------------------------------------------------------------------------------

Task<void> Link::run() {
  while (!stopped_) {
    co_await attempt();
    if (stopped_) break;
    pause_.expires_after(reconnect_pause(options_, failures_));
    boost::system::error_code ignored;
    co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

// From the attempt to connect to the end of the connection.
Task<void> Link::attempt() {
  if (state_ != State::connecting) state_ = State::connecting;
  why_ = LinkFailure::refused;
  try {
    connection_ = make_connection(context_, options_, address_);
  } catch (const std::exception& error) {
    if (std::exchange(trouble_, error.what()) != error.what()) owner_.report(trouble_);
    went_down();
    co_return;
  }
  const auto connection = connection_;
  ping();
  boost::redis::config config = connection_config(options_, address_);
  // Its own check stops at an error reply to PING, which a server gives while it loads its data.
  config.health_check_interval = std::chrono::seconds(0);
  boost::system::error_code error;
  co_await connection->async_run(config, silent(),
                                 asio::redirect_error(asio::use_awaitable, error));
  if (error == boost::redis::error::resp3_hello) why_ = LinkFailure::rejected;
  connection->cancel();  // what was not written yet
  connection_.reset();
  went_down();
}

void Link::came_up() {
  if (stopped_) return drop();  // it was too late to stop the attempt
  if (state_ == State::up || !connection_) return;
  state_ = State::up;
  failures_ = 0;
  trouble_.clear();
  boost::system::error_code ignored;
  auto& socket = connection_->next_layer().lowest_layer();
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  owner_.report("connected to " + name_of(address_));
  owner_.changed(*this);
  flush();
}

void Link::went_down() {
  const bool was_up = std::exchange(state_, State::down) == State::up;
  if (was_up || failures_ == 0) owner_.report(headline(was_up, why_) + name_of(address_));
  if (!was_up) ++failures_;
  for (Command* command : std::exchange(queue_, {})) fail(*command, why_);
  owner_.changed(*this);
}

// ---- signs of life ------------------------------------------------------------------------------

void Link::ping() {
  pinged_ = Clock::now();
  auto batch = std::make_shared<Batch>();
  batch->request.push("PING");
  batch->slots.push_back({nullptr, Batch::Role::ping});
  batch->sent = pinged_;
  in_flight_.push_back(batch);
  connection_->async_exec(
      batch->request, *batch,
      [this, batch, connection = connection_](boost::system::error_code error, std::size_t) {
        completed(batch, static_cast<bool>(error));
        // Asked before it was known that HELLO is refused.
        const bool rejected = batch->ping_error.starts_with("NOAUTH");
        if (rejected) why_ = LinkFailure::rejected;
        if (!error && !rejected && connection == connection_) came_up();
      });
}

// Looks several times in an interval, so that one that is gone is not noticed by an interval late.
Task<void> Link::watch() {
  while (!stopped_) {
    health_.expires_after(options_.health_interval / 8);
    boost::system::error_code ignored;
    co_await health_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (stopped_ || !connection_) continue;
    const auto now = Clock::now();
    const bool overdue =
        !in_flight_.empty() && now - in_flight_.front()->sent >= 2 * options_.health_interval;
    if (overdue) {
      drop();
    } else if (state_ == State::up && in_flight_.empty() &&
               now - pinged_ >= options_.health_interval) {
      ping();
    }
  }
}

// ---- sending ------------------------------------------------------------------------------------

void Link::fail(Command& command, LinkFailure failure) {
  command.transit.link = nullptr;
  command.transit.failure = failure;
  owner_.finished(command, *this);
}

void Link::send(Command& command) {
  if (state_ == State::down || stopped_) return fail(command, why_);
  command.transit.link = this;
  queue_.push_back(&command);
}

void Link::flush() {
  if (state_ != State::up || queue_.empty() || !connection_) return;
  // The server serves this connection again once replicas have confirmed, or not in time: what
  // comes meanwhile goes together then, and waits for them once.
  if (std::ranges::any_of(in_flight_, [](const auto& batch) { return batch->waits(); })) return;
  auto batch = std::make_shared<Batch>();
  for (Command* command : std::exchange(queue_, {})) batch->add(*command, words_);
  batch->finish(options_);
  batch->sent = Clock::now();
  batch->on_answer = [this](Command& command) {
    command.transit.link = nullptr;
    owner_.finished(command, *this);
  };
  in_flight_.push_back(batch);
  connection_->async_exec(
      batch->request, *batch,
      [this, batch, connection = connection_](boost::system::error_code error, std::size_t) {
        completed(batch, static_cast<bool>(error));
      });
}

void Link::completed(const std::shared_ptr<Batch>& batch, bool lost) {
  std::erase(in_flight_, batch);
  if (!lost) batch->answer_all();
  for (const Batch::Slot& slot : batch->unanswered())
    if (slot.command != nullptr && slot.role == Batch::Role::command)
      fail(*slot.command, LinkFailure::lost);
  if (batch->waits()) asio::post(context_, [this] { flush(); });
}

void Link::withdraw(Command& command) {
  command.transit.link = nullptr;
  std::erase(queue_, &command);
  for (const auto& batch : in_flight_) batch->forget(command);
}

}  // namespace actionflows::redis
