// The part of Outage that brings what is in the journal into the primary.
#include "actionflows/storage/commit_checks.hpp"
#include "actionflows/storage/resilient/outage.hpp"

#include <algorithm>
#include <utility>

namespace actionflows {
namespace {

// How often a rebased commit that meets yet another writer is tried.
constexpr int max_rebases = 16;

// The commit, to be applied once however often it is sent; owned by whoever sends it.
auto sending(const std::shared_ptr<StorageDriver>& primary, Commit commit) {
  commit.may_repeat = true;
  const auto kept = std::make_shared<const Commit>(std::move(commit));
  return [primary, kept](int) -> std::function<Task<CommitResult>()> {
    return [primary, kept] { return primary->commit(*kept); };
  };
}

auto reading(const std::shared_ptr<StorageDriver>& primary, const SessionId& session,
             std::vector<RecordKey> keys) {
  const auto kept = std::make_shared<const std::pair<SessionId, std::vector<RecordKey>>>(
      session, std::move(keys));
  return [primary, kept](int) -> std::function<Task<ReadResult>()> {
    return [primary, kept] { return primary->read(kept->first, kept->second); };
  };
}

auto reading_events(const std::shared_ptr<StorageDriver>& primary, const SessionId& session,
                    EventQuery query) {
  const auto kept = std::make_shared<const std::pair<SessionId, EventQuery>>(session, query);
  return [primary, kept](int) -> std::function<Task<EventPage>()> {
    return [primary, kept] { return primary->read_events(kept->first, kept->second); };
  };
}

auto touching(const std::shared_ptr<StorageDriver>& primary, const Commit& touch) {
  const auto kept =
      std::make_shared<const std::pair<SessionId, Activity>>(touch.session, *touch.activity);
  return [primary, kept](int) -> std::function<Task<bool>()> {
    return [primary, kept] { return primary->touch(kept->first, kept->second); };
  };
}

// Records that were made by commits which are set aside. What stands under their numbers at the
// primary, in whichever version, was made by others.
class Orphans {
 public:
  void note(const Commit& commit) {
    for (const Put& put : commit.puts)
      if (put.expected_version == 0) made_.insert(put.key);
  }

  // Why `commit` can't be applied to what stands there; empty: it can.
  [[nodiscard]] std::string touched_by(const Commit& commit) const {
    const auto ours = [&](RecordKey key) {
      return made_.contains(key) || made_.contains(RecordKey::of_chain(key.chain));
    };
    const auto changes = [&](const auto& change) { return ours(change.key); };
    const bool touched =
        made_.contains(RecordKey::of_session()) ||
        std::any_of(commit.puts.begin(), commit.puts.end(), changes) ||
        std::any_of(commit.erases.begin(), commit.erases.end(), changes) ||
        std::any_of(commit.archive.begin(), commit.archive.end(),
                    [&](std::uint32_t chain) { return ours(RecordKey::of_chain(chain)); });
    return touched ? "it changes what a commit that was set aside has made" : "";
  }

