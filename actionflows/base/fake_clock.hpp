// A clock that stands still until it is told to move: for tests, of this library and of its users.
#pragma once

#include "actionflows/base/clock.hpp"

#include <memory>

namespace actionflows {

// Thread-safety: shared objects: safe.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(Timestamp start = *parse_rfc3339("2026-01-01T00:00:00Z"));
  ~FakeClock() override;

  Timestamp now() const override;
  Monotonic monotonic() const override;
  Task<void> sleep_for(std::chrono::nanoseconds duration) override;

  // Moves both readings and wakes every sleeper that is due, each on its own executor.
  void advance(std::chrono::nanoseconds duration);

  // How many sleep right now: what a test waits for before it advances.
  [[nodiscard]] std::size_t sleepers() const;

 private:
  struct State;
  struct Waking;
  std::shared_ptr<State> state_;  // shared with the sleepers
};

}  // namespace actionflows
