#include "server/http/server.hpp"

#include "actionflows/base/as_result.hpp"
#include "actionflows/base/clock.hpp"
#include "actionflows/base/random.hpp"
#include "server/http/connection.hpp"
#include "server/http/shared.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <ctime>
#include <stdexcept>
#include <thread>
#include <utility>

namespace actionflows::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

std::chrono::milliseconds sweep_period(const ServerOptions& options) {
  const auto shortest = std::min(
      {options.header_timeout, options.body_timeout, options.idle_timeout, options.write_timeout});
  return std::clamp(shortest / 4, std::chrono::milliseconds(10), std::chrono::milliseconds(250));
}

Task<void> sweep_connections(Worker& worker, std::chrono::milliseconds period) {
  asio::steady_timer timer(worker.context);
  for (;;) {
    timer.expires_after(period);
    co_await timer.async_wait(asio::use_awaitable);
    const Monotonic now = std::chrono::steady_clock::now();
    // What a sweep ends, ends later: no connection leaves the list in here.
    for (Connection& connection : worker.connections) connection.sweep(now);
  }
}

std::runtime_error listening_failed(const ServerOptions& options, const error_code& error) {
  const std::string place = options.host + " port " + std::to_string(options.port);
  if (error == asio::error::address_in_use)
    return std::runtime_error("can't listen on " + place + ": another program uses that port");
  if (error == asio::error::access_denied)
    return std::runtime_error("can't listen on " + place + ": not permitted");
  if (error == boost::system::errc::address_not_available)
    return std::runtime_error("can't listen on " + place + ": not an address of this machine");
  return std::runtime_error("can't listen on " + place + ": " + error.message());
}

tcp::endpoint endpoint_of(const ServerOptions& options, asio::io_context& context) {
  error_code error;
  const auto address = asio::ip::make_address(options.host, error);
  if (!error) return {address, options.port};
  tcp::resolver resolver(context);
  const auto found = resolver.resolve(options.host, std::to_string(options.port), error);
  if (error || found.empty())
    throw std::runtime_error("can't listen on " + options.host + ": no such host");
  return found.begin()->endpoint();
}

}  // namespace

Instruments::Instruments(Metrics& metrics, const Router& router,
                         const std::shared_ptr<Usage>& usage) {
  const auto add = [&](const std::string& route, std::string_view method) {
    const Labels labels{{"route", route}, {"method", std::string(method)}};
    Series series;
    for (std::size_t at = 0; at < series.by_class.size(); ++at) {
      Labels with_status = labels;
      with_status.emplace_back("status", std::to_string(at + 2) + "xx");
      series.by_class[at] =
          &metrics.counter("actionflows_http_requests_total", "Requests answered.", with_status);
    }
    series.duration = &metrics.histogram(
        "actionflows_http_request_duration_seconds",
        "From the whole head of a request to its response handed over; of streams, their head.",
        labels);
    series_.push_back(series);
  };
  for (const Route& route : router.routes()) add(route.pattern, to_string(route.method));
  add("none", "any");

  const auto show = [&](const char* name, const char* help,
                        std::atomic<std::size_t> Usage::* part) {
    metrics.computed_gauge(name, help, {},
                           [usage, part] { return static_cast<double>((*usage.*part).load()); });
  };
  show("actionflows_http_connections", "Open connections.", &Usage::connections);
  show("actionflows_http_requests_in_flight", "Requests inside guard or handler.",
       &Usage::in_flight);
  show("actionflows_http_streams", "Open streams.", &Usage::streams);
  show("actionflows_http_buffered_body_bytes", "Memory of large request bodies.",
       &Usage::body_bytes);
}

void Instruments::count(const Route* route, int status,
                        std::chrono::nanoseconds duration) noexcept {
  const Series& series = route ? series_[route->index] : series_.back();
  const int status_class = std::clamp(status / 100 - 2, 0, 3);
  series.by_class[static_cast<std::size_t>(status_class)]->add();
  series.duration->observe(duration);
}

std::string_view DateLine::at(Monotonic now) {
  if (now < fresh_until_) return line_;
  const std::time_t time = std::chrono::system_clock::to_time_t(system_clock().now());
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[64];
  const std::size_t size =
      std::strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
  line_.assign(text, size);
  fresh_until_ = now + std::chrono::seconds(1);
  return line_;
}

struct Server::Impl {
  Impl(ServerOptions options, Router router, Metrics* metrics) {
    shared.options = std::move(options);
    shared.router = std::move(router);
    shared.next_request_id = system_random().next();
    if (metrics)
      shared.instruments = std::make_unique<Instruments>(*metrics, shared.router, shared.usage);
    for (unsigned at = 0; at < std::max(shared.options.threads, 1U); ++at)
      workers.push_back(std::make_unique<Worker>());
    acceptor.emplace(workers.front()->context);
  }

  void listen();
  Task<void> accept_connections();
  Task<error_code> accept_one(Worker& worker);

