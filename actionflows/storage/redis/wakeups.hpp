// The wake-ups of this process's followers, and up to where each followed session has been told: so
// that a look at its log finds what was missed, and nothing twice.
#pragma once

#include "actionflows/storage/wakeup_hub.hpp"

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

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
  // Of a session: it is looked at once it is known, by `remember`, from where on.
  std::unique_ptr<Subscription> subscribe(std::optional<SessionId> session);
  // An operation's commit has failed and may be applied all the same, later than its followers were
  // told to look. Who finds out by a repeat that it was lets them look again.
  void doubt(const SessionId& session, const std::string& operation);
  void was_applied(const SessionId& session, const std::string& operation);
  // Calls for one session in the order of its commits.
  void publish(const Wakeup& wakeup);
  void miss() { hub_.miss(); }

  struct Followed {
    SessionId session;
    std::uint64_t told = 0;  // up to here
  };
  // The sessions to look at; those that nobody follows any more are forgotten.
  std::vector<Followed> followed();
  // Since it is followed its log was seen to stand at `sequence`: what came until then is no news.
  // Where that is known already, what was not told yet still is.
  void remember(const SessionId& session, std::uint64_t sequence);
  // The log of `wakeup.session`, which had been told up to `told_before`, stands at another number
  // since then: tells it, also where that is a lower one, of a new life. Where something was told
  // meanwhile, the next look does.
  void looked(const Wakeup& wakeup, std::uint64_t told_before);

 private:
  WakeupHub hub_;
  std::mutex mutex_;
  // guarded by mutex_, and locked before the hub; nullopt: not known yet
  boost::unordered_flat_map<std::string, std::optional<std::uint64_t>> told_;
  boost::unordered_flat_set<std::string> doubted_;  // guarded by mutex_
};

}  // namespace actionflows::redis
