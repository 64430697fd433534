// StorageDriver: the small interface that a backend implements.
//
// A driver keeps sessions. It sees opaque bytes, versions and sequence numbers, and knows nothing
// of what they mean: records are validated, encoded and turned into commits above it (storage.hpp).
//
// A session is the unit of atomicity. Per session a driver keeps
//   - the live records (the session's own, its chains', their steps'), each with a version;
//   - the archive: records of ended chains, immutable, which outlive the session;
//   - the log: events numbered densely from 1, which outlives the session, too;
//   - the activity: when it was last active and when it expires;
//   - what it is listed by: its user and its state.
// The only write to these is `commit`; the rest moves deadlines or removes what has passed its
// time.
//
// Every driver and every wrapper of one passes the suite in tests/conformance, unchanged.
#pragma once

#include "actionflows/base/bytes.hpp"
#include "actionflows/base/error.hpp"
#include "actionflows/base/task.hpp"
#include "actionflows/base/time.hpp"
#include "actionflows/model/ids.hpp"

#include <boost/container/small_vector.hpp>

#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows {

// ---- what is kept -------------------------------------------------------------------------------

// Where a record lives in its session. Chains and their steps are numbered from 1.
struct RecordKey {
  std::uint32_t chain = 0;
  std::uint32_t step = 0;

  static constexpr RecordKey of_session() { return {0, 0}; }
  // What authenticates the session's bearer: kept apart, because it is no part of its history.
  static constexpr RecordKey of_credentials() { return {0, 1}; }
  static constexpr RecordKey of_chain(std::uint32_t chain) { return {chain, 0}; }
  static constexpr RecordKey of_step(std::uint32_t chain, std::uint32_t step) {
    return {chain, step};
  }

  friend constexpr auto operator<=>(const RecordKey&, const RecordKey&) = default;
};

struct StoredRecord {
  Bytes bytes;
  std::uint64_t version = 0;  // from 1
  bool archived = false;
};

struct StoredEvent {
  std::uint64_t sequence = 0;
  Bytes bytes;
  std::string operation_id;
};

// One deadline, absolute, in one place: a session is expired when `expires <= now`.
struct Activity {
  Timestamp last_active;
  Timestamp expires;

  friend bool operator==(const Activity&, const Activity&) = default;
};

// What a session is found by.
struct ListKeys {
  UserId user;
  std::string state;  // a short label; compared, never interpreted

  friend bool operator==(const ListKeys&, const ListKeys&) = default;
};

// ---- where an answer comes from and what a write is worth ---------------------------------------

enum class Source { memory, sqlite, redis, fallback };

std::string_view to_string(Source source);

struct Provenance {
  Source source = Source::memory;
  std::chrono::milliseconds age{0};  // 0: the truth of now; more: as it was that long ago
  bool partial = false;              // a list of what is known here: there may be others
};

enum class DurabilityLevel {
  memory,   // lost with the process
  fsynced,  // survives kill -9 and power loss
  journal,  // journaled durably, not yet in the primary
  redis,    // as durable as the server is configured to be
};

struct Durability {
  DurabilityLevel level = DurabilityLevel::memory;
  int replicas = 0;  // confirmed by this many replicas; 0: none asked
};

// "memory", "fsynced", "redis-replicated(2)".
std::string to_string(const Durability& durability);

// ---- Commit: the only write ---------------------------------------------------------------------

struct Put {
  RecordKey key;
  Bytes bytes;
  std::uint64_t expected_version = 0;  // 0: no live and no archived record stands there
  std::uint64_t version = 0;           // the record's version from now on; > expected_version
};

struct Expect {
  RecordKey key;
  std::uint64_t version = 0;  // as in Put
};

struct NewEvent {
  Bytes bytes;
  std::string type;          // "step:completed": what a wake-up tells; the bytes say it, too
  std::string operation_id;  // empty: the commit's. Set by restores, whose events have their own
};

enum class Precondition {
  none,
  fresh,    // nothing stands under this session id: no live record, no archive, no log
  expired,  // the session is live and its deadline is at or before `Commit::at`
};

// A change of one session: applies whole or not at all. What stands beside a field is what the
// driver checks; a commit that fails a check changes nothing.
struct Commit {
  SessionId session;
  std::string operation_id;  // 1-200 bytes; unique to this change
  Timestamp at;              // when it happens: what retention is counted from

  // Whether this change may have been applied already. Then, before anything else is checked, the
  // last `operation_memory` events are searched for `operation_id`; where one has it, nothing is
  // applied and the result tells which events these were.
  bool may_repeat = false;

  // Beside may_repeat: an attempt of this change was sent without it and may still be under way.
  // From a driver that lets that happen it must not be applied after this one.
  bool supersedes = false;

  Precondition precondition = Precondition::none;
  std::vector<Expect> expects;  // records that must stand as they were read
  std::vector<Put> puts;        // one per key
  std::vector<Expect> erases;   // each must exist in this version, live
  std::vector<std::uint32_t>
      archive;                   // live chains that move, with all their steps, after the puts
  bool end_session = false;      // after the moves: erase all live records, end the session
  std::vector<NewEvent> events;  // at least one; numbered in this order

