#include "cli/backend.hpp"
#include "cli/commands.hpp"
#include "cli/failure.hpp"
#include "cli/flags.hpp"
#include "cli/import.hpp"
#include "cli/limit_flags.hpp"
#include "cli/open_files.hpp"
#include "cli/open_storage.hpp"
#include "cli/quantities.hpp"
#include "cli/run_tasks.hpp"
#include "cli/signal_watch.hpp"
#include "server/app.hpp"

#include <fmt/core.h>

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <latch>
#include <limits>
#include <memory>
#include <thread>

namespace actionflows::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds stop_grace = 10s;

struct ServeFlags {
  StorageWishes storage;
  bool require_primary = false;
  std::string host = http::ServerOptions{}.host;
  std::uint16_t port = http::ServerOptions{}.port;
  unsigned threads = 0;
  std::string import;

  std::string api_keys_file;
  std::vector<std::string> cors_origins;
  Duration token_idle_limit{SessionServiceOptions{}.token_idle_limit};
  Duration token_lifetime{SessionServiceOptions{}.token_lifetime};

  Size body_limit{http::ServerOptions{}.body_limit};
  Count max_connections{http::ServerOptions{}.max_connections};
  Count max_streams{http::ServerOptions{}.max_streams};
  Duration request_timeout{AppOptions{}.request_timeout};
  Duration header_timeout{http::ServerOptions{}.header_timeout};
  Duration idle_timeout{http::ServerOptions{}.idle_timeout};
  Duration heartbeat{AppOptions{}.heartbeat};

  Count max_sessions{StorageBounds{}.max_sessions};
  Size max_bytes{StorageBounds{}.max_bytes};
  LimitFlags limits;
  Duration sweep_interval{AppOptions{}.sweep_interval};

  std::string log_format = "logfmt";
  std::string access_log = "all";
};

AppOptions app_options(const ServeFlags& flags, const Log& log) {
  AppOptions options;
  options.http.host = flags.host;
  options.http.port = flags.port;
  options.http.threads =
      flags.threads != 0 ? flags.threads : std::max(1U, std::thread::hardware_concurrency());
  options.http.body_limit = flags.body_limit.bytes;
  options.http.max_connections = flags.max_connections.value;
  options.http.max_streams = flags.max_streams.value;
  options.http.header_timeout = flags.header_timeout.value;
  options.http.idle_timeout = flags.idle_timeout.value;
  options.http.cors.allowed_origins = flags.cors_origins;
  if (!flags.api_keys_file.empty()) options.api_keys_file = flags.api_keys_file;
  options.tokens.token_idle_limit = flags.token_idle_limit.value;
  options.tokens.token_lifetime = flags.token_lifetime.value;
  options.request_timeout = flags.request_timeout.value;
  options.heartbeat = flags.heartbeat.value;
  options.sweep_interval = flags.sweep_interval.value;
  options.access_log = flags.access_log == "all"        ? AccessLog::all
                       : flags.access_log == "failures" ? AccessLog::failures
                                                        : AccessLog::none;
  options.log = log;
  return options;
}

Storage open(const StorageChoice& choice, const ServeFlags& flags, const Log& log) {
  DriverLimits limits = flags.limits.driver_limits();
  limits.touch_interval =
      activity_interval(flags.limits.session_ttl.value, flags.token_idle_limit.value);
  const StorageBounds bounds{
      .max_sessions = flags.max_sessions.value,
      .max_bytes = flags.max_bytes.bytes,
      .limits = limits,
      .log = [log](std::string_view what) { log.warn("storage", {{"what", what}}); }};
  return Storage(open_served_storage(choice, bounds), flags.limits.storage_options());
}

// Before anything is served: whoever sees the server sees all of it. Throws where the file can't be
// read to its end; lines that are refused are logged.
void import_before_serving(const std::string& file, Storage& storage, const Log& log) {
  boost::asio::io_context context(1);
  LineReader lines(file);
  const auto backend = make_storage_backend(storage);
  const auto start = system_clock().monotonic();
  auto next_told = start + 5s;
  const ImportWatch watch{
      .refused = [&](const std::string& text) { log.warn("import_refused", {{"what", text}}); },
      .advanced =
          [&](const Advance& advance) {
            if (system_clock().monotonic() < next_told) return;
            next_told = system_clock().monotonic() + 5s;
            log.info("import_goes_on", {{"lines", advance.items}});
          }};
  const ImportReport report = import_lines(context, lines, *backend, {}, watch);
  if (report.failure) std::rethrow_exception(report.failure);
  log.info("imported", {{"lines", report.read},
                        {"stored", report.stored},
                        {"present", report.present},
                        {"refused", report.refused}});
}

