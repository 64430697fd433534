#include "actionflows/storage/sqlite/schema.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string_view>
#include <utility>

namespace actionflows::sqlite {
namespace {

// "AFst" in the file's header: tells `file` and us whose database it is.
constexpr std::int64_t application_id = 0x41467374;

// Events and records are tables with a rowid and an index beside it, not WITHOUT ROWID: their rows
// are too large for the inner nodes of a tree, and new events of all sessions share a few pages at
// the table's end. The events' index holds the operation id, too, so that a repeat is found without
// reading the events.
//
// Sessions that are not live stand in neither list; `ended_at` is set as long as an ended session
// has a log.
constexpr const char* version_1 = R"sql(
CREATE TABLE sessions(
  id INTEGER PRIMARY KEY,
  name TEXT UNIQUE,
  live INTEGER NOT NULL,
  user TEXT NOT NULL,
  state TEXT NOT NULL,
  last_active INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  first_sequence INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  last_archived INTEGER NOT NULL,
  ended_at INTEGER);
CREATE INDEX sessions_by_user ON sessions(user, expires DESC, name, state) WHERE live = 1;
CREATE INDEX sessions_by_deadline ON sessions(expires DESC, name, state) WHERE live = 1;
CREATE INDEX sessions_ended ON sessions(ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_erased ON sessions(id) WHERE name IS NULL;

CREATE TABLE records(
  id INTEGER PRIMARY KEY,
  session INTEGER NOT NULL REFERENCES sessions(id),
  chain INTEGER NOT NULL,
  step INTEGER NOT NULL,
  version INTEGER NOT NULL,
  bytes BLOB NOT NULL);
CREATE UNIQUE INDEX records_by_key ON records(session, chain, step);

CREATE TABLE archive(
  session INTEGER NOT NULL REFERENCES sessions(id),
  chain INTEGER NOT NULL,
  archived_at INTEGER NOT NULL,
  user TEXT NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY(session, chain)) WITHOUT ROWID;
CREATE INDEX archive_by_user ON archive(user, archived_at DESC, name);
CREATE INDEX archive_by_time ON archive(archived_at DESC, name);

CREATE TABLE events(
  id INTEGER PRIMARY KEY,
  session INTEGER NOT NULL REFERENCES sessions(id),
  sequence INTEGER NOT NULL,
  operation TEXT NOT NULL,
  bytes BLOB NOT NULL);
CREATE INDEX events_by_sequence ON events(session, sequence, operation);

CREATE TABLE recent(
  id INTEGER PRIMARY KEY,
  session TEXT NOT NULL,
  user TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  type TEXT NOT NULL);

CREATE TABLE totals(live INTEGER NOT NULL);
INSERT INTO totals VALUES(0);
)sql";

// Entry n brings a database of version n to version n + 1, inside a transaction. What was released
// is never changed, only added to.
constexpr std::array migrations = {version_1};

StorageError refusal(ErrorCode code, const char* why) { return failure(code, why, "open"); }

void check_whose(Connection& connection) {
  const std::int64_t version = connection.integer("PRAGMA user_version");
  const std::int64_t owner = connection.integer("PRAGMA application_id");
  const bool empty = connection.integer("SELECT count(*) FROM sqlite_schema") == 0;
  if (owner != application_id && !(owner == 0 && version == 0 && empty))
    throw refusal(ErrorCode::invalid,
                  "the file is the database of another program: give another path");
  if (version > static_cast<std::int64_t>(migrations.size()))
    throw refusal(ErrorCode::unavailable,
                  "the database was written by a newer version of this program: use that one");
}

void set_up_for_all(Connection& connection) {
  connection.execute("PRAGMA foreign_keys = ON");
  connection.execute("PRAGMA trusted_schema = OFF");
  connection.execute("PRAGMA mmap_size = 0");  // memory stays bounded however large the file is
}

void set_up_for_writing(Connection& connection, std::uint64_t max_bytes) {
  // Takes effect only while the file is empty.
  connection.execute("PRAGMA auto_vacuum = INCREMENTAL");
  if (connection.text("PRAGMA journal_mode = WAL") != "wal")
    throw refusal(ErrorCode::unavailable,
                  "the database can't be put into WAL mode: its folder must be writable and on a "
                  "local disk");
  connection.execute("PRAGMA synchronous = FULL");
  // The writer copies the log itself, after it has answered, so that it sees when that fails.
  connection.execute("PRAGMA wal_autocheckpoint = 0");
  connection.execute("PRAGMA journal_size_limit = 67108864");
  // What is deleted is overwritten where that costs no write of its own.
  connection.execute("PRAGMA secure_delete = FAST");
  connection.execute("PRAGMA cache_size = -32768");
  if (max_bytes == 0) return;
  const auto page = static_cast<std::uint64_t>(connection.integer("PRAGMA page_size"));
  // A pragma takes no parameters; this is made of a number only.
  connection.execute(("PRAGMA max_page_count = " + std::to_string(max_bytes / page)).c_str());
}

void migrate(Connection& connection) {
  if (connection.integer("PRAGMA user_version") == static_cast<std::int64_t>(migrations.size()))
    return;
  connection.execute("BEGIN IMMEDIATE");
  // Another process may have been faster.
  auto version = static_cast<std::size_t>(connection.integer("PRAGMA user_version"));
  for (; version < migrations.size(); ++version) connection.execute(migrations[version]);
  // Pragmas take no parameters; these are made of the source's own numbers.
  connection.execute(("PRAGMA application_id = " + std::to_string(application_id)).c_str());
  connection.execute(("PRAGMA user_version = " + std::to_string(version)).c_str());
  connection.execute("COMMIT");
}

// SQLite makes the files' contents durable; that a new file has its name is the folder's content.
void sync_folder(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  if (descriptor >= 0) ::close(descriptor);
  if (!synced)
    throw refusal(ErrorCode::unavailable,
                  "the folder of the new database can't be made durable: its permissions and its "
                  "disk must allow it");
}

StorageError refusal_of(const DatabaseError& error) {
  const auto tell = [&](ErrorCode code, const char* why) {
    StorageError told = refusal(code, why);
    told.set_cause(error.what());
    return told;
  };
  switch (error.primary()) {
    case SQLITE_NOTADB:
      return tell(ErrorCode::corrupt, "the file is no SQLite database: give another path");
    case SQLITE_CANTOPEN:
      return tell(ErrorCode::unavailable,
                  "the database can't be opened or made: its folder must exist and be writable, "
                  "and it must be a file");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return tell(ErrorCode::unavailable,
                  "the database can't be written: the file and its folder must be writable");
    default: return to_storage_error(error, "open");
  }
}

}  // namespace

Connection open_for_writing(const std::string& path, std::chrono::milliseconds busy_timeout,
                            std::uint64_t max_bytes) {
  try {
    const bool made = !std::filesystem::exists(path);
    Connection connection(path, busy_timeout);
    if (sqlite3_db_readonly(connection.get(), "main") == 1)
      throw refusal(ErrorCode::unavailable,
                    "the database can't be written: the file and its folder must be writable");
    check_whose(connection);
    set_up_for_all(connection);
    set_up_for_writing(connection, max_bytes);
    migrate(connection);
    // A process that ended when the disk failed may have left pages in the log which the system
    // holds in memory only, and takes for written. Copied into the file, they are written anew.
    connection.checkpoint();
    if (made) sync_folder(path);
    return connection;
  } catch (const DatabaseError& error) {
    throw refusal_of(error);
  } catch (const std::filesystem::filesystem_error&) {
    throw refusal(ErrorCode::unavailable, "the folder of the database can't be read");
  }
}

Connection open_for_reading(const std::string& path, std::chrono::milliseconds busy_timeout) {
  try {
    Connection connection(path, busy_timeout);
    set_up_for_all(connection);
    connection.execute("PRAGMA query_only = ON");
    connection.execute("PRAGMA cache_size = -8192");
    return connection;
  } catch (const DatabaseError& error) {
    throw refusal_of(error);
  }
}

}  // namespace actionflows::sqlite
