// What removes: pruning, erasing and sweeping. Each works in slices, bounded in time, so that
// commits come in between; whatever is left half done is complete again for readers after each
// slice, and goes on after a crash.
#pragma once

#include "actionflows/storage/driver.hpp"
#include "actionflows/storage/sqlite/session_row.hpp"

#include <chrono>
#include <cstdint>
#include <utility>

namespace actionflows::sqlite {

using Deadline = std::chrono::steady_clock::time_point;

// Thread-safety: none; belongs to the writer, which begins and commits a transaction around each
// call. Functions return true when there is nothing left to do, and false when `deadline` has come
// first: then they are to be called again. They throw DatabaseError.
class Upkeep {
 public:
  Upkeep(Connection& connection, const DriverLimits& limits);

  // Adds to `removed`.
  bool prune_events(const SessionId& session, std::uint64_t first_kept, Deadline deadline,
                    std::uint64_t& removed);

  // Takes the session away from readers and commits at once, all of it. What it held stays, without
  // a name, for remove_erased. False: there was none.
  bool erase_session(const SessionId& session);
  // Removes what erased sessions have left.
  bool remove_erased(Deadline deadline);

  void name_expired(const SweepQuery& query, SweepResult& result);
  bool remove_logs(const SweepQuery& query, Deadline deadline, SweepResult& result);
  bool remove_chains(const SweepQuery& query, Deadline deadline, SweepResult& result);
  // Gives unused pages back to the file system, but for some that will soon be used again.
  bool shrink(Deadline deadline);

  // Adds to the count of live sessions; and what erase_session has taken from it since the last
  // call.
  void add_lives(std::int64_t lives);
  std::int64_t take_lives() { return std::exchange(lives_, 0); }

 private:
  struct Log {
    std::int64_t session = 0;
    std::uint64_t first = 0;  // 0: there is none
    std::uint64_t last = 0;
  };

  std::uint64_t remove_events(const Log& log, std::uint64_t until, Deadline deadline);
  Log next_log(const SweepQuery& query);
  void remove_if_empty(std::int64_t session);

  const DriverLimits limits_;
  SessionRows sessions_;
  Statement delete_events_;
  Statement set_first_;
  Statement bury_;
  Statement delete_archive_of_;
  Statement find_erased_;
  Statement delete_events_of_erased_;
  Statement delete_records_of_erased_;
  Statement delete_session_;
  Statement find_expired_;
  Statement find_ended_;
  Statement forget_log_;
  Statement delete_if_empty_;
  Statement find_old_chain_;
  Statement delete_steps_;
  Statement delete_chain_;
  Statement recount_archive_;
  Statement free_pages_;
  Statement vacuum_;
  Statement add_lives_;
  std::int64_t lives_ = 0;
};

}  // namespace actionflows::sqlite
