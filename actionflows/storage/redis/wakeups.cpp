#include "actionflows/storage/redis/wakeups.hpp"

#include <algorithm>

namespace actionflows::redis {

void Wakeups::publish(const Wakeup& wakeup) {
  if (hub_.idle()) return;
  {
    const std::lock_guard lock(mutex_);
    const auto found = told_.find(wakeup.session.str());
    if (found != told_.end()) found->second = std::max(found->second, wakeup.sequence);
  }
  hub_.publish(wakeup);
}

std::vector<SessionId> Wakeups::followed() {
  std::vector<SessionId> sessions = hub_.followed();
  const std::lock_guard lock(mutex_);
  boost::unordered_flat_map<std::string, std::uint64_t> kept;
  for (const SessionId& session : sessions) {
    const auto found = told_.find(session.str());
    if (found != told_.end()) kept.insert(*found);
  }
  told_.swap(kept);
  return sessions;
}

void Wakeups::remember(const SessionId& session, std::uint64_t sequence) {
  const bool followed = hub_.follows(session);
  const std::lock_guard lock(mutex_);
  const auto [found, first] = told_.try_emplace(session.str(), sequence);
  if (!first && !followed) found->second = sequence;
}

void Wakeups::looked(const Wakeup& wakeup) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = told_.find(wakeup.session.str());
    if (found == told_.end() || wakeup.sequence <= found->second) return;
    found->second = wakeup.sequence;
  }
  hub_.publish(wakeup);
}

}  // namespace actionflows::redis
