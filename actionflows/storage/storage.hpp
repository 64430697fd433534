// Storage: the typed, validated interface to sessions, their chains, steps and events.
//
// Every record is checked before it is stored and when it is read. Every change is one commit: the
// records and the events that tell of them, together or not at all. Changes that meet are told
// apart by versions; the later one is tried again on what the earlier one left, so no update is
// lost.
//
// Absent is std::nullopt, never an error, and an error is never told as absent. Everything else
// that can go wrong throws StorageError (base/error.hpp); each function names the codes beside
//   unavailable, timeout  the backend; see `retryable`
//   corrupt               what is stored does not fit its schema; names the record
//   invalid               an argument breaks a rule; with all issues
//
// A session that is past its deadline is absent, also before it is swept.
#pragma once

#include "actionflows/base/clock.hpp"
#include "actionflows/base/random.hpp"
#include "actionflows/model/chain.hpp"
#include "actionflows/model/event.hpp"
#include "actionflows/model/session.hpp"
#include "actionflows/model/step.hpp"
#include "actionflows/storage/context.hpp"
#include "actionflows/storage/driver.hpp"
#include "actionflows/storage/page.hpp"
#include "actionflows/storage/transaction.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace actionflows {

struct StorageOptions {
  // How long a session lives after its last activity.
  std::chrono::milliseconds session_ttl = std::chrono::hours{24};
  // Of one record or one event's data.
  json::Limits record_limits;
  // How often a change that met another is tried before it is `unavailable`; the wait in between
  // doubles from 1 ms to 512 ms, with full jitter: so that of 40 clients who change one session
  // without a pause each gets its turn.
  int max_attempts = 40;
};

struct SessionFilter {
  std::optional<UserId> user;  // absent: of all users
  std::optional<SessionState> state;
};

struct EventFilter {
  std::uint64_t after = 0;  // events with greater sequence numbers
  std::size_t limit = 100;  // 1-1000
  std::optional<EventType> type;
  std::optional<Timestamp> since;  // events at this time or later
  std::optional<Timestamp> until;  // events before this time
};

struct EventList {
  std::vector<Event> items;
  std::optional<std::uint64_t> next_after;  // absent: the log's end was reached
  std::uint64_t first_sequence = 0;         // the oldest event still there; 0: no log
  std::uint64_t last_sequence = 0;
  std::vector<StorageError> corrupt;  // events that could not be read; the others are there
};

struct Upkeep {
  std::size_t sessions_expired = 0;
  std::size_t logs_removed = 0;
  std::size_t chains_removed = 0;
  bool more = false;  // call again
  // Sessions (`record`) that could not be ended; the others were.
  std::vector<StorageError> failed;
};

// A session as a whole, as an import brings it: everything with its versions, and its log.
struct SessionImage {
  Session session;
  std::vector<Chain> chains;  // with `archived_at`: archived
  std::vector<Step> steps;    // of these chains
  std::vector<Event> events;  // dense, in sequence
  // Whether the id follows from the content: then whoever was restored under it is the same.
  bool named_by_content = false;
};

// Thread-safety: shared objects: safe. Arguments by reference must outlive the await.
class Storage {
 public:
  explicit Storage(std::unique_ptr<StorageDriver> driver, StorageOptions options = {},
                   Clock& clock = system_clock(), Random& random = system_random());
  ~Storage();

  // ---- sessions

  // Without `id` one is minted; with an operation id in the context it is derived from that, so
  // that a repeated call finds the session it made. conflict: it exists, or what is left of another
  // user's session of this id would come to be this user's.
  Task<Session> create_session(UserId user, SessionData data, std::optional<SessionId> id = {},
                               const Context& context = Context::none());
  Task<std::optional<Session>> get_session(const SessionId& id,
                                           const Context& context = Context::none());
  // Whose session it is or, where only an archive or a log is left of it, was. nullopt: nothing
  // stands under this id.
  Task<std::optional<UserId>> owner_of(const SessionId& id);
  // not_found; conflict; illegal_transition (state). A completed session's failed chains are
  // archived in the same commit.
  Task<Session> update_session(const SessionId& id, SessionUpdate update,
                               const Context& context = Context::none());
  // Erases the session and its live chains; its archive and its log stay for their time.
  // not_found; conflict.
  Task<void> delete_session(const SessionId& id, const Context& context = Context::none());
  // Newest activity first.
  Task<Page<Session>> list_sessions(SessionFilter filter, PageQuery page = {},
                                    const Context& context = Context::none());
  // Moves the deadline, at most once per touch interval. not_found.
  Task<void> touch_session(const SessionId& id, const Context& context = Context::none());

  // ---- chains

