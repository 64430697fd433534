#include "actionflows/storage/resilient/circuit_breaker.hpp"

#include <gtest/gtest.h>

namespace actionflows {
namespace {

using namespace std::chrono_literals;

class CircuitBreakerTest : public testing::Test {
 protected:
  void results(int count, bool success) {
    if (success) breaker.on_answers(count, 0, now);
    for (int n = 0; n < count && !success; ++n) breaker.on_failure(CallKind::read, now);
  }
  void open() {
    results(5, false);
    ASSERT_EQ(breaker.state(), BreakerState::open);
  }

  CircuitBreaker breaker;
  Clock::Monotonic now = Clock::Monotonic() + 1h;
};

TEST_F(CircuitBreakerTest, OpensOnFiveFailuresInARow) {
  results(4, false);
  results(1, true);
  results(4, false);
  EXPECT_TRUE(breaker.admits());
  EXPECT_TRUE(breaker.on_failure(CallKind::read, now));
  EXPECT_FALSE(breaker.admits());
}

// A replica, or a server whose disk is full, answers reads: for as long as there were many of them
// the circuit stayed closed, and every write failed.
TEST_F(CircuitBreakerTest, OpensOnFiveFailedWritesInARowWhateverIsRead) {
  const auto write_fails = [&] {
    results(10, true);
    return breaker.on_failure(CallKind::write, now);
  };
  for (int n = 0; n < 4; ++n) EXPECT_FALSE(write_fails());
  breaker.on_answers(0, 1, now);
  for (int n = 0; n < 4; ++n) EXPECT_FALSE(write_fails());
  EXPECT_TRUE(write_fails());
  EXPECT_FALSE(breaker.admits());
}

TEST_F(CircuitBreakerTest, OpensOnHalfOfTwentyCalls) {
  for (int n = 0; n < 9; ++n) {
    results(1, true);
    results(1, false);
  }
  results(1, true);
  EXPECT_TRUE(breaker.admits());
  results(1, false);
  EXPECT_EQ(breaker.state(), BreakerState::open);
}

TEST_F(CircuitBreakerTest, ForgetsWhatIsOlderThanItsWindow) {
  for (int n = 0; n < 9; ++n) {
    results(1, true);
    results(1, false);
  }
  now += 31s;
  results(1, true);
  results(1, false);
  EXPECT_TRUE(breaker.admits());
}

TEST_F(CircuitBreakerTest, ProbesOnceWhenItsTimeIsOver) {
  open();
  now += 4999ms;
  EXPECT_FALSE(breaker.try_probe(now));
  now += 1ms;
  EXPECT_TRUE(breaker.try_probe(now));
  EXPECT_EQ(breaker.state(), BreakerState::half_open);
  EXPECT_FALSE(breaker.admits());
  EXPECT_FALSE(breaker.try_probe(now));
}

TEST_F(CircuitBreakerTest, ClosesByTheProbesSuccessAndBeginsAnew) {
  open();
  now += 5s;
  breaker.on_probe(breaker.try_probe(now).value(), true, now);
  EXPECT_TRUE(breaker.admits());
  results(4, false);
  EXPECT_TRUE(breaker.admits());
  results(1, false);
  EXPECT_EQ(breaker.next_probe(), now + 5s);
}

TEST_F(CircuitBreakerTest, StaysOpenLongerAfterEachFailedProbeUpToABound) {
  open();
  for (const auto wait : {5s, 8s, 8s}) {
    EXPECT_EQ(breaker.next_probe(), now + wait);
    now += wait;
    breaker.on_probe(breaker.try_probe(now).value(), false, now);
  }
}

// A permit whose holder never came back kept such a breaker stuck for good.
TEST_F(CircuitBreakerTest, TakesBackALeaseThatRanOut) {
  open();
  now += 5s;
  const auto lost = breaker.try_probe(now).value();
  now += 4999ms;
  EXPECT_FALSE(breaker.try_probe(now));
  now += 1ms;
  const auto second = breaker.try_probe(now).value();
  breaker.on_probe(lost, true, now);
  EXPECT_EQ(breaker.state(), BreakerState::half_open) << "the lost permit counts no more";
  breaker.on_probe(second, true, now);
  EXPECT_TRUE(breaker.admits());
}

TEST_F(CircuitBreakerTest, LateResultsChangeNothing) {
  open();
  results(100, true);
  EXPECT_EQ(breaker.state(), BreakerState::open);
  now += 5s;
  const auto permit = breaker.try_probe(now).value();
  results(100, false);
  EXPECT_EQ(breaker.state(), BreakerState::half_open);
  breaker.on_probe(permit, true, now);
  EXPECT_TRUE(breaker.admits());
}

}  // namespace
}  // namespace actionflows