 private:
  std::set<RecordKey> made_;
};

bool set_aside_or_base(const JournalEntry& entry) {
  return entry.kind == JournalKind::base || !entry.poison.empty();
}

// Whether the first entry that waits makes the session.
bool begins_anew(const std::vector<JournalEntry>& entries) {
  const auto first = std::find_if_not(entries.begin(), entries.end(), set_aside_or_base);
  return first != entries.end() && creates_session(*first->commit);
}

// A session's entries by outage: what was set aside in one stays in the journal, and the next has
// a base of its own, or makes the session anew.
std::vector<std::vector<JournalEntry>> by_outage(std::vector<JournalEntry> entries) {
  std::vector<std::vector<JournalEntry>> outages;
  for (JournalEntry& entry : entries) {
    const bool anew = entry.commit->precondition == Precondition::fresh && !outages.empty() &&
                      std::all_of(outages.back().begin(), outages.back().end(), set_aside_or_base);
    if (outages.empty() || anew || entry.kind == JournalKind::base) outages.emplace_back();
    outages.back().push_back(std::move(entry));
  }
  return outages;
}

bool nothing_waits(const std::vector<JournalEntry>& entries) {
  return std::all_of(entries.begin(), entries.end(), set_aside_or_base);
}

// Whether the commit means records as they were in some version.
bool relies_on_versions(const Commit& commit) {
  const auto has_version = [](const auto& each) { return each.version != 0; };
  const auto replaces = [](const Put& put) { return put.expected_version != 0; };
  return std::any_of(commit.puts.begin(), commit.puts.end(), replaces) ||
         std::any_of(commit.expects.begin(), commit.expects.end(), has_version) ||
         !commit.erases.empty() || !commit.archive.empty() || commit.end_session;
}

void advance(Lineage& lineage, const Commit& commit) {
  for (const Put& put : commit.puts) lineage[put.key] = put.bytes;
  for (const Expect& erase : commit.erases) lineage.erase(erase.key);
}

}  // namespace

// ---- after a restart ----------------------------------------------------------------------------

// All entries by session, bases and those set aside included, of the sessions that have some to
// replay.
Task<std::map<SessionId, std::vector<JournalEntry>>> Outage::waiting() {
  std::map<SessionId, std::vector<JournalEntry>> by_session;
  for (JournalEntry& entry : journal_->entries()) {
    const SessionId session = entry.commit->session;
    by_session[session].push_back(std::move(entry));
  }
  std::uint64_t poisoned = 0;
  std::vector<std::uint64_t> useless;
  const auto nothing_to_replay = [&](const auto& session) {
    const std::vector<JournalEntry>& entries = session.second;
    const auto is_base = [](const auto& entry) { return entry.kind == JournalKind::base; };
    if (std::all_of(entries.begin(), entries.end(), is_base))
      for (const JournalEntry& entry : entries) useless.push_back(entry.id);
    for (const JournalEntry& entry : entries)
      if (!entry.poison.empty()) ++poisoned;
    return nothing_waits(entries);
  };
  std::erase_if(by_session, nothing_to_replay);
  if (!useless.empty()) co_await journal_->remove(useless);
  poisoned_.store(poisoned, std::memory_order_relaxed);
  co_return by_session;
}

Task<void> Outage::resume() {
  if (!journal_->damage().empty()) tell(journal_->damage());
  std::size_t entries = 0;
  std::map<SessionId, std::vector<JournalEntry>> left = co_await waiting();
  for (auto& [session, all] : left) {
    std::vector<std::vector<JournalEntry>> outages = by_outage(std::move(all));
    std::vector<JournalEntry> last = std::move(outages.back());
    outages.pop_back();
    // What waits of earlier ones somebody has let in again.
    if (!std::all_of(outages.begin(), outages.end(), nothing_waits)) look_again_.store(true);
    if (nothing_waits(last)) continue;
    const std::shared_ptr<Diverted> diverted = find_or_divert(session);
    diverted->entries = std::move(last);
    co_await rebuild(*diverted);
    entries += diverted->entries.size();
    co_await drop_if_unused(*diverted);
  }
  if (entries != 0)
    tell("journal holds " + std::to_string(entries) + " entries of before, to be replayed");
}

// The fallback as it was when the entries were acknowledged.
Task<void> Outage::rebuild(Diverted& diverted) {
  co_await fallback_->erase_session(diverted.session);
  std::vector<JournalEntry> entries = std::exchange(diverted.entries, {});
  for (std::size_t i = 0; i < entries.size(); ++i) {
    JournalEntry& entry = entries[i];
    if (entry.kind == JournalKind::base) {
      diverted.base_ids.push_back(entry.id);
      co_await place_base(diverted, *entry.commit);
      continue;
    }
    const bool accepted = co_await rebuild_entry(diverted, entry);
    // The process can have ended between the journal and the fallback's refusal: only the last.
    const bool never_acknowledged = !accepted && i + 1 == entries.size();
    if (never_acknowledged) {
      co_await journal_->remove(std::span(&entry.id, 1));
      continue;
    }
    if (entry.poison.empty()) {
      const std::lock_guard lock(mutex_);
      waiting_.emplace(entry.id, entry.at);
    }
    diverted.poisoned |= !entry.poison.empty();
    diverted.entries.push_back(std::move(entry));
  }
}

Task<bool> Outage::rebuild_entry(Diverted& diverted, const JournalEntry& entry) {
  try {
    if (entry.kind == JournalKind::touch) {
      co_await fallback_->touch(diverted.session, *entry.commit->activity);
    } else {
      co_await fallback_->commit(*entry.commit);
      const std::lock_guard lock(diverted.mutex);
      diverted.knowledge.note(*entry.commit, false);  // a replay may have begun before
    }
  } catch (const StorageError& error) {
    if (is_failure(error)) throw;
    co_return false;
  }
  co_return true;
}

// ---- replay -------------------------------------------------------------------------------------

// All or nothing leaves the journal: the fallback could not be rebuilt from a part. What was done
// before a replay was cut off is known again by its operation ids.
Task<void> Outage::replay(Diverted& diverted, Gate& gate, Clock::Monotonic until) {
  const Primary primary{gate, until};
  const std::optional<std::set<std::string>> applied = co_await operations_since(diverted, primary);
  hold_loss(diverted, !applied);
  {
    const std::lock_guard lock(diverted.mutex);
    diverted.knowledge.share();
  }
  diverted.diverged = diverted.poisoned;
  Lineage lineage = diverted.lineage;
  Orphans orphans;
  for (JournalEntry& entry : diverted.entries) {
    const bool change = entry.kind == JournalKind::change;
    const bool done = change && applied && applied->contains(entry.commit->operation_id);
    const bool waits = !done && entry.poison.empty();
    const std::string why = applied ? orphans.touched_by(*entry.commit)
                                    : std::string("the primary storage has lost the session");
    if (waits && change && !why.empty()) {
      co_await set_aside(diverted, entry, why);
    } else if (waits && why.empty()) {
      check_time(until, diverted.session);
      co_await replay_entry(diverted, primary, entry, lineage);
    }
    if (!entry.poison.empty()) orphans.note(*entry.commit);
    // Done in another place than it has here: before what stands before it.
    if (done) diverted.diverged = true;
    advance(lineage, *entry.commit);
  }
  co_await finish(diverted);
}

// A call to the primary that this deadline would cut off is not begun: it would count against it.
void Outage::check_time(Clock::Monotonic until, const SessionId& session) const {
  const auto one_call = std::min(options_.attempt_timeout, options_.call_timeout / 4);
  if (until - clock_.monotonic() < one_call)
    throw failure(ErrorCode::timeout, "the session's replay takes longer than the call may",
                  "replay", session.str());
}

// Also by an earlier replay of this journal that did not come to its end, however many events ago.
Task<std::optional<std::set<std::string>>> Outage::operations_since(Diverted& diverted,
                                                                    Primary primary) {
  std::set<std::string> operations;
  EventQuery query;
  const std::uint64_t seen = diverted.seen_sequence;
  query.after = seen > 0 ? seen - 1 : 0;
  for (;;) {
    const EventPage page = co_await primary.gate.call<EventPage>(
        reading_events(primary.gate.primary(), diverted.session, query), primary.deadline());
    // A log that does not reach to where it was, or has another event there, is another's.
    if (page.last_sequence < seen) co_return std::nullopt;
    if (page.last_sequence == 0 && !begins_anew(diverted.entries)) co_return std::nullopt;
    for (const StoredEvent& event : page.events) {
      const bool known = event.sequence == seen && !diverted.seen_operation.empty();
      if (known && event.operation_id != diverted.seen_operation) co_return std::nullopt;
      if (event.sequence > seen) operations.insert(event.operation_id);
    }
    if (page.events.empty() || page.events.back().sequence >= page.last_sequence)
      co_return operations;
    query.after = page.events.back().sequence;
  }
}

void Outage::hold_loss(Diverted& diverted, bool lost) const {
  if (!lost) return diverted.lost_since.reset();
  const Clock::Monotonic now = clock_.monotonic();
  if (!diverted.lost_since) {
    diverted.lost_since = now;
    tell("primary storage has lost session " + diverted.session.str() +
         ", which has changes to replay");
  }
  if (now < *diverted.lost_since + options_.loss_hold)
    throw failure(ErrorCode::unavailable, "the primary storage has lost this session", "replay",
                  diverted.session.str());
}

Task<void> Outage::replay_entry(Diverted& diverted, Primary primary, JournalEntry& entry,
                                const Lineage& lineage) {
  std::string why;
  try {
    if (entry.kind == JournalKind::touch) {
      co_await primary.gate.call<bool>(touching(primary.gate.primary(), *entry.commit),
                                       primary.deadline());
    } else {
      const bool diverged = diverted.diverged && relies_on_versions(*entry.commit);
      const bool diverges = co_await replay_commit(primary, *entry.commit, lineage, diverged);
      if (diverges) diverted.diverged = true;
    }
    replayed_.fetch_add(1, std::memory_order_relaxed);
  } catch (const StorageError& error) {
    if (is_failure(error)) throw;
    why = error.message();
  }
  if (why.empty()) co_return;
  co_await set_aside(diverted, entry, why);
  diverted.diverged = true;
}

// Whether all that the commit means is, byte for byte, what it was made from.
Task<bool> Outage::stands_as_known(Primary primary, const Commit& commit, const Lineage& lineage) {
  std::map<RecordKey, std::uint64_t> versions;
  for (const Put& put : commit.puts)
    if (put.expected_version != 0) versions[put.key] = put.expected_version;
  for (const auto* list : {&commit.expects, &commit.erases})
    for (const Expect& each : *list)
      if (each.version != 0) versions[each.key] = each.version;
  std::vector<RecordKey> keys;
  for (const auto& [key, version] : versions) keys.push_back(key);
  const ReadResult read = co_await primary.gate.call<ReadResult>(
      reading(primary.gate.primary(), commit.session, keys), primary.deadline());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto& stands = read.records[i];
    const auto known = lineage.find(keys[i]);
    const bool same = stands && known != lineage.end() && stands->version == versions[keys[i]] &&
                      stands->bytes.view() == known->second.view();
    if (!same) co_return false;
  }
  co_return commit.archive.empty() && !commit.end_session;
}

