// What is known of which records of a session exist.
//
// While the primary is away, what is not known must be told as unavailable and never as absent:
// another instance may have made it. Absent for certain is only what was deleted, because numbers
// of chains and steps are never given twice, and what would have had to be made here.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <cstdint>
#include <map>
#include <set>

namespace actionflows {

// Thread-safety: none.
class Knowledge {
 public:
  void see(RecordKey key, bool present) { keys_[key] = present; }
  void see_made_here(std::uint32_t chain) { made_here_.insert(chain); }
  // The session was created here while the primary was away: there is nothing else of it.
  void see_all() { all_ = true; }
  // Some of it may be in the primary, where others add to it.
  void share() {
    all_ = false;
    made_here_.clear();
  }

  [[nodiscard]] bool present(RecordKey key) const {
    const auto found = keys_.find(key);
    return found != keys_.end() && found->second;
  }

  // Whether a record that is not present here is so everywhere.
  [[nodiscard]] bool surely_absent(RecordKey key) const {
    if (ended_ && key == RecordKey::of_session()) return true;
    if (all_ || (key.chain != 0 && made_here_.contains(key.chain))) return true;
    const auto found = keys_.find(key);
    if (found == keys_.end() || found->second) return false;
    return key.chain != 0 && has_later_sibling(key);
  }

  [[nodiscard]] bool all() const { return all_; }
  [[nodiscard]] const std::map<RecordKey, bool>& keys() const { return keys_; }
  [[nodiscard]] std::size_t size() const { return keys_.size() + made_here_.size(); }

  // What `commit` makes and removes, done here while the primary is away or not.
  void note(const Commit& commit, bool primary_away) {
    for (const Put& put : commit.puts) {
      see(put.key, true);
      const bool made = put.expected_version == 0;
      if (primary_away && made && put.key.step == 0 && put.key.chain != 0)
        see_made_here(put.key.chain);
    }
    for (const Expect& erase : commit.erases) see(erase.key, false);
    if (commit.end_session) ended_ = true;
  }

 private:
  // A greater number was given: this one, too, and its record was deleted.
  [[nodiscard]] bool has_later_sibling(RecordKey key) const {
    for (auto at = keys_.upper_bound(key); at != keys_.end(); ++at) {
      const bool same_parent = key.step == 0 || at->first.chain == key.chain;
      if (!same_parent) return false;
      if (at->second && (key.step != 0 || at->first.chain > key.chain)) return true;
    }
    return false;
  }

  std::map<RecordKey, bool> keys_;
  std::set<std::uint32_t> made_here_;  // chains
  bool all_ = false;
  bool ended_ = false;  // by a commit here
};

}  // namespace actionflows
