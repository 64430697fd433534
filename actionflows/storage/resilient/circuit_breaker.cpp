#include "actionflows/storage/resilient/circuit_breaker.hpp"

#include <algorithm>

namespace actionflows {

std::string_view to_string(BreakerState state) {
  switch (state) {
    case BreakerState::closed: return "closed";
    case BreakerState::open: return "open";
    case BreakerState::half_open: return "half-open";
  }
  return "closed";
}

std::int64_t CircuitBreaker::number_of(Clock::Monotonic now) const {
  const auto length = std::chrono::nanoseconds(options_.window) / slices;
  return now.time_since_epoch() / length;
}

CircuitBreaker::Slice& CircuitBreaker::slice_of(Clock::Monotonic now) {
  const std::int64_t number = number_of(now);
  Slice& slice = window_[static_cast<std::size_t>(number % slices)];
  if (slice.number != number) slice = {number, 0, 0};
  return slice;
}

void CircuitBreaker::on_answers(int reads, int writes, Clock::Monotonic now) {
  if (state_ != BreakerState::closed || reads + writes == 0) return;
  slice_of(now).calls += reads + writes;
  failures_in_a_row_ = 0;
  if (writes > 0) failed_writes_in_a_row_ = 0;
}

bool CircuitBreaker::on_failure(CallKind kind, Clock::Monotonic now) {
  if (state_ != BreakerState::closed) return false;
  Slice& slice = slice_of(now);
  ++slice.calls;
  ++slice.failures;
  ++failures_in_a_row_;
  if (kind == CallKind::write) ++failed_writes_in_a_row_;
  const int longest_row = std::max(failures_in_a_row_, failed_writes_in_a_row_);
  if (longest_row < options_.consecutive_failures && !too_many_failures(now)) return false;
  open(now, options_.first_open);
  return true;
}

bool CircuitBreaker::too_many_failures(Clock::Monotonic now) const {
  const std::int64_t newest = number_of(now);
  std::int64_t calls = 0;
  std::int64_t failures = 0;
  for (const Slice& slice : window_) {
    if (slice.number <= newest - slices) continue;
    calls += slice.calls;
    failures += slice.failures;
  }
  return calls >= options_.min_calls && failures * 100 >= calls * options_.failure_percent;
}

void CircuitBreaker::open(Clock::Monotonic now, std::chrono::milliseconds how_long) {
  state_ = BreakerState::open;
  open_for_ = how_long;
  probe_at_ = now + how_long;
}

std::optional<std::uint64_t> CircuitBreaker::try_probe(Clock::Monotonic now) {
  if (state_ == BreakerState::closed || now < probe_at_) return std::nullopt;
  state_ = BreakerState::half_open;
  probe_at_ = now + options_.probe_lease;
  return ++last_permit_;
}

void CircuitBreaker::on_probe(std::uint64_t permit, bool success, Clock::Monotonic now) {
  if (state_ != BreakerState::half_open || permit != last_permit_) return;
  if (!success) {
    open(now, std::min(open_for_ * 2, options_.longest_open));
    return;
  }
  state_ = BreakerState::closed;
  failures_in_a_row_ = 0;
  failed_writes_in_a_row_ = 0;
  window_ = {};
}

Clock::Monotonic CircuitBreaker::next_probe() const { return probe_at_; }

}  // namespace actionflows
