// The part of Outage that brings what is in the journal into the primary.
#include "actionflows/storage/commit_checks.hpp"
#include "actionflows/storage/resilient/outage.hpp"

#include <algorithm>
#include <utility>

namespace actionflows {
namespace {

// How often a rebased commit that meets yet another writer is tried.
constexpr int max_rebases = 16;

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

// Records that were made by commits which are set aside, or are not known to be this journal's:
// what made them was dropped. What stands under their numbers at the primary, in whichever version,
// was made by others.
class Orphans {
 public:
  // `lineage`: the records before `commit`, which is set aside.
  void note(const Commit& commit, const Lineage& lineage) {
    for (const Put& put : commit.puts)
      if (put.expected_version == 0 || !lineage.contains(put.key)) made_.insert(put.key);
  }

  // Why `commit` can't be applied to what stands there; empty: it can.
  [[nodiscard]] std::string touched_by(const Commit& commit, const Lineage& lineage) const {
    if (changes_any(commit, [&](RecordKey key) { return made_.contains(key); }))
      return "it changes what a commit that was set aside has made";
    const std::vector<RecordKey> made = made_by(commit);
    const auto unknown = [&](RecordKey key) {
      return !lineage.contains(key) && std::find(made.begin(), made.end(), key) == made.end();
    };
    return changes_any(commit, unknown) ? "what made the records that it changes is not here" : "";
  }

 private:
  static std::vector<RecordKey> made_by(const Commit& commit) {
    std::vector<RecordKey> made;
    for (const Put& put : commit.puts)
      if (put.expected_version == 0) made.push_back(put.key);
    return made;
  }

