#include "tests/simulation/primary.hpp"

#include "actionflows/storage/memory/memory_storage.hpp"
#include "tests/support/run.hpp"

#include <utility>

namespace actionflows::test {
namespace {

// Wake-ups over a connection that a restart breaks.
class Connection final : public Subscription {
 public:
  Connection(std::unique_ptr<Subscription> real, std::shared_ptr<const bool> up)
      : real_(std::move(real)), up_(std::move(up)) {}

  Task<Batch> next(std::chrono::milliseconds timeout) override {
    if (!*up_) throw StorageError(ErrorCode::unavailable, "connection reset");
    co_return co_await real_->next(timeout);
  }

 private:
  const std::unique_ptr<Subscription> real_;
  const std::shared_ptr<const bool> up_;
};

}  // namespace

Primary::Primary() : store_(make_memory_storage()) {}

void Primary::restart(std::size_t kept) {
  *std::exchange(up_, std::make_shared<bool>(true)) = false;
  if (kept >= history_.size()) return;
  history_.resize(kept);
  store_ = make_memory_storage();
  for (const Again& again : history_) again(*store_);
}

void Primary::refuse_if_full() const {
  if (full) throw StorageError(*full);
}

// What was asked before a restart is answered after it: the store is looked up when it is asked.

Task<ReadResult> Primary::read(const SessionId& session, std::span<const RecordKey> keys) {
  const auto store = store_;
  co_return co_await store->read(session, keys);
}

Task<CommitResult> Primary::commit(const Commit& commit) {
  refuse_if_full();
  const auto store = store_;
  const CommitResult result = co_await store->commit(commit);
  if (!result.repeated)
    history_.emplace_back([commit](StorageDriver& to) { run(to.commit(commit)); });
  co_return result;
}

Task<SessionPage> Primary::list_sessions(const ListQuery& query) {
  const auto store = store_;
  co_return co_await store->list_sessions(query);
}

Task<ArchivePage> Primary::list_archive(const ListQuery& query) {
  const auto store = store_;
  co_return co_await store->list_archive(query);
}

Task<EventPage> Primary::read_events(const SessionId& session, const EventQuery& query) {
  const auto store = store_;
  co_return co_await store->read_events(session, query);
}

Task<std::unique_ptr<Subscription>> Primary::subscribe(std::optional<SessionId> session) {
  std::unique_ptr<Subscription> real = co_await store_->subscribe(std::move(session));
  co_return std::make_unique<Connection>(std::move(real), up_);
}

Task<bool> Primary::touch(const SessionId& session, const Activity& activity) {
  refuse_if_full();
  const auto store = store_;
  const bool touched = co_await store->touch(session, activity);
  if (touched)
    history_.emplace_back(
        [session, activity](StorageDriver& to) { run(to.touch(session, activity)); });
  co_return touched;
}

Task<std::uint64_t> Primary::prune_events(const SessionId& session, std::uint64_t first_kept) {
  const auto store = store_;
  co_return co_await store->prune_events(session, first_kept);
}

Task<SweepResult> Primary::sweep(const SweepQuery& query) {
  const auto store = store_;
  co_return co_await store->sweep(query);
}

Task<bool> Primary::erase_session(const SessionId& session) {
  const auto store = store_;
  co_return co_await store->erase_session(session);
}

Task<Health> Primary::health() {
  Health health = co_await store_->health();
  health.ok = !ill;
  if (ill) health.detail = "it is full";
  co_return health;
}

}  // namespace actionflows::test
