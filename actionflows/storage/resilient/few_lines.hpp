// FewLines: which lines of one kind are told, so that what befalls thousands of sessions or entries
// at once does not fill the log: the first few of each ten seconds, and how many more there were.
#pragma once

#include "actionflows/base/clock.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace actionflows {

// Thread-safety: none.
class FewLines {
 public:
  explicit FewLines(std::uint64_t few) : few_(few) {}

  // Whether one more is told.
  bool admit(Clock::Monotonic now) {
    if (is_over(now)) {
      began_ = now;
      told_ = 0;
    }
    if (told_ < few_) {
      ++told_;
      return true;
    }
    ++untold_;
    return false;
  }

  // How many were not told and are not counted yet, once the ten seconds are over; or now, because
  // no more will come.
  std::uint64_t take_untold(Clock::Monotonic now, bool no_more_come) {
    return is_over(now) || no_more_come ? std::exchange(untold_, 0) : 0;
  }

 private:
  static constexpr std::chrono::seconds span{10};

  [[nodiscard]] bool is_over(Clock::Monotonic now) const {
    return !began_ || now >= *began_ + span;
  }

  const std::uint64_t few_;
  std::optional<Clock::Monotonic> began_;  // the ten seconds
  std::uint64_t told_ = 0;                 // in them
  std::uint64_t untold_ = 0;
};

}  // namespace actionflows
