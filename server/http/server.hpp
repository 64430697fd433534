// The HTTP/1.1 server: connections, limits, timeouts and streams. It knows nothing of what it
// serves.
#pragma once

#include "server/http/metrics.hpp"
#include "server/http/router.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::http {

// One finished request, as an access log wants it. No query, no header and no body is in it,
// because these carry secrets. The views live during the call.
struct AccessRecord {
  std::string_view method;
  std::string_view route;  // its pattern; empty when none matched
  std::string_view path;   // as sent, without the query
  std::string_view remote_address;
  int status = 0;
  std::chrono::nanoseconds duration{0};  // from the whole header to the last byte handed over
  std::uint64_t bytes_in = 0;            // of the body
  std::uint64_t bytes_out = 0;           // all of the response
  std::uint64_t request_id = 0;
};

// An exception that was answered with a 500 or ended a stream; or a storage's failure whose cause
// the answer does not tell; or, without a method, why a connection could not be accepted (too many
// open files, say), which is told once in 10 s. The views live during the call.
struct FaultRecord {
  std::uint64_t request_id = 0;  // also in the problem document of a 500, as "errorId"
  std::string_view method;
  std::string_view route;
  std::string_view what;  // the exception's text: for the log only
};

struct CorsOptions {
  // "https://dashboard.example": pages of these origins may use the server. An origin that is
  // neither here nor the server's own (its Host header) may change nothing: 403.
  std::vector<std::string> allowed_origins = {};
  std::string request_headers =
      "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, Last-Event-ID, "
      "ActionFlows-Actor";
  std::string exposed_headers =
      "ETag, Location, Retry-After, ActionFlows-Source, ActionFlows-Durability";
};

struct ServerOptions {
  std::string host = "127.0.0.1";  // an address, or a name that the system resolves
  std::uint16_t port = 3001;       // 0: any free one, see Server::port
  unsigned threads = 1;

  // Beyond: answered 503 with Retry-After; a connection is then closed.
  std::size_t max_connections = 10'000;
  std::size_t max_in_flight = 4'096;  // requests inside guard or handler, streams not counted
  std::size_t max_streams = 5'000;
  std::size_t max_buffered_bodies = std::size_t{256} << 20;  // bytes, of all requests together

  std::size_t header_limit = 16 << 10;  // bytes, request line and headers together: 431
  std::size_t body_limit = 5 << 20;     // bytes: 413; a route may have its own
  std::size_t max_headers = 100;        // lines: 431

  // Kept by a sweep over the connections, to within a quarter of the shortest and never finer than
  // 10 ms or coarser than 250 ms.
  std::chrono::milliseconds header_timeout{10'000};  // from the first byte to the last: 408
  std::chrono::milliseconds body_timeout{30'000};    // plus 1 s for every 64 KiB of it: 408
  std::chrono::milliseconds idle_timeout{60'000};    // between requests: closed
  std::chrono::milliseconds write_timeout{30'000};   // of a response or of one piece of a stream,
                                                     // plus 1 s for every 64 KiB of it: closed

  std::size_t stream_buffer =
      256 << 10;  // bytes the system holds for a stream's reader; 0: default

  CorsOptions cors = {};

  // Names that the Host header may have, without port, "[::1]" in brackets; empty: any. Others are
  // answered 421. A server without credentials needs it: a foreign page can give its own name this
  // machine's address, and is the same origin then (DNS rebinding).
  std::vector<std::string> allowed_hosts = {};

  // Called on the server's threads, at the same time on several; must not throw.
  std::function<void(const AccessRecord&)> on_access = {};
  std::function<void(const FaultRecord&)> on_fault = {};
};

// Thread-safety: distinct objects: safe. Shared objects: port, executor and load are safe after
// start; start and stop are called from one thread that is not the server's own.
class Server {
 public:
  // `metrics`, where given, must outlive the server.
  Server(ServerOptions options, Router router, Metrics* metrics = nullptr);

  // Stops without grace.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Listens and starts the threads. Throws std::runtime_error, in words for the user, for a port in
  // use or not permitted and for a host that is not this machine's.
  void start();

  // The port it listens on. Valid after start.
  [[nodiscard]] std::uint16_t port() const noexcept;

  // Stops accepting, closes idle connections, ends streams cleanly, waits up to `grace` for the
  // requests in flight, then closes what is left and joins the threads. What handlers still await
  // then is destroyed unresumed. A second call does nothing.
  void stop(std::chrono::milliseconds grace = std::chrono::seconds(10));

  // Runs on the first of the server's threads, from start until stop: for the work that goes on
  // beside the requests. Valid from construction to destruction.
  [[nodiscard]] boost::asio::any_io_executor executor() const;

  struct Load {
    std::size_t connections = 0;
    std::size_t in_flight = 0;
    std::size_t streams = 0;
  };
  [[nodiscard]] Load load() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace actionflows::http
