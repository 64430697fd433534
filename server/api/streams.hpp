// The live streams, as Server-Sent Events (HTML Living Standard, section 9.2).
#pragma once

#include "server/api/access.hpp"
#include "server/api/services.hpp"
#include "server/http/stream.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows::api {

struct StreamContext {
  Services& services;
  Access& access;
  std::shared_ptr<const Principal> principal;
  std::chrono::milliseconds heartbeat;
};

// A session's events behind `after`, each once and in sequence: `id` is its number, `event` its
// type. Beside them
//   event: gap   {"from","to"}: events that can't be delivered, because they were pruned or because
//                the log never was that long; `id` is where the stream goes on. With `id` 0 the log
//                has begun anew: what had these numbers was another log's
//   event: end   {"reason"}: "session_ended" behind the last event of a session that is gone, or
//                where it is another user's now; "unauthenticated" where the credentials are not
//                accepted any more
// Throws as the storage does: the client then resumes behind the last id it saw.
Task<void> stream_session(StreamContext context, SessionId session, std::uint64_t after,
                          http::StreamWriter& writer);

// What happens from now on in all sessions that the principal may see: `event: notice`. Notices of
// one session may be merged; `event: gap` says that some were lost: look at everything.
Task<void> stream_notices(StreamContext context, http::StreamWriter& writer);

// Appends one event. `name` is one line; `data` may be several: line ends in it become "\n" for the
// reader, which in JSON text is whitespace as before.
void append_sse(std::string& out, std::string_view name, std::string_view data,
                std::optional<std::uint64_t> id = std::nullopt);

}  // namespace actionflows::api
