#include "actionflows/storage/resilient/shadow.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace actionflows {
namespace {

// What keeping a record or an event costs beside its bytes, roughly.
constexpr std::uint64_t overhead = 100;

std::uint64_t cost_of(const std::optional<StoredRecord>& record) {
  return overhead + (record ? record->bytes.size() : 0);
}

void put(SessionShadow& shadow, std::uint64_t& bytes, RecordKey key,
         std::optional<StoredRecord> record) {
  const auto [at, made] = shadow.records.try_emplace(key);
  if (!made) bytes -= cost_of(at->second);
  bytes += cost_of(record);
  at->second = std::move(record);
}

void drop(SessionShadow& shadow, std::uint64_t& bytes, RecordKey key) {
  const auto at = shadow.records.find(key);
  if (at == shadow.records.end()) return;
  bytes -= cost_of(at->second);
  shadow.records.erase(at);
}

std::vector<RecordKey> absent_in(std::span<const RecordKey> keys, const ReadResult& result) {
  std::vector<RecordKey> absent;
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (keys[i] != RecordKey::of_credentials() && !result.records[i]) absent.push_back(keys[i]);
  return absent;
}

// Whether a greater number is known to be given: only then an absence lasts, because else somebody
// may make the record next.
bool was_given(const SessionShadow& shadow, RecordKey key) {
  if (key.chain == 0) return false;
  const RecordKey next = key.step == 0 ? RecordKey::of_chain(key.chain + 1)
                                       : RecordKey::of_step(key.chain, key.step + 1);
  for (auto at = shadow.records.lower_bound(next); at != shadow.records.end(); ++at) {
    if (key.step != 0 && at->first.chain != key.chain) return false;
    if (at->second) return true;
  }
  return false;
}

void clear_tail(SessionShadow& shadow, std::uint64_t& bytes) {
  for (const StoredEvent& event : shadow.tail) bytes -= overhead + event.bytes.size();
  shadow.tail.clear();
}

// Nearly always behind all others. Answers that overtake each other leave gaps, for a moment.
void insert(SessionShadow& shadow, std::uint64_t& bytes, StoredEvent event) {
  auto at = shadow.tail.end();
  while (at != shadow.tail.begin() && std::prev(at)->sequence >= event.sequence) --at;
  if (at != shadow.tail.end() && at->sequence == event.sequence) {
    if (at->operation_id == event.operation_id) return;
    clear_tail(shadow, bytes);  // the log is not what it was known to be
    at = shadow.tail.end();
  }
  bytes += overhead + event.bytes.size();
  shadow.tail.insert(at, std::move(event));
  if (shadow.tail.size() <= operation_memory) return;
  bytes -= overhead + shadow.tail.front().bytes.size();
  shadow.tail.pop_front();
}

// Without what stands before a gap, be it of another process's events or of an answer on its way.
void keep_dense_end(SessionShadow& shadow) {
  auto first = shadow.tail.end();
  for (std::uint64_t next = shadow.last_sequence; first != shadow.tail.begin(); --next) {
    if (std::prev(first)->sequence != next) break;
    --first;
  }
  shadow.tail.erase(shadow.tail.begin(), first);
}

bool is_newer(const SessionShadow& shadow, const Put& change) {
  const auto known = shadow.records.find(change.key);
  if (known == shadow.records.end()) return true;
  return known->second && known->second->version < change.version;
}

void mark_archived(SessionShadow& shadow, std::uint32_t chain) {
  const auto end = shadow.records.lower_bound(RecordKey{chain + 1, 0});
  for (auto at = shadow.records.lower_bound(RecordKey{chain, 0}); at != end; ++at)
    if (at->second) at->second->archived = true;
  shadow.last_archived = std::max(shadow.last_archived, chain);
}

void end(SessionShadow& shadow, std::uint64_t& bytes) {
  for (auto at = shadow.records.begin(); at != shadow.records.end();) {
    const bool stays = at->second && at->second->archived;
    if (!stays) bytes -= cost_of(at->second);
    at = stays ? std::next(at) : shadow.records.erase(at);
  }
  shadow.live = false;
}

}  // namespace

