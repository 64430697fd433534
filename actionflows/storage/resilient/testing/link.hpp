// Link: the way from one instance to a store that several share, with a hook where it can break:
// before a call reaches the store, or after it was done, when only its answer gets lost.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/storage/driver.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace actionflows::test {

enum class Moment { before, after };

class Link final : public StorageDriver {
 public:
  using Hook = std::function<Task<void>(Moment)>;

  explicit Link(std::shared_ptr<StorageDriver> to) : store(std::move(to)) {}

  std::shared_ptr<StorageDriver> store;
  Hook hook;
  std::optional<StorageError> refusal;  // of every commit, and of nothing else

  Task<ReadResult> read(const SessionId& session, std::span<const RecordKey> keys) override {
    return around(store->read(session, keys));
  }
  Task<CommitResult> commit(const Commit& commit) override {
    if (refusal) throw StorageError(*refusal);
    return around(store->commit(commit));
  }
  Task<SessionPage> list_sessions(const ListQuery& query) override {
    return around(store->list_sessions(query));
  }
  Task<ArchivePage> list_archive(const ListQuery& query) override {
    return around(store->list_archive(query));
  }
  Task<EventPage> read_events(const SessionId& session, const EventQuery& query) override {
    return around(store->read_events(session, query));
  }
  Task<std::unique_ptr<Subscription>> subscribe(std::optional<SessionId> session) override {
    return around(store->subscribe(std::move(session)));
  }
  Task<bool> touch(const SessionId& session, const Activity& activity) override {
    return around(store->touch(session, activity));
  }
  Task<std::uint64_t> prune_events(const SessionId& session, std::uint64_t first_kept) override {
    return around(store->prune_events(session, first_kept));
  }
  Task<SweepResult> sweep(const SweepQuery& query) override { return around(store->sweep(query)); }
  Task<bool> erase_session(const SessionId& session) override {
    return around(store->erase_session(session));
  }
  Task<Health> health() override { return around(store->health()); }

 private:
  template <class T>
  Task<T> around(Task<T> work) {
    if (hook) co_await hook(Moment::before);
    T result = co_await std::move(work);
    if (hook) co_await hook(Moment::after);
    co_return result;
  }
};

}  // namespace actionflows::test