Task<void> ask_health(Storage& storage, Health& health) { health = co_await storage.health(); }

// What is known of the storage at the start. Throws where it has to be there and is not.
Health look_at(Storage& storage, bool required, const Log& log) {
  Health health;
  boost::asio::io_context context(1);
  run_task(context, [&] { return ask_health(storage, health); });
  if (health.ok) return health;
  if (required) throw failure(ErrorCode::unavailable, "the storage: " + health.detail, "open");
  log.warn("storage_unavailable", {{"storage", health.driver}, {"what", health.detail}});
  return health;
}

// Whether what is written while a Redis is away outlives this process is worth knowing before.
void log_fallback(const StorageChoice& choice, const Log& log) {
  if (choice.fallback.empty()) return;
  log.info("fallback", {{"storage", choice.fallback},
                        {"journal", choice.journal.empty() ? "in memory: lost with this process"
                                                           : choice.journal}});
}

// Each connection is an open file; where there can't be enough of them, some wait to be accepted.
void make_room_for_connections(const ServeFlags& flags, const Log& log) {
  // The storage's, the event loops', and those of connections that are being turned away.
  constexpr std::uint64_t others = 1'024;
  constexpr std::uint64_t highest = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t needed = std::min(flags.max_connections.value, highest - others) + others;
  const std::uint64_t limit = allow_open_files(needed);
  if (limit >= needed) return;
  log.warn("few_open_files",
           {{"limit", limit},
            {"needed", needed},
            {"what",
             "connections beyond the limit wait until others end: raise the hard limit of open "
             "files (ulimit -Hn), or lower --max-connections"}});
}

void log_listening(const App& app, const ServeFlags& flags, const Health& health, const Log& log) {
  const ServerUrl url{.host = flags.host, .port = app.port()};
  log.info("listening", {{"url", url.str()},
                         {"storage", health.driver},
                         {"durability", to_string(health.durability)},
                         {"access", app.is_open() ? "open to this machine" : "API keys"}});
}

// What the process is asked by signals. While it starts there is nothing to finish: they end it as
// if nobody waited for them. Once it serves, SIGHUP reads the API keys again, and the others ask it
// to stop; who asks a second time does not want to wait.
class EndSignals {
 public:
  // From here on it serves: to be told before anybody hears of it. The server must outlive the
  // wait.
  void serve(App& app) { app_ = &app; }

  // Returns when the process is asked to stop.
  void wait() const { asked_.wait(); }

 private:
  void take(int signal) {
    App* const app = app_;
    if (app == nullptr) {
      end_by(signal);
    } else if (signal == SIGHUP) {
      // The keys of a server that stops serve nobody any more.
      if (!asked_.try_wait()) app->reload();
    } else if (asked_.try_wait()) {
      ::_exit(exit_failed);
    } else {
      asked_.count_down();
    }
  }

  // As the signal would have it: nohup's SIGHUP does nothing.
  static void end_by(int signal) {
    sigset_t only;
    ::sigemptyset(&only);
    ::sigaddset(&only, signal);
    ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
    ::raise(signal);
    ::pthread_sigmask(SIG_BLOCK, &only, nullptr);
  }

  std::atomic<App*> app_ = nullptr;
  std::latch asked_{1};
  SignalWatch watch_{{SIGTERM, SIGINT, SIGHUP}, [this](int signal) { take(signal); }};
};

int run_serve(const ServeFlags& flags) {
  EndSignals signals;  // before the storage starts threads: they leave signals to it
  const StorageChoice choice = choose_storage(flags.storage);
  const Log log = log_to_stderr(parse_log_format(flags.log_format).value());
  for (const std::string& note : choice.notes) log.warn("setting_not_used", {{"what", note}});
  log_fallback(choice, log);
  make_room_for_connections(flags, log);
  Storage storage = open(choice, flags, log);
  const Health health = look_at(storage, flags.require_primary, log);
  App app(storage, app_options(flags, log));
  if (!flags.import.empty()) import_before_serving(flags.import, storage, log);
  // A log that nobody reads any more must not end the server.
  std::signal(SIGPIPE, SIG_IGN);
  app.start();
  signals.serve(app);
  log_listening(app, flags, health, log);
  signals.wait();
  log.info("stopping");
  app.stop(stop_grace);
  log.info("stopped");
  return exit_done;
}

// An origin as browsers send it; anything else would never match.
std::string refuse_odd_origin(const std::string& origin) {
  const std::size_t scheme = origin.find("://");
  const bool fits = (origin.starts_with("https://") || origin.starts_with("http://")) &&
                    origin.size() > scheme + 3 &&
                    origin.find_first_of("/*?# ", scheme + 3) == origin.npos;
  if (fits) return {};
  return "\"" + printable(origin) + "\" is no origin; one looks like https://dashboard.example";
}