Shadow::Shadow(ShadowOptions options) : options_(options) {}

Shadow::Shard& Shadow::shard_of(const SessionId& session) {
  return shards_[std::hash<std::string>()(session.str()) % shard_count];
}
const Shadow::Shard& Shadow::shard_of(const SessionId& session) const {
  return shards_[std::hash<std::string>()(session.str()) % shard_count];
}

Shadow::Kept& Shadow::place(Shard& shard, const SessionId& session) {
  auto& kept = shard.sessions[session.str()];
  if (kept == nullptr) {
    kept = std::make_unique<Kept>();
    shard.order.push_front(session.str());
    kept->place = shard.order.begin();
  } else if (kept->place != shard.order.begin()) {
    shard.order.splice(shard.order.begin(), shard.order, kept->place);
  }
  shard.bytes -= kept->bytes;
  return *kept;
}

void Shadow::bound(Shard& shard) const {
  const auto too_many = [&] {
    return shard.sessions.size() > std::max<std::size_t>(options_.max_sessions / shard_count, 1) ||
           shard.bytes > options_.max_bytes / shard_count;
  };
  while (!shard.order.empty() && too_many()) {
    const auto oldest = shard.sessions.find(shard.order.back());
    shard.bytes -= oldest->second->bytes;
    shard.sessions.erase(oldest);
    shard.order.pop_back();
  }
}

bool Shadow::note_read(const SessionId& session, std::span<const RecordKey> keys,
                       const ReadResult& result, Timestamp began, Timestamp now, bool believed) {
  if (!result.owner) {  // nothing stands under this id
    const std::optional<Sight> known = sight(session);
    if (known && known->live && known->expires > now && !believed) return false;
    forget(session);
    return true;
  }
  Shard& shard = shard_of(session);
  const std::lock_guard lock(shard.mutex);
  Kept& kept = place(shard, session);
  SessionShadow& shadow = kept.shadow;
  const bool shorter = result.last_sequence < shadow.last_sequence;
  if (shorter && began <= shadow.seen) {  // a later answer overtook this one
    shard.bytes += kept.bytes;
    return true;
  }
  if (shorter && shadow.live && shadow.activity.expires > now && !believed) {
    shard.bytes += kept.bytes;
    return false;
  }
  if (shorter) {  // another session stands under this id
    shadow = {};
    kept.bytes = 0;
  }
  if (shadow.live && !result.live) end(shadow, kept.bytes);
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (keys[i] != RecordKey::of_credentials() && result.records[i])
      put(shadow, kept.bytes, keys[i], result.records[i]);
  for (const RecordKey key : absent_in(keys, result)) {
    drop(shadow, kept.bytes, key);
    if (was_given(shadow, key)) put(shadow, kept.bytes, key, std::nullopt);
  }
  shadow.live = result.live;
  shadow.activity = result.activity;
  shadow.last_sequence = result.last_sequence;
  shadow.last_archived = result.last_archived;
  if (shadow.owner != result.owner) shadow.state.reset();
  shadow.owner = result.owner;
  shadow.seen = now;
  shard.bytes += kept.bytes;
  bound(shard);
  return true;
}

