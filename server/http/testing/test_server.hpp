// A running server with routes of every kind, for the tests of the HTTP machinery.
#pragma once

#include "actionflows/base/error.hpp"
#include "server/http/server.hpp"
#include "server/http/testing/raw_client.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <poll.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace actionflows::http {

inline Task<void> pause(std::chrono::milliseconds duration) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, duration);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

// Whether `condition` comes true before long.
inline bool eventually(const std::function<bool()>& condition) {
  for (int at = 0; at < 2000; ++at) {
    if (condition()) return true;
    ::poll(nullptr, 0, 5);  // ms
  }
  return false;
}

// "GET /path HTTP/1.1" with a Host, `headers` (each ended by CR LF) and a body.
inline std::string request_text(std::string_view method, std::string_view target,
                                std::string_view headers = {}, std::string_view body = {}) {
  std::string text;
  text.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: test\r\n");
  text.append(headers).append("\r\n").append(body);
  return text;
}

inline std::string post_text(std::string_view target, std::string_view body) {
  return request_text("POST", target, "Content-Length: " + std::to_string(body.size()) + "\r\n",
                      body);
}

class TestServer {
 public:
  explicit TestServer(ServerOptions options = {}) {
    options.port = 0;
    options.on_access = [this](const AccessRecord& record) {
      const std::lock_guard lock(mutex_);
      access_.push_back(std::string(record.method) + " " + std::string(record.route) + " " +
                        std::string(record.path) + " " + std::to_string(record.status));
    };
    options.on_fault = [this](const FaultRecord& record) {
      const std::lock_guard lock(mutex_);
      faults_.push_back(request_id(record.request_id) + " " + std::string(record.what));
    };
    server_.emplace(std::move(options), routes(), &metrics);
    server_->start();
  }

  [[nodiscard]] std::uint16_t port() const { return server_->port(); }
  Server& operator*() { return *server_; }
  Server* operator->() { return &*server_; }

  // "GET /items/{id} /items/7 200"
  std::vector<std::string> access() {
    const std::lock_guard lock(mutex_);
    return access_;
  }
  std::vector<std::string> faults() {
    const std::lock_guard lock(mutex_);
    return faults_;
  }

  Metrics metrics;
  std::atomic<int> streams_ended{0};   // how many stream coroutines have come to their end
  std::atomic<int> slow_finished{0};   // how many slow handlers have
  std::atomic<bool> guard_open{true};  // whether the guard lets guarded requests pass

 private:
  Router routes() {
    Router router;
    router.set_guard([this](Request& request) -> Task<std::optional<Response>> {
      std::optional<Response> refused;
      if (!guard_open) {
        refused.emplace(401);
      } else {
        request.principal = std::string("someone");
      }
      co_return refused;
    });
    router.add(Method::get, "/hello",
               [](Request&) -> Task<Response> { co_return Response::text("hello"); },
               {.guarded = false});
    router.add(Method::get, "/items/{id}", [](Request& request) -> Task<Response> {
      std::string text(request.param("id"));
      for (const NamedValue& value : request.query)
        text.append("|").append(value.name).append("=").append(value.value);
      co_return Response::text(std::move(text));
    });
    router.add(Method::del, "/items/{id}",
               [](Request&) -> Task<Response> { co_return Response(204); });
    router.add(Method::post, "/echo", [](Request& request) -> Task<Response> {
      co_return Response::text(std::string(request.body));
    });
    router.add(Method::post, "/small",
               [](Request& request) -> Task<Response> {
                 co_return Response::text(std::to_string(request.body.size()));
               },
               {.body_limit = 1000});
    router.add(Method::post, "/optional",
               [](Request& request) -> Task<Response> {
                 co_return Response::text(std::to_string(request.body.size()));
               },
               {.body = BodyRule::optional});
    router.add(Method::get, "/whoami", [](Request& request) -> Task<Response> {
      co_return Response::text(std::any_cast<std::string>(request.principal) + "@" +
                               std::string(request.remote_address));
    });
    router.add(Method::get, "/header", [](Request& request) -> Task<Response> {
      Response response(200);
      response.add("Location", request.query_value("value").value_or(""));
      co_return response;
    });
    router.add(Method::get, "/large", [](Request&) -> Task<Response> {
      co_return Response::json(Bytes(std::string(std::size_t{8} << 20, 'x')));
    });
    router.add(Method::get, "/slow", [this](Request&) -> Task<Response> {
      co_await pause(std::chrono::milliseconds(300));
      ++slow_finished;
      co_return Response::text("slow");
    });
    router.add(Method::get, "/stuck", [](Request&) -> Task<Response> {
      co_await pause(std::chrono::hours(1));
      co_return Response(204);
    });
    add_failing(router);
    add_streams(router);
    return router;
  }

