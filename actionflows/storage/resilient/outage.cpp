#include "actionflows/storage/resilient/outage.hpp"

#include "actionflows/json/raw.hpp"
#include "actionflows/model/session.hpp"
#include "actionflows/storage/bounds.hpp"
#include "actionflows/storage/commit_checks.hpp"

#include <algorithm>
#include <utility>

namespace actionflows {
namespace {

// A touch moves the journaled deadline by at least so much, or is not worth an entry.
constexpr std::chrono::minutes touch_step{1};

bool touches_credentials(const Commit& commit) {
  const auto theirs = [](const auto& change) { return change.key == RecordKey::of_credentials(); };
  return std::any_of(commit.puts.begin(), commit.puts.end(), theirs) ||
         std::any_of(commit.erases.begin(), commit.erases.end(), theirs) ||
         std::any_of(commit.expects.begin(), commit.expects.end(), theirs);
}

// By what the session is listed where no commit told it: its record does, if it is one.
std::string state_of(const SessionShadow& shadow) {
  if (shadow.state) return *shadow.state;
  const auto record = shadow.records.find(RecordKey::of_session());
  Session session;
  Issues ignored;
  const bool is_one =
      record != shadow.records.end() && record->second &&
      schema::schema_of<Session>().decode(record->second->bytes.view(), schema::Form::stored,
                                          session, ignored, stored_limits);
  return is_one ? std::string(to_string(session.state)) : std::string();
}

// A commit that makes the session in the fallback as the shadow knows it.
Commit base_of(const SessionId& session, const SessionShadow& shadow, Timestamp now) {
  Commit base;
  base.session = session;
  base.operation_id = "journal-base";
  base.at = now;
  std::set<std::uint32_t> archived;
  for (const auto& [key, record] : shadow.records) {
    if (!record) continue;
    const bool has_chain = !record->archived || key.step == 0 ||
                           shadow.records.contains(RecordKey::of_chain(key.chain));
    if (!has_chain) continue;
    base.puts.push_back({key, record->bytes, 0, record->version});
    if (record->archived) archived.insert(key.chain);
  }
  for (const std::uint32_t chain : archived) {
    const auto at = shadow.records.find(RecordKey::of_chain(chain));
    if (at != shadow.records.end() && at->second) base.archive.push_back(chain);
  }
  base.activity = shadow.activity;
  base.listed = ListKeys{*shadow.owner, state_of(shadow)};
  for (const StoredEvent& event : shadow.tail)
    base.events.push_back({event.bytes, "journal:base", event.operation_id});
  base.first_sequence = shadow.tail.empty() ? shadow.last_sequence : shadow.tail.front().sequence;
  // The log has to reach to where it did, though its last event was not seen.
  if (base.events.empty()) base.events.push_back({Bytes("{}"), "journal:base", {}});
  return base;
}

// Whether the events of `base` are real ones.
bool knows_events(const Commit& base) {
  return base.events.size() > 1 || base.events.front().bytes.view() != "{}";
}

StorageError deadline_is_unknown(const SessionId& session) {
  return primary_is_away("the session's deadline has passed, but may have been moved elsewhere",
                         session.str());
}

Commit touch_of(const SessionId& session, const Activity& activity) {
  Commit touch;
  touch.session = session;
  touch.operation_id = "journal-touch";
  touch.at = activity.last_active;
  touch.activity = activity;
  return touch;
}

}  // namespace

Outage::Outage(std::unique_ptr<StorageDriver> fallback, std::unique_ptr<Journal> journal,
               Shadow& shadow, const ResilientOptions& options, Clock& clock)
    : fallback_(std::move(fallback)),
      journal_(std::move(journal)),
      shadow_(shadow),
      options_(options),
      clock_(clock),
      hub_(options.max_wakeups) {}

// ---- the table of diverted sessions -------------------------------------------------------------

std::shared_ptr<Diverted> Outage::find(const SessionId& session) const {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(session);
  return found != sessions_.end() ? found->second : nullptr;
}

bool Outage::serves(const SessionId& session) const {
  const std::shared_ptr<Diverted> diverted = find(session);
  return diverted != nullptr && diverted->seeded.load();
}

std::shared_ptr<Diverted> Outage::find_or_divert(const SessionId& session) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Diverted>& place = sessions_[session];
  if (place == nullptr) {
    place = std::make_shared<Diverted>(session);
    place->since = clock_.now();
    count_.store(sessions_.size(), std::memory_order_release);
  }
  return place;
}

