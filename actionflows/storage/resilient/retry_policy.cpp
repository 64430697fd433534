#include "actionflows/storage/resilient/retry_policy.hpp"

#include <algorithm>

namespace actionflows {
namespace {

constexpr std::int64_t one_retry = 100;

// What can be saved up: a quiet hour must not pay for a storm.
constexpr std::int64_t max_saved = 100 * one_retry;

}  // namespace

bool is_failure(const StorageError& error) {
  return error.code() == ErrorCode::unavailable || error.code() == ErrorCode::timeout;
}

bool is_transient(const StorageError& error) { return is_failure(error) && error.retryable; }

RetryPolicy::RetryPolicy(RetryOptions options)
    : options_(options), budget_(one_retry * options.reserve) {}

void RetryPolicy::on_call() noexcept {
  // Full for most of the time; then nothing is written. A race past the bound does no harm.
  if (budget_.load(std::memory_order_relaxed) < max_saved)
    budget_.fetch_add(options_.budget_percent, std::memory_order_relaxed);
}

bool RetryPolicy::spend() noexcept {
  std::int64_t left = budget_.load(std::memory_order_relaxed);
  while (left >= one_retry)
    if (budget_.compare_exchange_weak(left, left - one_retry, std::memory_order_relaxed))
      return true;
  return false;
}

std::optional<std::chrono::nanoseconds> RetryPolicy::next(int attempt, const StorageError& error,
                                                          Clock::Monotonic now,
                                                          Clock::Monotonic deadline,
                                                          Random& random) {
  if (!is_transient(error) || attempt >= options_.max_attempts) return std::nullopt;
  const int doublings = std::min(attempt - 1, 30);
  const std::chrono::nanoseconds bound = std::min<std::chrono::nanoseconds>(
      options_.first * (std::int64_t{1} << doublings), options_.longest);
  const auto span = static_cast<std::uint64_t>(std::max<std::int64_t>(bound.count(), 1));
  const std::chrono::nanoseconds pause(static_cast<std::int64_t>(random.below(span)));
  if (now + pause >= deadline || !spend()) return std::nullopt;
  return pause;
}

}  // namespace actionflows
