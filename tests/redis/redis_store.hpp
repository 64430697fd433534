// What the tests of RedisStorage stand on: a driver and who uses it while servers come and go.
#pragma once

#include "actionflows/base/clock.hpp"
#include "actionflows/base/error.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"
#include "tests/support/calls.hpp"
#include "tests/support/change.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace actionflows::test {

// What a driver says in its log. Thread-safety: shared objects: safe; must outlive the driver.
class Log {
 public:
  // For RedisOptions::log.
  [[nodiscard]] std::function<void(std::string_view)> sink();
  [[nodiscard]] std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::string text_;  // guarded by mutex_
};

// Writes one session, again and again, and keeps book of what was acknowledged: what a client does
// that repeats calls of unknown outcome.
// Thread-safety: `acknowledged` may be called while another thread writes.
class Writer {
 public:
  Writer(StorageDriver& driver, SessionId session)
      : driver_(driver), session_(std::move(session)) {}

  // Makes the session.
  Task<void> begin();
  // Writes until it is told to stop. Throws what is no use repeating.
  Task<void> write(const std::atomic<bool>& stop);

  [[nodiscard]] std::size_t acknowledged() const { return count_; }
  [[nodiscard]] int errors() const { return errors_; }
  // What it has written, and what its last call failed with: for who wonders why it stands still.
  [[nodiscard]] std::string state() const;
  // The longest time between two acknowledgements.
  [[nodiscard]] std::chrono::milliseconds longest_gap() const;

  // Expects that the log is dense, that nothing is in it twice, and that the record's version
  // counts the changes that are in it. Returns how many acknowledged ones are not.
  [[nodiscard]] std::size_t lost() const;

 private:
  // Until it is acknowledged or, after a loss, contradicts what stands there.
  Task<void> write_once(const std::atomic<bool>& stop);
  void keep(const std::string& operation);
  void note(const StorageError& error);
  // Goes on from what stands there.
  Task<void> take_up(const std::atomic<bool>& stop);

  StorageDriver& driver_;
  const SessionId session_;
  std::uint64_t version_ = 0;              // of the session's record, as far as it knows
  std::vector<std::string> acknowledged_;  // operation ids
  std::atomic<std::size_t> count_{0};      // of them
  std::atomic<int> errors_{0};
  mutable std::mutex mutex_;
  std::string last_error_;  // guarded by mutex_
  std::optional<std::chrono::steady_clock::time_point> last_acknowledged_;
  std::chrono::nanoseconds longest_gap_{0};
};

// Writers at work, each on a session of its own, on a thread of their own.
class Load {
 public:
  // The driver must outlive it.
  Load(StorageDriver& driver, std::size_t count);
  ~Load() { stop(); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // Waits until each writer has written so many more than now. False: it does not come to that.
  [[nodiscard]] bool wait_for_more(std::size_t each) const;

  // Fails the test where a writer has met what it can't repeat.
  void stop();

  // Of all writers together; once it is stopped.
  struct Total {
    std::size_t acknowledged = 0;
    std::size_t lost = 0;
    int errors = 0;
    std::chrono::milliseconds longest_gap{0};
  };
  // Expects what Writer::lost does, of each, and prints what it found.
  [[nodiscard]] Total total(std::string_view what) const;

 private:
  std::vector<std::unique_ptr<Writer>> writers_;
  std::atomic<bool> stop_{false};
  std::thread thread_;  // the last: it uses the others
};

}  // namespace actionflows::test