Task<void> Outage::drop(Diverted& diverted) {
  try {
    if (!diverted.refused_ids.empty()) co_await remove_refused(diverted);
    if (!diverted.base_ids.empty()) co_await journal_->remove(diverted.base_ids);
    co_await fallback_->erase_session(diverted.session);
  } catch (const StorageError&) {
    co_return;  // it stays diverted: the journal holds something of it
  }
  diverted.base_ids.clear();
  diverted.over.store(true);
  const std::lock_guard lock(mutex_);
  sessions_.erase(diverted.session);
  count_.store(sessions_.size(), std::memory_order_release);
}

std::vector<std::shared_ptr<Diverted>> Outage::all() const {
  std::vector<std::shared_ptr<Diverted>> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, diverted] : sessions_) all.push_back(diverted);
  return all;
}

// ---- commits while the primary is away ----------------------------------------------------------

// The session as the shadow knows it, put into the fallback; or nothing, where `first` creates it.
Task<void> Outage::seed(Diverted& diverted, const Commit& first) {
  const std::optional<SessionShadow> shadow = shadow_.find(diverted.session);
  const bool known =
      shadow && shadow->live && shadow->owner && shadow->records.contains(RecordKey::of_session());
  const bool creates = creates_session(first) && first.precondition == Precondition::fresh;
  if (!known && !creates)
    throw primary_is_away("nothing is known here of this session", diverted.session.str());
  if (known && shadow->activity.expires <= clock_.now())
    throw deadline_is_unknown(diverted.session);
  co_await fallback_->erase_session(diverted.session);
  // What is made here is known as a whole once it is made; until then nothing is.
  if (!known) co_return;
  const auto base =
      std::make_shared<const Commit>(base_of(diverted.session, *shadow, clock_.now()));
  co_await place_base(diverted, *base);
  const std::uint64_t id = co_await journal_->append(JournalKind::base, base, clock_.now());
  diverted.base_ids.push_back(id);
  const std::lock_guard lock(diverted.mutex);
  for (const auto& [key, record] : shadow->records) diverted.knowledge.see(key, record.has_value());
  diverted.last_archived = shadow->last_archived;
  diverted.since = shadow->seen;
  diverted.seeded.store(true);
}

Task<void> Outage::place_base(Diverted& diverted, const Commit& base) {
  const CommitResult placed = co_await fallback_->commit(base);
  for (const Put& put : base.puts) diverted.lineage[put.key] = put.bytes;
  diverted.seen_sequence = placed.last_sequence;
  diverted.seen_operation = base.events.back().operation_id;
  const std::lock_guard lock(diverted.mutex);
  for (const Put& put : base.puts) diverted.knowledge.see(put.key, true);
  diverted.first_event = knows_events(base) ? placed.first_sequence : placed.last_sequence + 1;
}

Task<std::uint64_t> Outage::append(Diverted& diverted, JournalKind kind,
                                   std::shared_ptr<const Commit> commit, bool attempted) {
  // Never behind one that was refused: what rebuilds the fallback knows it only as the last.
  if (!diverted.refused_ids.empty()) co_await remove_refused(diverted);
  const Timestamp now = clock_.now();
  const std::uint64_t id = co_await journal_->append(kind, commit, now);
  diverted.entries.push_back({id, kind, now, std::move(commit), {}, attempted});
  const std::lock_guard lock(mutex_);
  waiting_.emplace(id, now);
  co_return id;
}

Task<void> Outage::remove_refused(Diverted& diverted) {
  co_await journal_->remove(diverted.refused_ids);
  diverted.refused_ids.clear();
}

Task<CommitResult> Outage::commit(Diverted& diverted, const Commit& commit, bool attempted) {
  check_shape(commit);
  if (touches_credentials(commit))
    throw primary_is_away("credentials can't be changed meanwhile", commit.session.str());
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= options_.max_journal) {
      StorageError full = failure(ErrorCode::exhausted, "the journal is full", "commit");
      full.retryable = true;
      throw full;
    }
  }
  if (diverted.entries.empty() && diverted.base_ids.empty()) co_await seed(diverted, commit);
  const auto kept = std::make_shared<const Commit>(commit);
  // In the journal before anything can be seen of it. What the fallback refuses leaves it again;
  // should the process end in between, the fallback refuses it again when it is rebuilt.
  const std::uint64_t id = co_await append(diverted, JournalKind::change, kept, attempted);
  CommitResult result;
  std::exception_ptr refused;
  try {
    result = co_await fallback_->commit(commit);
  } catch (const StorageError&) {
    refused = std::current_exception();
  }
  if (refused || result.repeated) {
    diverted.entries.pop_back();
    diverted.refused_ids.push_back(id);
    {
      const std::lock_guard lock(mutex_);
      waiting_.erase(id);
    }
    try {
      co_await remove_refused(diverted);
    } catch (const StorageError&) {
      // It is tried again before the next entry; the answer is what the fallback said.
    }
  }
  if (refused) std::rethrow_exception(refused);
  result.durability = durability();
  if (result.repeated) co_return result;
  {
    const std::lock_guard lock(diverted.mutex);
    if (!diverted.seeded.load()) diverted.knowledge.see_all();
    diverted.knowledge.note(commit, true);
    diverted.seeded.store(true);
  }
  if (!hub_.idle()) {
    const ReadResult read = co_await fallback_->read(commit.session, {});
    if (read.owner) announce(commit, *read.owner, result);
  }
  co_return result;
}

