#include "actionflows/model/session.hpp"

#include "actionflows/base/names.hpp"
#include "actionflows/model/limits.hpp"
#include "actionflows/schema/object.hpp"

namespace actionflows {
namespace {

constexpr Names<SessionState, 3> state_names{{{"active", SessionState::active},
                                              {"paused", SessionState::paused},
                                              {"completed", SessionState::completed}}};

}  // namespace

std::string_view to_string(SessionState state) { return name_in(state_names, state); }

std::optional<SessionState> parse_session_state(std::string_view text) {
  return value_in(state_names, text);
}

template <>
const schema::Schema<Session>& schema::schema_of<Session>() {
  static const auto& schema = *new auto(object<Session>(
      "Session", "What one user's run of an agent or a workflow is kept under.",
      field("sessionId", &Session::session_id, identifier())
          .creation(optional_on_create)
          .describe("Minted as a UUIDv7 when not given. A name, never a secret."),
      field("userId", &Session::user_id, identifier()).creation(required_on_create),
      field("state", &Session::state, enumeration(state_names))
          .writable()
          .describe("active and paused may follow each other; completed is the end."),
      field("title", &SessionData::title, text().max(max_title))
          .creation(optional_on_create)
          .writable(),
      field("cwd", &SessionData::cwd, text().max(max_file_path))
          .creation(optional_on_create)
          .writable(),
      field("hostname", &SessionData::hostname, text().max(max_name))
          .creation(optional_on_create)
          .writable(),
      field("platform", &SessionData::platform, text().max(max_name))
          .creation(optional_on_create)
          .writable(),
      field("summary", &SessionData::summary, text().max(max_text))
          .creation(optional_on_create)
          .writable(),
      field("endReason", &Session::end_reason, text().max(max_text))
          .writable()
          .describe("Why the session was completed."),
      field("metadata", &SessionData::metadata, free_object())
          .creation(optional_on_create)
          .writable()
          .describe("Free-form; kept byte for byte."),
      field("createdAt", &Session::created_at, timestamp()),
      field("updatedAt", &Session::updated_at, timestamp()),
      field("lastActivityAt", &Session::last_activity_at, timestamp())
          .beside()
          .describe("Moved by every change and touch, at most once per touch interval."),
      field("expiresAt", &Session::expires_at, timestamp())
          .beside()
          .describe("When the session ends by itself, unless something happens before."),
      field("completedAt", &Session::completed_at, timestamp()),
      field("chainCount", &Session::chain_count, integer())
          .describe("Chain numbers given so far, those of deleted chains included."),
      field("version", &Session::version, integer().min(1))
          .beside()
          .describe("Grows by one with each change of the record; the ETag.")));
  return schema;
}

}  // namespace actionflows
