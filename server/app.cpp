#include "server/app.hpp"

#include "actionflows/base/error.hpp"
#include "server/api/access.hpp"
#include "server/api/admin_api.hpp"
#include "server/api/chains_api.hpp"
#include "server/api/events_api.hpp"
#include "server/api/routes.hpp"
#include "server/api/services.hpp"
#include "server/api/sessions_api.hpp"
#include "server/api/steps_api.hpp"
#include "server/http/metrics.hpp"
#include "server/sweep_plan.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace actionflows {
namespace {

namespace asio = boost::asio;

// Whether only this machine reaches what listens there.
bool is_loopback(const std::string& host) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (!error) return address.is_loopback();
  asio::io_context context;
  asio::ip::tcp::resolver resolver(context);
  const auto found = resolver.resolve(host, "", error);
  return !error && !found.empty() && std::all_of(found.begin(), found.end(), [](const auto& entry) {
    return entry.endpoint().address().is_loopback();
  });
}

void log_access(const Log& log, AccessLog which, const http::AccessRecord& record) {
  const bool failed = record.status >= 500;
  if (which == AccessLog::failures && !failed) return;
  const auto microseconds =
      std::chrono::duration_cast<std::chrono::microseconds>(record.duration).count();
  const std::string id = http::request_id(record.request_id);
  const LogFields fields{{"method", record.method},
                         {"route", record.route},
                         {"path", record.path},
                         {"status", record.status},
                         {"duration_us", microseconds},
                         {"bytes_in", record.bytes_in},
                         {"bytes_out", record.bytes_out},
                         {"remote", record.remote_address},
                         {"id", id}};
  failed ? log.warn("request", fields) : log.info("request", fields);
}

}  // namespace

struct App::Impl {
  Impl(Storage& the_storage, AppOptions the_options)
      : options(std::move(the_options)),
        services(the_storage, options.tokens, options.request_timeout),
        access(the_storage, services.sessions, options.api_keys_file),
        sessions(services),
        chains(services),
        steps(services),
        events(services, access, options.heartbeat),
        admin(services, metrics),
        plan(options.sweep_limit),
        server(server_options(), router(), &metrics) {}

  http::ServerOptions server_options();
  http::Router router();
  Task<void> keep_up();
  Task<void> sweep();

  const AppOptions options;
  api::Services services;
  api::Access access;
  http::Metrics metrics;
  api::SessionsApi sessions;
  api::ChainsApi chains;
  api::StepsApi steps;
  api::EventsApi events;
  api::AdminApi admin;
  SweepPlan plan;
  std::string sweep_failure;  // of the last sweep; empty: it was done
  // The last, so that it is gone before what its coroutines use.
  http::Server server;
};

http::ServerOptions App::Impl::server_options() {
  http::ServerOptions http = options.http;
  // Without credentials a foreign page must not get in by pointing its own name here.
  if (access.is_open() && http.allowed_hosts.empty())
    http.allowed_hosts = {"localhost", "127.0.0.1", "[::1]", http.host};
  const Log& log = options.log;
  if (options.access_log != AccessLog::none && log.takes(spdlog::level::warn))
    http.on_access = [&log, which = options.access_log](const http::AccessRecord& record) {
      log_access(log, which, record);
    };
  http.on_fault = [&log](const http::FaultRecord& fault) {
    log.error("fault", {{"id", http::request_id(fault.request_id)},
                        {"method", fault.method},
                        {"route", fault.route},
                        {"what", fault.what}});
  };
  return http;
}

http::Router App::Impl::router() {
  http::Router router;
  api::Routes routes(router);
  sessions.add_to(routes);
  chains.add_to(routes);
  steps.add_to(routes);
  events.add_to(routes);
  admin.add_to(routes);
  router.set_guard([this](http::Request& request) { return access.guard(request); });
  return router;
}

// Ends what has expired, as long as the server runs.
Task<void> App::Impl::keep_up() {
  asio::steady_timer timer(server.executor());
  for (;;) {
    timer.expires_after(options.sweep_interval);
    co_await timer.async_wait(asio::use_awaitable);
    do {
      co_await sweep();
      // Requests come in between the pieces.
      timer.expires_after(std::chrono::milliseconds(0));
      co_await timer.async_wait(asio::use_awaitable);
    } while (plan.at_once());
  }
}

// One piece.
Task<void> App::Impl::sweep() {
  Upkeep done;
  const auto count = [&](const char* name, const char* help, std::size_t amount) {
    metrics.counter(name, help).add(amount);
  };
  try {
    done = co_await services.storage.sweep(plan.limit());
    sweep_failure.clear();
  } catch (const std::exception& error) {
    count("actionflows_sweep_failures_total", "Sweeps that failed.", 1);
    const std::string what = error.what();
    if (std::exchange(sweep_failure, what) != what)  // once, however long it lasts
      options.log.warn("sweep_failed", {{"what", what}});
  }
  count("actionflows_sweep_sessions_total", "Sessions ended by their deadline.",
        done.sessions_expired);
  count("actionflows_sweep_logs_total", "Logs removed past their retention.", done.logs_removed);
  count("actionflows_sweep_chains_total", "Archived chains removed past their retention.",
        done.chains_removed);
  count("actionflows_sweep_session_failures_total",
        "Attempts to end a session past its deadline that failed.", done.failed.size());
  for (const StorageError& error : plan.take(done))
    options.log.warn("session_not_ended", {{"session", error.record}, {"what", error.what()}});
}

App::App(Storage& storage, AppOptions options)
    : impl_(std::make_unique<Impl>(storage, std::move(options))) {}

App::~App() = default;

void App::start() {
  const std::string& host = impl_->options.http.host;
  if (is_open() && !is_loopback(host))
    throw std::runtime_error(
        "can't listen on " + host +
        " without API keys, because everybody who reaches it could do everything: configure a "
        "file of API keys, or listen on 127.0.0.1");
  impl_->server.start();
  asio::co_spawn(impl_->server.executor(), impl_->keep_up(), asio::detached);
}

std::uint16_t App::port() const noexcept { return impl_->server.port(); }

bool App::is_open() const noexcept { return impl_->access.is_open(); }

void App::stop(std::chrono::milliseconds grace) { impl_->server.stop(grace); }

bool App::reload() {
  std::size_t keys = 0;
  try {
    keys = impl_->access.reload();
  } catch (const std::exception& error) {
    impl_->options.log.error("reload_failed", {{"what", error.what()}});
    return false;
  }
  impl_->options.log.info("reloaded", {{"keys", keys}});
  return true;
}

}  // namespace actionflows