void add_access_flags(CLI::App& command, ServeFlags& flags) {
  add_flag(command, "api-keys-file", flags.api_keys_file, "FILE",
           "lines of name:sha256; with it every request needs a key, and other hosts may be "
           "listened on; read again on SIGHUP [none: open to this machine]");
  add_flag(command, "cors-origins", flags.cors_origins, "ORIGIN,...",
           "web pages that may use the server, besides its own")
      ->default_str("")
      ->delimiter(',')
      ->check(CLI::Validator(refuse_odd_origin, "", "origin"));
  add_positive_flag(command, "token-idle-limit", flags.token_idle_limit, "DURATION",
                    "a session's token is refused after being idle for so long");
  add_positive_flag(command, "token-lifetime", flags.token_lifetime, "DURATION",
                    "and in any case this long after it was issued");
}

void add_bound_flags(CLI::App& command, ServeFlags& flags) {
  add_positive_flag(command, "body-limit", flags.body_limit, "SIZE",
                    "of a request's body; of an import 256MiB");
  add_positive_flag(command, "max-connections", flags.max_connections, "N", "at the same time");
  add_flag(command, "max-streams", flags.max_streams, "N", "at the same time");
  add_positive_flag(command, "request-timeout", flags.request_timeout, "DURATION",
                    "for a request's work in the storage; not of streams, imports, exports and "
                    "verifications");
  add_positive_flag(command, "header-timeout", flags.header_timeout, "DURATION",
                    "for a request's head to arrive");
  add_positive_flag(command, "idle-timeout", flags.idle_timeout, "DURATION",
                    "between two requests of a connection");
  add_positive_flag(command, "heartbeat", flags.heartbeat, "DURATION",
                    "of streams with nothing to say");
  add_positive_flag(command, "max-sessions", flags.max_sessions, "N", "kept in memory");
  add_positive_flag(command, "max-bytes", flags.max_bytes, "SIZE", "kept in memory");
  add_limit_flags(command, flags.limits);
  add_positive_flag(command, "sweep-interval", flags.sweep_interval, "DURATION",
                    "between looks for what has expired");
}

}  // namespace

void add_serve(CLI::App& program, Action& action) {
  CLI::App& command = *program.add_subcommand(
      "serve", "Run the server, until SIGTERM or Ctrl-C; requests in flight are finished first.");
  const auto flags = std::make_shared<ServeFlags>();
  add_flag(command, "storage", flags->storage.url, "URL",
           "where sessions are kept: memory:, sqlite:PATH or redis://HOST (also rediss:, "
           "redis+cluster:) [by NODE_ENV: memory: for development, test or unset; REDIS_URL for "
           "production]");
  add_flag(command, "fallback", flags->storage.fallback, "URL",
           "where a server on Redis goes on while that is away: memory: or sqlite:PATH [memory:]");
  add_flag(command, "journal", flags->storage.journal, "FILE",
           "what is written meanwhile is journaled here until Redis has it, and survives the "
           "process [in memory]");
  command
      .add_flag("--require-primary", flags->require_primary,
                "refuse to start while the storage can't be reached")
      ->envname("ACTIONFLOWS_REQUIRE_PRIMARY");
  add_flag(command, "host", flags->host, "HOST", "address or name to listen on");
  // PORT is what platforms set; ACTIONFLOWS_PORT and the flag have more say.
  CLI::Option* const port =
      add_flag(command, "port", flags->port, "N", "port to listen on; 0: any free one; also PORT");
  add_flag(command, "threads", flags->threads, "N", "that serve; 0: one for each processor")
      ->check(CLI::Range(0, 256));
  add_flag(command, "import", flags->import, "FILE",
           "recorded runs or an export to store before serving");
  add_access_flags(command, *flags);
  add_bound_flags(command, *flags);
  add_flag(command, "log-format", flags->log_format, "FORMAT", "logfmt or json")
      ->check(CLI::IsMember({"logfmt", "json"}));
  add_flag(command, "access-log", flags->access_log, "WHICH",
           "requests that are logged: all, failures or none")
      ->check(CLI::IsMember({"all", "failures", "none"}));
  command.callback([flags, port, &action] {
    flags->storage.node_env = environment("NODE_ENV");
    flags->storage.redis_url = environment("REDIS_URL");
    if (const std::string value = environment("PORT"); port->empty() && !value.empty())
      if (!CLI::detail::lexical_cast(value, flags->port))
        throw CLI::ValidationError("PORT", "\"" + value + "\" is no port");
    action = [flags] { return run_serve(*flags); };
  });
}

}  // namespace actionflows::cli
