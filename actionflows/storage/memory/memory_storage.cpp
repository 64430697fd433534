// The memory driver, and the guide to writing another: read `commit` first.
//
// Sessions are spread over shards by the hash of their id; a shard's lock guards its sessions. What
// is listed by user crosses shards and has locks of its own, also sharded. Whoever needs both takes
// the session's shard first, then the user's: so no two threads can wait for each other.
//
// Nothing here waits for anything but these locks, so the coroutines never suspend.
#include "actionflows/storage/memory/memory_storage.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/storage/commit_checks.hpp"
#include "actionflows/storage/memory/memory_session.hpp"
#include "actionflows/storage/wakeup_hub.hpp"

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <utility>

namespace actionflows {
namespace memory {
namespace {

// Many more than there are threads: two seldom meet, and a shard's lock is often still in the cache
// of the core that took it last.
constexpr std::size_t shard_count = 256;

// An id with its hash: hashed once, used for the shard and for the table.
struct Lookup {
  explicit Lookup(std::string_view text) : id(text), hash(std::hash<std::string_view>()(text)) {}
  std::string_view id;
  std::size_t hash;
};

struct SessionHash {
  using is_transparent = void;
  using is_avalanching = void;  // std::hash of a string mixes all its bits
  std::size_t operator()(const std::unique_ptr<Session>& s) const { return s->hash(); }
  std::size_t operator()(const Lookup& lookup) const { return lookup.hash; }
};

struct SessionEqual {
  using is_transparent = void;
  bool operator()(const std::unique_ptr<Session>& a, const std::unique_ptr<Session>& b) const {
    return a->id() == b->id();
  }
  bool operator()(const Lookup& a, const std::unique_ptr<Session>& b) const {
    return a.hash == b->hash() && a.id == b->id().str();
  }
  bool operator()(const std::unique_ptr<Session>& a, const Lookup& b) const {
    return (*this)(b, a);
  }
};

struct alignas(64) Shard {
  std::mutex mutex;
  // guarded by mutex
  boost::unordered_flat_set<std::unique_ptr<Session>, SessionHash, SessionEqual> sessions;
  ShardIndex live;  // by deadline
  std::uint64_t live_count = 0;
  ShardIndex ended;      // sessions with a log, by the end of its retention
  ArchiveIndex archive;  // by when they were archived

  Session* find(const Lookup& lookup) {
    const auto found = sessions.find(lookup);
    return found != sessions.end() ? found->get() : nullptr;
  }
};

struct alignas(64) UserShard {
  std::mutex mutex;
  // guarded by mutex
  boost::unordered_flat_map<std::string, std::unique_ptr<User>> users;
};

[[noreturn]] void refuse(ErrorCode code, std::string why, const Commit& commit) {
  throw failure(code, std::move(why), "commit", commit.session.str());
}

// Sessions end and logs are removed: there will be room again.
[[noreturn]] void refuse_for_now(std::string why, const Commit& commit) {
  StorageError error =
      failure(ErrorCode::exhausted, std::move(why), "commit", commit.session.str());
  error.retryable = true;
  throw error;
}

// What a look at a list found: one position more than the page holds tells that there is a next.
struct Positions {
  std::vector<ListPosition> found;
  std::vector<ListPosition> stops;  // where it was given up, one for each index
};

bool in_list_order(const ListPosition& a, const ListPosition& b) {
  return stands_before(a.time, a.name, b.time, b.name);
}

// A filter that little fits would walk a whole index while its lock is held.
constexpr std::size_t looks_beyond_the_page = 1'000;

template <class Index>
void collect(const Index& index, const ListQuery& query, Positions& into) {
  auto at = query.after ? index.upper_bound(Position(*query.after), LatestFirst()) : index.begin();
  std::size_t taken = 0;
  for (std::size_t looks = 0; at != index.end() && taken <= query.limit; ++at, ++looks) {
    const bool fits = !query.state || at->state == *query.state;
    const bool last = looks == query.limit + looks_beyond_the_page;
    if (fits) into.found.push_back({at->order_time, at->id().str()});
    if (last) into.stops.push_back({at->order_time, at->id().str()});
    if (last) return;
    if (fits) ++taken;
  }
}

// Whose event it is: of the commit, or of the operation it was restored from.
std::string_view maker_of(const NewEvent& event, const Commit& commit) {
  return event.operation_id.empty() ? commit.operation_id : event.operation_id;
}

// By how much a commit changes what is kept, in sessions and in bytes.
struct Change {
  std::uint64_t sessions = 0;
  std::uint64_t less = 0;
  std::uint64_t more = 0;
};

class MemoryStorage final : public StorageDriver {
 public:
  explicit MemoryStorage(MemoryOptions options) : options_(options), hub_(options.max_wakeups) {}
  ~MemoryStorage() override;

