// The names of the keys that RedisStorage makes, all under one prefix (here "af").
//
// Of a session, in one slot of a cluster, because the id is the keys' hash tag:
//   af:{ID}          HASH   meta, and the live records: session, credentials, c3, c3.s4, ...
//   af:{ID}:log      LIST   the events
//   af:{ID}:archive  HASH   the records of archived chains
// Indexes, sorted sets of session or chain ids. The tag "#3" is no session's: ids have no "#".
//   af:sessions:{#3}   live sessions by their deadline; 16 of them, by the session's slot
//   af:ended:{#3}      ended sessions by the end of their log's retention
//   af:archived:{#3}   archived chains by when they were archived
//   af:user:ANN        ANN's live sessions by their deadline
//   af:chains:ANN      ANN's archived chains by when they were archived
// And beside them:
//   af:claims:{#3}     HASH   which instance is ending which expired session
//   af:store:{#3}      a name of the data set, by which its loss is noticed
//
// What a hash holds of a record is its version, a colon and its bytes; an entry of the log its
// sequence, the length of its operation id, that id and the event's bytes, with spaces between the
// first three.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace actionflows::redis {

// 1-100 characters of A-Z a-z 0-9 . _ - only: a colon would let the keys of one prefix be
// another's, braces would be taken for the part of a key that a cluster chooses the slot by, and *
// ? [ ] mean something in rules of access.
bool is_key_prefix(std::string_view text);

// How many parts each index over all sessions has.
inline constexpr std::size_t shards = 16;

// Thread-safety: shared objects: safe.
class Keys {
 public:
  explicit Keys(std::string prefix) : prefix_(std::move(prefix)) {}

  [[nodiscard]] std::string session(const SessionId& id) const;
  [[nodiscard]] std::string log(const SessionId& id) const;
  [[nodiscard]] std::string archive(const SessionId& id) const;

  [[nodiscard]] std::string sessions(std::size_t shard) const;
  [[nodiscard]] std::string ended(std::size_t shard) const;
  [[nodiscard]] std::string archived(std::size_t shard) const;
  [[nodiscard]] std::string claims(std::size_t shard) const;
  [[nodiscard]] std::string store(std::size_t shard) const;
  [[nodiscard]] std::string user(const UserId& user) const;
  [[nodiscard]] std::string chains(const UserId& user) const;

  // The channel of wake-ups. Channels are common to all databases of a server.
  [[nodiscard]] std::string wakeups(int database) const;

 private:
  [[nodiscard]] std::string shard_key(std::string_view name, std::size_t shard) const;

  const std::string prefix_;
};

// In which part of the indexes a session stands.
std::size_t shard_of(const SessionId& id);

// A record's field in its hash.
std::string field_of(RecordKey key);

}  // namespace actionflows::redis