  // The chain and its steps, in one commit. not_found; illegal_transition (a completed session);
  // exhausted.
  Task<Chain> create_chain(const SessionId& session, ChainData data,
                           const Context& context = Context::none());
  // Live or archived.
  Task<std::optional<Chain>> get_chain(const ChainId& id, const Context& context = Context::none());
  // not_found; conflict; illegal_transition (archived).
  Task<Chain> update_chain(const ChainId& id, ChainUpdate update,
                           const Context& context = Context::none());
  // With its steps. not_found; conflict; illegal_transition (archived).
  Task<void> delete_chain(const ChainId& id, const Context& context = Context::none());
  // Live and archived ones, in the order of their numbers. not_found (the session).
  Task<Page<Chain>> list_chains(const SessionId& session, std::optional<ChainStatus> status = {},
                                PageQuery page = {}, const Context& context = Context::none());
  // Moves an ended (completed, cancelled or failed) chain to the archive. not_found;
  // illegal_transition (has not ended). Archived already: nothing happens.
  Task<Chain> archive_chain(const ChainId& id, const Context& context = Context::none());
  // Latest archived first; also of sessions that are gone.
  Task<Page<Chain>> list_archive(std::optional<UserId> user, PageQuery page = {},
                                 const Context& context = Context::none());

  // ---- steps

  // Appends to the chain, which is reopened if it had failed. not_found; illegal_transition (the
  // chain is archived, the session completed); exhausted.
  Task<Step> create_step(const ChainId& chain, StepData data,
                         const Context& context = Context::none());
  Task<std::optional<Step>> get_step(const StepId& id, const Context& context = Context::none());
  // not_found; conflict; illegal_transition (archived).
  Task<Step> update_step(const StepId& id, StepUpdate update,
                         const Context& context = Context::none());
  // not_found; conflict; illegal_transition (archived, not pending, or another step waits for it).
  Task<void> delete_step(const StepId& id, const Context& context = Context::none());
  // In the order of their numbers. not_found (the chain).
  Task<Page<Step>> list_steps(const ChainId& chain, std::optional<StepStatus> status = {},
                              PageQuery page = {}, const Context& context = Context::none());

  // ---- events

  // not_found; invalid (a reserved noun, an id of another session); exhausted.
  Task<Event> append_event(const SessionId& session, EventData data,
                           const Context& context = Context::none());
  // The log may outlive its session; without a log the list is empty.
  Task<EventList> read_events(const SessionId& session, EventFilter filter = {},
                              const Context& context = Context::none());
  // Wake-ups of one session or of all; see StorageDriver::subscribe.
  Task<std::unique_ptr<Subscription>> subscribe(std::optional<SessionId> session);
  // Removes events before `first_kept`, at most all but the newest. Returns how many. What was
  // pruned can't be verified any more.
  Task<std::uint64_t> prune_events(const SessionId& session, std::uint64_t first_kept,
                                   const Context& context = Context::none());

  // ---- the whole

  // Stores an image under its own id, versions and sequence numbers; its deadline begins anew where
  // it would be over. False: the session exists already, or it did and is named by its content;
  // nothing is changed. conflict: what is left of it or of another one does, its log or its
  // archive. That the log rebuilds the records is for whoever made the image (image_of_line).
  Task<bool> restore(const SessionImage& image, const Context& context = Context::none());
  // Removes every trace: live records, archive, log. False: there was none.
  Task<bool> erase_session(const SessionId& id, const Context& context = Context::none());
  // Ends the session if its deadline has passed; false: it has not, or there is no such session.
  Task<bool> expire_session(const SessionId& id);
  // Ends expired sessions and removes what is past its retention: at most `limit` of each.
  Task<Upkeep> sweep(std::size_t limit = 100);
  Task<Health> health();

  // ---- for services: changes of their own

  // Runs `change` on a new transaction and commits what it gathered; on a conflict with another
  // writer again from the beginning. A change that gathers nothing commits nothing.
  // `operation` names the call in errors. Where the context's operation id had been applied before,
  // nothing is applied and `report->repeated` is set; the function then returns the events of then.
  using Change = std::function<Task<void>(Transaction&)>;
  struct Outcome {
    CommitResult result;
    std::string operation_id;     // the context's, or the one that was minted
    std::vector<Event> repeated;  // the events of the earlier run; empty: this was the first
  };
  Task<Outcome> transact(const SessionId& session, std::string operation, const Context& context,
                         Change change);

  // The record as it stands; throws not_found. What a repeated operation answers with.
  Task<Session> present_session(const SessionId& id, const std::string& operation);
  Task<Chain> present_chain(const ChainId& id, const std::string& operation);
  Task<Step> present_step(const StepId& id, const std::string& operation);

  [[nodiscard]] Clock& clock() { return clock_; }
  [[nodiscard]] Random& random() { return random_; }
  [[nodiscard]] const StorageOptions& options() const { return options_; }

 private:
  Task<Outcome> outcome_of(const SessionId& session, CommitResult result, const Context& context);
  Task<std::vector<Event>> events_of(const SessionId& session, const CommitResult& result);
  Task<std::uint64_t> first_event_of(const SessionId& session, const CommitResult& result);
  Task<std::optional<CommitResult>> find_operation(const SessionId& session,
                                                   const Context& context);
  Task<std::uint32_t> numbers_given(Transaction& transaction);
  Task<std::uint32_t> numbers_in_log(Transaction& transaction);
  Task<void> check_stands_already(const SessionImage& image, const std::string& operation);
  Task<Durability> durability();
  Task<void> tell_durability(const Context& context);
  Task<void> pause_before_retry(int attempt);

  // constant after construction
  const std::unique_ptr<StorageDriver> driver_;
  const StorageOptions options_;
  Clock& clock_;
  Random& random_;
};

}  // namespace actionflows
