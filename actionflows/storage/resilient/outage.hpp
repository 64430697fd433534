// Outage: the sessions that were changed while the primary was away, until they are replayed.
//
// Such a session is diverted: it lives in the fallback driver, beginning with what the shadow knew
// of it, and its commits wait in the journal.
#pragma once

#include "actionflows/base/clock.hpp"
#include "actionflows/storage/resilient/async_mutex.hpp"
#include "actionflows/storage/resilient/few_lines.hpp"
#include "actionflows/storage/resilient/gate.hpp"
#include "actionflows/storage/resilient/journal.hpp"
#include "actionflows/storage/resilient/knowledge.hpp"
#include "actionflows/storage/resilient/rebase.hpp"
#include "actionflows/storage/resilient/shadow.hpp"
#include "actionflows/storage/wakeup_hub.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace actionflows {

// One of them.
struct Diverted {
  explicit Diverted(SessionId id) : session(std::move(id)) {}

  const SessionId session;
  // Who changes or replays it; the others wait.
  const std::shared_ptr<AsyncMutex> turn = std::make_shared<AsyncMutex>();
  std::atomic<bool> seeded{false};  // the fallback has it; before, the shadow tells of it
  std::atomic<bool> over{false};    // it is back at the primary; set before the fallback forgets it

  // Of whoever has the turn.
  std::vector<JournalEntry> entries;  // in order; those set aside, too
  std::vector<std::uint64_t> base_ids;
  std::vector<std::uint64_t> refused_ids;      // by the fallback; still in the journal
  Lineage lineage;                             // the records before the first of `entries`
  std::uint64_t seen_sequence = 0;             // the log's newest number when it was diverted
  std::string seen_operation;                  // whose event that is; empty: not known
  std::optional<Clock::Monotonic> lost_since;  // the primary has it no more
  bool was_lost = false;                       // what stands there now need not be what was known
  std::optional<std::uint64_t> gone_back_to;   // likewise: the newest number of an older state
  std::optional<Timestamp> touched_at;         // the newest journaled touch
  bool poisoned = false;
  // The primary has not gone the way of `entries`: equal versions don't mean equal records.
  bool diverged = false;
  // The newest number of the primary's log, where it is known for now.
  std::optional<std::uint64_t> primary_last;
  // Behind this number events stand in the primary's log in other places than they were told here.
  std::optional<std::uint64_t> renumbered_after;

  std::mutex mutex;
  // guarded by mutex
  Knowledge knowledge;
  std::uint64_t first_event = 1;    // the first that is known
  std::uint32_t last_archived = 0;  // of the primary, as far as seen
  Timestamp since;                  // what is served is as of then, and as changed here
};

// Thread-safety: shared objects: safe.
class Outage {
 public:
  Outage(std::unique_ptr<StorageDriver> fallback, std::unique_ptr<Journal> journal, Shadow& shadow,
         const ResilientOptions& options, Clock& clock);

  // Rebuilds what an earlier process has left in the journal. Once, before all else.
  Task<void> resume();

  // Nothing is diverted. One atomic read.
  [[nodiscard]] bool none() const { return count_.load(std::memory_order_acquire) == 0; }
  [[nodiscard]] std::shared_ptr<Diverted> find(const SessionId& session) const;
  // Whether the fallback has it.
  [[nodiscard]] bool serves(const SessionId& session) const;
  [[nodiscard]] std::shared_ptr<Diverted> find_or_divert(const SessionId& session);
  // In the order of their first entries.
  [[nodiscard]] std::vector<std::shared_ptr<Diverted>> all() const;

  // ---- the primary is away. The caller has the turn of `diverted`.

  // Journal, fallback, answer. Throws as a driver does, unavailable for what is not known.
  // `attempted`: the primary was asked for it before.
  Task<CommitResult> commit(Diverted& diverted, const Commit& commit, bool attempted);
  Task<bool> touch(Diverted& diverted, const Activity& activity);
  // A session without entries, whose first change came to nothing, is diverted no more.
  Task<void> drop(Diverted& diverted);

  // ---- reading what is diverted; no turn needed. Check `over` afterwards.

  Task<ReadResult> read(Diverted& diverted, std::span<const RecordKey> keys);
  Task<EventPage> read_events(Diverted& diverted, const EventQuery& query);
  // Diverted sessions and what the shadow knows of others.
  Task<SessionPage> list_sessions(const ListQuery& query);
  Task<ArchivePage> list_archive(const ListQuery& query);

  // What the shadow knows of a session that is not diverted; unavailable is what it doesn't.
  // Reading does not throw that but returns it: in an outage it is the usual answer, and each frame
  // that an exception passes takes as long as all else.
  using Known = std::variant<ReadResult, StorageError>;
  Known read_shadow(const SessionId& session, std::span<const RecordKey> keys) const;
  EventPage read_shadow_events(const SessionId& session, const EventQuery& query) const;

