#include "actionflows/storage/resilient/retry_policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace actionflows {
namespace {

using namespace std::chrono_literals;

constexpr Clock::Monotonic start{};
constexpr Clock::Monotonic never = Clock::Monotonic::max();
const StorageError unavailable(ErrorCode::unavailable, "away");

RetryOptions plenty() {
  RetryOptions options;
  options.max_attempts = 100;
  options.reserve = 1'000'000;
  return options;
}

TEST(RetryPolicy, TriesThreeTimesInAll) {
  RetryPolicy policy;
  SeededRandom random(1);
  EXPECT_TRUE(policy.next(1, unavailable, start, never, random));
  EXPECT_TRUE(policy.next(2, unavailable, start, never, random));
  EXPECT_FALSE(policy.next(3, unavailable, start, never, random));
}

TEST(RetryPolicy, WaitsAnywhereBelowABoundThatDoublesToTwoSeconds) {
  RetryPolicy policy(plenty());
  SeededRandom random(7);
  const std::chrono::nanoseconds bounds[] = {100ms, 200ms, 400ms, 800ms, 1600ms, 2s, 2s};
  int attempt = 0;
  for (const auto bound : bounds) {
    ++attempt;
    std::chrono::nanoseconds least = 1h;
    std::chrono::nanoseconds most = 0ns;
    for (int n = 0; n < 1'000; ++n) {
      const auto pause = policy.next(attempt, unavailable, start, never, random).value();
      least = std::min(least, pause);
      most = std::max(most, pause);
    }
    EXPECT_LT(most, bound);
    EXPECT_GT(most, bound * 9 / 10);
    EXPECT_LT(least, bound / 10);
  }
}

TEST(RetryPolicy, RepeatsOnlyWhatMayPass) {
  RetryPolicy policy(plenty());
  SeededRandom random(1);
  for (const ErrorCode code :
       {ErrorCode::invalid, ErrorCode::not_found, ErrorCode::conflict,
        ErrorCode::illegal_transition, ErrorCode::exhausted, ErrorCode::corrupt})
    EXPECT_FALSE(policy.next(1, StorageError(code, "no"), start, never, random));
  EXPECT_TRUE(policy.next(1, StorageError(ErrorCode::timeout, "slow"), start, never, random));
  StorageError spent = unavailable;
  spent.retryable = false;
  EXPECT_FALSE(policy.next(1, spent, start, never, random));
}

TEST(RetryPolicy, EndsWhereTheWaitWouldReachTheDeadline) {
  RetryPolicy policy(plenty());
  SeededRandom random(1);
  EXPECT_FALSE(policy.next(1, unavailable, start, start, random));
  for (int n = 0; n < 1'000; ++n)
    EXPECT_LT(policy.next(1, unavailable, start, start + 50ms, random).value_or(0ms), 50ms);
}

TEST(RetryPolicy, RetriesAFifthOfTheCallsAtMost) {
  RetryOptions options;
  options.reserve = 0;
  RetryPolicy policy(options);
  SeededRandom random(1);
  int retries = 0;
  for (int call = 0; call < 1'000; ++call) {
    policy.on_call();
    for (int attempt = 1; policy.next(attempt, unavailable, start, never, random); ++attempt)
      ++retries;
  }
  EXPECT_EQ(retries, 200);
}

TEST(RetryPolicy, SavesNoMoreThanAHundredRetries) {
  RetryPolicy policy;
  SeededRandom random(1);
  for (int call = 0; call < 100'000; ++call) policy.on_call();
  int retries = 0;
  while (policy.next(1, unavailable, start, never, random)) ++retries;
  EXPECT_EQ(retries, 100);
}

}  // namespace
}  // namespace actionflows
