// FaultyStorage: a driver that fails on command, in front of one that works.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/storage/driver.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace actionflows::test {

class FaultyStorage final : public StorageDriver {
 public:
  // What calls throw; outlives the driver.
  struct Switch {
    static constexpr int off = -1;
    std::atomic<int> code{off};
    std::string unendable;  // sessions whose ids begin so can't be ended; set before its use

    void fail_with(ErrorCode error) { code = static_cast<int>(error); }
    void work() { code = off; }
  };

  FaultyStorage(std::unique_ptr<StorageDriver> driver, Switch& fault)
      : driver_(std::move(driver)), fault_(fault) {}

  Task<ReadResult> read(const SessionId& session, std::span<const RecordKey> keys) override {
    check();
    return driver_->read(session, keys);
  }
  Task<CommitResult> commit(const Commit& commit) override {
    check();
    const std::string& stuck = fault_.unendable;
    if (commit.end_session && !stuck.empty() && commit.session.str().starts_with(stuck))
      throw failure(ErrorCode::exhausted, "told to stay", "driver");
    return driver_->commit(commit);
  }
  Task<SessionPage> list_sessions(const ListQuery& query) override {
    check();
    return driver_->list_sessions(query);
  }
  Task<ArchivePage> list_archive(const ListQuery& query) override {
    check();
    return driver_->list_archive(query);
  }
  Task<EventPage> read_events(const SessionId& session, const EventQuery& query) override {
    check();
    return driver_->read_events(session, query);
  }
  Task<std::unique_ptr<Subscription>> subscribe(std::optional<SessionId> session) override {
    check();
    return driver_->subscribe(std::move(session));
  }
  Task<bool> touch(const SessionId& session, const Activity& activity) override {
    check();
    return driver_->touch(session, activity);
  }
  Task<std::uint64_t> prune_events(const SessionId& session, std::uint64_t first_kept) override {
    check();
    return driver_->prune_events(session, first_kept);
  }
  Task<SweepResult> sweep(const SweepQuery& query) override {
    check();
    return driver_->sweep(query);
  }
  Task<bool> erase_session(const SessionId& session) override {
    check();
    return driver_->erase_session(session);
  }
  Task<Health> health() override {
    Health health = co_await driver_->health();
    health.ok = fault_.code == Switch::off;
    if (!health.ok) health.detail = "told to fail";
    co_return health;
  }

 private:
  void check() const {
    const int code = fault_.code;
    if (code == Switch::off) return;
    throw failure(static_cast<ErrorCode>(code), "told to fail", "driver");
  }

  std::unique_ptr<StorageDriver> driver_;
  Switch& fault_;
};

}  // namespace actionflows::test