  static void add_failing(Router& router) {
    router.add(Method::get, "/throws", [](Request&) -> Task<Response> {
      throw std::runtime_error("secret of /etc/passwd at 0x7f");
      co_return Response(204);
    });
    router.add(Method::get, "/throws-int", [](Request&) -> Task<Response> {
      throw 7;
      co_return Response(204);
    });
    router.add(Method::get, "/switching",
               [](Request&) -> Task<Response> { co_return Response(101); });
    router.add(Method::get, "/conflict", [](Request&) -> Task<Response> {
      StorageError error(ErrorCode::conflict, "version 1 is not the current one");
      error.current_version = 3;
      throw error;
      co_return Response(204);
    });
    router.add(Method::get, "/mismatch", [](Request&) -> Task<Response> {
      StorageError error(ErrorCode::conflict, "version 1 is not the current one");
      error.current_version = 3;
      error.version_mismatch = true;
      throw error;
      co_return Response(204);
    });
    router.add(Method::get, "/corrupt", [](Request&) -> Task<Response> {
      throw failure(ErrorCode::corrupt, "field secret", "get_session", "s1");
      co_return Response(204);
    });
    router.add(Method::get, "/away", [](Request&) -> Task<Response> {
      StorageError error(ErrorCode::unavailable, "the disk has failed");
      error.set_cause("secret of /etc/passwd");
      throw error;
      co_return Response(204);
    });
  }

  struct CountAtEnd {
    std::atomic<int>& count;
    ~CountAtEnd() { ++count; }
  };

  void add_streams(Router& router) {
    // Says "begun", then waits to be ended.
    router.add(Method::get, "/quiet", [this](Request&) -> Task<Response> {
      co_return Response::event_stream([this](StreamWriter& writer) -> Task<void> {
        const CountAtEnd count{streams_ended};
        co_await writer.write("begun");
        co_await pause(std::chrono::hours(1));
      });
    });
    // Writes as fast as it is read.
    router.add(Method::get, "/flood", [this](Request&) -> Task<Response> {
      co_return Response::event_stream([this](StreamWriter& writer) -> Task<void> {
        const CountAtEnd count{streams_ended};
        const std::string chunk(16 << 10, 'x');
        bool open = true;
        while (open) open = co_await writer.write(chunk);
      });
    });
    router.add(Method::get, "/count/{to}", [](Request& request) -> Task<Response> {
      const int to = std::stoi(std::string(request.param("to")));
      co_return Response::event_stream([to](StreamWriter& writer) -> Task<void> {
        for (int at = 1; at <= to; ++at) {
          const std::string text = std::to_string(at) + "\n";
          co_await writer.write(text);
        }
        co_await writer.write(std::string_view());
      });
    });
    router.add(Method::get, "/breaks", [](Request&) -> Task<Response> {
      co_return Response::event_stream([](StreamWriter& writer) -> Task<void> {
        co_await writer.write("half");
        throw std::runtime_error("stream broke");
      });
    });
    router.add(Method::get, "/breaks-at-once", [](Request&) -> Task<Response> {
      co_return Response::event_stream(
          [](StreamWriter&) -> Task<void> { throw std::runtime_error("stream broke"); });
    });
  }

  std::mutex mutex_;
  std::vector<std::string> access_;  // guarded by mutex_
  std::vector<std::string> faults_;  // guarded by mutex_
  std::optional<Server> server_;     // the last: it uses all the others
};

}  // namespace actionflows::http
