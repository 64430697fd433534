// CircuitBreaker: whether calls reach a backend. Pure: time comes in.
//
//   closed ----- enough failures -----> open ----- its time is over -----> half open
//     ^                                  ^                                     |
//     |                                  +------------ the probe failed -------+
//     +----------------------------------------------- the probe succeeded ----+
//
// While it is open nothing reaches the backend; half open, one probe does. The probe's permit is a
// lease: whoever took it and never said how it ended can't keep the breaker half open.
#pragma once

#include "actionflows/base/clock.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace actionflows {

struct BreakerOptions {
  int consecutive_failures = 5;                 // opens on so many in a row, of all or of writes
  int failure_percent = 50;                     // or on this share
  int min_calls = 20;                           // of at least so many calls
  std::chrono::seconds window{30};              // within this time
  std::chrono::milliseconds first_open{5'000};  // open for so long,
  // doubling after each failed probe up to here: who waits longer serves less than 90 % of what it
  // could for more than 10 s after the backend is back
  std::chrono::milliseconds longest_open{8'000};
  std::chrono::milliseconds probe_lease{5'000};  // what a probe may take
};

enum class BreakerState { closed, open, half_open };

enum class CallKind { read, write };

std::string_view to_string(BreakerState state);

// Thread-safety: none.
class CircuitBreaker {
 public:
  explicit CircuitBreaker(BreakerOptions options = {}) : options_(options) {}

  [[nodiscard]] BreakerState state() const { return state_; }
  // Whether calls may reach the backend.
  [[nodiscard]] bool admits() const { return state_ == BreakerState::closed; }

  // How calls ended that had been admitted. Only what says something of the backend counts: a
  // refused request is an answer. Late results, of calls that began before the breaker opened,
  // change nothing.

  void on_answers(int reads, int writes, Clock::Monotonic now);
  // True: the breaker has just opened. A backend that answers reads and takes no writes (a replica,
  // a full disk) is away, too: reads that succeed don't end a row of writes that failed.
  bool on_failure(CallKind kind, Clock::Monotonic now);

  // Permission to try the backend once, as a number to give back with the result; nullopt: it is
  // not time, or another probe is under way. A lease that ran out is taken over.
  std::optional<std::uint64_t> try_probe(Clock::Monotonic now);
  // How that probe ended. Of a lease that was taken over since, nothing.
  void on_probe(std::uint64_t permit, bool success, Clock::Monotonic now);

  // When the next probe may begin; meaningless when closed.
  [[nodiscard]] Clock::Monotonic next_probe() const;

 private:
  struct Slice {  // of the window
    std::int64_t number = -1;
    int calls = 0;
    int failures = 0;
  };
  static constexpr std::int64_t slices = 10;

  void open(Clock::Monotonic now, std::chrono::milliseconds how_long);
  [[nodiscard]] bool too_many_failures(Clock::Monotonic now) const;
  [[nodiscard]] std::int64_t number_of(Clock::Monotonic now) const;
  Slice& slice_of(Clock::Monotonic now);

  // constant after construction
  BreakerOptions options_;

  BreakerState state_ = BreakerState::closed;
  int failures_in_a_row_ = 0;
  int failed_writes_in_a_row_ = 0;
  std::array<Slice, slices> window_;
  std::chrono::milliseconds open_for_{0};
  Clock::Monotonic probe_at_;  // open: when a probe may begin; half open: when its lease ends
  std::uint64_t last_permit_ = 0;
};

}  // namespace actionflows
