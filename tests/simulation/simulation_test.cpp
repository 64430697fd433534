// Nothing acknowledged is lost, nothing is applied twice, absence is never told for what is only
// out of reach, and all processes come to agree: over some thousand seeded runs.
//
// To repeat one run: ACTIONFLOWS_SEED=17 simulation_tests --gtest_filter='*RepeatsOneSeed'
#include "tests/simulation/simulation.hpp"

#include "tests/support/sanitized.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string_view>
#include <thread>
#include <utility>
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

// What is counted, by name.
using Count = std::pair<std::string_view, int Outcome::*>;
constexpr std::array<Count, 17> counts{{
    {"commits acknowledged", &Outcome::acknowledged},
    {"of them while the primary was away", &Outcome::degraded},
    {"asked for once more", &Outcome::repeated},
    {"touches", &Outcome::touches},
    {"crashes", &Outcome::crashes},
    {"restarts of the primary with its data", &Outcome::restarts},
    {"without", &Outcome::empty_restarts},
    {"with older data", &Outcome::older_restarts},
    {"times the primary was full", &Outcome::refusals},
    {"conflicts", &Outcome::conflicts},
    {"set aside in the end", &Outcome::set_aside},
    {"retried", &Outcome::retried},
    {"dropped", &Outcome::dropped},
    {"sessions deleted", &Outcome::deleted},
    {"sessions expired", &Outcome::expired},
    {"chains archived", &Outcome::archived},
    {"rewinds of followers", &Outcome::rewinds},
}};

TEST(Simulation, KeepsEveryPromise) {
  const std::uint64_t usual = sanitized ? 100 : 5'000;
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
    for (const auto& [name, of] : counts) sum.*of += outcome.*of;
  }
  std::cout << count << " seeds";
  for (const auto& [name, of] : counts) std::cout << ", " << sum.*of << " " << name;
  std::cout << "\n";
  // A simulation in which nothing happens proves nothing.
  if (failures != 0 || count < 100) return;
  EXPECT_GT(sum.degraded, static_cast<int>(count));
  EXPECT_GT(sum.crashes, static_cast<int>(count));
  for (const auto& [name, of] : counts) EXPECT_GT(sum.*of, 0) << name;
}

TEST(Simulation, RepeatsOneSeed) {
  const auto seed = number_from_environment("ACTIONFLOWS_SEED");
  if (!seed) GTEST_SKIP() << "ACTIONFLOWS_SEED is not set";
  const auto tell = [](std::string_view line) { std::cout << line << "\n"; };
  EXPECT_EQ(simulate(*seed, tell).broken, "");
}

}  // namespace
}  // namespace actionflows::test
