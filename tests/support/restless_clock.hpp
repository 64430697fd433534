// A clock on which nobody waits: who sleeps on it moves it, and goes on at once.
#pragma once

#include "actionflows/base/fake_clock.hpp"

namespace actionflows::test {

// Thread-safety: shared objects: safe.
class RestlessClock final : public Clock {
 public:
  explicit RestlessClock(Timestamp start) : clock_(start) {}

  Timestamp now() const override { return clock_.now(); }
  Monotonic monotonic() const override { return clock_.monotonic(); }
  Task<void> sleep_for(std::chrono::nanoseconds duration) override {
    clock_.advance(duration);
    co_return;
  }

  void advance(std::chrono::nanoseconds duration) { clock_.advance(duration); }

 private:
  FakeClock clock_;
};

}  // namespace actionflows::test
