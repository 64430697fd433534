// What the typed layer must do, written as plainly as can be: maps of records, and rules that look
// at everything each time. The model is slow and simple where the library is quick, and shares no
// code with it but the types.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/model/rules.hpp"
#include "actionflows/services/step_service.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace actionflows::test {

enum class Kind : std::uint8_t {
  create_session,
  update_session,
  change_state,
  delete_session,
  touch_session,
  create_chain,
  update_chain,
  delete_chain,
  archive_chain,
  cancel_chain,
  create_step,
  update_step,
  delete_step,
  act,
  append_event,
  issue_token,
  revoke_token,
  authenticate,
  prune_events,
  erase_session,
  sweep,
};

// One call of the typed interface, as it is made to the model and to the library.
struct Call {
  Kind kind = Kind::sweep;
  std::string operation_id;
  std::optional<std::uint64_t> expected_version;

  UserId user;
  SessionId session;
  std::uint32_t chain = 1;
  std::uint32_t step = 1;

  // what is created or changed, as far as the call has it
  std::optional<std::string> title;  // of a session or chain; of a step: what was learned
  bool clears = false;               // a session's title is cleared
  std::optional<SessionState> state;
  std::optional<json::Raw> metadata;  // merged into the session's
  ChainData chain_data;
  StepData step_data;
  StepAction action = StepAction::start;
  StepReport report;
  std::string event_type;
  std::uint64_t first_kept = 0;

  [[nodiscard]] ChainId chain_id() const { return {session, chain}; }
  [[nodiscard]] StepId step_id() const { return {chain_id(), step}; }
};

std::ostream& operator<<(std::ostream& out, const Call& call);

// What a call tells: an error, or its result.
struct Answer {
  std::optional<ErrorCode> error;
  bool repeated = false;
  std::optional<Session> session;
  std::optional<Chain> chain;
  std::optional<Step> step;
  std::uint64_t number = 0;  // an event's sequence; how many were pruned, expired, ...

  friend bool operator==(const Answer&, const Answer&) = default;
};

std::ostream& operator<<(std::ostream& out, const Answer& answer);

struct ModelLimits {
  std::uint64_t max_events;
  std::uint32_t max_chains;
  std::uint32_t max_steps;
  std::chrono::milliseconds log_retention;
  std::chrono::milliseconds archive_retention;
  std::chrono::milliseconds session_ttl;
  std::chrono::milliseconds token_idle_limit;
  std::chrono::milliseconds token_lifetime;
};

class Model {
 public:
  struct ChainEntry {
    Chain chain;
    std::map<std::uint32_t, Step> steps;
  };
  // What a change made anew, field by field, as far as a repeated call is compared with it.
  using Told = std::map<std::string, std::string>;
  struct LogEntry {
    std::string type;
    std::string about;  // the chain or step; empty: the session
    std::string operation_id;
    Told told;
  };
  // All that stands under one session id.
  struct Entry {
    std::optional<Session> session;  // live, perhaps past its deadline
    std::map<std::uint32_t, ChainEntry> chains;
    std::optional<Timestamp> token_issued;
    std::uint64_t first_sequence = 1;
    std::vector<LogEntry> log;
    std::uint32_t numbers_given = 0;  // by the sessions that have ended
    UserId owner;                     // meaningful while anything stands
    Timestamp ended;

    [[nodiscard]] std::uint64_t last_sequence() const { return first_sequence + log.size() - 1; }
  };

  explicit Model(const ModelLimits& limits) : limits_(limits) {}

  Answer perform(const Call& call, Timestamp now);

  [[nodiscard]] const std::map<SessionId, Entry>& entries() const { return entries_; }

 private:
  struct Refused {
    ErrorCode code;
  };

  Answer dispatch(const Call& call);
  Answer create_session(const Call& call);
  Answer update_session(const Call& call);
  Answer change_state(const Call& call);
  Answer delete_session(const Call& call);
  Answer touch_session(const Call& call);
  Answer create_chain(const Call& call);
  Answer update_chain(const Call& call);
  Answer delete_chain(const Call& call);
  Answer archive_chain(const Call& call);
  Answer cancel_chain(const Call& call);
  Answer create_step(const Call& call);
  Answer update_step(const Call& call);
  Answer delete_step(const Call& call);
  Answer act(const Call& call);
  Answer append_event(const Call& call);
  Answer issue_token(const Call& call);
  Answer revoke_token(const Call& call);
  Answer authenticate(const Call& call);
  Answer prune_events(const Call& call);
  Answer erase_session(const Call& call);
  Answer sweep();

  void check_arguments(const Call& call) const;
  // The answer to a call that was made before under its operation id; nullopt: it was not.
  std::optional<Answer> repeated(const Call& call) const;
  Answer present(const Call& call, const LogEntry& event) const;

  Session& live(const Call& call, Entry& entry) const;
  ChainEntry& find_chain(const Call& call, Entry& entry) const;
  Step& find_step(const Call& call, Entry& entry) const;
  void check_version(const Call& call, std::uint64_t found) const;
  void move_state(const Call& call, Entry& entry, SessionState to,
                  const std::optional<std::string>& reason);
  void archive_failed(const Call& call, Entry& entry);
  void settle(const Call& call, Entry& entry, ChainEntry& chain, const Chain& before);
  void log(Entry& entry, const Call& call, std::string type, std::string about = {},
           Told told = {});
  void end(const Call& call, Entry& entry, const std::string& type);
  void expire(Entry& entry);
  // Makes `changed` what stands, within the limits of the log.
  void commit(const Call& call, Entry changed);

  const ModelLimits limits_;
  std::map<SessionId, Entry> entries_;
  Timestamp now_;
};

}  // namespace actionflows::test
