// Journal: the commits that were acknowledged while the primary was away, until they are in it.
//
// With a path they are kept in an SQLite file and survive kill -9 and power loss; else they are
// kept in memory and lost with the process.
#pragma once

#include "actionflows/base/task.hpp"
#include "actionflows/base/time.hpp"
#include "actionflows/storage/driver.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows {

enum class JournalKind {
  base,     // what was known of the session when it was first changed here: not to be replayed
  change,   // a commit to replay
  touch,    // only the activity to replay; without events
  retried,  // a change that was set aside and somebody let wait again: its outage is over
};

std::string_view to_string(JournalKind kind);

struct JournalEntry {
  std::uint64_t id = 0;  // ascending in the order of appending, never reused
  JournalKind kind = JournalKind::change;
  Timestamp at;                          // when it was appended
  std::shared_ptr<const Commit> commit;  // never null
  std::string poison;                    // why it was set aside; empty: it waits to be replayed
  // It was sent to the primary before, and may be there or come there yet. Not kept.
  bool attempted = false;
};

// Thread-safety: shared objects: safe; what they are given must outlive the await. All throw
// StorageError: unavailable or exhausted (the file can't be written: nothing was kept), corrupt.
// After an error of the disk all changes are unavailable until the journal is opened again.
class Journal {
 public:
  virtual ~Journal() = default;

  // Return once the change is as durable as the journal is. Changes that wait together are written
  // together; those of one caller, each awaited, in their order.

  // The entry's id.
  virtual Task<std::uint64_t> append(JournalKind kind, std::shared_ptr<const Commit> commit,
                                     Timestamp at) = 0;
  virtual Task<void> remove(std::span<const std::uint64_t> ids) = 0;
  // Sets an entry aside: it stays until somebody retries or drops it.
  virtual Task<void> poison(std::uint64_t id, std::string_view reason) = 0;

  // Whether another process changed the journal (`actionflows journal retry`) since the last call.
  virtual Task<bool> changed_by_others() = 0;

  // These two wait for the disk on the caller's thread.

  // Lets an entry that was set aside wait again. False: there is no such entry.
  virtual bool retry(std::uint64_t id) = 0;
  // All entries, in order.
  virtual std::vector<JournalEntry> entries() = 0;

  // What was found damaged on opening, in plain words; empty: nothing.
  [[nodiscard]] virtual const std::string& damage() const = 0;
  [[nodiscard]] virtual bool durable() const = 0;
};

std::unique_ptr<Journal> make_memory_journal();

enum class JournalUse {
  of_its_server,      // one process at a time: replays it, and mends what is damaged
  beside_its_server,  // looks at it and retries or removes what was set aside
};

// Makes the file when it is not there. What is damaged is not lost: the sound entries are kept, and
// what follows the first damaged one is set aside; where the file can't be read to its end, it is
// kept beside the new one as PATH.damaged-N. Throws unavailable: the file can't be opened, or
// another process is its server (PATH-lock says so, for as long as that runs); invalid: it is a
// database of something else; corrupt: it is damaged, and that is its server's to mend.
std::unique_ptr<Journal> open_journal(const std::string& path,
                                      JournalUse use = JournalUse::of_its_server);

}  // namespace actionflows