  Task<ReadResult> read(const SessionId& session, std::span<const RecordKey> keys) override;
  Task<CommitResult> commit(const Commit& commit) override;
  Task<SessionPage> list_sessions(const ListQuery& query) override;
  Task<ArchivePage> list_archive(const ListQuery& query) override;
  Task<EventPage> read_events(const SessionId& session, const EventQuery& query) override;
  Task<std::unique_ptr<Subscription>> subscribe(std::optional<SessionId> session) override;
  Task<bool> touch(const SessionId& session, const Activity& activity) override;
  Task<std::uint64_t> prune_events(const SessionId& session, std::uint64_t first_kept) override;
  Task<SweepResult> sweep(const SweepQuery& query) override;
  Task<bool> erase_session(const SessionId& session) override;
  Task<Health> health() override;

 private:
  Shard& shard_of(const Lookup& lookup) {
    return shards_[(lookup.hash >> 48) % shard_count];  // the table uses the low bits
  }
  UserShard& user_shard_of(const UserId& user) {
    return user_shards_[std::hash<std::string>()(user.str()) % shard_count];
  }

  // ---- parts of commit; the shard's lock is held
  void check(const Commit& commit, const Session* session) const;
  void check_limits(const Commit& commit, const Session* session) const;
  static Change change_of(const Commit& commit, const Session* session);
  void charge(const Commit& commit, const Change& change);
  CommitResult apply(const Commit& commit, Shard& shard, Session& session);
  void apply_records(const Commit& commit, Session& session);
  void archive_chain(const Commit& commit, Shard& shard, Session& session, std::uint32_t number);
  void move_in_lists(Shard& shard, Session& session, const std::optional<Activity>& activity,
                     const std::optional<ListKeys>& listed);
  void end(Shard& shard, Session& session, Timestamp at);
  void announce(const Commit& commit, const Session& session) const;

  // ---- parts of the upkeep; the shard's lock is held
  void leave_lists(Shard& shard, Session& session);
  void take_over(Session& session, const UserId& user);
  void give_up(Session& session);
  void remove_chain(Shard& shard, Session& session, std::uint32_t number);
  void remove_if_empty(Shard& shard, Session& session);
  void release(Session& session, std::uint64_t less);
  static void forget_if_unused(UserShard& users, User& user);

  Positions positions_of(const ListQuery& query, const UserId& user);
  Positions positions_of_all(const ListQuery& query);

  // ---- constant after construction
  const MemoryOptions options_;