// Whether it stands there in another place or in another form than here.
Task<bool> Outage::replay_commit(Primary primary, const Commit& commit, const Lineage& lineage,
                                 bool diverged) {
  bool fits = true;
  if (diverged) fits = co_await stands_as_known(primary, commit, lineage);
  if (fits) {
    try {
      const CommitResult result = co_await primary.gate.call<CommitResult>(
          sending(primary.gate.primary(), commit), primary.deadline());
      co_return result.repeated;
    } catch (const StorageError& error) {
      if (error.code() != ErrorCode::conflict) throw;
    }
  }
  co_await replay_rebased(primary, commit, lineage);
  co_return true;
}

Task<void> Outage::replay_rebased(Primary primary, const Commit& commit, const Lineage& lineage) {
  // An expiry that no longer holds is none.
  if (commit.precondition == Precondition::expired) co_return;
  for (int attempt = 1;; ++attempt) {
    std::vector<RecordKey> keys = rebase_keys(commit);
    ReadResult read = co_await primary.gate.call<ReadResult>(
        reading(primary.gate.primary(), commit.session, keys), primary.deadline());
    const std::vector<RecordKey> more = rebase_more_keys(commit, keys, read);
    if (!more.empty()) {
      keys.insert(keys.end(), more.begin(), more.end());
      read = co_await primary.gate.call<ReadResult>(
          reading(primary.gate.primary(), commit.session, keys), primary.deadline());
    }
    // Lost since the replay began, it may be made anew from the first entry on.
    if (!read.owner) throw failure(ErrorCode::unavailable, "the session is lost", "replay");
    if (commit.end_session && !read.live) co_return;  // it has ended, as it was to
    Rebased rebased = rebase(commit, lineage, keys, read, clock_.now());
    if (!rebased.commit) throw failure(ErrorCode::conflict, rebased.refusal, "replay");
    bool again = false;
    try {
      co_await primary.gate.call<CommitResult>(
          sending(primary.gate.primary(), *std::move(rebased.commit)), primary.deadline());
    } catch (const StorageError& error) {
      again = error.code() == ErrorCode::conflict && attempt < max_rebases;
      if (!again) throw;
    }
    if (again) continue;
    conflicts_.fetch_add(rebased.conflicts, std::memory_order_relaxed);
    co_return;
  }
}

