// What all parts of a simulation share.
#pragma once

#include "actionflows/base/fake_clock.hpp"
#include "actionflows/base/random.hpp"
#include "actionflows/storage/resilient/testing/link.hpp"
#include "actionflows/storage/storage.hpp"
#include "tests/simulation/ledger.hpp"
#include "tests/simulation/primary.hpp"
#include "tests/simulation/simulation.hpp"

#include <boost/asio/io_context.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::test {

inline constexpr std::size_t processes = 2;
inline constexpr std::chrono::seconds loss_hold{30};

struct Process {
  std::size_t number = 0;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  std::unique_ptr<Clock> clock;
  std::shared_ptr<Link> link;
  std::unique_ptr<Storage> storage;

  std::set<SessionId> seen;                    // its newest answer was the primary's
  std::map<SessionId, Clock::Monotonic> held;  // seen, and lost: not to be told as absent
  std::map<SessionId, Timestamp> lives_until;  // at the least, as it was told
};

struct Scene {
  Scene(std::uint64_t seed, std::chrono::milliseconds session_lifetime)
      : random(seed), lifetime(session_lifetime) {}

  [[nodiscard]] bool chance(std::uint64_t percent) { return random.below(100) < percent; }
  void fail(const std::string& what) {
    if (out.broken.empty()) out.broken = what;
  }
  void note(const std::string& what) {
    if (tell) tell(format_rfc3339(clock.now()) + " " + what);
  }
  [[nodiscard]] int losses() const { return out.empty_restarts + out.older_restarts; }

  std::function<void(std::string_view)> tell;
  SeededRandom random;
  FakeClock clock;
  const std::chrono::milliseconds lifetime;  // of sessions
  const std::shared_ptr<Primary> primary = std::make_shared<Primary>();
  std::unique_ptr<boost::asio::io_context> context = std::make_unique<boost::asio::io_context>(1);
  std::vector<std::shared_ptr<Journal>> journals;
  std::array<Process*, processes> current{};
  Ledger ledger{*primary, journals, clock, lifetime};
  Outcome out;
};

}  // namespace actionflows::test
