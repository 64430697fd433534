// Drivers that break the contract on purpose, each in one way: what the suite has to notice.
//
// A fault stands between the caller and a driver that is right, and spoils some of its calls.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <vector>

namespace actionflows::test {

struct Fault {
  std::string name;  // letters, digits and underscores

  // Whether the random sequences must notice it as well; false: it concerns what they don't do.
  bool seen_by_model = true;

  // Each spoils one call; empty: the call is passed on as it is. By value: what a coroutine needs
  // must outlive its caller's temporaries.
  Task<ReadResult> (*read)(StorageDriver&, SessionId, std::vector<RecordKey>) = nullptr;
  Task<CommitResult> (*commit)(StorageDriver&, Commit) = nullptr;
  Task<SessionPage> (*list_sessions)(StorageDriver&, ListQuery) = nullptr;
  Task<ArchivePage> (*list_archive)(StorageDriver&, ListQuery) = nullptr;
  Task<EventPage> (*read_events)(StorageDriver&, SessionId, EventQuery) = nullptr;
  Task<bool> (*touch)(StorageDriver&, SessionId, Activity) = nullptr;
  Task<std::uint64_t> (*prune_events)(StorageDriver&, SessionId, std::uint64_t) = nullptr;
  Task<SweepResult> (*sweep)(StorageDriver&, SweepQuery) = nullptr;
  Task<bool> (*erase_session)(StorageDriver&, SessionId) = nullptr;
  Task<Health> (*health)(StorageDriver&) = nullptr;
  void (*wakeups)(Subscription::Batch&) = nullptr;
  void (*limits)(DriverLimits&) = nullptr;  // of the driver behind
};

// All of them.
std::span<const Fault> faults();

inline std::ostream& operator<<(std::ostream& out, const Fault& fault) { return out << fault.name; }

// Thread-safety: as `driver`. The fault must outlive the result.
std::unique_ptr<StorageDriver> make_faulty_storage(std::unique_ptr<StorageDriver> driver,
                                                   const Fault& fault);

}  // namespace actionflows::test
