// RetryPolicy: whether a failed call is tried again, and when. Pure: time and randomness come in.
//
// Only failures of the backend are tried again: validation, conflicts and the like are answers.
// All calls to one backend share a budget, so that retries can't multiply the load of a backend
// that is about to give way (Google SRE Book, "Handling Overload").
#pragma once

#include "actionflows/base/clock.hpp"
#include "actionflows/base/error.hpp"
#include "actionflows/base/random.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

namespace actionflows {

struct RetryOptions {
  int max_attempts = 3;                      // the first one included; 1: nothing is repeated
  std::chrono::milliseconds first{100};      // the longest wait before the second attempt
  std::chrono::milliseconds longest{2'000};  // the wait's bound doubles up to here
  int budget_percent = 20;                   // retries per hundred calls
  int reserve = 10;                          // retries that need not be earned by calls before
};

// Whether an error is a failure of the backend and no answer: unavailable or timeout.
[[nodiscard]] bool is_failure(const StorageError& error);

// Whether an error is a failure of the backend that may pass: unavailable or timeout, and not
// marked as spent.
[[nodiscard]] bool is_transient(const StorageError& error);

// Thread-safety: shared objects: safe, without locks.
class RetryPolicy {
 public:
  explicit RetryPolicy(RetryOptions options = {});

  // A call begins: it earns its share of the budget. One atomic addition.
  void on_call() noexcept;

  // How long to wait before the next attempt, after `attempt` attempts (from 1) of which the last
  // failed with `error`. nullopt: it is not tried again, because it is no transient error, the
  // attempts or the budget are spent, or the wait would reach `deadline`. Full jitter: uniform
  // below a bound that doubles (Brooker, "Exponential Backoff And Jitter", 2015).
  std::optional<std::chrono::nanoseconds> next(int attempt, const StorageError& error,
                                               Clock::Monotonic now, Clock::Monotonic deadline,
                                               Random& random);

 private:
  bool spend() noexcept;

  // constant after construction
  const RetryOptions options_;

  std::atomic<std::int64_t> budget_;  // in hundredths of a retry
};

}  // namespace actionflows
