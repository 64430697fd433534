// Interchange: sessions as lines of text, for import, export and copies between storages.
//
// One session a line (NDJSON). A line has one of two forms:
//   a recorded run   {"source", "licence", "session": {"user", "cwd", "startedAt"},
//                     "chains": [{"title", "source", "steps": [{"action", "inputs", "waitsFor",
//                     "status", "startedAt", "completedAt", "result", "error"}]}]}
//   an export        the same, plus each record as it is stored ("record" in the session and the
//                    chains; the steps are their records) and "events", the whole log
// Importing an export restores it exactly: ids, versions, times and events. Importing a run makes a
// completed session of it, whose id follows from the line, so that the same line is the same
// session.
#pragma once

#include "actionflows/storage/storage.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows {

// The longest line, in bytes, that is imported, and so that is exported. It may hold many records;
// each of them is bounded where it is stored.
inline constexpr std::size_t max_line_bytes = std::size_t{256} << 20;

struct ImportDefaults {
  // Whose the runs are that name no user.
  UserId user = *UserId::parse("unknown");
};

// What a line brings. A run's records carry `now` where the run has no time of its own, and the
// session lives until `now` + `ttl`. Throws invalid with every issue of the line; also where an
// export's log does not rebuild its records, unless the log's beginning was pruned.
SessionImage image_of_line(std::string_view line, Timestamp now, std::chrono::milliseconds ttl,
                           const ImportDefaults& defaults = {});

// The export form of an image, without a line end. The same image gives the same bytes. Throws
// exhausted when it would be longer than `max_bytes`: it could not be imported.
std::string line_of_image(const SessionImage& image, std::size_t max_bytes = max_line_bytes);

// The session as a whole, as of one moment. nullopt: there is no such session. Throws corrupt;
// conflict (retryable) when it was changed again and again while it was read.
Task<std::optional<SessionImage>> read_image(Storage& storage, const SessionId& id,
                                             const Context& context = Context::none());

}  // namespace actionflows
