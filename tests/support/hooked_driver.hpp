// A driver with hooks: a test steps in before a call reaches the real driver, and after it. A hook
// that throws breaks the call there: before it was done, or when only its answer gets lost.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>

namespace actionflows::test {

class HookedDriver final : public StorageDriver {
 public:
  enum class Call {
    read,
    commit,
    list_sessions,
    list_archive,
    read_events,
    subscribe,
    touch,
    prune_events,
    sweep,
    erase_session,
    health,
  };
  using Hook = std::function<Task<void>(Call)>;

  explicit HookedDriver(std::unique_ptr<StorageDriver> real) : real_(std::move(real)) {}

  Hook before;
  Hook after;

  [[nodiscard]] StorageDriver& real() { return *real_; }

  Task<ReadResult> read(const SessionId& session, std::span<const RecordKey> keys) override {
    return around(Call::read, real_->read(session, keys));
  }
  Task<CommitResult> commit(const Commit& commit) override {
    return around(Call::commit, real_->commit(commit));
  }
  Task<SessionPage> list_sessions(const ListQuery& query) override {
    return around(Call::list_sessions, real_->list_sessions(query));
  }
  Task<ArchivePage> list_archive(const ListQuery& query) override {
    return around(Call::list_archive, real_->list_archive(query));
  }
  Task<EventPage> read_events(const SessionId& session, const EventQuery& query) override {
    return around(Call::read_events, real_->read_events(session, query));
  }
  Task<std::unique_ptr<Subscription>> subscribe(std::optional<SessionId> session) override {
    return around(Call::subscribe, real_->subscribe(std::move(session)));
  }
  Task<bool> touch(const SessionId& session, const Activity& activity) override {
    return around(Call::touch, real_->touch(session, activity));
  }
  Task<std::uint64_t> prune_events(const SessionId& session, std::uint64_t first_kept) override {
    return around(Call::prune_events, real_->prune_events(session, first_kept));
  }
  Task<SweepResult> sweep(const SweepQuery& query) override {
    return around(Call::sweep, real_->sweep(query));
  }
  Task<bool> erase_session(const SessionId& session) override {
    return around(Call::erase_session, real_->erase_session(session));
  }
  Task<Health> health() override { return around(Call::health, real_->health()); }

 private:
  template <class T>
  Task<T> around(Call call, Task<T> work) {
    if (before) co_await before(call);
    T result = co_await std::move(work);
    if (after) co_await after(call);
    co_return result;
  }

  const std::unique_ptr<StorageDriver> real_;
};

}  // namespace actionflows::test