  // Whether a record that it changes, or what that is a part of, is among `those`.
  template <class Those>
  static bool changes_any(const Commit& commit, const Those& those) {
    const auto ours = [&](RecordKey key) {
      return those(key) || (key.step != 0 && those(RecordKey::of_chain(key.chain)));
    };
    const auto changes = [&](const auto& change) { return ours(change.key); };
    return those(RecordKey::of_session()) ||
           std::any_of(commit.puts.begin(), commit.puts.end(), changes) ||
           std::any_of(commit.erases.begin(), commit.erases.end(), changes) ||
           std::any_of(commit.archive.begin(), commit.archive.end(),
                       [&](std::uint32_t chain) { return ours(RecordKey::of_chain(chain)); });
  }

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

// Whether some of them is to be replayed for the first time: their outage is not over.
bool is_live(const std::vector<JournalEntry>& entries) {
  return std::any_of(entries.begin(), entries.end(), [](const JournalEntry& entry) {
    return !set_aside_or_base(entry) && entry.kind != JournalKind::retried;
  });
}

bool has_retried(const std::vector<JournalEntry>& entries) {
  return std::any_of(entries.begin(), entries.end(),
                     [](const JournalEntry& entry) { return entry.kind == JournalKind::retried; });
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
std::map<SessionId, std::vector<JournalEntry>> Outage::waiting() {
  std::map<SessionId, std::vector<JournalEntry>> by_session;
  std::uint64_t poisoned = 0;
  for (JournalEntry& entry : journal_->entries()) {
    if (!entry.poison.empty()) ++poisoned;
    const SessionId session = entry.commit->session;
    by_session[session].push_back(std::move(entry));
  }
  std::erase_if(by_session, [](const auto& session) { return nothing_waits(session.second); });
  poisoned_.store(poisoned, std::memory_order_relaxed);
  return by_session;
}

// Bases whose changes never came: only while nobody is about to append them.
Task<void> Outage::remove_useless_bases() {
  std::map<SessionId, std::vector<std::uint64_t>> bases;
  std::set<SessionId> in_use;
  for (const JournalEntry& entry : journal_->entries()) {
    if (entry.kind == JournalKind::base) {
      bases[entry.commit->session].push_back(entry.id);
    } else {
      in_use.insert(entry.commit->session);
    }
  }
  for (const auto& [session, ids] : bases)
    if (!in_use.contains(session)) co_await journal_->remove(ids);
}

Task<void> Outage::resume() {
  if (!journal_->damage().empty()) tell(journal_->damage());
  co_await remove_useless_bases();
  std::size_t entries = 0;
  std::map<SessionId, std::vector<JournalEntry>> left = waiting();
  for (auto& [session, all] : left) {
    std::vector<std::vector<JournalEntry>> outages = by_outage(std::move(all));
    std::vector<JournalEntry> last = std::move(outages.back());
    outages.pop_back();
    // What waits of those that are over somebody has let in again.
    const bool live = is_live(last);
    const bool retried = !live && !nothing_waits(last);
    if (retried || !std::all_of(outages.begin(), outages.end(), nothing_waits))
      look_again_.store(true);
    if (!live) continue;
    const std::shared_ptr<Diverted> diverted = find_or_divert(session);
    diverted->entries = std::move(last);
    co_await rebuild(*diverted);
    entries += diverted->entries.size();
    if (diverted->entries.empty()) co_await drop(*diverted);
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
    entry.attempted = true;  // for all that is known
    if (entry.kind == JournalKind::base) {
      diverted.base_ids.push_back(entry.id);
      co_await place_base(diverted, *entry.commit);
      const std::lock_guard lock(diverted.mutex);
      diverted.since = entry.at;
      continue;
    }
    const std::optional<ErrorCode> refused = co_await rebuild_entry(diverted, entry);
    // The process can have ended between the journal and the fallback's refusal: only with the
    // last, and only with what it would have refused then, too.
    const bool never_acknowledged = refused && refused != ErrorCode::exhausted &&
                                    i + 1 == entries.size() && entry.poison.empty() &&
                                    entry.kind == JournalKind::change;
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
  diverted.seeded.store(true);
}

Task<std::optional<ErrorCode>> Outage::rebuild_entry(Diverted& diverted,
                                                     const JournalEntry& entry) {
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
    co_return error.code();
  }
  co_return std::nullopt;
}

// ---- replay -------------------------------------------------------------------------------------

// All or nothing leaves the journal: the fallback could not be rebuilt from a part. What was done
// before a replay was cut off is known again by its operation ids.
Task<void> Outage::replay(Diverted& diverted, Gate& gate, Clock::Monotonic until) {
  const Primary primary{gate, until};
  // Of what was retried the others are no longer known.
  diverted.diverged = diverted.poisoned || diverted.was_lost || diverted.gone_back_to ||
                      has_retried(diverted.entries);
  diverted.primary_last.reset();
  const std::optional<Operations> applied = co_await operations_since(diverted, primary);
  hold_loss(diverted, !applied);
  diverted.renumbered_after = diverted.gone_back_to;
  {
    const std::lock_guard lock(diverted.mutex);
    diverted.knowledge.share();
  }
  Lineage lineage = diverted.lineage;
  Orphans orphans;
  std::uint64_t next = diverted.seen_sequence + 1;  // the number of the next event, as told here
  for (JournalEntry& entry : diverted.entries) {
    const bool change = entry.kind != JournalKind::touch;
    const std::uint64_t told =
        entry.commit->first_sequence != 0 ? entry.commit->first_sequence : next;
    if (change) next = told + entry.commit->events.size();
    std::optional<std::uint64_t> stands_at;
    if (change && applied && applied->contains(entry.commit->operation_id))
      stands_at = applied->at(entry.commit->operation_id);
    const bool done = stands_at.has_value();
    const bool waits = !done && entry.poison.empty();
    const std::string why = applied ? orphans.touched_by(*entry.commit, lineage)
                                    : std::string("the primary storage has lost the session");
    if (waits && change && !why.empty()) {
      co_await set_aside(diverted, entry, why);
    } else if (waits && why.empty()) {
      check_time(until, diverted.session);
      stands_at = co_await replay_entry(diverted, primary, entry, lineage);
    }
    if (change && stands_at != told && !diverted.renumbered_after)
      diverted.renumbered_after = told - 1;
    if (!entry.poison.empty()) orphans.note(*entry.commit, lineage);
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
    throw failure(ErrorCode::unavailable, "the session's replay takes longer than the call may",
                  "replay", session.str());
}

// Also by an earlier replay of this journal that did not come to its end, however many events ago.
Task<std::optional<Outage::Operations>> Outage::operations_since(Diverted& diverted,
                                                                 Primary primary) {
  Operations operations;
  EventQuery query;
  const std::uint64_t seen = diverted.seen_sequence;
  query.after = seen > 0 ? seen - 1 : 0;
  for (;;) {
    const EventPage page = co_await primary.gate.call<EventPage>(
        reading_events(primary.gate.primary(), diverted.session, query), CallKind::read,
        primary.deadline());
    // A log that does not reach to where it was, or has another event there, is another's; unless
    // the primary has gone back to an older state.
    if (page.last_sequence < seen) {
      const bool older = co_await is_older_state(diverted, primary, page.last_sequence);
      if (!older) co_return std::nullopt;
      diverted.gone_back_to =
          std::min(diverted.gone_back_to.value_or(page.last_sequence), page.last_sequence);
      diverted.diverged = true;
      co_return operations;
    }
    if (page.last_sequence == 0 && !begins_anew(diverted.entries)) co_return std::nullopt;
    for (const StoredEvent& event : page.events) {
      const bool known = event.sequence == seen && !diverted.seen_operation.empty();
      if (known && event.operation_id != diverted.seen_operation) co_return std::nullopt;
      if (event.sequence > seen) operations.emplace(event.operation_id, event.sequence);
    }
    if (page.events.empty() || page.events.back().sequence >= page.last_sequence) {
      diverted.primary_last = page.last_sequence;
      co_return operations;
    }
    query.after = page.events.back().sequence;
  }
}

Task<bool> Outage::is_older_state(Diverted& diverted, Primary primary, std::uint64_t last) {
  if (last == 0) co_return false;
  EventQuery query;
  query.after = last - 1;
  query.limit = 1;
  const EventPage there = co_await primary.gate.call<EventPage>(
      reading_events(primary.gate.primary(), diverted.session, query), CallKind::read,
      primary.deadline());
  const EventPage here = co_await fallback_->read_events(diverted.session, query);
  const auto is_known = [&](const EventPage& page) {
    return !page.events.empty() && page.events.front().sequence == last &&
           !page.events.front().operation_id.empty();
  };
  const bool same = is_known(there) && is_known(here) &&
                    there.events.front().operation_id == here.events.front().operation_id;
  if (same)
    tell(gone_back_, "primary storage has gone back to an older state of session " +
                         diverted.session.str() + ": its events after number " +
                         std::to_string(last) + " are gone");
  co_return same;
}

void Outage::hold_loss(Diverted& diverted, bool lost) {
  if (!lost) return diverted.lost_since.reset();
  const Clock::Monotonic now = clock_.monotonic();
  diverted.was_lost = true;
  if (!diverted.lost_since) {
    diverted.lost_since = now;
    tell(lost_, "primary storage has lost session " + diverted.session.str() +
                    ", which has changes to replay");
  }
  if (now < *diverted.lost_since + options_.loss_hold)
    throw failure(ErrorCode::unavailable, "the primary storage has lost this session", "replay",
                  diverted.session.str());
}

Task<std::optional<std::uint64_t>> Outage::replay_entry(Diverted& diverted, Primary primary,
                                                        JournalEntry& entry,
                                                        const Lineage& lineage) {
  std::optional<std::uint64_t> stands_at;
  std::string why;
  try {
    if (entry.kind == JournalKind::touch) {
      co_await primary.gate.call<bool>(touching(primary.gate.primary(), *entry.commit),
                                       CallKind::write, primary.deadline());
    } else {
      const std::optional<CommitResult> result =
          co_await replay_commit(diverted, primary, entry, lineage);
      if (result) stands_at = result->first_sequence;
      // Found in another place than it has here, or in another form.
      if (!result || result->repeated) diverted.diverged = true;
    }
    replayed_.fetch_add(1, std::memory_order_relaxed);
  } catch (const StorageError& error) {
    // Also a primary that is full for now.
    entry.attempted = true;
    if (is_failure(error) || error.retryable) throw;
    why = error.message();
  }
  if (why.empty()) co_return stands_at;
  co_await set_aside(diverted, entry, why);
  diverted.diverged = true;
  co_return std::nullopt;
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
      reading(primary.gate.primary(), commit.session, keys), CallKind::read, primary.deadline());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto& stands = read.records[i];
    const auto known = lineage.find(keys[i]);
    const bool same = stands && known != lineage.end() && stands->version == versions[keys[i]] &&
                      stands->bytes.view() == known->second.view();
    if (!same) co_return false;
  }
  co_return commit.archive.empty() && !commit.end_session;
}

Task<std::optional<CommitResult>> Outage::replay_commit(Diverted& diverted, Primary primary,
                                                        const JournalEntry& entry,
                                                        const Lineage& lineage) {
  const Commit& commit = *entry.commit;
  bool fits = true;
  if (diverted.diverged && relies_on_versions(commit))
    fits = co_await stands_as_known(primary, commit, lineage);
  // What only appends would be applied twice by an attempt that comes late. Where the log's end is
  // known that keeps it from it, and costs the primary less than looking for a repeat.
  auto first = std::make_shared<Commit>(commit);
  const bool guarded = only_appends(commit) && !entry.attempted && diverted.primary_last &&
                       !commit.expected_last_sequence;
  if (guarded) first->expected_last_sequence = diverted.primary_last;
  first->supersedes = entry.attempted && !commit.may_repeat;
  first->may_repeat |= entry.attempted || (only_appends(commit) && !guarded);
  for (bool may_search = guarded; fits; may_search = false) {
    try {
      const CommitResult result = co_await primary.gate.call<CommitResult>(
          sending(primary.gate.primary(), first), CallKind::write, primary.deadline());
      diverted.primary_last = result.last_sequence;
      co_return result;
    } catch (const StorageError& error) {
      if (error.code() != ErrorCode::conflict) throw;
    }
    diverted.primary_last.reset();
    if (!may_search) break;
    first = std::make_shared<Commit>(commit);
    first->may_repeat = true;
  }
  co_await replay_rebased(primary, commit, lineage);
  diverted.primary_last.reset();
  co_return std::nullopt;
}

Task<void> Outage::replay_rebased(Primary primary, const Commit& commit, const Lineage& lineage) {
  // An expiry that no longer holds is none.
  if (commit.precondition == Precondition::expired) co_return;
  for (int attempt = 1;; ++attempt) {
    std::vector<RecordKey> keys = rebase_keys(commit);
    ReadResult read = co_await primary.gate.call<ReadResult>(
        reading(primary.gate.primary(), commit.session, keys), CallKind::read, primary.deadline());
    const std::vector<RecordKey> more = rebase_more_keys(commit, keys, read);
    if (!more.empty()) {
      keys.insert(keys.end(), more.begin(), more.end());
      read = co_await primary.gate.call<ReadResult>(
          reading(primary.gate.primary(), commit.session, keys), CallKind::read,
          primary.deadline());
    }
    // Lost since the replay began, it may be made anew from the first entry on.
    if (!read.owner) throw failure(ErrorCode::unavailable, "the session is lost", "replay");
    if (commit.end_session && !read.live) co_return;  // it has ended, as it was to
    // No driver takes it: it is over, and waits to be swept.
    const bool expired = read.live && read.activity.expires <= commit.at && !commit.end_session;
    if (expired) throw failure(ErrorCode::conflict, "the session has expired meanwhile", "replay");
    Rebased rebased = rebase(commit, lineage, keys, read, clock_.now());
    if (!rebased.commit) throw failure(ErrorCode::conflict, rebased.refusal, "replay");
    bool again = false;
    try {
      auto commit_now = std::make_shared<Commit>(*std::move(rebased.commit));
      commit_now->may_repeat = true;
      co_await primary.gate.call<CommitResult>(
          sending(primary.gate.primary(), std::move(commit_now)), CallKind::write,
          primary.deadline());
    } catch (const StorageError& error) {
      again = error.code() == ErrorCode::conflict;
      if (!again) throw;
    }
    // Not a fault of the commit: it is tried again later.
    if (again && attempt >= max_rebases)
      throw failure(ErrorCode::unavailable, "others change the session all the time", "replay");
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
  tell(set_aside_, "journal entry " + std::to_string(entry.id) + " of session " +
                       diverted.session.str() + " can't be replayed and is set aside: " + why);
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
  if (diverted.poisoned || diverted.diverged) remember_break(diverted.session);
  // Entries that were set aside keep what they begin with, for the day they are retried.
  std::vector<std::uint64_t> done = diverted.refused_ids;
  if (!diverted.poisoned)
    done.insert(done.end(), diverted.base_ids.begin(), diverted.base_ids.end());
  for (const JournalEntry& entry : diverted.entries)
    if (entry.poison.empty()) done.push_back(entry.id);
  co_await remove_done(std::move(done));
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
  if (diverted.renumbered_after) hub_.rewind(diverted.session, *diverted.renumbered_after);
  hub_.miss();
  if (!last) co_return;
  tell_untold(true);
  const std::uint64_t aside = poisoned_.load(std::memory_order_relaxed);
  if (aside == 0) {
    tell("journal is replayed: all sessions are in the primary storage");
  } else {
    tell("journal is replayed, but for " + std::to_string(aside) +
         " changes that are set aside: `actionflows journal list` shows them");
  }
}

// What can't be removed holds nobody up: it is replayed, and known again by its operation ids.
Task<void> Outage::remove_done(std::vector<std::uint64_t> ids) {
  {
    const std::lock_guard lock(mutex_);
    ids.insert(ids.end(), done_.begin(), done_.end());
    done_.clear();
  }
  std::optional<StorageError> failed;
  try {
    co_await journal_->remove(ids);
  } catch (const StorageError& error) {
    failed = error;
  }
  if (!failed) co_return;
  tell(not_forgotten_, "journal can't forget what is replayed: " + failed->message());
  const std::lock_guard lock(mutex_);
  done_.insert(done_.end(), ids.begin(), ids.end());
}

Task<void> Outage::replay_retried(Gate& gate) {
  const bool changed = co_await journal_->changed_by_others();
  if (changed) look_again_.store(true);
  if (!look_again_.load() || !gate.admits()) co_return;
  std::map<SessionId, std::vector<JournalEntry>> retriable = waiting();
  for (auto& [session, entries] : retriable) {
    // Else once its own entries are through.
    if (find(session) == nullptr) co_await replay_outages(by_outage(std::move(entries)), gate);
  }
  retriable = waiting();
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
        entry.attempted = true;
        retried.entries.push_back(std::move(entry));
      }
    }
    co_await replay(retried, gate, Clock::Monotonic::max());
  }
}

}  // namespace actionflows