  // Whether `commit` was made from what was read before a replay that set something aside or found
  // the primary elsewhere: then equal versions need not mean equal records.
  [[nodiscard]] bool is_outdated(const Commit& commit);
  // Whether that can be so of any.
  [[nodiscard]] bool has_breaks() const { return has_breaks_.load(std::memory_order_acquire); }

  // ---- the primary is back. The caller has the turn.

  // Replays all entries. Throws transient errors, also because `until` has passed: then it has to
  // be called again.
  Task<void> replay(Diverted& diverted, Gate& gate, Clock::Monotonic until);
  // Entries that somebody let wait again with `actionflows journal retry`.
  Task<void> replay_retried(Gate& gate);
  // How many lines were kept back. To be called from time to time, and once no more come.
  void tell_untold(bool no_more_come);

  void add_to(Resilience& resilience) const;
  [[nodiscard]] Durability durability() const;
  [[nodiscard]] bool is_durable() const { return journal_->durable(); }
  // For the end of the process: what was acknowledged and is nowhere else.
  void tell_what_is_lost() const;
  [[nodiscard]] WakeupHub& hub() { return hub_; }

 private:
  Task<void> seed(Diverted& diverted, const Commit& first);
  Task<void> rebuild(Diverted& diverted);
  // Why the fallback refuses it; nullopt: it does not.
  Task<std::optional<ErrorCode>> rebuild_entry(Diverted& diverted, const JournalEntry& entry);
  Task<void> place_base(Diverted& diverted, const Commit& base);
  void announce(const Commit& commit, const UserId& user, const CommitResult& result);
  Task<std::uint64_t> append(Diverted& diverted, JournalKind kind,
                             std::shared_ptr<const Commit> commit, bool attempted);
  Task<void> remove_refused(Diverted& diverted);
  Task<void> remove_done(std::vector<std::uint64_t> ids);
  std::map<SessionId, std::vector<JournalEntry>> waiting();
  Task<void> remove_useless_bases();

  // ---- parts of replay
  void remember_break(const SessionId& session);
  struct Primary {
    Gate& gate;
    Clock::Monotonic until;

    [[nodiscard]] Clock::Monotonic deadline() const { return std::min(gate.deadline(), until); }
  };
  void check_time(Clock::Monotonic until, const SessionId& session) const;
  // The first event's number of each operation since the session was diverted; nullopt: the primary
  // has lost the session.
  using Operations = std::map<std::string, std::uint64_t>;
  Task<std::optional<Operations>> operations_since(Diverted& diverted, Primary primary);
  // Whether the primary's log, which ends too early, is an older state of the same.
  Task<bool> is_older_state(Diverted& diverted, Primary primary, std::uint64_t last);
  Task<void> replay_outages(std::vector<std::vector<JournalEntry>> outages, Gate& gate);
  // Throws unavailable as long as the loss is not taken as a fact.
  void hold_loss(Diverted& diverted, bool lost);
  // The number of its first event; nullopt: none as it was told here.
  Task<std::optional<std::uint64_t>> replay_entry(Diverted& diverted, Primary primary,
                                                  JournalEntry& entry, const Lineage& lineage);
  Task<bool> stands_as_known(Primary primary, const Commit& commit, const Lineage& lineage);
  // What it has come to; nullopt: to another commit.
  Task<std::optional<CommitResult>> replay_commit(Diverted& diverted, Primary primary,
                                                  const JournalEntry& entry,
                                                  const Lineage& lineage);
  Task<void> replay_rebased(Primary primary, const Commit& commit, const Lineage& lineage);
  Task<void> finish(Diverted& diverted);
  Task<void> set_aside(Diverted& diverted, JournalEntry& entry, const std::string& why);
  void tell(const std::string& line) const;
  // Where many of its kind may come.
  void tell(FewLines& kind, const std::string& line);

  [[nodiscard]] Provenance provenance(Timestamp as_of) const;

  // constant after construction
  const std::unique_ptr<StorageDriver> fallback_;
  const std::unique_ptr<Journal> journal_;
  Shadow& shadow_;
  const ResilientOptions& options_;
  Clock& clock_;

  WakeupHub hub_;
  std::atomic<std::size_t> count_{0};
  std::atomic<std::uint64_t> replayed_{0};
  std::atomic<std::uint64_t> conflicts_{0};
  std::atomic<std::uint64_t> poisoned_{0};
  std::atomic<bool> has_breaks_{false};
  std::atomic<bool> look_again_{false};  // at the journal, for entries to retry

  mutable std::mutex mutex_;
  // guarded by mutex_
  std::map<SessionId, std::shared_ptr<Diverted>> sessions_;
  std::map<SessionId, Timestamp> breaks_;                        // when such replays ended
  boost::unordered_flat_map<std::uint64_t, Timestamp> waiting_;  // entries: when each was appended
  std::vector<std::uint64_t> done_;  // replayed, but the journal could not be told yet
  FewLines set_aside_{10};
  FewLines lost_{10};
  FewLines gone_back_{10};
  FewLines not_forgotten_{1};
};

}  // namespace actionflows