  std::optional<Activity> activity;  // must be given when the session's own record is created
  std::optional<ListKeys> listed;    // likewise

  // Only into an empty log: the number of the first event (a restored log may begin late). Else 0.
  std::uint64_t first_sequence = 0;

  // When given, what the log's newest number must be; 0: there is no log.
  std::optional<std::uint64_t> expected_last_sequence;
};

// How far back a repeated operation id is recognised, in events.
inline constexpr std::uint64_t operation_memory = 256;

struct CommitResult {
  std::uint64_t first_sequence = 0;  // of this commit's events
  std::uint64_t last_sequence = 0;
  bool repeated = false;  // had been applied before: the sequences are those of then
  Activity activity;      // of the session from now on; meaningless when it was ended
  Durability durability;
};

// ---- reads --------------------------------------------------------------------------------------

struct ReadResult {
  // In the order of the keys asked for; absent is nullopt. A chain or step that is not live is
  // looked for in the archive.
  boost::container::small_vector<std::optional<StoredRecord>, 2> records;
  bool live = false;                // the session's own record exists
  Activity activity;                // meaningful when live
  std::uint64_t last_sequence = 0;  // of the log; 0: no log
  std::uint32_t last_archived = 0;  // the highest chain number in the archive; 0: none
  // The user whom the session was listed by last. Kept, after its end, for as long as an archive or
  // a log is: so that what is left of one user's session is not taken for another's. nullopt:
  // nothing stands under this id.
  std::optional<UserId> owner;
  Provenance provenance;
};

// A position in a list; lists are ordered by (time, name), the latest time first, equal times by
// name. A page begins after it. What does not move while pages are read is seen exactly once.
struct ListPosition {
  Timestamp time;
  std::string name;

  friend auto operator<=>(const ListPosition&, const ListPosition&) = default;
};

struct ListQuery {
  std::optional<UserId> user;        // absent: of all users
  std::optional<std::string> state;  // sessions only
  std::optional<ListPosition> after;
  std::size_t limit = 50;  // 1-1000
};

struct ListedSession {
  SessionId id;
  StoredRecord record;
  Activity activity;
};

// `next` is where the following page begins; nullopt: this was the last. A page may hold fewer than
// `limit` and still have a next: so a driver need not look at everything for a filter that fits
// little.
//
// What can't be understood stands in `corrupt`, with the session or chain in `record`; the others
// of the page are there.
struct SessionPage {
  std::vector<ListedSession> items;
  std::optional<ListPosition> next;
  std::vector<StorageError> corrupt;
  Provenance provenance;
};

struct ArchivedChain {
  ChainId id;
  StoredRecord record;
};

struct ArchivePage {
  std::vector<ArchivedChain> items;
  std::optional<ListPosition> next;
  std::vector<StorageError> corrupt;
  Provenance provenance;
};

struct EventQuery {
  std::uint64_t after = 0;  // events with greater numbers
  std::size_t limit = 1000;
  std::size_t max_bytes = 4 << 20;  // a page ends before it exceeds this, but holds at least one
};

struct EventPage {
  std::vector<StoredEvent> events;
  std::uint64_t first_sequence = 0;  // the oldest event still there; 0: no log
  std::uint64_t last_sequence = 0;   // the newest; 0: no log
  Provenance provenance;
};

// ---- wake-ups -----------------------------------------------------------------------------------

// Something happened. The log is the truth; a wake-up only says that it is worth a look, may be
// repeated and may be merged with its neighbours.
struct Wakeup {
  SessionId session;
  UserId user;
  std::uint64_t sequence = 0;  // the newest event
  std::string type;            // of the commit's first event
};

// Thread-safety: one caller at a time, but any thread. Destroying it ends the subscription.
class Subscription {
 public:
  struct Batch {
    std::vector<Wakeup> wakeups;  // in the order of the commits of each session
    bool missed = false;          // some were dropped since the last batch: look at everything
    // The events behind this number have got others: read them again. Where one session is
    // followed; else `missed` says so.
    std::optional<std::uint64_t> rewind;

    // Nothing has come: it has timed out.
    [[nodiscard]] bool empty() const { return wakeups.empty() && !missed && !rewind; }
  };

  virtual ~Subscription() = default;

  // Returns as soon as there is something, or after `timeout` (real time). Throws unavailable when
  // the backend can't deliver any more; a new subscription may.
  virtual Task<Batch> next(std::chrono::milliseconds timeout) = 0;
};

// ---- upkeep -------------------------------------------------------------------------------------

struct SweepQuery {
  Timestamp now;
  std::size_t limit = 100;  // how much of each kind one call does at the most
};