  // ---- with locks of their own
  std::array<Shard, shard_count> shards_;
  std::array<UserShard, shard_count> user_shards_;
  mutable WakeupHub hub_;
  alignas(64) std::atomic<std::uint64_t> bytes_{0};
  std::atomic<std::uint64_t> sessions_{0};  // live and ended
};

MemoryStorage::~MemoryStorage() {
  // The indexes only point at the sessions; they must let go before the sessions are destroyed.
  for (UserShard& users : user_shards_)
    for (auto& [name, user] : users.users) user->sessions.clear();
  for (Shard& shard : shards_) {
    shard.live.clear();
    shard.ended.clear();
  }
}

Task<ReadResult> MemoryStorage::read(const SessionId& id, std::span<const RecordKey> keys) {
  ReadResult result;
  const Lookup lookup(id.str());
  Shard& shard = shard_of(lookup);
  const std::lock_guard lock(shard.mutex);
  const Session* session = shard.find(lookup);
  if (session == nullptr) {
    result.records.resize(keys.size());
    co_return result;
  }
  for (const RecordKey key : keys) {
    const Record* record = session->find(key);
    auto& out = result.records.emplace_back();
    if (record != nullptr)
      out.emplace(StoredRecord{record->bytes, record->version, session->is_archived(key.chain)});
  }
  result.live = session->live();
  if (result.live) result.activity = {session->last_active, session->order_time};
  result.last_sequence = session->last_sequence();
  result.last_archived = session->last_archived;
  result.owner = session->user->id;
  co_return result;
}

// ---- commit -------------------------------------------------------------------------------------

Task<CommitResult> MemoryStorage::commit(const Commit& commit) {
  check_shape(commit);
  const Lookup lookup(commit.session.str());
  Shard& shard = shard_of(lookup);
  const std::lock_guard lock(shard.mutex);
  Session* session = shard.find(lookup);

  // A repeat is looked for before anything is checked: its own first run changed the versions.
  if (commit.may_repeat && session != nullptr) {
    if (auto earlier = session->find_operation(commit.operation_id)) {
      earlier->activity = {session->last_active, session->order_time};
      co_return *earlier;
    }
  }

  // Everything that can refuse comes before everything that changes.
  check(commit, session);
  check_limits(commit, session);
  const Change change = change_of(commit, session);
  charge(commit, change);
  if (session == nullptr) {
    auto created = std::make_unique<Session>(commit.session, lookup.hash);
    session = created.get();
    shard.sessions.insert(std::move(created));
  }
  session->recharge(change.less, change.more);
  co_return apply(commit, shard, *session);
}

void MemoryStorage::check(const Commit& commit, const Session* session) const {
  const auto conflict = [&](std::string why) {
    refuse(ErrorCode::conflict, std::move(why), commit);
  };
  const auto must_stand = [&](RecordKey key, std::uint64_t expected) {
    const std::uint64_t found = session != nullptr ? session->version(key) : 0;
    if (found != expected) {
      StorageError error = failure(ErrorCode::conflict,
                                   "version " + std::to_string(found) + " stands where " +
                                       std::to_string(expected) + " was expected",
                                   "commit", commit.session.str());
      error.current_version = found;
      throw error;
    }
  };
  const auto must_be_live = [&](std::uint32_t chain) {
    if (session != nullptr && session->is_archived(chain))
      conflict("an archived chain is immutable");
  };

  const bool live = session != nullptr && session->live();
  if (!live && !creates_session(commit)) conflict("there is no such session");
  if (live && session->order_time <= commit.at && !commit.end_session)
    conflict("the session has expired");
  if (commit.precondition == Precondition::fresh && session != nullptr && !session->fresh())
    conflict("something stands under this session id");
  if (commit.precondition == Precondition::expired && !(live && session->order_time <= commit.at))
    conflict("the session has not expired");
  const std::uint64_t last_sequence = session != nullptr ? session->last_sequence() : 0;
  if (commit.first_sequence != 0 && last_sequence != 0) conflict("the log is not empty");
  if (commit.expected_last_sequence && *commit.expected_last_sequence != last_sequence)
    conflict("the log has gone on");

  for (const Expect& expect : commit.expects) must_stand(expect.key, expect.version);
  for (const Put& put : commit.puts) {
    must_be_live(put.key.chain);
    must_stand(put.key, put.expected_version);
  }
  for (const Expect& erase : commit.erases) {
    must_be_live(erase.key.chain);
    must_stand(erase.key, erase.version);
    if (erase.version == 0) conflict("what is erased must exist");
  }
  for (const std::uint32_t number : commit.archive) {
    must_be_live(number);
    const bool put = std::any_of(commit.puts.begin(), commit.puts.end(), [&](const Put& p) {
      return p.key == RecordKey::of_chain(number);
    });
    const bool stands = session != nullptr && session->version(RecordKey::of_chain(number)) != 0;
    if (!put && !stands) conflict("there is no such chain to archive");
  }
}

void MemoryStorage::check_limits(const Commit& commit, const Session* session) const {
  const auto exhausted = [&](const std::string& what, std::uint64_t limit) {
    refuse(ErrorCode::exhausted, what + " (limit " + std::to_string(limit) + ")", commit);
  };
  const DriverLimits& limits = options_.limits;
  for (const Put& put : commit.puts) {
    if (put.key.chain > limits.max_chains)
      exhausted("the session has too many chains", limits.max_chains);
    if (put.key.chain > 0 && put.key.step > limits.max_steps)
      exhausted("the chain has too many steps", limits.max_steps);
  }
  const std::size_t logged = session != nullptr ? session->log().size() : 0;
  const bool full = logged + commit.events.size() > limits.max_events;
  // What makes room is let through.
  if (full && !commit.end_session)
    exhausted("the session's log is full: prune it", limits.max_events);
}

Change MemoryStorage::change_of(const Commit& commit, const Session* session) {
  Change change;
  if (session == nullptr) {
    change.sessions = 1;
    change.more = session_cost;
  }
  const auto find = [&](RecordKey key) {
    return session != nullptr ? session->find(key) : nullptr;
  };
  for (const Put& put : commit.puts) {
    change.more += put.bytes.size() + record_cost;
    if (const Record* old = find(put.key)) {
      change.less += old->bytes.size() + record_cost;
    } else if (put.key.chain != 0 && put.key.step == 0) {
      change.more += chain_cost;
    }
  }
  for (const Expect& erase : commit.erases) {
    change.less += find(erase.key)->bytes.size() + record_cost;
    if (erase.key.chain != 0 && erase.key.step == 0) change.less += chain_cost;
  }
  for (const NewEvent& event : commit.events)
    change.more += LogEntry::size_of(maker_of(event, commit), event.bytes.view()) + event_cost;
  return change;
}

// Books the change against the store's bounds, or throws and has booked nothing.
void MemoryStorage::charge(const Commit& commit, const Change& change) {
  const std::uint64_t growth =
      change.more - change.less;  // wraps where it shrinks, as the sum does
  const std::uint64_t bytes = bytes_.fetch_add(growth, std::memory_order_relaxed) + growth;
  const bool grows = change.more > change.less && !commit.end_session;
  if (grows && bytes > options_.max_bytes) {
    bytes_.fetch_sub(growth, std::memory_order_relaxed);
    refuse_for_now("the store is full (limit " + std::to_string(options_.max_bytes) + " bytes)",
                   commit);
  }
  if (change.sessions == 0) return;
  if (sessions_.fetch_add(1, std::memory_order_relaxed) >= options_.max_sessions) {
    sessions_.fetch_sub(1, std::memory_order_relaxed);
    bytes_.fetch_sub(growth, std::memory_order_relaxed);
    refuse_for_now(
        "the store has too many sessions (limit " + std::to_string(options_.max_sessions) + ")",
        commit);
  }
}

// From here on nothing is refused.
CommitResult MemoryStorage::apply(const Commit& commit, Shard& shard, Session& session) {
  if (!session.live()) ++shard.live_count;
  apply_records(commit, session);
  session.reserve_log(commit.events.size());
  const std::uint64_t first = std::max<std::uint64_t>(commit.first_sequence, 1);
  for (const NewEvent& event : commit.events)
    session.append(LogEntry(maker_of(event, commit), event.bytes.view()), first);
  move_in_lists(shard, session, commit.activity, commit.listed);
  for (const std::uint32_t number : commit.archive) archive_chain(commit, shard, session, number);
  announce(commit, session);
  CommitResult result;
  result.activity = {session.last_active, session.order_time};
  if (commit.end_session) end(shard, session, commit.at);

  result.last_sequence = session.last_sequence();
  result.first_sequence = result.last_sequence - commit.events.size() + 1;
  return result;
}

void MemoryStorage::apply_records(const Commit& commit, Session& session) {
  for (const Put& put : commit.puts) session.place(put.key) = {put.bytes, put.version};
  for (const Expect& erase : commit.erases) {
    session.place(erase.key) = {};
    const Chain* chain = session.chain(erase.key.chain);
    const auto empty = [](const Record& record) { return record.version == 0; };
    if (chain != nullptr && empty(chain->record) &&
        std::all_of(chain->steps.begin(), chain->steps.end(), empty))
      session.drop_chain(erase.key.chain);
  }
}

void MemoryStorage::archive_chain(const Commit& commit, Shard& shard, Session& session,
                                  std::uint32_t number) {
  Chain& chain = *session.chain(number);
  chain.archived = true;
  chain.archived_at = commit.at;
  chain.user = session.user;
  session.last_archived = std::max(session.last_archived, number);
  const Position position({commit.at, ChainId(session.id(), number).str()});
  shard.archive.insert(position);
  const std::lock_guard lock(user_shard_of(chain.user->id).mutex);
  chain.user->archive.insert(position);
}

// Puts a live session where its deadline, its user and its state say.
void MemoryStorage::move_in_lists(Shard& shard, Session& session,
                                  const std::optional<Activity>& activity,
                                  const std::optional<ListKeys>& listed) {
  std::optional<Activity> moved = activity;
  if (activity && session.listed)
    moved = moved_activity({session.last_active, session.order_time}, *activity,
                           options_.limits.touch_interval);
  if (!moved && !listed) return;
  leave_lists(shard, session);
  if (moved) {
    session.last_active = moved->last_active;
    session.order_time = moved->expires;
  }
  if (listed) {
    session.state = listed->state;
    if (session.user == nullptr || session.user->id != listed->user) {
      give_up(session);
      take_over(session, listed->user);
    }
  }
  shard.live.insert(session);
  session.listed = true;
  const std::lock_guard lock(user_shard_of(session.user->id).mutex);
  session.user->sessions.insert(session);
}

// Takes the session out of every list it is in.
void MemoryStorage::leave_lists(Shard& shard, Session& session) {
  if (session.shard_hook.is_linked()) {
    ShardIndex& index = session.listed ? shard.live : shard.ended;
    index.erase(index.iterator_to(session));
  }
  if (!std::exchange(session.listed, false)) return;
  const std::lock_guard lock(user_shard_of(session.user->id).mutex);
  session.user->sessions.erase(session.user->sessions.iterator_to(session));
}

void MemoryStorage::take_over(Session& session, const UserId& id) {
  UserShard& users = user_shard_of(id);
  const std::lock_guard lock(users.mutex);
  auto& user = users.users[id.str()];
  if (!user) user = std::make_unique<User>(id);
  ++user->owned;
  session.user = user.get();
}

// A user who has nothing left is forgotten.
void MemoryStorage::give_up(Session& session) {
  if (session.user == nullptr) return;
  UserShard& users = user_shard_of(session.user->id);
  const std::lock_guard lock(users.mutex);
  --session.user->owned;
  forget_if_unused(users, *session.user);
  session.user = nullptr;
}

void MemoryStorage::end(Shard& shard, Session& session, Timestamp at) {
  leave_lists(shard, session);
  session.end();
  --shard.live_count;
  std::uint64_t kept = session_cost;
  for (const LogEntry& entry : session.log()) kept += entry.size() + event_cost;
  for (std::uint32_t n = 1; n <= session.last_archived; ++n)
    if (const Chain* chain = session.chain(n)) kept += cost_of(*chain);
  release(session, session.bytes() - kept);
  session.order_time = at + options_.limits.log_retention;
  shard.ended.insert(session);
}

// Under the shard's lock, so that a session's wake-ups come in the order of its commits.
void MemoryStorage::announce(const Commit& commit, const Session& session) const {
  if (hub_.idle()) return;
  hub_.publish({session.id(), session.user->id, session.last_sequence(), commit.events[0].type});
}

// ---- lists and logs -----------------------------------------------------------------------------

Positions MemoryStorage::positions_of(const ListQuery& query, const UserId& id) {
  Positions positions;
  UserShard& users = user_shard_of(id);
  const std::lock_guard lock(users.mutex);
  const auto found = users.users.find(id.str());
  if (found != users.users.end()) collect(found->second->sessions, query, positions);
  return positions;
}

Positions MemoryStorage::positions_of_all(const ListQuery& query) {
  Positions positions;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    collect(shard.live, query, positions);
  }
  std::sort(positions.found.begin(), positions.found.end(), in_list_order);
  if (positions.stops.empty()) return positions;
  // Beyond the first stop some shard may hold what was not looked at.
  std::sort(positions.stops.begin(), positions.stops.end(), in_list_order);
  positions.stops.resize(1);
  std::erase_if(positions.found,
                [&](const ListPosition& at) { return in_list_order(positions.stops[0], at); });
  return positions;
}

Task<SessionPage> MemoryStorage::list_sessions(const ListQuery& query) {
  SessionPage page;
  auto [positions, stops] = query.user ? positions_of(query, *query.user) : positions_of_all(query);
  if (!stops.empty()) page.next = stops.front();
  if (positions.size() > query.limit) {
    positions.resize(query.limit);
    page.next = positions.back();
  }
  // The records are read after the index's lock is gone; what ended in between is left out.
  for (const ListPosition& position : positions) {
    const Lookup lookup(position.name);
    Shard& shard = shard_of(lookup);
    const std::lock_guard lock(shard.mutex);
    const Session* session = shard.find(lookup);
    if (session == nullptr || !session->live()) continue;
    const Record& record = *session->find(RecordKey::of_session());
    page.items.push_back({session->id(),
                          {record.bytes, record.version, false},
                          {session->last_active, session->order_time}});
  }
  co_return page;
}

Task<ArchivePage> MemoryStorage::list_archive(const ListQuery& query) {
  std::vector<ListPosition> positions;
  const auto collect = [&](const ArchiveIndex& index) {
    auto at = query.after ? index.upper_bound(Position(*query.after)) : index.begin();
    for (std::size_t taken = 0; at != index.end() && taken <= query.limit; ++at, ++taken)
      positions.push_back(at->get());
  };
  if (query.user) {
    UserShard& users = user_shard_of(*query.user);
    const std::lock_guard lock(users.mutex);
    const auto found = users.users.find(query.user->str());
    if (found != users.users.end()) collect(found->second->archive);
  } else {
    for (Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      collect(shard.archive);
    }
    std::sort(positions.begin(), positions.end(), in_list_order);
  }

  ArchivePage page;
  if (positions.size() > query.limit) {
    positions.resize(query.limit);
    page.next = positions.back();
  }
  for (const ListPosition& position : positions) {
    const ChainId id = *ChainId::parse(position.name);
    const SessionId session_id = id.session();
    const Lookup lookup(session_id.str());
    Shard& shard = shard_of(lookup);
    const std::lock_guard lock(shard.mutex);
    const Session* session = shard.find(lookup);
    if (session == nullptr || !session->is_archived(id.number())) continue;
    const Record& record = session->chain(id.number())->record;
    page.items.push_back({id, {record.bytes, record.version, true}});
  }
  co_return page;
}

Task<EventPage> MemoryStorage::read_events(const SessionId& id, const EventQuery& query) {
  EventPage page;
  std::vector<LogEntry> entries;  // taken under the lock, copied out without it
  std::uint64_t sequence = 0;     // of the first
  {
    const Lookup lookup(id.str());
    Shard& shard = shard_of(lookup);
    const std::lock_guard lock(shard.mutex);
    const Session* session = shard.find(lookup);
    if (session == nullptr || session->log().empty()) co_return page;
    page.first_sequence = session->first_sequence();
    page.last_sequence = session->last_sequence();
    if (query.after >= page.last_sequence) co_return page;
    sequence = std::max(query.after + 1, page.first_sequence);
    std::size_t bytes = 0;
    for (std::uint64_t n = sequence; n <= page.last_sequence; ++n) {
      const LogEntry& entry = session->log()[n - page.first_sequence];
      bytes += entry.event().size();
      const bool full = entries.size() >= query.limit || bytes > query.max_bytes;
      if (full && !entries.empty()) break;
      entries.push_back(entry);
    }
  }
  page.events.reserve(entries.size());
  for (const LogEntry& entry : entries)
    page.events.push_back({sequence++, Bytes(entry.event()), std::string(entry.operation_id())});
  co_return page;
}

Task<std::unique_ptr<Subscription>> MemoryStorage::subscribe(std::optional<SessionId> session) {
  co_return hub_.subscribe(std::move(session));
}

Task<bool> MemoryStorage::touch(const SessionId& id, const Activity& activity) {
  const Lookup lookup(id.str());
  Shard& shard = shard_of(lookup);
  const std::lock_guard lock(shard.mutex);
  Session* session = shard.find(lookup);
  if (session == nullptr || !session->live()) co_return false;
  if (session->order_time <= activity.last_active) co_return false;
  move_in_lists(shard, *session, activity, std::nullopt);
  co_return true;
}

// ---- upkeep -------------------------------------------------------------------------------------

Task<std::uint64_t> MemoryStorage::prune_events(const SessionId& id, std::uint64_t first_kept) {
  const Lookup lookup(id.str());
  Shard& shard = shard_of(lookup);
  const std::lock_guard lock(shard.mutex);
  Session* session = shard.find(lookup);
  if (session == nullptr || session->log().empty()) co_return 0;
  const std::uint64_t first = session->first_sequence();
  const std::uint64_t until = std::min(first_kept, session->last_sequence());
  if (until <= first) co_return 0;
  const std::uint64_t count = until - first;
  std::uint64_t freed = 0;
  for (std::uint64_t i = 0; i < count; ++i) freed += session->log()[i].size() + event_cost;
  session->drop_events(count);
  release(*session, freed);
  co_return count;
}

Task<SweepResult> MemoryStorage::sweep(const SweepQuery& query) {
  SweepResult result;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    // The earliest stand last.
    for (auto at = shard.live.rbegin(); at != shard.live.rend() && at->order_time <= query.now;
         ++at) {
      if (result.expired.size() >= query.limit) {
        result.more = true;
        break;
      }
      result.expired.push_back(at->id());
    }
    while (!shard.ended.empty() && shard.ended.rbegin()->order_time <= query.now) {
      if (result.logs_removed >= query.limit) {
        result.more = true;
        break;
      }
      Session& session = *shard.ended.rbegin();
      leave_lists(shard, session);
      std::uint64_t freed = 0;
      for (const LogEntry& entry : session.log()) freed += entry.size() + event_cost;
      session.drop_log();
      release(session, freed);
      remove_if_empty(shard, session);
      ++result.logs_removed;
    }
    const Timestamp archived_before = query.now - options_.limits.archive_retention;
    while (!shard.archive.empty() && shard.archive.rbegin()->time() <= archived_before) {
      if (result.chains_removed >= query.limit) {
        result.more = true;
        break;
      }
      const ChainId id = *ChainId::parse(shard.archive.rbegin()->name());
      const SessionId session_id = id.session();
      Session& session = *shard.find(Lookup(session_id.str()));
      remove_chain(shard, session, id.number());
      remove_if_empty(shard, session);
      ++result.chains_removed;
    }
  }
  co_return result;
}

void MemoryStorage::remove_chain(Shard& shard, Session& session, std::uint32_t number) {
  const Chain& chain = *session.chain(number);
  const Position position({chain.archived_at, ChainId(session.id(), number).str()});
  shard.archive.erase(position);
  UserShard& users = user_shard_of(chain.user->id);
  {
    const std::lock_guard lock(users.mutex);
    chain.user->archive.erase(position);
    forget_if_unused(users, *chain.user);
  }
  release(session, cost_of(chain));
  session.drop_chain(number);
  session.recount_archive();
}

Task<bool> MemoryStorage::erase_session(const SessionId& id) {
  const Lookup lookup(id.str());
  Shard& shard = shard_of(lookup);
  const std::lock_guard lock(shard.mutex);
  Session* session = shard.find(lookup);
  if (session == nullptr) co_return false;
  if (session->live()) end(shard, *session, Timestamp());
  while (session->last_archived != 0) remove_chain(shard, *session, session->last_archived);
  leave_lists(shard, *session);
  session->drop_log();
  remove_if_empty(shard, *session);
  co_return true;
}

void MemoryStorage::remove_if_empty(Shard& shard, Session& session) {
  if (!session.fresh()) return;
  give_up(session);
  release(session, session.bytes());
  sessions_.fetch_sub(1, std::memory_order_relaxed);
  shard.sessions.erase(shard.sessions.find(Lookup(session.id().str())));
}

void MemoryStorage::release(Session& session, std::uint64_t less) {
  session.recharge(less, 0);
  bytes_.fetch_sub(less, std::memory_order_relaxed);
}

void MemoryStorage::forget_if_unused(UserShard& users, User& user) {
  if (user.owned == 0 && user.archive.empty()) users.users.erase(user.id.str());
}

Task<Health> MemoryStorage::health() {
  Health health;
  health.driver = "memory";
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    health.sessions += shard.live_count;
  }
  health.bytes = bytes_.load(std::memory_order_relaxed);
  co_return health;
}

}  // namespace
}  // namespace memory

std::unique_ptr<StorageDriver> make_memory_storage(MemoryOptions options) {
  return std::make_unique<memory::MemoryStorage>(options);
}

}  // namespace actionflows
