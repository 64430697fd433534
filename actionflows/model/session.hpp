// A session: what one user's run of an agent or a workflow is kept under.
#pragma once

#include "actionflows/base/time.hpp"
#include "actionflows/json/raw.hpp"
#include "actionflows/model/ids.hpp"
#include "actionflows/schema/schema.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace actionflows {

enum class SessionState : std::uint8_t { active, paused, completed };

std::string_view to_string(SessionState state);
std::optional<SessionState> parse_session_state(std::string_view text);

// What its creator says of it.
struct SessionData {
  std::optional<std::string> title;
  std::optional<std::string> cwd;
  std::optional<std::string> hostname;
  std::optional<std::string> platform;
  std::optional<std::string> summary;
  std::optional<json::Raw> metadata;  // an object

  friend bool operator==(const SessionData&, const SessionData&) = default;
};

struct Session : SessionData {
  SessionId session_id;
  UserId user_id;
  SessionState state = SessionState::active;
  std::optional<std::string> end_reason;
  Timestamp created_at;
  Timestamp updated_at;
  Timestamp last_activity_at;  // kept by the backend beside the record
  Timestamp expires_at;        // likewise
  std::optional<Timestamp> completed_at;
  std::uint32_t chain_count = 0;  // chain numbers given so far, those of deleted chains included
  std::uint64_t version = 0;      // kept by the backend beside the record

  friend bool operator==(const Session&, const Session&) = default;
};

// A change of a session's writable fields.
using SessionUpdate = schema::Partial<Session>;

namespace schema {
template <>
const Schema<Session>& schema_of<Session>();
}  // namespace schema

}  // namespace actionflows