struct SweepResult {
  std::vector<SessionId> expired;  // live and past their deadline; still there: end them by commit
  std::size_t logs_removed = 0;    // whole logs of ended sessions past the log retention
  std::size_t chains_removed = 0;  // archived chains past the archive retention
  bool more = false;               // some limit was reached: call again
};

// How a wrapper gets along that keeps working while its primary is away (resilient/).
struct Resilience {
  std::string breaker;                       // "closed", "open", "half-open"
  Timestamp since;                           // of that state
  std::uint64_t journal_entries = 0;         // acknowledged and not yet in the primary
  std::chrono::milliseconds journal_age{0};  // of the oldest of them
  std::uint64_t poisoned = 0;                // set aside: somebody has to look
  // Counted since the start.
  std::uint64_t attempts = 0;    // calls that reached the primary
  std::uint64_t retries = 0;     // those of them that repeated a failed one
  std::uint64_t rejections = 0;  // calls that the open breaker kept from the primary
  std::uint64_t replayed = 0;    // journal entries that are in the primary now
  std::uint64_t conflicts = 0;   // fields or records that both sides had changed
};

struct Health {
  bool ok = true;
  std::string driver;  // "memory"
  std::string detail;  // plain words when not ok
  Durability durability;
  std::uint64_t sessions = 0;  // live; as far as the driver can tell cheaply
  std::uint64_t bytes = 0;     // occupied; likewise
  std::optional<Resilience> resilience;
};

// What every driver is configured with, beside what is its own.
struct DriverLimits {
  std::uint64_t max_events = 10'000;  // a session's log; a commit that would pass it is `exhausted`
  std::uint32_t max_chains = 1'000;   // the highest chain number of a session
  std::uint32_t max_steps = 5'000;    // the highest step number of a chain
  // Activity that would move by less stays where it is: so busy sessions are not moved about in the
  // indexes at every commit.
  std::chrono::milliseconds touch_interval{0};
  std::chrono::milliseconds log_retention = std::chrono::days{7};       // after the newest event
  std::chrono::milliseconds archive_retention = std::chrono::days{30};  // after being archived
};

// ---- the interface ------------------------------------------------------------------------------

// Thread-safety: shared objects: safe. Arguments taken by reference must outlive the await; results
// are the caller's own and share no state but immutable bytes.
//
// Errors, besides those named at a call: unavailable (the backend can't be reached or refuses to
// work), timeout (no answer in time; a commit may have been applied), corrupt (what is stored can't
// be understood). None of these is ever told as absence.
class StorageDriver {
 public:
  virtual ~StorageDriver() = default;

  // The records at `keys` as of one moment. An absent session has no live records; its archive and
  // its log may still be there. Whoever is past its deadline is read as long as nobody has ended
  // it.
  virtual Task<ReadResult> read(const SessionId& session, std::span<const RecordKey> keys) = 0;

  // Applies `commit` whole, or throws and has changed nothing:
  //   invalid     the commit contradicts itself: no events, no activity for a new session, an
  //               erased key put, a session created and ended, ... Looked for before all else.
  //   conflict    a version, a precondition or the end of the log is not as expected; also when
  //               the session's own record is absent and the commit does not create it
  //   exhausted   a limit of the backend would be passed; a full log or store does not keep a
  //               session from being ended
  // Where it is both a conflict and exhausted, either may be told.
  // `timeout` and `unavailable` leave it open whether it was applied: repeat it with may_repeat.
  virtual Task<CommitResult> commit(const Commit& commit) = 0;

  // Live sessions, latest deadline first.
  virtual Task<SessionPage> list_sessions(const ListQuery& query) = 0;

  // Archived chains, latest archived first, by the user their session had then.
  virtual Task<ArchivePage> list_archive(const ListQuery& query) = 0;

  // Events in sequence. A caller that is told a `first_sequence` beyond `after + 1` has a gap.
  virtual Task<EventPage> read_events(const SessionId& session, const EventQuery& query) = 0;

  // Wake-ups of one session, or of all. Whatever is committed after the returned subscription
  // exists wakes it.
  virtual Task<std::unique_ptr<Subscription>> subscribe(std::optional<SessionId> session) = 0;

  // Moves the activity, never back and never by less than the touch interval; so does a commit.
  // False: no live session, or its deadline is at or before `activity.last_active`; nothing is
  // created, and what has expired stays so.
  virtual Task<bool> touch(const SessionId& session, const Activity& activity) = 0;

  // Removes the events before `first_kept`, at most all but the newest one: the log keeps its
  // count. Returns how many.
  virtual Task<std::uint64_t> prune_events(const SessionId& session, std::uint64_t first_kept) = 0;

  // Names who has expired and removes what is past its retention, a bounded batch per call.
  virtual Task<SweepResult> sweep(const SweepQuery& query) = 0;

  // Removes every trace of the session: live records, archive and log. False: there was none.
  virtual Task<bool> erase_session(const SessionId& session) = 0;

  // Never throws: what is wrong stands in the result.
  virtual Task<Health> health() = 0;
};

}  // namespace actionflows
