// Transaction: one change of one session while it is being put together.
//
// `Storage::transact` hands one to its caller, who reads what the change depends on and says what
// is to change; then everything is applied as one commit. Whatever was read must stand unchanged at
// that moment, or the whole is tried again from the beginning.
//
// There is no way to change a record without an event that tells of it: so the log alone is enough
// to rebuild every record (services/replay.hpp reads what is written here).
#pragma once

#include "actionflows/model/chain.hpp"
#include "actionflows/model/credentials.hpp"
#include "actionflows/model/event.hpp"
#include "actionflows/model/session.hpp"
#include "actionflows/model/step.hpp"
#include "actionflows/storage/context.hpp"
#include "actionflows/storage/driver.hpp"

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows {

// Who makes a record longer. What clients give keeps within the limits. What the store notes by
// itself (times, counts, states) is little and always fits: no record is too long to be acted on.
enum class By { client, store };

// Thread-safety: none; used by one coroutine.
class Transaction {
 public:
  // Use Storage::transact. The driver and the context must outlive the transaction.
  Transaction(StorageDriver& driver, const SessionId& session, Timestamp at, std::string operation,
              const Context& context, const json::Limits& limits);

  [[nodiscard]] Timestamp at() const { return commit_.at; }
  [[nodiscard]] const SessionId& session_id() const { return commit_.session; }
  [[nodiscard]] const std::string& operation() const { return operation_; }

  // ---- reading. Throws corrupt where what is stored does not fit its schema.

  // Fetches several records at once, for the functions below to find.
  Task<void> load(std::vector<RecordKey> keys);
  template <std::same_as<RecordKey>... Keys>
  Task<void> load(Keys... keys) {
    return load(std::vector<RecordKey>{keys...});
  }

  // The session; throws not_found when it is absent or expired.
  Task<Session> session();
  // Likewise the chain and the step, live or archived.
  Task<Chain> chain(const ChainId& id);
  Task<std::optional<Chain>> find_chain(const ChainId& id);
  Task<Step> step(const StepId& id);
  // The chain's present steps, in ascending order.
  Task<std::vector<Step>> steps(const Chain& chain);
  // nullopt: there are none.
  Task<std::optional<Credentials>> credentials();

  // From now on what an expired session holds is read, too: for ending it.
  void reach_expired() { reach_expired_ = true; }
  // After a load: whether the session's own record is there; whether its deadline has passed.
  [[nodiscard]] bool live() const { return live_; }
  [[nodiscard]] bool expired() const { return live_ && activity_.expires <= commit_.at; }

  // The highest chain number in the archive, 0: none; the log's newest number, 0: none.
  [[nodiscard]] std::uint32_t last_archived() const { return last_archived_; }
  [[nodiscard]] std::uint64_t last_sequence() const { return last_sequence_; }
  // Whose session it is or was; nullopt: nothing stands under its id.
  [[nodiscard]] const std::optional<UserId>& owner() const { return owner_; }

  // ---- changing. Records are validated; throws invalid. Archived ones: throws illegal_transition.

  // A record that does not exist yet. Its version becomes 1; a session's that follows on an earlier
  // one of the same id goes on from the log's newest number instead, which no version of that one
  // can have passed: so what was read from the earlier one is not taken for this one's.
  // `fresh`: nor may an archive or a log stand there.
  void create(Session& session, bool fresh);
  void create(Chain& chain, std::vector<Step>& steps);
  void create(Step& step);

  // A record that was read, as it shall be from now on; its version and updatedAt are moved. What
  // changed stands in the event. Nothing happens when nothing changed.
  void update(const Session& before, Session& after, std::string_view event_type,
              By by = By::client);
  void update(const Chain& before, Chain& after, std::string_view event_type, By by = By::client);
  void update(const Step& before, Step& after, std::string_view event_type, By by = By::client);

  void erase(const Chain& chain, const std::vector<Step>& steps);
  void erase(const Step& step);
  // The chain, as put or read here, and its steps move to the archive.
  void archive(const Chain& chain);
  // Erases all that is live, after what was archived has moved. The event keeps how many chain
  // numbers were given, so that a later session of the same id goes on from there.
  // `if_expired`: only if the deadline has passed at that moment.
  void end_session(std::string_view event_type, const Session& session, bool if_expired = false);

  void set_credentials(const std::optional<Credentials>& before, const Credentials& after);
  void erase_credentials();

  // An event beside a change, or alone. `data` is JSON text within its limits, or empty.
  void append(std::string_view type, Timestamp at, const std::optional<ChainId>& chain,
              const std::optional<StepId>& step, std::string_view data);

  // ---- for Storage

  [[nodiscard]] bool empty() const { return commit_.events.empty(); }
  // The commit; everything read and not written is expected to stand. Call it once.
  Commit take();

 private:
  struct Loaded {
    RecordKey key;
    std::optional<StoredRecord> record;
  };

  const Loaded* find(RecordKey key) const;
  Task<const Loaded*> fetch(RecordKey key);
  template <class T>
  void check(const T& record, const std::string& id) const;
  template <class T>
  void put(RecordKey key, const std::string& id, const T& record, std::uint64_t expected_version,
           By by = By::client);
  void refuse_archived(RecordKey key, const std::string& id) const;
  template <class T>
  std::optional<std::string> change(RecordKey key, const std::string& id, const T& before, T& after,
                                    By by);

  // constant after construction
  StorageDriver& driver_;
  const Context& context_;
  const json::Limits limits_;
  const std::string operation_;

  Commit commit_;
  std::vector<Loaded> loaded_;
  Activity activity_;
  bool live_ = false;
  bool reach_expired_ = false;
  std::uint32_t last_archived_ = 0;
  std::uint64_t last_sequence_ = 0;
  std::optional<UserId> owner_;
};

// Moves a chain whose steps have changed: stamps when it began and ended, archives it when it has
// completed or was cancelled, and says it in an event named after what happened to the chain.
void settle(Transaction& transaction, const Chain& before, Chain& after);

}  // namespace actionflows
