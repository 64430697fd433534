// The driver itself: turns each call into a request, for the readers or for the writer.
#include "actionflows/storage/sqlite/sqlite_storage.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/storage/commit_checks.hpp"
#include "actionflows/storage/sqlite/readers.hpp"
#include "actionflows/storage/sqlite/schema.hpp"
#include "actionflows/storage/sqlite/writer.hpp"
#include "actionflows/storage/wakeup_hub.hpp"

#include <filesystem>
#include <utility>

namespace actionflows {
namespace sqlite {
namespace {

// ---- requests to the readers --------------------------------------------------------------------

// Calls one function of Reads and keeps its result.
template <class Result, class... Arguments>
class Reading final : public ReadRequest {
 public:
  using Function = Result (Reads::*)(Arguments...);

  Reading(Function function, Arguments... arguments)
      : function_(function), arguments_(arguments...) {}

  void perform(Reads& reads) override {
    result = std::apply([&](auto&&... arguments) { return (reads.*function_)(arguments...); },
                        arguments_);
  }

  Result result;

 private:
  const Function function_;
  const std::tuple<Arguments...> arguments_;
};

class HealthRequest final : public ReadRequest {
 public:
  void perform(Reads& reads) override {
    sessions = reads.live_sessions();
    bytes = reads.bytes();
  }

  std::uint64_t sessions = 0;
  std::uint64_t bytes = 0;
};

// ---- requests to the writer ---------------------------------------------------------------------

class CommitRequest final : public GroupedRequest {
 public:
  explicit CommitRequest(const Commit& commit) : commit_(commit) {}
  void apply(Changes& changes) override { result = changes.apply(commit_); }

  CommitResult result;

 private:
  const Commit& commit_;
};

class TouchRequest final : public GroupedRequest {
 public:
  TouchRequest(const SessionId& session, const Activity& activity)
      : session_(session), activity_(activity) {}
  void apply(Changes& changes) override { touched = changes.touch(session_, activity_); }

  bool touched = false;

 private:
  const SessionId& session_;
  const Activity& activity_;
};

class PruneRequest final : public SlicedRequest {
 public:
  PruneRequest(const SessionId& session, std::uint64_t first_kept)
      : session_(session), first_kept_(first_kept) {}
  bool advance(Upkeep& upkeep, Deadline deadline) override {
    return upkeep.prune_events(session_, first_kept_, deadline, removed);
  }

  std::uint64_t removed = 0;

 private:
  const SessionId& session_;
  const std::uint64_t first_kept_;
};

class EraseRequest final : public SlicedRequest {
 public:
  explicit EraseRequest(const SessionId& session) : session_(session) {}
  bool advance(Upkeep& upkeep, Deadline deadline) override {
    if (!std::exchange(begun_, true)) {
      erased = upkeep.erase_session(session_);
      if (!erased) return true;
    }
    return upkeep.remove_erased(deadline);
  }

  bool erased = false;

 private:
  const SessionId& session_;
  bool begun_ = false;
};

class SweepRequest final : public SlicedRequest {
 public:
  explicit SweepRequest(const SweepQuery& query) : query_(query) {}
  bool advance(Upkeep& upkeep, Deadline deadline) override {
    if (!std::exchange(named_, true)) upkeep.name_expired(query_, result);
    return upkeep.remove_logs(query_, deadline, result) &&
           upkeep.remove_chains(query_, deadline, result) && upkeep.remove_erased(deadline) &&
           upkeep.shrink(deadline);
  }

  SweepResult result;

 private:
  const SweepQuery& query_;
  bool named_ = false;
};

// ---- the driver ---------------------------------------------------------------------------------

class SqliteStorage final : public StorageDriver {
 public:
  explicit SqliteStorage(const SqliteOptions& options)
      : hub_(options.max_wakeups),
        writer_(open_for_writing(options.path, options.busy_timeout, options.max_bytes),
                {.limits = options.limits,
                 .max_waiting = options.max_waiting,
                 .poll_interval = options.poll_interval},
                hub_),
        readers_({.path = options.path,
                  .threads = options.readers,
                  .max_waiting = options.max_waiting,
                  .busy_timeout = options.busy_timeout}) {}

  Task<ReadResult> read(const SessionId& session, std::span<const RecordKey> keys) override {
    Reading<ReadResult, const SessionId&, std::span<const RecordKey>> request(&Reads::read, session,
                                                                              keys);
    co_await readers_.ask(request);
    co_return std::move(request.result);
  }

  Task<CommitResult> commit(const Commit& commit) override {
    check_shape(commit);
    CommitRequest request(commit);
    co_await writer_.ask(request);
    co_return request.result;
  }

  Task<SessionPage> list_sessions(const ListQuery& query) override {
    Reading<SessionPage, const ListQuery&> request(&Reads::list_sessions, query);
    co_await readers_.ask(request);
    co_return std::move(request.result);
  }

  Task<ArchivePage> list_archive(const ListQuery& query) override {
    Reading<ArchivePage, const ListQuery&> request(&Reads::list_archive, query);
    co_await readers_.ask(request);
    co_return std::move(request.result);
  }

  Task<EventPage> read_events(const SessionId& session, const EventQuery& query) override {
    Reading<EventPage, const SessionId&, const EventQuery&> request(&Reads::read_events, session,
                                                                    query);
    co_await readers_.ask(request);
    co_return std::move(request.result);
  }

  Task<std::unique_ptr<Subscription>> subscribe(std::optional<SessionId> session) override {
    auto subscription = hub_.subscribe(std::move(session));
    writer_.look_for_others();
    co_return subscription;
  }

  Task<bool> touch(const SessionId& session, const Activity& activity) override {
    TouchRequest request(session, activity);
    co_await writer_.ask(request);
    co_return request.touched;
  }

  Task<std::uint64_t> prune_events(const SessionId& session, std::uint64_t first_kept) override {
    PruneRequest request(session, first_kept);
    co_await writer_.ask(request);
    co_return request.removed;
  }

  Task<SweepResult> sweep(const SweepQuery& query) override {
    SweepRequest request(query);
    co_await writer_.ask(request);
    co_return std::move(request.result);
  }

  Task<bool> erase_session(const SessionId& session) override {
    EraseRequest request(session);
    co_await writer_.ask(request);
    co_return request.erased;
  }

  Task<Health> health() override;

 private:
  WakeupHub hub_;
  Writer writer_;
  Readers readers_;
};

Task<Health> SqliteStorage::health() {
  Health health;
  health.driver = "sqlite";
  health.durability.level = DurabilityLevel::fsynced;
  if (const auto refusal = writer_.refusal()) health.detail = refusal->message();
  try {
    HealthRequest request;
    co_await readers_.ask(request);
    health.sessions = request.sessions;
    health.bytes = request.bytes + writer_.log_bytes();
  } catch (const StorageError& error) {
    if (health.detail.empty()) health.detail = error.message();
  }
  health.ok = health.detail.empty();
  co_return health;
}

}  // namespace
}  // namespace sqlite

std::unique_ptr<StorageDriver> open_sqlite_storage(SqliteOptions options) {
  // As it is meant now, wherever the process goes; and never one of SQLite's special names.
  options.path = std::filesystem::absolute(options.path).string();
  try {
    return std::make_unique<sqlite::SqliteStorage>(options);
  } catch (const sqlite::DatabaseError& error) {
    throw sqlite::to_storage_error(error, "open");
  }
}

}  // namespace actionflows