void Shadow::note_commit(const Commit& commit, const CommitResult& result, Timestamp now) {
  if (result.repeated) return;  // what it did then is not what stands now
  Shard& shard = shard_of(commit.session);
  const std::lock_guard lock(shard.mutex);
  Kept& kept = place(shard, commit.session);
  SessionShadow& shadow = kept.shadow;
  // The answer of a later commit can come before this one's: of what both have changed, its is the
  // newer. Unless all that is known was there before this one began: then that was another session
  // under the same id.
  bool overtaken = result.first_sequence <= shadow.last_sequence;
  if (overtaken && commit.at > shadow.seen) {
    shadow = {};
    kept.bytes = 0;
    overtaken = false;
  }
  bool lists = !overtaken || !shadow.owner;
  for (const Put& change : commit.puts) {
    if (change.key == RecordKey::of_credentials()) continue;
    if (overtaken && !is_newer(shadow, change)) continue;
    lists |= change.key == RecordKey::of_session();
    put(shadow, kept.bytes, change.key, StoredRecord{change.bytes, change.version, false});
  }
  for (const Expect& erase : commit.erases)
    if (erase.key != RecordKey::of_credentials()) put(shadow, kept.bytes, erase.key, std::nullopt);
  for (const std::uint32_t number : commit.archive) mark_archived(shadow, number);
  if (commit.listed && lists) {
    shadow.owner = commit.listed->user;
    shadow.state = commit.listed->state;
  }
  if (!overtaken && commit.end_session) {
    end(shadow, kept.bytes);
  } else if (!overtaken) {
    shadow.live = true;
    shadow.activity = result.activity;
  } else if (!commit.end_session && result.activity.expires > shadow.activity.expires) {
    shadow.activity = result.activity;
  }
  std::uint64_t sequence = result.first_sequence;
  for (const NewEvent& event : commit.events)
    insert(shadow, kept.bytes,
           {sequence++, event.bytes,
            event.operation_id.empty() ? commit.operation_id : event.operation_id});
  shadow.last_sequence = std::max(shadow.last_sequence, result.last_sequence);
  shadow.seen = now;
  shard.bytes += kept.bytes;
  bound(shard);
}

void Shadow::note_events(const SessionId& session, const EventPage& page, Timestamp now) {
  const bool to_the_end = !page.events.empty() && page.events.back().sequence == page.last_sequence;
  if (!to_the_end) return;
  Shard& shard = shard_of(session);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.sessions.find(session.str());
  // A log without anything known of its session serves nobody.
  if (found == shard.sessions.end()) return;
  Kept& kept = place(shard, session);
  SessionShadow& shadow = kept.shadow;
  if (page.last_sequence >= shadow.last_sequence) {
    for (const StoredEvent& event : page.events) insert(shadow, kept.bytes, event);
    shadow.last_sequence = page.last_sequence;
    shadow.seen = now;
  }
  shard.bytes += kept.bytes;
  bound(shard);
}

void Shadow::forget(const SessionId& session) {
  Shard& shard = shard_of(session);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.sessions.find(session.str());
  if (found == shard.sessions.end()) return;
  shard.bytes -= found->second->bytes;
  shard.order.erase(found->second->place);
  shard.sessions.erase(found);
}

std::optional<SessionShadow> Shadow::find(const SessionId& session) const {
  const Shard& shard = shard_of(session);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.sessions.find(session.str());
  if (found == shard.sessions.end()) return std::nullopt;
  SessionShadow shadow = found->second->shadow;
  keep_dense_end(shadow);
  return shadow;
}

std::optional<Shadow::Sight> Shadow::sight(const SessionId& session) const {
  const Shard& shard = shard_of(session);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.sessions.find(session.str());
  if (found == shard.sessions.end()) return std::nullopt;
  const SessionShadow& shadow = found->second->shadow;
  return Sight{shadow.live, shadow.activity.expires, shadow.last_sequence, shadow.seen};
}

std::vector<ListedSession> Shadow::list(const std::optional<UserId>& user,
                                        const std::optional<std::string>& state) const {
  std::vector<ListedSession> found;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const std::string& name : shard.order) {
      const SessionShadow& shadow = shard.sessions.find(name)->second->shadow;
      const bool fits =
          shadow.live && (!user || shadow.owner == user) && (!state || shadow.state == state);
      const auto record = shadow.records.find(RecordKey::of_session());
      if (!fits || record == shadow.records.end() || !record->second) continue;
      found.push_back({*SessionId::parse(name), *record->second, shadow.activity});
    }
  }
  return found;
}

}  // namespace actionflows
