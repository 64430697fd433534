// What is read of the database, each call inside a read transaction that its thread has begun: so
// it sees whole commits, as of one moment.
#pragma once

#include "actionflows/storage/driver.hpp"
#include "actionflows/storage/sqlite/session_row.hpp"

#include <span>

namespace actionflows::sqlite {

// Thread-safety: none; each reading thread has its own.
class Reads {
 public:
  explicit Reads(Connection& connection);

  // As the driver's functions of these names.
  ReadResult read(const SessionId& session, std::span<const RecordKey> keys);
  SessionPage list_sessions(const ListQuery& query);
  ArchivePage list_archive(const ListQuery& query);
  EventPage read_events(const SessionId& session, const EventQuery& query);

  // How many sessions are live; how many bytes the file has.
  std::uint64_t live_sessions();
  std::uint64_t bytes();

 private:
  // A list of one user or of all. SQLite can't seek to a place in an order that goes down in one
  // column and up in the other, so a page is read in two parts, each in the index's order: what
  // has the position's time, then what is earlier.
  struct List {
    Statement same_time;
    Statement earlier;
  };

  std::optional<StoredRecord> find(const SessionRow& row, RecordKey key);

  SessionRows sessions_;
  Statement find_record_;
  Statement find_archived_;
  Statement find_events_;
  List sessions_of_user_;
  List sessions_of_all_;
  List archive_of_user_;
  List archive_of_all_;
  Statement live_;
  Statement pages_;
};

}  // namespace actionflows::sqlite
