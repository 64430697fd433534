// What the functions of Storage, and of the services on it, have in common. Not for their users.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/storage/bounds.hpp"
#include "actionflows/storage/storage.hpp"

#include <initializer_list>
#include <string>
#include <string_view>

namespace actionflows {

inline void check_deadline(const Context& context, Clock& clock, const std::string& operation) {
  if (context.deadline && clock.monotonic() >= *context.deadline)
    throw failure(ErrorCode::timeout, "the call's deadline has passed", operation);
}

// The version the caller expects of the record it named.
inline void check_version(const Context& context, std::uint64_t found, const std::string& operation,
                          const std::string& id) {
  if (!context.expected_version || *context.expected_version == found) return;
  StorageError error = failure(ErrorCode::conflict,
                               id + " is at version " + std::to_string(found) + ", not " +
                                   std::to_string(*context.expected_version),
                               operation, id);
  error.current_version = found;
  error.version_mismatch = true;
  throw error;
}

[[noreturn]] inline void throw_illegal(std::string message, const std::string& operation,
                                       const std::string& id) {
  throw failure(ErrorCode::illegal_transition, std::move(message), operation, id);
}

[[noreturn]] inline void throw_not_found(const std::string& what, const std::string& id,
                                         const std::string& operation) {
  throw failure(ErrorCode::not_found, "there is no " + what + " " + id, operation, id);
}

// A completed session takes no more work.
inline void check_open(const Session& session, const std::string& operation) {
  const std::string& id = session.session_id.str();
  if (session.state == SessionState::completed)
    throw_illegal("session " + id + " is completed", operation, id);
}

template <class T>
void check_update(const schema::Partial<T>& update, const std::string& operation,
                  const std::string& id) {
  Issues issues;
  if (!schema::schema_of<T>().validate(update, issues))
    throw invalid_input(std::move(issues), operation, id);
}

template <class T>
void check_data(const T& data, const std::string& operation) {
  Issues issues;
  if (!schema::schema_of<T>().validate(data, schema::Form::create, issues))
    throw invalid_input(std::move(issues), operation);
}

inline const std::string& id_of(const Session& session) { return session.session_id.str(); }
inline const std::string& id_of(const Chain& chain) { return chain.chain_id.str(); }
inline const std::string& id_of(const Step& step) { return step.step_id.str(); }

// What a record's stored bytes say, into a fresh one. Throws corrupt, also when they are those of
// another record.
template <class T>
void decode_record_into(T& record, const StoredRecord& stored, const std::string& id,
                        const std::string& operation) {
  Issues issues;
  if (!schema::schema_of<T>().decode_into(record, stored.bytes.view(), schema::Form::stored, issues,
                                          stored_limits)) {
    StorageError error = failure(
        ErrorCode::corrupt, "the stored record " + id + " does not fit its schema", operation, id);
    error.issues = std::move(issues);
    throw error;
  }
  if constexpr (requires { id_of(record); }) {
    if (id_of(record) != id)
      throw failure(ErrorCode::corrupt, "what is stored as " + id + " is another record", operation,
                    id);
    record.version = stored.version;
  }
}

template <class T>
T decode_record(const StoredRecord& stored, const std::string& id, const std::string& operation) {
  T record;
  decode_record_into(record, stored, id, operation);
  return record;
}

inline void decode_session_into(Session& session, const SessionId& id, const StoredRecord& stored,
                                const Activity& activity, const std::string& operation) {
  decode_record_into(session, stored, id.str(), operation);
  session.last_activity_at = activity.last_active;
  session.expires_at = activity.expires;
}

inline Session decode_session(const SessionId& id, const StoredRecord& stored,
                              const Activity& activity, const std::string& operation) {
  Session session;
  decode_session_into(session, id, stored, activity, operation);
  return session;
}

// How the log says that a session came into this state.
std::string_view event_of(SessionState state);

// Changes the session by `update`, and what follows from its new state. Throws illegal_transition.
// Returns it as it shall be; its activity is told by the commit.
Task<Session> change_session(Transaction& transaction, const Session& before,
                             const SessionUpdate& update);
Session active_as(const CommitResult& result, Session session);

// ---- repeated operations. Answering one that asks for something else than its first run did would
// pass over what it asks for: these throw conflict.

[[noreturn]] void throw_used_otherwise(const Storage::Outcome& outcome, std::string_view operation,
                                       std::string_view id = {});

// The event that names what an earlier run of a repeated operation did: the first of its events. It
// must be one of `types`, and about the record `id` where one is given.
const Event& repeated_event(const Storage::Outcome& outcome,
                            std::initializer_list<std::string_view> types, std::string_view id,
                            std::string_view operation);

// The record that a repeated operation made, as its event holds it. Throws corrupt.
template <class T>
T record_in(const Event& event, const std::string& operation) {
  T record;
  Issues issues;
  const bool fits =
      event.data && schema::schema_of<T>().decode(event.data->view(), schema::Form::stored, record,
                                                  issues, stored_limits);
  if (fits) return record;
  const std::string name = event.session_id.str() + "#" + std::to_string(event.sequence);
  StorageError error = failure(ErrorCode::corrupt,
                               "event " + name + " does not hold what it should", operation, name);
  error.issues = std::move(issues);
  throw error;
}

// The same for an operation that changed a record by `update`: of what both name, the event must
// tell what the update asks for. What was so before the first run, its event does not tell.
template <class T>
void check_repeated_update(const Storage::Outcome& outcome,
                           std::initializer_list<std::string_view> types, std::string_view id,
                           const schema::Partial<T>& update, const std::string& operation) {
  const Event& event = repeated_event(outcome, types, id, operation);
  if (!event.data) return;
  const schema::Schema<T>& schema = schema::schema_of<T>();
  T told_last;
  schema.apply(update, told_last);
  schema.patch(told_last, event.data->view());
  T asked_last;
  schema.patch(asked_last, event.data->view());
  schema.apply(update, asked_last);
  std::string difference;
  if (schema.diff(told_last, asked_last, difference)) throw_used_otherwise(outcome, operation, id);
}

}  // namespace actionflows
