// What the connections of a server share. Internal to the server.
#pragma once

#include "server/http/server.hpp"
#include "server/http/usage.hpp"
#include "server/http/wire.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::http {

// The counted series of each route.
class Instruments {
 public:
  Instruments(Metrics& metrics, const Router& router, const std::shared_ptr<Usage>& usage);

  // `route` is nullptr where none matched. Thread-safe.
  void count(const Route* route, int status, std::chrono::nanoseconds duration) noexcept;

 private:
  struct Series {
    std::array<Counter*, 4> by_class;  // 2xx to 5xx
    Histogram* duration;
  };
  std::vector<Series> series_;  // by the route's index; the last for no route
};

// Constant after start, but for what is atomic.
struct Shared {
  ServerOptions options;
  Router router;
  std::unique_ptr<Instruments> instruments;  // nullptr without metrics
  std::shared_ptr<Usage> usage = std::make_shared<Usage>();
  std::atomic<std::uint64_t> next_request_id{0};
  std::atomic<bool> stopping{false};

  // Where stop() waits for the last connection.
  std::mutex mutex;
  std::condition_variable connection_ended;
};

// "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", made anew each second.
class DateLine {
 public:
  std::string_view at(Monotonic now);

 private:
  std::string line_;
  Monotonic fresh_until_{};
};

}  // namespace actionflows::http