Task<void> Outage::set_aside(Diverted& diverted, JournalEntry& entry, const std::string& why) {
  co_await journal_->poison(entry.id, why);
  entry.poison = why;
  diverted.poisoned = true;
  poisoned_.fetch_add(1, std::memory_order_relaxed);
  tell("journal entry " + std::to_string(entry.id) + " of session " + diverted.session.str() +
       " can't be replayed and is set aside: " + why);
}

// Longer than any call takes, from its reading to its commit.
constexpr std::chrono::seconds break_kept{60};

void Outage::remember_break(const SessionId& session) {
  const Timestamp now = clock_.now();
  const std::lock_guard lock(mutex_);
  breaks_[session] = now;
  has_breaks_.store(true, std::memory_order_release);
}

bool Outage::is_outdated(const Commit& commit) {
  if (!has_breaks()) return false;
  const Timestamp now = clock_.now();
  const std::lock_guard lock(mutex_);
  std::erase_if(breaks_, [&](const auto& each) { return each.second + break_kept < now; });
  has_breaks_.store(!breaks_.empty(), std::memory_order_release);
  if (!relies_on_versions(commit)) return false;
  const auto found = breaks_.find(commit.session);
  return found != breaks_.end() && commit.at <= found->second;
}

Task<void> Outage::finish(Diverted& diverted) {
  shadow_.forget(diverted.session);
  if (diverted.poisoned) remember_break(diverted.session);
  // Entries that were set aside keep what they begin with, for the day they are retried.
  std::vector<std::uint64_t> done = diverted.refused_ids;
  if (!diverted.poisoned)
    done.insert(done.end(), diverted.base_ids.begin(), diverted.base_ids.end());
  for (const JournalEntry& entry : diverted.entries)
    if (entry.poison.empty()) done.push_back(entry.id);
  co_await journal_->remove(done);
  diverted.over.store(true);
  bool was_diverted = false;  // not so an entry that somebody retried
  bool last = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(diverted.session);
    was_diverted = found != sessions_.end() && found->second.get() == &diverted;
    if (was_diverted) sessions_.erase(found);
    last = was_diverted && sessions_.empty();
    count_.store(sessions_.size(), std::memory_order_release);
    for (const JournalEntry& entry : diverted.entries) waiting_.erase(entry.id);
  }
  if (was_diverted) co_await fallback_->erase_session(diverted.session);
  hub_.miss();
  if (last) tell("journal is replayed: all sessions are in the primary storage");
}