void Outage::announce(const Commit& commit, const UserId& user, const CommitResult& result) {
  hub_.publish({commit.session, user, result.last_sequence, commit.events.front().type});
}

// Journal first, as for a commit: a deadline that only the fallback had moved let in what it
// refuses when it is rebuilt.
Task<bool> Outage::touch(Diverted& diverted, const Activity& activity) {
  const auto touch = std::make_shared<const Commit>(touch_of(diverted.session, activity));
  if (diverted.entries.empty() && diverted.base_ids.empty()) co_await seed(diverted, *touch);
  const ReadResult now = co_await read(diverted, {});
  if (!now.live || now.activity.expires <= activity.last_active) co_return false;
  const bool worth_it =
      !diverted.touched_at || activity.last_active >= *diverted.touched_at + touch_step;
  if (!worth_it) co_return true;
  co_await append(diverted, JournalKind::touch, touch, false);
  diverted.touched_at = activity.last_active;
  co_return co_await fallback_->touch(diverted.session, activity);
}

// ---- reads of what is diverted ------------------------------------------------------------------

Provenance Outage::provenance(Timestamp as_of) const {
  const auto age = std::max(clock_.now() - as_of, std::chrono::milliseconds(1));
  return {Source::fallback, std::chrono::duration_cast<std::chrono::milliseconds>(age)};
}

Task<ReadResult> Outage::read(Diverted& diverted, std::span<const RecordKey> keys) {
  if (!diverted.seeded.load()) {
    Known known = read_shadow(diverted.session, keys);
    if (auto* const unknown = std::get_if<StorageError>(&known))
      throw StorageError(std::move(*unknown));
    co_return std::get<ReadResult>(std::move(known));
  }
  ReadResult result = co_await fallback_->read(diverted.session, keys);
  const std::lock_guard lock(diverted.mutex);
  const bool may_have_moved = !diverted.knowledge.all();
  if (may_have_moved && result.live && result.activity.expires <= clock_.now())
    throw deadline_is_unknown(diverted.session);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const bool told = result.records[i] || diverted.knowledge.surely_absent(keys[i]);
    if (!told || keys[i] == RecordKey::of_credentials())
      throw primary_is_away("a record is not known here", diverted.session.str());
  }
  result.last_archived = std::max(result.last_archived, diverted.last_archived);
  result.provenance = provenance(diverted.since);
  co_return result;
}

Task<EventPage> Outage::read_events(Diverted& diverted, const EventQuery& query) {
  if (!diverted.seeded.load()) co_return read_shadow_events(diverted.session, query);
  EventPage page = co_await fallback_->read_events(diverted.session, query);
  const std::lock_guard lock(diverted.mutex);
  if (query.after + 1 < diverted.first_event)
    throw primary_is_away("the older events are not known here", diverted.session.str());
  page.provenance = provenance(diverted.since);
  co_return page;
}

Outage::Known Outage::read_shadow(const SessionId& session, std::span<const RecordKey> keys) const {
  const std::optional<SessionShadow> shadow = shadow_.find(session);
  if (!shadow || !shadow->live)
    return primary_is_away("nothing is known here of this session", session.str());
  if (shadow->activity.expires <= clock_.now()) return deadline_is_unknown(session);
  Knowledge knowledge;
  for (const auto& [key, record] : shadow->records) knowledge.see(key, record.has_value());
  ReadResult result;
  for (const RecordKey key : keys) {
    const auto found = shadow->records.find(key);
    const bool present = found != shadow->records.end() && found->second;
    if (!present && !knowledge.surely_absent(key))
      return primary_is_away("a record is not known here", session.str());
    result.records.push_back(present ? found->second : std::nullopt);
  }
  result.live = true;
  result.activity = shadow->activity;
  result.last_sequence = shadow->last_sequence;
  result.last_archived = shadow->last_archived;
  result.owner = shadow->owner;
  result.provenance = provenance(shadow->seen);
  return result;
}

