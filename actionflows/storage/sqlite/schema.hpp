// What the database looks like, and how a connection to it is opened.
//
//   sessions  one row per session id, as long as anything stands under it. Without a name: the
//             session was erased, and what is left of it is removed piece by piece
//   records   live and archived records
//   archive   which chains are archived, and what they are listed by
//   events    the logs
//   recent    the newest commits of all sessions, for the subscriptions of other processes
//   totals    one row: how many sessions are live
//
// Times are milliseconds since 1970; versions and sequences are unsigned numbers in SQLite's signed
// ones. A log's ends stand in its session's row, so that reading a record need not look at events.
#pragma once

#include "actionflows/storage/sqlite/connection.hpp"

#include <chrono>
#include <string>

namespace actionflows::sqlite {

// A connection that may write. Makes the file durably when it is not there, brings an older schema
// up to date and copies what the last process left in the log. Throws as open_sqlite_storage does.
Connection open_for_writing(const std::string& path, std::chrono::milliseconds busy_timeout,
                            std::uint64_t max_bytes);

// A connection that reads, to a database that open_for_writing has prepared.
Connection open_for_reading(const std::string& path, std::chrono::milliseconds busy_timeout);

}  // namespace actionflows::sqlite