Task<void> Outage::replay_retried(Gate& gate) {
  const bool changed = co_await journal_->changed_by_others();
  if (changed) look_again_.store(true);
  if (!look_again_.load() || !gate.admits()) co_return;
  std::map<SessionId, std::vector<JournalEntry>> retriable = co_await waiting();
  for (auto& [session, entries] : retriable) {
    // Else once its own entries are through.
    if (find(session) == nullptr) co_await replay_outages(by_outage(std::move(entries)), gate);
  }
  retriable = co_await waiting();
  look_again_.store(!retriable.empty());
}

Task<void> Outage::replay_outages(std::vector<std::vector<JournalEntry>> outages, Gate& gate) {
  for (std::vector<JournalEntry>& entries : outages) {
    if (nothing_waits(entries)) continue;
    Diverted retried(entries.front().commit->session);
    retried.lost_since = Clock::Monotonic::min();  // whoever retries has had time to look
    for (JournalEntry& entry : entries) {
      if (entry.kind == JournalKind::base) {
        advance(retried.lineage, *entry.commit);
        retried.base_ids.push_back(entry.id);
      } else {
        retried.poisoned |= !entry.poison.empty();
        retried.entries.push_back(std::move(entry));
      }
    }
    co_await replay(retried, gate, Clock::Monotonic::max());
  }
}

}  // namespace actionflows