EventPage Outage::read_shadow_events(const SessionId& session, const EventQuery& query) const {
  const std::optional<SessionShadow> shadow = shadow_.find(session);
  const std::uint64_t first = !shadow                ? 0
                              : shadow->tail.empty() ? shadow->last_sequence + 1
                                                     : shadow->tail.front().sequence;
  if (!shadow || shadow->last_sequence == 0 || query.after + 1 < first)
    throw primary_is_away("these events are not known here", session.str());
  EventPage page;
  page.first_sequence = std::min(first, shadow->last_sequence);
  page.last_sequence = shadow->last_sequence;
  page.provenance = provenance(shadow->seen);
  std::size_t bytes = 0;
  for (const StoredEvent& event : shadow->tail) {
    if (event.sequence <= query.after) continue;
    bytes += event.bytes.size();
    const bool full = page.events.size() >= query.limit || bytes > query.max_bytes;
    if (full && !page.events.empty()) break;
    page.events.push_back(event);
  }
  return page;
}

Task<SessionPage> Outage::list_sessions(const ListQuery& query) {
  SessionPage page = co_await fallback_->list_sessions(query);
  std::erase_if(page.items, [&](const ListedSession& item) { return !serves(item.id); });
  const auto position = [](const ListedSession& item) {
    return ListPosition{item.activity.expires, item.id.str()};
  };
  const auto before = [](const ListPosition& a, const ListPosition& b) {
    return a.time != b.time ? a.time > b.time : a.name < b.name;
  };
  for (ListedSession& item : shadow_.list(query.user, query.state)) {
    const bool comes_after = !query.after || before(*query.after, position(item));
    // Beyond the fallback's page its own sessions are not known yet.
    const bool within_page = !page.next || !before(*page.next, position(item));
    if (comes_after && within_page && !serves(item.id)) page.items.push_back(std::move(item));
  }
  std::sort(page.items.begin(), page.items.end(),
            [&](const auto& a, const auto& b) { return before(position(a), position(b)); });
  if (page.items.size() > query.limit) {
    page.items.resize(query.limit);
    page.next = position(page.items.back());
  }
  page.provenance = provenance(clock_.now());
  page.provenance.partial = true;
  co_return page;
}

Task<ArchivePage> Outage::list_archive(const ListQuery& query) {
  ArchivePage page = co_await fallback_->list_archive(query);
  std::erase_if(page.items, [&](const ArchivedChain& item) { return !serves(item.id.session()); });
  page.provenance = provenance(clock_.now());
  page.provenance.partial = true;
  co_return page;
}

// ---- what is told -------------------------------------------------------------------------------

Durability Outage::durability() const {
  return {journal_->durable() ? DurabilityLevel::journal : DurabilityLevel::memory, 0};
}

void Outage::add_to(Resilience& resilience) const {
  resilience.replayed = replayed_.load(std::memory_order_relaxed);
  resilience.conflicts = conflicts_.load(std::memory_order_relaxed);
  resilience.poisoned = poisoned_.load(std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  resilience.journal_entries = waiting_.size();
  Timestamp oldest = clock_.now();
  for (const auto& [id, at] : waiting_) oldest = std::min(oldest, at);
  resilience.journal_age = clock_.now() - oldest;
}

void Outage::tell_what_is_lost() const {
  const std::lock_guard lock(mutex_);
  if (journal_->durable() || waiting_.empty()) return;
  tell(std::to_string(waiting_.size()) +
       " acknowledged changes end with this process: they were only in memory");
}

void Outage::tell(const std::string& line) const {
  if (options_.log) options_.log(line);
}

void Outage::tell(FewLines& kind, const std::string& line) {
  bool told = false;
  {
    const std::lock_guard lock(mutex_);
    told = kind.admit(clock_.monotonic());
  }
  if (told) tell(line);
}

void Outage::tell_untold(bool no_more_come) {
  std::vector<std::pair<std::uint64_t, std::string>> untold;
  {
    const std::lock_guard lock(mutex_);
    const Clock::Monotonic now = clock_.monotonic();
    untold.emplace_back(
        set_aside_.take_untold(now, no_more_come),
        "more journal entries are set aside: `actionflows journal list` shows them");
    untold.emplace_back(
        lost_.take_untold(now, no_more_come),
        "more sessions that have changes to replay are lost in the primary storage");
    untold.emplace_back(gone_back_.take_untold(now, no_more_come),
                        "more times a session was found in an older state in the primary storage");
    untold.emplace_back(not_forgotten_.take_untold(now, no_more_come),
                        "more times the journal could not forget what is replayed");
  }
  for (const auto& [count, what] : untold)
    if (count != 0) tell(std::to_string(count) + " " + what);
}

}  // namespace actionflows
