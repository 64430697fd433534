// A clock on which nobody waits: who sleeps on it goes on at once. It moves only when it is told.
#pragma once

#include "actionflows/base/fake_clock.hpp"

#include <atomic>

namespace actionflows::test {

// Thread-safety: shared objects: safe.
class RestlessClock final : public Clock {
 public:
  explicit RestlessClock(Timestamp start) : clock_(start) {}

  Timestamp now() const override { return clock_.now(); }
  Monotonic monotonic() const override { return clock_.monotonic(); }
  Task<void> sleep_for(std::chrono::nanoseconds duration) override {
    slept_ += duration.count();
    co_return;
  }

  void advance(std::chrono::nanoseconds duration) { clock_.advance(duration); }

  // For how long all sleepers together would have slept.
  [[nodiscard]] std::chrono::nanoseconds slept() const {
    return std::chrono::nanoseconds(slept_.load());
  }

 private:
  FakeClock clock_;
  std::atomic<std::chrono::nanoseconds::rep> slept_{0};
};

}  // namespace actionflows::test
