#include "tests/conformance/faulty_storage.hpp"

#include <utility>

namespace actionflows::test {
namespace {

class FaultySubscription final : public Subscription {
 public:
  FaultySubscription(std::unique_ptr<Subscription> inner, const Fault& fault)
      : inner_(std::move(inner)), fault_(fault) {}

  Task<Batch> next(std::chrono::milliseconds timeout) override {
    Batch batch = co_await inner_->next(timeout);
    if (fault_.wakeups != nullptr) fault_.wakeups(batch);
    co_return batch;
  }

 private:
  const std::unique_ptr<Subscription> inner_;
  const Fault& fault_;
};

class FaultyStorage final : public StorageDriver {
 public:
  FaultyStorage(std::unique_ptr<StorageDriver> inner, const Fault& fault)
      : inner_(std::move(inner)), fault_(fault) {}

  Task<ReadResult> read(const SessionId& session, std::span<const RecordKey> keys) override {
    if (fault_.read == nullptr) return inner_->read(session, keys);
    return fault_.read(*inner_, session, std::vector(keys.begin(), keys.end()));
  }
  Task<CommitResult> commit(const Commit& commit) override {
    return fault_.commit != nullptr ? fault_.commit(*inner_, commit) : inner_->commit(commit);
  }
  Task<SessionPage> list_sessions(const ListQuery& query) override {
    return fault_.list_sessions != nullptr ? fault_.list_sessions(*inner_, query)
                                           : inner_->list_sessions(query);
  }
  Task<ArchivePage> list_archive(const ListQuery& query) override {
    return fault_.list_archive != nullptr ? fault_.list_archive(*inner_, query)
                                          : inner_->list_archive(query);
  }
  Task<EventPage> read_events(const SessionId& session, const EventQuery& query) override {
    return fault_.read_events != nullptr ? fault_.read_events(*inner_, session, query)
                                         : inner_->read_events(session, query);
  }
  Task<bool> touch(const SessionId& session, const Activity& activity) override {
    return fault_.touch != nullptr ? fault_.touch(*inner_, session, activity)
                                   : inner_->touch(session, activity);
  }
  Task<std::uint64_t> prune_events(const SessionId& session, std::uint64_t first) override {
    return fault_.prune_events != nullptr ? fault_.prune_events(*inner_, session, first)
                                          : inner_->prune_events(session, first);
  }
  Task<SweepResult> sweep(const SweepQuery& query) override {
    return fault_.sweep != nullptr ? fault_.sweep(*inner_, query) : inner_->sweep(query);
  }
  Task<bool> erase_session(const SessionId& session) override {
    return fault_.erase_session != nullptr ? fault_.erase_session(*inner_, session)
                                           : inner_->erase_session(session);
  }
  Task<Health> health() override {
    return fault_.health != nullptr ? fault_.health(*inner_) : inner_->health();
  }
  Task<std::unique_ptr<Subscription>> subscribe(std::optional<SessionId> session) override {
    std::unique_ptr<Subscription> inner = co_await inner_->subscribe(std::move(session));
    co_return std::make_unique<FaultySubscription>(std::move(inner), fault_);
  }

 private:
  const std::unique_ptr<StorageDriver> inner_;
  const Fault& fault_;
};

}  // namespace

std::unique_ptr<StorageDriver> make_faulty_storage(std::unique_ptr<StorageDriver> driver,
                                                   const Fault& fault) {
  return std::make_unique<FaultyStorage>(std::move(driver), fault);
}

}  // namespace actionflows::test
