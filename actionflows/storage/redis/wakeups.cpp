#include "actionflows/storage/redis/wakeups.hpp"

#include <algorithm>
#include <utility>

namespace actionflows::redis {
namespace {

// As many as calls can fail in a row of outages; of more some are forgotten.
constexpr std::size_t max_doubted = 10'000;

// Ids have no spaces.
std::string doubt_of(const SessionId& session, const std::string& operation) {
  return std::string(session.str()).append(" ").append(operation);
}

}  // namespace

std::unique_ptr<Subscription> Wakeups::subscribe(std::optional<SessionId> session) {
  if (!session) return hub_.subscribe(std::nullopt);
  const std::lock_guard lock(mutex_);
  const bool followed = hub_.follows(*session);
  const auto [found, first] = told_.try_emplace(session->str());
  if (!first && !followed) found->second.reset();
  return hub_.subscribe(std::move(session));
}

void Wakeups::doubt(const SessionId& session, const std::string& operation) {
  {
    const std::lock_guard lock(mutex_);
    if (doubted_.size() >= max_doubted) doubted_.erase(doubted_.begin());
    doubted_.insert(doubt_of(session, operation));
  }
  hub_.miss();
}

void Wakeups::was_applied(const SessionId& session, const std::string& operation) {
  {
    const std::lock_guard lock(mutex_);
    if (doubted_.empty() || doubted_.erase(doubt_of(session, operation)) == 0) return;
  }
  hub_.miss();
}

void Wakeups::publish(const Wakeup& wakeup) {
  if (hub_.idle()) return;
  {
    const std::lock_guard lock(mutex_);
    const auto found = told_.find(wakeup.session.str());
    if (found != told_.end()) found->second = std::max(found->second.value_or(0), wakeup.sequence);
  }
  hub_.publish(wakeup);
}

std::vector<Wakeups::Followed> Wakeups::followed() {
  const std::lock_guard lock(mutex_);
  std::vector<Followed> all;
  boost::unordered_flat_map<std::string, std::optional<std::uint64_t>> kept;
  for (SessionId& session : hub_.followed()) {
    const auto found = told_.find(session.str());
    if (found == told_.end()) continue;
    kept.insert(*found);
    if (found->second) all.push_back({std::move(session), *found->second});
  }
  told_.swap(kept);
  return all;
}

void Wakeups::remember(const SessionId& session, std::uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  auto& told = told_[session.str()];
  if (!told) told = sequence;
}

void Wakeups::looked(const Wakeup& wakeup, std::uint64_t told_before) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = told_.find(wakeup.session.str());
    if (found == told_.end() || found->second != told_before) return;
    if (wakeup.sequence == told_before) return;
    found->second = wakeup.sequence;
  }
  hub_.publish(wakeup);
}

}  // namespace actionflows::redis
