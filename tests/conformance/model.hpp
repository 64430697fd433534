// The reference: what a driver should do, in plain maps, one check after the other. Slow, unsafe
// for threads and without bounds, so that it is easily seen to be right.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/storage/driver.hpp"
#include "tests/conformance/view.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace actionflows::test {

class Model {
 public:
  explicit Model(const DriverLimits& limits) : limits_(limits) {}

  struct Answer {
    // Why the commit can't be applied; empty: it was. Where several reasons meet, the contract
    // leaves open which one is told.
    std::set<ErrorCode> refusals;
    CommitResult result;
  };
  Answer commit(const Commit& commit);

  bool touch(const SessionId& session, const Activity& activity);
  std::uint64_t prune_events(const SessionId& session, std::uint64_t first_kept);
  bool erase_session(const SessionId& session);
  // Without a limit: returns who has expired, and removes all that is past its retention.
  std::set<SessionId> sweep(Timestamp now);

  [[nodiscard]] SessionView view(const SessionId& session, std::span<const RecordKey> keys) const;
  [[nodiscard]] UserView view(const UserId& user, const std::optional<std::string>& state) const;

  [[nodiscard]] bool live(const SessionId& session) const { return at(session).live(); }
  // Of the live or archived record; 0: none.
  [[nodiscard]] std::uint64_t version(const SessionId& session, RecordKey key) const;

 private:
  struct ArchivedChainOf {
    Timestamp at;
    UserId user;
  };
  struct Kept {
    std::map<RecordKey, StoredRecord> records;  // live and archived
    Activity activity;
    ListKeys listed;
    std::map<std::uint32_t, ArchivedChainOf> archive;
    std::vector<StoredEvent> log;
    Timestamp newest_event_at;

    [[nodiscard]] bool live() const { return records.contains(RecordKey::of_session()); }
    [[nodiscard]] bool empty() const { return records.empty() && log.empty(); }
    [[nodiscard]] std::uint64_t last_sequence() const {
      return log.empty() ? 0 : log.back().sequence;
    }
  };

  static bool contradicts_itself(const Commit& commit);
  static std::optional<CommitResult> find_operation(const Kept& kept, const Commit& commit);
  [[nodiscard]] bool conflicts(const Kept& kept, const Commit& commit) const;
  [[nodiscard]] bool exhausts(const Kept& kept, const Commit& commit) const;
  CommitResult apply(Kept& kept, const Commit& commit) const;
  void move_deadline(Kept& kept, const Activity& activity) const;
  static void archive_chain(Kept& kept, std::uint32_t number, Timestamp when);

  [[nodiscard]] const Kept& at(const SessionId& session) const;

  const DriverLimits limits_;
  std::map<SessionId, Kept> sessions_;
};

}  // namespace actionflows::test
