// Where the time comes from, and who waits: injected everywhere, so that every test of time runs on
// a clock of its own.
#pragma once

#include "actionflows/base/task.hpp"
#include "actionflows/base/time.hpp"

#include <chrono>

namespace actionflows {

// Thread-safety: shared objects: safe. The clock must outlive all who hold it, and every sleep.
class Clock {
 public:
  using Monotonic = std::chrono::steady_clock::time_point;

  virtual ~Clock() = default;

  // The wall clock: what records and events carry. It may jump, also backwards.
  [[nodiscard]] virtual Timestamp now() const = 0;

  // Never runs backwards: what deadlines of calls and durations are measured with.
  [[nodiscard]] virtual Monotonic monotonic() const = 0;

  // Returns when `duration` has passed on this clock. Cancelled with its coroutine: then throws
  // boost::system::system_error (operation_aborted).
  virtual Task<void> sleep_for(std::chrono::nanoseconds duration) = 0;
};

// The machine's clock. One object for the whole process; never destroyed.
Clock& system_clock();

}  // namespace actionflows
