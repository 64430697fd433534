// Shadow: what this process has lately seen of sessions: to serve reads while the primary is away,
// and to check the first commits by. Bounded; the sessions seen longest ago are forgotten.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace actionflows {

// One session, as it was when it was last seen.
struct SessionShadow {
  std::map<RecordKey, std::optional<StoredRecord>> records;  // nullopt: it was deleted
  bool live = false;
  Activity activity;
  std::uint64_t last_sequence = 0;
  std::uint32_t last_archived = 0;
  std::optional<UserId> owner;
  std::optional<std::string> state;  // its label in lists, where a commit told it
  std::deque<StoredEvent> tail;      // the log's newest events, dense, up to `last_sequence`
  Timestamp seen;
};

struct ShadowOptions {
  std::size_t max_sessions = 10'000;
  std::uint64_t max_bytes = std::uint64_t{64} << 20;  // of records and events
};

// Thread-safety: shared objects: safe; spread over shards.
class Shadow {
 public:
  explicit Shadow(ShadowOptions options);

  // What the primary answered; to a read that began at `began`. False: it tells less than was
  // known, nothing of a live session or a shorter log; that is noted only when it is `believed`.
  [[nodiscard]] bool note_read(const SessionId& session, std::span<const RecordKey> keys,
                               const ReadResult& result, Timestamp began, Timestamp now,
                               bool believed);
  // `now`: when it was answered. Answers of several commits may come in any order.
  void note_commit(const Commit& commit, const CommitResult& result, Timestamp now);
  void note_events(const SessionId& session, const EventPage& page, Timestamp now);
  // Nothing known of it is true any more.
  void forget(const SessionId& session);

  [[nodiscard]] std::optional<SessionShadow> find(const SessionId& session) const;
  // The same without its records and events.
  struct Sight {
    bool live;
    Timestamp expires;
    std::uint64_t last_sequence;
    Timestamp seen;
  };
  [[nodiscard]] std::optional<Sight> sight(const SessionId& session) const;
  // All live sessions that fit, in no order.
  [[nodiscard]] std::vector<ListedSession> list(const std::optional<UserId>& user,
                                                const std::optional<std::string>& state) const;

 private:
  struct Kept {
    SessionShadow shadow;
    std::uint64_t bytes = 0;
    std::list<std::string>::iterator place;  // in `order`
  };
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    // guarded by mutex
    boost::unordered_flat_map<std::string, std::unique_ptr<Kept>> sessions;
    std::list<std::string> order;  // the one seen last comes first
    std::uint64_t bytes = 0;
  };
  static constexpr std::size_t shard_count = 64;

  Shard& shard_of(const SessionId& session);
  [[nodiscard]] const Shard& shard_of(const SessionId& session) const;
  static Kept& place(Shard& shard, const SessionId& session);
  void bound(Shard& shard) const;

  // constant after construction
  const ShadowOptions options_;
  std::array<Shard, shard_count> shards_;
};

}  // namespace actionflows
