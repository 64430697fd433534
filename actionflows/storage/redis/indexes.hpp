// The sorted sets by which sessions and archived chains are found.
//
// No transaction spans an index and what it points at. So an entry is written before its record and
// removed after it: what exists is found, and an entry without a record is passed over by readers
// and removed by the sweeps once its time has come.
#pragma once

#include "actionflows/storage/redis/commands.hpp"
#include "actionflows/storage/redis/keys.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace actionflows::redis {

// An index expires by itself long after the time of its last entry. Longer than the lifetimes of
// any two entries differ, because the last that was written decides.
inline constexpr std::chrono::days index_kept{366};

enum class Entry {
  certain,    // at this time
  if_absent,  // where there is one, its time stays
};

// Writes an entry; the texts are copied. `reply` gets 1 where there was none before.
void put_entry(Commands& commands, const std::string& key, const std::string& name, Timestamp time,
               Entry mode = Entry::certain, Sink& reply = nothing());
void remove_entry(Commands& commands, const std::string& key, const std::string& name);
// Where it still has the time that was seen; or one at or before `until`: what was written since is
// of a new life.
void remove_entry(Commands& commands, const std::string& key, const std::string& name,
                  Timestamp seen);
void remove_due_entry(Commands& commands, const std::string& key, const std::string& name,
                      Timestamp until);

// Entries of some indexes as one list: the latest first, equal times by name.
struct Listing {
  std::vector<ListPosition> entries;
  bool more = false;  // there are others after these
};

// At most `count` after a position. Throws what a server answers.
Task<Listing> list_entries(Client& client, std::vector<std::string> keys,
                           std::optional<ListPosition> after, std::size_t count,
                           Call::TimePoint deadline, std::string operation);

}  // namespace actionflows::redis
