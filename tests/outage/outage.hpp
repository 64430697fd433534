// What the tests of outages stand on: a ResilientStorage over a RedisStorage as one process has it,
// and clients that write through it and keep book of what was acknowledged.
#pragma once

#include "actionflows/base/clock.hpp"
#include "actionflows/base/error.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"
#include "actionflows/storage/resilient/resilient_storage.hpp"
#include "tests/support/calls.hpp"
#include "tests/support/change.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/run.hpp"
#include "tests/support/sanitized.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace actionflows::test {

using SteadyTime = std::chrono::steady_clock::time_point;
inline SteadyTime steady_now() { return std::chrono::steady_clock::now(); }

inline const UserId ann = *UserId::parse("ann");

// A resilient driver is wanted that notices soon: each attempt ends after `timeout`, which is
// Redis' own, and a circuit that has opened is probed often.
struct InstanceOptions {
  explicit InstanceOptions(RedisOptions of_redis, std::chrono::milliseconds timeout = 1s);

  RedisOptions redis;
  ResilientOptions resilient;
  std::string journal;   // a file; empty: in memory
  std::string fallback;  // a file of SQLite; empty: in memory
};

// A store of its own, without the wrapper: what is really in the server.
std::unique_ptr<StorageDriver> open_store(const RedisServer& server);

class Instance {
 public:
  explicit Instance(const InstanceOptions& options);

  [[nodiscard]] StorageDriver& driver() { return *driver_; }
  [[nodiscard]] std::unique_ptr<StorageDriver> take_driver() { return std::move(driver_); }
  [[nodiscard]] Resilience resilience() { return *run(driver_->health()).resilience; }

  // Calls the primary until its circuit is open. False: it does not come to that.
  [[nodiscard]] bool wait_until_open();
  // Until it is closed and nothing waits in the journal.
  [[nodiscard]] bool wait_until_replayed();

  // What both drivers have said.
  [[nodiscard]] std::string log() const;

 private:
  void say(std::string_view line);

  mutable std::mutex mutex_;
  std::string lines_;  // guarded by mutex_
  std::unique_ptr<StorageDriver> driver_;
};

// Changes one session again and again, each change under one operation id until it is acknowledged.
// Every other change only appends an event: what would be doubled where repeats are not recognised.
// Thread-safety: `acknowledged_count` and `errors` may be called while another thread writes.
class Client {
 public:
  Client(StorageDriver& driver, SessionId session)
      : driver_(&driver), session_(std::move(session)) {}

  Task<void> create();
  Task<void> write(std::size_t changes, std::chrono::milliseconds pause = 0ms);
  // Begins after `first`.
  Task<void> write_until(const std::atomic<bool>& stop, std::chrono::milliseconds pause,
                         std::chrono::milliseconds first);
  Task<void> read_once();

  [[nodiscard]] const SessionId& session() const { return session_; }
  [[nodiscard]] const std::vector<std::string>& acknowledged() const { return acknowledged_; }
  [[nodiscard]] std::size_t acknowledged_count() const { return count_; }
  [[nodiscard]] int errors() const { return errors_; }
  // How long each call took, since the last time it was asked.
  [[nodiscard]] std::vector<std::chrono::nanoseconds> take_times() { return std::move(times_); }

  // Expects that the log in `store` holds what was acknowledged, once, and nothing else, in a dense
  // sequence.
  void expect_in(StorageDriver& store) const;

 private:
  Task<void> until_acknowledged(Change change);
  Task<void> write_one();

  StorageDriver* const driver_;
  const SessionId session_;
  std::uint64_t version_ = 0;
  std::vector<std::string> acknowledged_;
  std::atomic<std::size_t> count_{0};
  std::atomic<int> errors_{0};
  std::vector<std::chrono::nanoseconds> times_;
};

// Some of them, each with a session of its own, on one thread.
class Clients {
 public:
  Clients(StorageDriver& driver, std::size_t count, const std::string& name);

  void create();
  void write(std::size_t changes, std::chrono::milliseconds pause = 0ms);
  void read_once();
  // Writes on another thread until `stop`; who begins when is spread over the first pause.
  void start(std::chrono::milliseconds pause);
  void stop();
  ~Clients() { stop(); }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  [[nodiscard]] std::size_t acknowledged() const;
  [[nodiscard]] int errors() const;
  // Of all calls since the last time.
  [[nodiscard]] std::vector<std::chrono::nanoseconds> take_times();
  [[nodiscard]] const std::vector<std::unique_ptr<Client>>& all() const { return clients_; }

  void expect_in(StorageDriver& store) const;

 private:
  std::vector<std::unique_ptr<Client>> clients_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// How often each operation id stands in a log; expects that its numbers are dense from 1.
std::map<std::string, int> operations_in(StorageDriver& store, const SessionId& session);

// Which of them `percent` are not above. 0 of none.
double percentile_ms(std::vector<std::chrono::nanoseconds> times, double percent);
double seconds_since(SteadyTime begin);

}  // namespace actionflows::test
