// Applies commits and touches inside a transaction that the writer has begun.
//
// Everything that can refuse a commit comes before everything that changes: so a refused commit
// costs its reads only, and others in the same transaction are not concerned. An error of the
// database concerns them all: then the writer rolls back.
#pragma once

#include "actionflows/storage/driver.hpp"
#include "actionflows/storage/sqlite/session_row.hpp"

#include <cstdint>
#include <utility>
#include <vector>

namespace actionflows::sqlite {

// Thread-safety: none; belongs to the writer.
class Changes {
 public:
  Changes(Connection& connection, const DriverLimits& limits);

  // Throws StorageError (conflict, exhausted) and has changed nothing, or DatabaseError.
  CommitResult apply(const Commit& commit);
  bool touch(const SessionId& session, const Activity& activity);

  // How many sessions have come to life, less those that have ended, since the last call. To be
  // written to the totals before the transaction is committed.
  std::int64_t take_lives() { return std::exchange(lives_, 0); }
  // What is to be announced once the transaction is committed, in its order, since the last call.
  std::vector<Wakeup> take_wakeups() { return std::exchange(wakeups_, {}); }

 private:
  // A record that a commit names, as it stands.
  struct Standing {
    std::int64_t id = 0;  // of its row; 0: there is none
    std::uint64_t version = 0;
  };

  std::optional<CommitResult> find_operation(const SessionRow& row, const Commit& commit);
  Standing look_up(const SessionRow& row, RecordKey key);
  bool is_archived(const SessionRow& row, std::uint32_t chain);
  void check_session(const SessionRow& row, const Commit& commit) const;
  void check_records(const SessionRow& row, const Commit& commit);
  void check_archive(const SessionRow& row, const Commit& commit);
  void check_limits(const SessionRow& row, const Commit& commit) const;

  void write(SessionRow& row, const Commit& commit);
  void write_session(SessionRow& row, const Commit& commit);
  void write_events(SessionRow& row, const Commit& commit);
  void archive(SessionRow& row, const Commit& commit);
  void end(const SessionRow& row, const Commit& commit);

  Connection& connection_;
  const DriverLimits limits_;

  SessionRows sessions_;
  Statement insert_session_;
  Statement relist_session_;
  Statement advance_session_;
  Statement end_session_;
  Statement find_record_;
  Statement insert_record_;
  Statement update_record_;
  Statement delete_record_;
  Statement delete_records_;
  Statement delete_live_records_;
  Statement find_archived_;
  Statement insert_archived_;
  Statement find_operation_;
  Statement find_earlier_;
  Statement insert_event_;

  // Of the present commit: what its puts and erases replace, in their order.
  std::vector<Standing> replaced_;
  std::vector<Standing> erased_;

  // Of the present transaction.
  std::int64_t lives_ = 0;
  std::vector<Wakeup> wakeups_;
};

}  // namespace actionflows::sqlite
