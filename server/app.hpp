// App: the whole server over one storage. Routes, access, streams, upkeep, metrics and log are put
// together here; whoever starts it brings options and a storage.
#pragma once

#include "actionflows/services/session_service.hpp"
#include "actionflows/storage/storage.hpp"
#include "server/api/services.hpp"
#include "server/http/server.hpp"
#include "server/log.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

namespace actionflows {

enum class AccessLog {
  none,
  failures,  // requests answered with 500 and above
  all,
};

struct AppOptions {
  // Host, port, threads, limits, allowed origins. on_access and on_fault are the app's own.
  http::ServerOptions http = {};

  // Lines of `name:sha256`: with them every request needs a key or a session's token. Without, the
  // server listens to this machine only.
  std::optional<std::filesystem::path> api_keys_file = {};
  SessionServiceOptions tokens = {};

  // How long a request may take in the storage: past it, nothing more is begun and the answer is
  // 504. Not of streams, imports, exports and verifications.
  std::chrono::milliseconds request_timeout = api::default_request_timeout;

  std::chrono::milliseconds heartbeat{15'000};      // of streams that have nothing to say
  std::chrono::milliseconds sweep_interval{1'000};  // between looks for what has expired
  std::size_t sweep_limit = 200;                    // of each kind, in one piece

  AccessLog access_log = AccessLog::all;
  Log log = {};
};

// Thread-safety: distinct objects: safe. start, stop and reload are called from one thread that is
// not the server's own; port at any time after start.
class App {
 public:
  // The storage must outlive the app. Throws std::runtime_error, in words for the user, where the
  // file of API keys can't be used.
  App(Storage& storage, AppOptions options);

  // Stops without grace.
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  // Listens and serves. Throws std::runtime_error, in words for the user: the port is in use, the
  // host is not this machine's, or it is open to others and no API keys are configured.
  void start();

  // The port it listens on.
  [[nodiscard]] std::uint16_t port() const noexcept;

  // Whether everybody on this machine may do everything: no API keys are configured.
  [[nodiscard]] bool is_open() const noexcept;

  // Ends streams, finishes what is in flight within `grace`, and returns. Once is enough.
  void stop(std::chrono::milliseconds grace = std::chrono::seconds(10));

  // Reads the API keys again: for SIGHUP. False: the file can't be used, which the log says; the
  // keys of before stay.
  bool reload();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace actionflows
