// Nothing acknowledged is lost, nothing is applied twice, absence is never told for what is only
// out of reach, and all processes come to agree: over some thousand seeded runs.
//
// To repeat one run: ACTIONFLOWS_SEED=17 simulation_tests --gtest_filter='*RepeatsOneSeed'
#include "tests/simulation/simulation.hpp"

#include "tests/support/sanitized.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace actionflows::test {
namespace {

// Runs don't know of each other: each stands on one thread, and all cores take part.
std::vector<Outcome> simulate_all(std::uint64_t count) {
  std::vector<Outcome> outcomes(count);
  std::atomic<std::uint64_t> next{0};
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < std::max(1U, std::thread::hardware_concurrency()); ++n)
    threads.emplace_back([&] {
      for (std::uint64_t at = next++; at < count && failures < 5; at = next++) {
        outcomes[at] = simulate(at + 1);
        if (!outcomes[at].broken.empty()) ++failures;
      }
    });
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

TEST(Simulation, KeepsEveryPromise) {
  const std::uint64_t usual = sanitized ? 200 : 5'000;
  const std::uint64_t count = number_from_environment("ACTIONFLOWS_SEEDS").value_or(usual);
  Outcome sum;
  int failures = 0;
  std::uint64_t seed = 0;
  for (const Outcome& outcome : simulate_all(count)) {
    ++seed;
    if (!outcome.broken.empty()) {
      ++failures;
      ADD_FAILURE() << "ACTIONFLOWS_SEED=" << seed << ": " << outcome.broken;
    }
    sum.acknowledged += outcome.acknowledged;
    sum.degraded += outcome.degraded;
    sum.crashes += outcome.crashes;
    sum.restarts += outcome.restarts;
    sum.empty_restarts += outcome.empty_restarts;
    sum.conflicts += outcome.conflicts;
    sum.set_aside += outcome.set_aside;
  }
  std::cout << count << " seeds: " << sum.acknowledged << " commits acknowledged, " << sum.degraded
            << " of them while the primary was away, " << sum.crashes << " crashes, "
            << sum.restarts << " restarts of the primary with its data and " << sum.empty_restarts
            << " without, " << sum.conflicts << " conflicts, " << sum.set_aside << " set aside\n";
  // A simulation in which nothing happens proves nothing.
  if (failures == 0 && count >= 100) {
    EXPECT_GT(sum.degraded, static_cast<int>(count));
    EXPECT_GT(sum.crashes, static_cast<int>(count));
    EXPECT_GT(sum.conflicts, 0);
    EXPECT_GT(sum.restarts, 0);
    EXPECT_GT(sum.empty_restarts, 0);
    EXPECT_GT(sum.set_aside, 0);
  }
}

TEST(Simulation, RepeatsOneSeed) {
  const auto seed = number_from_environment("ACTIONFLOWS_SEED");
  if (!seed) GTEST_SKIP() << "ACTIONFLOWS_SEED is not set";
  EXPECT_EQ(simulate(*seed).broken, "");
}

}  // namespace
}  // namespace actionflows::test
