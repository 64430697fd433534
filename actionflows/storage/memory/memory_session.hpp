// What MemoryStorage keeps of one session, and what can be done with it while its lock is held.
// No locking, no time and no limits of the whole store here: those are memory_storage.cpp's.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <boost/container/small_vector.hpp>
#include <boost/intrusive/set.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::memory {

// The order of all lists.
inline bool stands_before(Timestamp a, std::string_view a_name, Timestamp b,
                          std::string_view b_name) {
  return a != b ? a > b : a_name < b_name;
}

// Orders lists as the driver's contract says: the latest time first, equal times by name.
struct LatestFirst {
  template <class A, class B>
  bool operator()(const A& a, const B& b) const {
    return stands_before(a.time(), a.name(), b.time(), b.name());
  }
};

// A ListPosition as LatestFirst wants it.
class Position {
 public:
  explicit Position(ListPosition at) : at_(std::move(at)) {}
  [[nodiscard]] Timestamp time() const { return at_.time; }
  [[nodiscard]] std::string_view name() const { return at_.name; }
  [[nodiscard]] const ListPosition& get() const { return at_; }

 private:
  ListPosition at_;
};

// Archived chains, in order. The name is the chain's id.
using ArchiveIndex = std::set<Position, LatestFirst>;

struct Record {
  Bytes bytes;
  std::uint64_t version = 0;  // 0: there is none
};

struct User;

// A chain's numbers are dense from 1 and never reused, so plain arrays find a record in one step.
struct Chain {
  Record record;
  std::vector<Record> steps;  // step m at m - 1
  bool archived = false;
  Timestamp archived_at;
  User* user = nullptr;  // who it is listed by; set when archived
};

// An event with the id of the operation that made it, in one allocation: a log holds many.
class LogEntry {
 public:
  LogEntry(std::string_view operation_id, std::string_view event);
  static std::size_t size_of(std::string_view operation_id, std::string_view event) {
    return 1 + operation_id.size() + event.size();
  }
  [[nodiscard]] std::string_view operation_id() const;
  [[nodiscard]] std::string_view event() const;
  [[nodiscard]] std::size_t size() const { return joined_.size(); }

 private:
  Bytes joined_;  // length of the id in one byte, the id, the event
};

// Most sessions of a large store are small: the first entry needs no block of its own.
using Log = boost::container::small_vector<LogEntry, 1>;

using Hook = boost::intrusive::set_member_hook<boost::intrusive::optimize_size<true>>;

class Session {
 public:
  explicit Session(SessionId id, std::size_t hash) : id_(std::move(id)), hash_(hash) {}

  [[nodiscard]] const SessionId& id() const { return id_; }
  [[nodiscard]] std::size_t hash() const { return hash_; }

  [[nodiscard]] bool live() const { return record_.version != 0; }
  [[nodiscard]] bool fresh() const { return !live() && !last_archived && log_.empty(); }

  // For LatestFirst. `order_time` is the deadline of a live session, the end of the log's retention
  // of an ended one; it changes only while the session is in no index.
  [[nodiscard]] Timestamp time() const { return order_time; }
  [[nodiscard]] std::string_view name() const { return id_.str(); }

  // nullptr: none. `archived` tells where it was found.
  [[nodiscard]] const Record* find(RecordKey key) const;
  [[nodiscard]] bool is_archived(std::uint32_t chain) const;
  [[nodiscard]] std::uint64_t version(RecordKey key) const;

  // The record's place, made when it is not there.
  Record& place(RecordKey key);
  [[nodiscard]] Chain* chain(std::uint32_t number) const;
  void drop_chain(std::uint32_t number) { chains_[number - 1].reset(); }
  void recount_archive();
  // Takes the live records out; the archive stays.
  void end();

  [[nodiscard]] const Log& log() const { return log_; }
  [[nodiscard]] std::uint64_t first_sequence() const { return log_.empty() ? 0 : first_sequence_; }
  [[nodiscard]] std::uint64_t last_sequence() const {
    return log_.empty() ? 0 : first_sequence_ + log_.size() - 1;
  }
  void reserve_log(std::size_t more);
  // `first`: the number of the entry when the log is empty.
  void append(LogEntry entry, std::uint64_t first);
  void drop_events(std::uint64_t count);
  void drop_log();

  // The result of an earlier commit with this id, from the last `operation_memory` events.
  [[nodiscard]] std::optional<CommitResult> find_operation(std::string_view operation_id) const;

  // What it occupies: records, events and their keeping, as the store's bound counts it.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  void recharge(std::uint64_t less, std::uint64_t more) { bytes_ = bytes_ - less + more; }

  Timestamp last_active;
  Timestamp order_time;
  std::uint32_t last_archived = 0;  // the highest archived chain number
  // Whether it is among the live ones, by deadline and by user. The user's hook can't tell without
  // the user's lock: its neighbours' moves change it.
  bool listed = false;

  // Guarded by the user's lock as well: changed only while both locks are held.
  User* user = nullptr;  // whose it is, or was
  std::string state;
  Hook user_hook;
  Hook shard_hook;

 private:
  const SessionId id_;
  const std::size_t hash_;
  Record record_;
  std::unique_ptr<Record> credentials_;
  std::vector<std::unique_ptr<Chain>> chains_;  // chain n at n - 1, live or archived
  Log log_;
  std::uint64_t first_sequence_ = 1;
  std::uint64_t bytes_ = 0;
};

using UserIndex = boost::intrusive::set<
    Session, boost::intrusive::member_hook<Session, Hook, &Session::user_hook>,
    boost::intrusive::compare<LatestFirst>, boost::intrusive::constant_time_size<false>>;
using ShardIndex = boost::intrusive::set<
    Session, boost::intrusive::member_hook<Session, Hook, &Session::shard_hook>,
    boost::intrusive::compare<LatestFirst>, boost::intrusive::constant_time_size<false>>;

// What is listed by one user.
struct User {
  explicit User(UserId user_id) : id(std::move(user_id)) {}

  const UserId id;
  std::uint64_t owned = 0;  // sessions that are or were this user's
  UserIndex sessions;
  ArchiveIndex archive;
};

// The costs the bound counts beside the bytes themselves: the size of what holds them, and what
// the allocator adds to each block.
inline constexpr std::uint64_t session_cost = sizeof(Session) + 80;
inline constexpr std::uint64_t chain_cost = sizeof(Chain) + 200;  // with its two index entries
inline constexpr std::uint64_t record_cost = sizeof(Record) + Bytes::overhead + 8;
inline constexpr std::uint64_t event_cost = sizeof(LogEntry) + Bytes::overhead + 8;

std::uint64_t cost_of(const Chain& chain);

}  // namespace actionflows::memory
