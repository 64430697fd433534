#include "actionflows/storage/resilient/journal.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <algorithm>
#include <mutex>
#include <utility>

namespace actionflows {

std::string_view to_string(JournalKind kind) {
  switch (kind) {
    case JournalKind::base: return "base";
    case JournalKind::change: return "change";
    case JournalKind::touch: return "touch";
    case JournalKind::retried: return "retried";
  }
  return "change";
}

namespace {

class MemoryJournal final : public Journal {
 public:
  Task<std::uint64_t> append(JournalKind kind, std::shared_ptr<const Commit> commit,
                             Timestamp at) override {
    const std::lock_guard lock(mutex_);
    const std::uint64_t id = ++last_id_;
    entries_.emplace(id, JournalEntry{id, kind, at, std::move(commit), {}, false});
    co_return id;
  }

  Task<void> remove(std::span<const std::uint64_t> ids) override {
    const std::lock_guard lock(mutex_);
    for (const std::uint64_t id : ids) entries_.erase(id);
    co_return;
  }

  Task<void> poison(std::uint64_t id, std::string_view reason) override {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(id);
    if (found != entries_.end()) found->second.poison = reason;
    co_return;
  }

  bool retry(std::uint64_t id) override {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end() || found->second.poison.empty()) return false;
    found->second.poison.clear();
    if (found->second.kind == JournalKind::change) found->second.kind = JournalKind::retried;
    return true;
  }

  std::vector<JournalEntry> entries() override {
    const std::lock_guard lock(mutex_);
    std::vector<JournalEntry> all;
    for (const auto& [id, entry] : entries_) all.push_back(entry);
    std::ranges::sort(all, {}, &JournalEntry::id);
    return all;
  }

  Task<bool> changed_by_others() override { co_return false; }
  [[nodiscard]] const std::string& damage() const override { return no_damage_; }
  [[nodiscard]] bool durable() const override { return false; }

 private:
  const std::string no_damage_;
  std::mutex mutex_;
  // guarded by mutex_
  boost::unordered_flat_map<std::uint64_t, JournalEntry> entries_;
  std::uint64_t last_id_ = 0;
};

}  // namespace

std::unique_ptr<Journal> make_memory_journal() { return std::make_unique<MemoryJournal>(); }

}  // namespace actionflows
