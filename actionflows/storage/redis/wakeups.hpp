// The wake-ups of this process's followers, and up to where each followed session has been told: so
// that a look at its log finds what was missed, and nothing twice.
#pragma once

#include "actionflows/storage/wakeup_hub.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace actionflows::redis {

// Thread-safety: shared objects: safe.
class Wakeups {
 public:
  explicit Wakeups(std::size_t max_pending) : hub_(max_pending) {}

  [[nodiscard]] bool idle() const noexcept { return hub_.idle(); }
  std::unique_ptr<Subscription> subscribe(std::optional<SessionId> session) {
    return hub_.subscribe(std::move(session));
  }
  // Calls for one session in the order of its commits.
  void publish(const Wakeup& wakeup);
  void miss() { hub_.miss(); }

  // The followed sessions; those that nobody follows any more are forgotten.
  std::vector<SessionId> followed();
  // Before it is followed: its log stands at `sequence`, and what came until then is no news. Where
  // somebody follows it already, what was not told yet still is.
  void remember(const SessionId& session, std::uint64_t sequence);
  // The log of `wakeup.session` stands at `wakeup.sequence`: tells it where that is news.
  void looked(const Wakeup& wakeup);

 private:
  WakeupHub hub_;
  std::mutex mutex_;
  boost::unordered_flat_map<std::string, std::uint64_t> told_;  // guarded by mutex_
};

}  // namespace actionflows::redis