  // Runs `action` on each connection, on its thread.
  template <class Action>
  void on_connections(Action action) {
    for (const auto& worker : workers) {
      asio::post(worker->context, [&connections = worker->connections, action] {
        for (Connection& connection : connections) action(connection);
      });
    }
  }

  bool wait_for_connections(std::chrono::milliseconds timeout) {
    std::unique_lock lock(shared.mutex);
    return shared.connection_ended.wait_for(lock, timeout,
                                            [&] { return shared.usage->connections == 0; });
  }

  Shared shared;
  std::vector<std::unique_ptr<Worker>> workers;
  std::optional<tcp::acceptor> acceptor;  // on the first worker
  std::uint16_t port = 0;
  std::vector<std::thread> threads;  // empty before start and after stop
};

void Server::Impl::listen() {
  const ServerOptions& options = shared.options;
  const tcp::endpoint endpoint = endpoint_of(options, workers.front()->context);
  error_code error;
  acceptor->open(endpoint.protocol(), error);
  // A port in TIME_WAIT is free; one that is listened on stays refused.
  if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && endpoint.protocol() == tcp::v6())
    acceptor->set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (!error) port = acceptor->local_endpoint(error).port();
  if (!error) return;
  error_code ignored;
  acceptor->close(ignored);
  throw listening_failed(options, error);
}

// One acceptor hands connections to the threads in turn. A listening socket per thread
// (SO_REUSEPORT) would spread them unevenly, and a second server on the same port unnoticed.
Task<void> Server::Impl::accept_connections() {
  constexpr auto silence = std::chrono::seconds(10);
  asio::steady_timer pause(workers.front()->context);
  Monotonic next_told{};
  for (std::size_t turn = 0; acceptor->is_open(); ++turn) {
    std::string what;
    try {
      const error_code error = co_await accept_one(*workers[turn % workers.size()]);
      if (!error) continue;
      what = error.message();
    } catch (const std::exception& error) {
      // Most likely out of memory: this connection is gone, the next may be taken again.
      what = error.what();
    }
    if (!acceptor->is_open()) co_return;
    const Monotonic now = std::chrono::steady_clock::now();
    if (shared.options.on_fault && now >= next_told) {
      next_told = now + silence;
      what.insert(0, "a connection can't be accepted: ");
      shared.options.on_fault({.request_id = 0, .method = {}, .route = {}, .what = what});
    }
    pause.expires_after(std::chrono::milliseconds(50));
    co_await pause.async_wait(as_result);
  }
}

// An error: it could not be taken, most likely for want of file descriptors: it waits until some
// are free again.
Task<error_code> Server::Impl::accept_one(Worker& worker) {
  tcp::socket socket(worker.context);
  tcp::endpoint remote;
  const auto [error] = co_await acceptor->async_accept(socket, remote, as_result);
  if (error) co_return error;
  auto connection =
      std::make_shared<Connection>(shared, worker, std::move(socket), remote.address());
  asio::co_spawn(worker.context, Connection::run(std::move(connection)),
                 [](const std::exception_ptr&) {
                   // Out of memory: the connection is gone, the server goes on.
                 });
  co_return error_code();
}

Server::Server(ServerOptions options, Router router, Metrics* metrics)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(router), metrics)) {}

Server::~Server() { stop(std::chrono::milliseconds(0)); }

void Server::start() {
  impl_->listen();
  asio::co_spawn(impl_->workers.front()->context, impl_->accept_connections(), asio::detached);
  const auto period = sweep_period(impl_->shared.options);
  for (const auto& worker : impl_->workers) {
    asio::co_spawn(worker->context, sweep_connections(*worker, period), asio::detached);
    impl_->threads.emplace_back([&context = worker->context] { context.run(); });
  }
}

std::uint16_t Server::port() const noexcept { return impl_->port; }

void Server::stop(std::chrono::milliseconds grace) {
  if (impl_->threads.empty()) return;
  impl_->shared.stopping = true;
  asio::post(impl_->workers.front()->context, [this] {
    error_code ignored;
    impl_->acceptor->close(ignored);
  });
  impl_->on_connections([](Connection& connection) { connection.wind_down(); });
  if (!impl_->wait_for_connections(grace)) {
    impl_->on_connections([](Connection& connection) { connection.abort(); });
    impl_->wait_for_connections(std::chrono::milliseconds(200));
  }
  for (const auto& worker : impl_->workers) worker->context.stop();
  for (std::thread& thread : impl_->threads) thread.join();
  impl_->threads.clear();
}

asio::any_io_executor Server::executor() const {
  return impl_->workers.front()->context.get_executor();
}

Server::Load Server::load() const noexcept {
  const Usage& usage = *impl_->shared.usage;
  return {.connections = usage.connections, .in_flight = usage.in_flight, .streams = usage.streams};
}

}  // namespace actionflows::http
