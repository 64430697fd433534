// SweepPlan: how much the next sweep looks at, and whether it comes at once. Decides; does nothing.
#pragma once

#include "actionflows/storage/storage.hpp"

#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace actionflows {

// Thread-safety: none.
class SweepPlan {
 public:
  // `limit`: of each kind, in one sweep.
  explicit SweepPlan(std::size_t limit) : limit_(limit) {}

  // What the next sweep may take. Sessions that can't be ended stay at the head of those that have
  // expired: the sweep reaches beyond them, so that those behind have their turn.
  [[nodiscard]] std::size_t limit() const noexcept { return limit_ + stuck_.size(); }

  // Whether the next sweep comes at once: there is more to do, and doing it gets on.
  [[nodiscard]] bool at_once() const noexcept { return at_once_; }

  // Takes what a sweep has done. Returns the failures worth telling: not those of sessions that the
  // sweep before had failed to end, too.
  std::vector<StorageError> take(const Upkeep& done) {
    std::set<std::string> stuck;
    std::vector<StorageError> news;
    for (const StorageError& error : done.failed) {
      if (!stuck_.contains(error.record)) news.push_back(error);
      stuck.insert(error.record);
    }
    stuck_ = std::move(stuck);
    at_once_ = done.more && done.sessions_expired + done.logs_removed + done.chains_removed > 0;
    return news;
  }

 private:
  const std::size_t limit_;
  std::set<std::string> stuck_;  // the sessions that the last sweep could not end
  bool at_once_ = false;
};

}  // namespace actionflows
