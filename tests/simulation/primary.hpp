// Primary: the store that all processes of a simulation share. It keeps a history of its changes,
// so that it can come back as it was some of them ago, and it can be full: then it answers, but
// takes nothing in.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/storage/driver.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace actionflows::test {

// Thread-safety: none. Contracts as in StorageDriver.
class Primary final : public StorageDriver {
 public:
  Primary();

  // What every write is refused with; nullopt: it is not full.
  std::optional<StorageError> full;
  bool ill = false;  // its health says so

  // How many changes it has taken in.
  [[nodiscard]] std::size_t changes() const { return history_.size(); }
  // It has been away, and has the first `kept` of its changes when it is back. Who follows has to
  // subscribe again.
  void restart(std::size_t kept);

  Task<ReadResult> read(const SessionId& session, std::span<const RecordKey> keys) override;
  Task<CommitResult> commit(const Commit& commit) override;
  Task<SessionPage> list_sessions(const ListQuery& query) override;
  Task<ArchivePage> list_archive(const ListQuery& query) override;
  Task<EventPage> read_events(const SessionId& session, const EventQuery& query) override;
  Task<std::unique_ptr<Subscription>> subscribe(std::optional<SessionId> session) override;
  Task<bool> touch(const SessionId& session, const Activity& activity) override;
  Task<std::uint64_t> prune_events(const SessionId& session, std::uint64_t first_kept) override;
  Task<SweepResult> sweep(const SweepQuery& query) override;
  Task<bool> erase_session(const SessionId& session) override;
  Task<Health> health() override;

 private:
  using Again = std::function<void(StorageDriver&)>;  // makes a change once more

  void refuse_if_full() const;

  std::shared_ptr<StorageDriver> store_;
  std::vector<Again> history_;
  std::shared_ptr<bool> up_ = std::make_shared<bool>(true);  // false: it was restarted since
};

}  // namespace actionflows::test
