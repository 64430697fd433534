// What other processes have committed to the same file: read from the table `recent`, to which
// every commit adds a row, and told to this process's subscriptions.
#pragma once

#include "actionflows/storage/driver.hpp"
#include "actionflows/storage/sqlite/connection.hpp"
#include "actionflows/storage/wakeup_hub.hpp"

#include <cstdint>
#include <vector>

namespace actionflows::sqlite {

// Thread-safety: none; belongs to the writer.
class ForeignCommits {
 public:
  // The hub must outlive it. Throws DatabaseError, as do the functions.
  ForeignCommits(Connection& connection, WakeupHub& hub);

  // Tells of what others have committed since the last call. Outside of a transaction it first
  // asks whether anything has changed at all, which costs next to nothing.
  void look();
  // Inside of a transaction: likewise, and then adds this process's own commits, of which the
  // caller tells itself once they are committed.
  void add(const std::vector<Wakeup>& own);
  // That transaction was rolled back.
  void forget_own() { seen_ = seen_before_; }

 private:
  void read_new();

  WakeupHub& hub_;
  Statement data_version_;
  Statement bounds_;
  Statement newer_;
  Statement insert_;
  Statement trim_;
  std::int64_t version_ = 0;      // of the data, as of the last look
  std::int64_t seen_ = 0;         // the newest row that has been told of
  std::int64_t seen_before_ = 0;  // likewise, when the present transaction began
};

}  // namespace actionflows::sqlite
