// The checks that the functions of Storage have in common. For storage_*.cpp only.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/storage/storage.hpp"

#include <string>

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

inline Issue too_large(std::size_t size, std::size_t limit) {
  Issue issue;
  issue.code = IssueCode::too_big;
  issue.message = "must be at most " + std::to_string(limit) + " bytes as JSON";
  issue.expected = "at most " + std::to_string(limit) + " bytes";
  issue.received = std::to_string(size) + " bytes";
  return issue;
}

// What a record's stored bytes say. Throws corrupt.
template <class T>
T decode_record(const StoredRecord& stored, const std::string& id, const std::string& operation) {
  T record;
  Issues issues;
  if (!schema::schema_of<T>().decode(stored.bytes.view(), schema::Form::stored, record, issues)) {
    StorageError error = failure(
        ErrorCode::corrupt, "the stored record " + id + " does not fit its schema", operation, id);
    error.issues = std::move(issues);
    throw error;
  }
  if constexpr (requires { record.version; }) record.version = stored.version;
  return record;
}

inline Session decode_session(const SessionId& id, const StoredRecord& stored,
                              const Activity& activity, const std::string& operation) {
  Session session = decode_record<Session>(stored, id.str(), operation);
  session.last_activity_at = activity.last_active;
  session.expires_at = activity.expires;
  return session;
}

// The event that an earlier run of a repeated operation left of this kind ("session", "chain",
// "step"), about `id` where one is given. Throws conflict: the operation id was used for something
// else.
const Event& repeated_event(const Storage::Outcome& outcome, std::string_view noun,
                            std::string_view id, const std::string& operation);

}  // namespace actionflows
