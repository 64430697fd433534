// The driver: which way a call goes. The ways themselves are Gate (to the primary) and Outage
// (while that is away, and back).
//
//   - the primary is asked, unless the session is diverted or the gate does not admit;
//   - a session that is diverted is replayed before it is written to, once the gate admits again;
//   - else the call is served by what there is: the fallback or the shadow.
#include "actionflows/storage/resilient/resilient_storage.hpp"

#include "actionflows/storage/commit_checks.hpp"
#include "actionflows/storage/resilient/gate.hpp"
#include "actionflows/storage/resilient/outage.hpp"
#include "actionflows/storage/resilient/subscription.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

namespace actionflows {
namespace {

class ResilientStorage final : public StorageDriver {
 public:
  ResilientStorage(std::shared_ptr<StorageDriver> primary, std::unique_ptr<StorageDriver> fallback,
                   std::unique_ptr<Journal> journal, ResilientOptions options, Clock& clock,
                   Random& random)
      : options_(std::move(options)),
        clock_(clock),
        shadow_(options_.shadow),
        gate_(std::move(primary), options_, clock, random),
        outage_(std::move(fallback), std::move(journal), shadow_, options_, clock) {
    // The fallback may answer from a thread of its own.
    boost::asio::io_context context(1);
    std::exception_ptr failed;
    boost::asio::co_spawn(context, outage_.resume(),
                          [&](std::exception_ptr error) { failed = std::move(error); });
    context.run();
    if (failed) std::rethrow_exception(failed);
    start_keeper();
  }
  ~ResilientStorage() override {
    own_context_.stop();
    if (own_thread_.joinable()) own_thread_.join();
    outage_.tell_what_is_lost();
  }
  ResilientStorage(const ResilientStorage&) = delete;
  ResilientStorage& operator=(const ResilientStorage&) = delete;

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
  using Deadline = Clock::Monotonic;

  // The common case: the primary is there and nothing waits for it.
  [[nodiscard]] bool undisturbed() const {
    return gate_.admits() && outage_.none() && !outage_.has_breaks();
  }

  Task<CommitResult> commit_at_primary(Commit commit, Deadline deadline, int attempt,
                                       std::optional<StorageError> failed);
  Task<CommitResult> commit_the_long_way(const Commit& commit, Deadline deadline, int attempt,
                                         std::optional<StorageError> failed);
  // nullopt: the session is back at the primary.
  Task<std::optional<CommitResult>> commit_meanwhile(const Commit& commit, Deadline deadline,
                                                     bool attempted);
  Task<AsyncMutex::Guard> turn_of(const Diverted& diverted, Deadline deadline);
  // Returns once `session` is not diverted any more. Throws unavailable while the gate is shut.
  Task<void> settle(const SessionId& session, Deadline deadline);
  // Likewise for who only reads: `unknown` is thrown where the replay is refused.
  Task<void> settle_to_read(const SessionId& session, Deadline deadline,
                            std::exception_ptr unknown);
  Task<ReadResult> read_the_long_way(const SessionId& session, std::span<const RecordKey> keys,
                                     Deadline deadline, std::optional<StorageError> failed);
  Task<ReadResult> read_meanwhile(const SessionId& session, std::span<const RecordKey> keys);
  Task<ReadResult> read_at_primary(const SessionId& session, std::span<const RecordKey> keys);
  template <class T, class Ask>
  Task<T> ask(Ask ask, CallKind kind, Deadline deadline, std::optional<StorageError> failed = {});
  void note_read(const SessionId& session, std::span<const RecordKey> keys,
                 const ReadResult& result, Timestamp began);
  // Throws unavailable: the primary does not find what it had, and that is no fact yet.
  void check_loss(const SessionId& session);

  void start_keeper();
  Task<void> keep();
  Task<void> keep_once();
  Task<void> replay_all();
  struct Replaying;
  Task<void> replay_some(std::shared_ptr<Replaying> replaying);

  // ---- constant after construction
  const ResilientOptions options_;
  Clock& clock_;

  // ---- with locks of their own
  Shadow shadow_;
  Gate gate_;
  Outage outage_;

  std::mutex mutex_;
  // guarded by mutex_
  std::optional<Timestamp> lost_since_;  // the primary was found to have lost something

  // ---- the keeper
  boost::asio::io_context own_context_{1};
  std::thread own_thread_;
};

// What the primary answers, all attempts together; after a first one, where that has `failed`.
// `ask` makes a task that owns its arguments.
template <class T, class Ask>
Task<T> ResilientStorage::ask(Ask ask, CallKind kind, Deadline deadline,
                              std::optional<StorageError> failed) {
  const auto primary = gate_.primary();
  const auto start = [primary, ask](int) -> std::function<Task<T>()> {
    return [primary, ask] { return ask(*primary); };
  };
  const int attempt = failed ? 2 : 1;
  co_return co_await gate_.call<T>(start, kind, deadline, attempt, std::move(failed));
}

// ---- commit -------------------------------------------------------------------------------------

Task<CommitResult> ResilientStorage::commit(const Commit& commit) {
  const Deadline deadline = gate_.deadline();
  const bool may_double = gate_.may_apply_late() && only_appends(commit) && !commit.may_repeat;
  std::optional<StorageError> failed;
  if (undisturbed() && gate_.needs_no_timer() && !may_double) {
    // The first attempt without any detour: nearly always there is no other.
    gate_.on_call();
    try {
      CommitResult result = co_await gate_.primary()->commit(commit);
      gate_.on_answer(CallKind::write);
      shadow_.note_commit(commit, result, clock_.now());
      co_return result;
    } catch (const StorageError& error) {
      if (!gate_.on_error(error, CallKind::write)) throw;
      failed = error;
    }
  }
  const int attempt = failed ? 2 : 1;
  co_return co_await commit_the_long_way(commit, deadline, attempt, std::move(failed));
}

Task<CommitResult> ResilientStorage::commit_the_long_way(const Commit& commit, Deadline deadline,
                                                         int attempt,
                                                         std::optional<StorageError> failed) {
  std::exception_ptr error;
  try {
    if (gate_.admits()) co_await settle(commit.session, deadline);
    if (gate_.admits())
      co_return co_await commit_at_primary(commit, deadline, attempt, std::move(failed));
  } catch (const StorageError& thrown) {
    // Where that has shut the gate, this commit need not fail: under its operation id it is
    // applied once, whatever has become of it at the primary.
    if (!is_failure(thrown) || gate_.admits()) throw;
    error = std::current_exception();
  }
  if (clock_.monotonic() >= deadline && error) std::rethrow_exception(error);
  gate_.count_rejection();
  const bool attempted = attempt > 1 || error != nullptr;
  const std::optional<CommitResult> result = co_await commit_meanwhile(commit, deadline, attempted);
  if (result) co_return *result;
  gate_.check(deadline);
  const int repeat = 2;  // an earlier attempt may have been applied
  co_return co_await commit_the_long_way(commit, deadline, repeat, std::nullopt);
}

Task<CommitResult> ResilientStorage::commit_at_primary(Commit commit, Deadline deadline,
                                                       int attempt,
                                                       std::optional<StorageError> failed) {
  if (outage_.is_outdated(commit)) {
    StorageError outdated =
        failure(ErrorCode::conflict, "the session is not as it was read during the outage",
                "commit", commit.session.str());
    outdated.version_mismatch = true;
    throw outdated;
  }
  const bool asked_to_look = commit.may_repeat;
  if (gate_.may_apply_late() && only_appends(commit)) commit.may_repeat = true;
  const auto first = std::make_shared<const Commit>(std::move(commit));
  CommitResult result = co_await gate_.call<CommitResult>(
      sending(gate_.primary(), first), CallKind::write, deadline, attempt, std::move(failed));
  // Found where an attempt of this very call had left it: that is no repeat to the caller.
  if (!asked_to_look) result.repeated = false;
  shadow_.note_commit(*first, result, clock_.now());
  co_return result;
}

Task<std::optional<CommitResult>> ResilientStorage::commit_meanwhile(const Commit& commit,
                                                                     Deadline deadline,
                                                                     bool attempted) {
  const std::shared_ptr<Diverted> diverted = outage_.find_or_divert(commit.session);
  const AsyncMutex::Guard turn = co_await turn_of(*diverted, deadline);
  if (diverted->over.load()) co_return std::nullopt;
  std::optional<CommitResult> result;
  std::exception_ptr failed;
  try {
    result = co_await outage_.commit(*diverted, commit, attempted);
  } catch (const StorageError&) {
    failed = std::current_exception();
  }
  if (diverted->entries.empty()) co_await outage_.drop(*diverted);
  if (failed) std::rethrow_exception(failed);
  co_return result;
}

Task<AsyncMutex::Guard> ResilientStorage::turn_of(const Diverted& diverted, Deadline deadline) {
  const std::shared_ptr<AsyncMutex> turn = diverted.turn;
  // Nearly always it is free: then nobody has to watch how long it takes.
  AsyncMutex::Guard at_once = turn->try_lock();
  if (at_once.holds()) co_return std::move(at_once);
  std::function<Task<AsyncMutex::Guard>()> wait = [turn] { return turn->lock(); };
  const std::unique_ptr<AsyncMutex::Guard> guard =
      co_await within<AsyncMutex::Guard>(std::move(wait), clock_, deadline - clock_.monotonic());
  if (!guard)
    throw failure(ErrorCode::unavailable, "the session's replay takes longer than the call may",
                  "");
  co_return std::move(*guard);
}

Task<void> ResilientStorage::settle(const SessionId& session, Deadline deadline) {
  if (outage_.none()) co_return;
  while (const std::shared_ptr<Diverted> diverted = outage_.find(session)) {
    const AsyncMutex::Guard turn = co_await turn_of(*diverted, deadline);
    if (diverted->over.load()) continue;
    if (!gate_.admits()) throw primary_is_away("the session has changes to replay", session.str());
    // Where that takes longer than the call may, the keeper brings it to its end.
    co_await outage_.replay(*diverted, gate_, deadline);
  }
}

Task<void> ResilientStorage::settle_to_read(const SessionId& session, Deadline deadline,
                                            std::exception_ptr unknown) {
  if (!gate_.admits()) std::rethrow_exception(unknown);
  try {
    co_await settle(session, deadline);
  } catch (const StorageError& error) {
    if (is_failure(error)) throw;
    // A primary that is full says so to who writes.
    std::rethrow_exception(unknown);
  }
}

// ---- reads --------------------------------------------------------------------------------------

// In an outage most reads end in read_meanwhile with an exception, which takes the longer the more
// there is in the coroutine that it leaves.
Task<ReadResult> ResilientStorage::read(const SessionId& session, std::span<const RecordKey> keys) {
  const bool is_away = !gate_.admits() && outage_.find(session) == nullptr;
  return is_away ? read_meanwhile(session, keys) : read_at_primary(session, keys);
}

Task<ReadResult> ResilientStorage::read_meanwhile(const SessionId& session,
                                                  std::span<const RecordKey> keys) {
  gate_.count_rejection();
  Outage::Known known = outage_.read_shadow(session, keys);
  if (auto* const unknown = std::get_if<StorageError>(&known))
    throw StorageError(std::move(*unknown));
  co_return std::get<ReadResult>(std::move(known));
}

Task<ReadResult> ResilientStorage::read_at_primary(const SessionId& session,
                                                   std::span<const RecordKey> keys) {
  const Deadline deadline = gate_.deadline();
  ReadResult result;
  std::optional<StorageError> failed;
  const Timestamp began = clock_.now();
  const bool first_attempt = undisturbed() && gate_.needs_no_timer();
  if (first_attempt) {
    gate_.on_call();
    try {
      result = co_await gate_.primary()->read(session, keys);
      gate_.on_answer(CallKind::read);
    } catch (const StorageError& error) {
      if (!gate_.on_error(error, CallKind::read)) throw;
      failed = error;
    }
  }
  // What was read on the way into an outage must not be taken for the session as it is diverted:
  // their versions can be the same.
  const bool diverted_since = !outage_.none() && outage_.find(session) != nullptr;
  if (!first_attempt || failed || diverted_since)
    co_return co_await read_the_long_way(session, keys, deadline, std::move(failed));
  note_read(session, keys, result, began);
  co_return result;
}

Task<ReadResult> ResilientStorage::read_the_long_way(const SessionId& session,
                                                     std::span<const RecordKey> keys,
                                                     Deadline deadline,
                                                     std::optional<StorageError> failed) {
  while (const std::shared_ptr<Diverted> diverted = outage_.find(session)) {
    std::exception_ptr unknown;
    ReadResult result;
    try {
      result = co_await outage_.read(*diverted, keys);
    } catch (const StorageError&) {
      unknown = std::current_exception();
    }
    if (diverted->over.load()) continue;
    if (!unknown) co_return result;
    co_await settle_to_read(session, deadline, unknown);
  }
  ReadResult result;
  bool answered = false;
  const Timestamp began = clock_.now();
  try {
    if (gate_.admits()) {
      const auto kept = std::make_shared<const std::pair<SessionId, std::vector<RecordKey>>>(
          session, std::vector<RecordKey>(keys.begin(), keys.end()));
      const auto ask_it = [kept](StorageDriver& primary) {
        return primary.read(kept->first, kept->second);
      };
      result = co_await ask<ReadResult>(ask_it, CallKind::read, deadline, std::move(failed));
      answered = true;
    }
  } catch (const StorageError& thrown) {
    if (!is_failure(thrown) || gate_.admits()) throw;
  }
  if (answered && outage_.find(session) == nullptr) {
    note_read(session, keys, result, began);
    co_return result;
  }
  if (answered) co_return co_await read_the_long_way(session, keys, deadline, {});
  co_return co_await read_meanwhile(session, keys);
}

void ResilientStorage::note_read(const SessionId& session, std::span<const RecordKey> keys,
                                 const ReadResult& result, Timestamp began) {
  const Timestamp now = clock_.now();
  if (shadow_.note_read(session, keys, result, began, now, false)) return;
  check_loss(session);
  static_cast<void>(shadow_.note_read(session, keys, result, began, now, true));
}

// Absence is only believed where nothing speaks against it: a server that lost its data would make
// every session absent, and one that came back with older data what has been added since.
void ResilientStorage::check_loss(const SessionId& session) {
  const Timestamp now = clock_.now();
  const std::optional<Shadow::Sight> sight = shadow_.sight(session);
  if (!sight || !sight->live || sight->expires <= now) return;
  bool hold = false;
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    // What was there after one loss and is not now was lost in another.
    first = !lost_since_ || sight->seen > *lost_since_;
    if (first) lost_since_ = now;
    hold = now < *lost_since_ + options_.loss_hold;
  }
  if (first && options_.log)
    options_.log(
        "primary storage has lost what was there, sessions or their latest changes: what it does "
        "not find is unavailable for now");
  if (hold)
    throw failure(ErrorCode::unavailable, "the primary storage has lost this session", "",
                  session.str());
}

Task<EventPage> ResilientStorage::read_events(const SessionId& session, const EventQuery& query) {
  const Deadline deadline = gate_.deadline();
  const Timestamp began = clock_.now();
  while (const std::shared_ptr<Diverted> diverted =
             outage_.none() ? nullptr : outage_.find(session)) {
    std::exception_ptr unknown;
    EventPage page;
    try {
      page = co_await outage_.read_events(*diverted, query);
    } catch (const StorageError&) {
      unknown = std::current_exception();
    }
    if (diverted->over.load()) continue;
    if (!unknown) co_return page;
    co_await settle_to_read(session, deadline, unknown);
  }
  try {
    if (gate_.admits()) {
      const auto kept = std::make_shared<const std::pair<SessionId, EventQuery>>(session, query);
      const auto ask_it = [kept](StorageDriver& primary) {
        return primary.read_events(kept->first, kept->second);
      };
      EventPage page = co_await ask<EventPage>(ask_it, CallKind::read, deadline);
      const std::optional<Shadow::Sight> sight = shadow_.sight(session);
      const bool less = sight && page.last_sequence < sight->last_sequence;
      if (page.last_sequence == 0 || (less && began > sight->seen)) check_loss(session);
      shadow_.note_events(session, page, clock_.now());
      co_return page;
    }
  } catch (const StorageError& thrown) {
    if (!is_failure(thrown) || gate_.admits()) throw;
  }
  gate_.count_rejection();
  co_return outage_.read_shadow_events(session, query);
}

Task<SessionPage> ResilientStorage::list_sessions(const ListQuery& query) {
  try {
    if (gate_.admits()) {
      const auto kept = std::make_shared<const ListQuery>(query);
      const auto ask_it = [kept](StorageDriver& primary) { return primary.list_sessions(*kept); };
      SessionPage page = co_await ask<SessionPage>(ask_it, CallKind::read, gate_.deadline());
      page.provenance.partial = !outage_.none();  // those that wait for their replay may be missing
      co_return page;
    }
  } catch (const StorageError& thrown) {
    if (!is_failure(thrown) || gate_.admits()) throw;
  }
  gate_.count_rejection();
  SessionPage page = co_await outage_.list_sessions(query);
  page.provenance.age += clock_.now() - gate_.away_since().value_or(clock_.now());
  co_return page;
}

Task<ArchivePage> ResilientStorage::list_archive(const ListQuery& query) {
  try {
    if (gate_.admits()) {
      const auto kept = std::make_shared<const ListQuery>(query);
      const auto ask_it = [kept](StorageDriver& primary) { return primary.list_archive(*kept); };
      ArchivePage page = co_await ask<ArchivePage>(ask_it, CallKind::read, gate_.deadline());
      page.provenance.partial = !outage_.none();
      co_return page;
    }
  } catch (const StorageError& thrown) {
    if (!is_failure(thrown) || gate_.admits()) throw;
  }
  gate_.count_rejection();
  ArchivePage page = co_await outage_.list_archive(query);
  page.provenance.age += clock_.now() - gate_.away_since().value_or(clock_.now());
  co_return page;
}

Task<std::unique_ptr<Subscription>> ResilientStorage::subscribe(std::optional<SessionId> session) {
  std::unique_ptr<Subscription> local = outage_.hub().subscribe(session);
  std::unique_ptr<Subscription> distant;
  try {
    if (gate_.admits()) {
      const auto ask_it = [session](StorageDriver& primary) { return primary.subscribe(session); };
      distant =
          co_await ask<std::unique_ptr<Subscription>>(ask_it, CallKind::read, gate_.deadline());
    }
  } catch (const StorageError& thrown) {
    if (!is_failure(thrown)) throw;
  }
  co_return make_resilient_subscription(gate_, std::move(local), std::move(distant),
                                        std::move(session));
}

// ---- upkeep -------------------------------------------------------------------------------------

Task<bool> ResilientStorage::touch(const SessionId& session, const Activity& activity) {
  const Deadline deadline = gate_.deadline();
  try {
    if (gate_.admits()) co_await settle(session, deadline);
    if (gate_.admits()) {
      const auto kept = std::make_shared<const std::pair<SessionId, Activity>>(session, activity);
      const auto ask_it = [kept](StorageDriver& primary) {
        return primary.touch(kept->first, kept->second);
      };
      const bool touched = co_await ask<bool>(ask_it, CallKind::write, deadline);
      if (touched) co_return true;
      const ReadResult known = co_await read_the_long_way(session, {}, deadline, {});
      if (!known.live || known.activity.expires <= activity.last_active) co_return false;
      // Lost there, and known here: the primary went away before the loss was told.
      if (gate_.admits())
        throw failure(ErrorCode::unavailable, "the session was changed meanwhile", "touch");
    }
  } catch (const StorageError& thrown) {
    if (!is_failure(thrown) || gate_.admits()) throw;
  }
  gate_.count_rejection();
  const std::shared_ptr<Diverted> diverted = outage_.find_or_divert(session);
  const AsyncMutex::Guard turn = co_await turn_of(*diverted, deadline);
  if (diverted->over.load()) co_return co_await touch(session, activity);
  bool touched = false;
  std::exception_ptr failed;
  try {
    touched = co_await outage_.touch(*diverted, activity);
  } catch (const StorageError&) {
    failed = std::current_exception();
  }
  if (diverted->entries.empty()) co_await outage_.drop(*diverted);
  if (failed) std::rethrow_exception(failed);
  co_return touched;
}

Task<std::uint64_t> ResilientStorage::prune_events(const SessionId& session,
                                                   std::uint64_t first_kept) {
  const Deadline deadline = gate_.deadline();
  co_await settle(session, deadline);
  const auto ask_it = [session, first_kept](StorageDriver& primary) {
    return primary.prune_events(session, first_kept);
  };
  co_return co_await ask<std::uint64_t>(ask_it, CallKind::write, deadline);
}

Task<SweepResult> ResilientStorage::sweep(const SweepQuery& query) {
  const auto kept = std::make_shared<const SweepQuery>(query);
  const auto ask_it = [kept](StorageDriver& primary) { return primary.sweep(*kept); };
  co_return co_await ask<SweepResult>(ask_it, CallKind::write, gate_.deadline());
}

Task<bool> ResilientStorage::erase_session(const SessionId& session) {
  const Deadline deadline = gate_.deadline();
  co_await settle(session, deadline);
  const auto kept = std::make_shared<const SessionId>(session);
  const auto ask_it = [kept](StorageDriver& primary) { return primary.erase_session(*kept); };
  const bool erased = co_await ask<bool>(ask_it, CallKind::write, deadline);
  shadow_.forget(session);
  co_return erased;
}

// A primary that is not well answers, too; but that is no success.
Task<Health> health_of(StorageDriver& primary, std::shared_ptr<Health> told) {
  *told = co_await primary.health();
  if (!told->ok) {
    StorageError error = failure(ErrorCode::unavailable, told->detail, "health");
    error.retryable = false;
    throw StorageError(error);
  }
  co_return *told;
}

Task<Health> ResilientStorage::health() {
  Health health;
  if (gate_.admits()) {
    const auto told = std::make_shared<Health>();
    try {
      const auto ask_it = [told](StorageDriver& primary) { return health_of(primary, told); };
      health = co_await ask<Health>(ask_it, CallKind::read, gate_.deadline());
    } catch (const StorageError& error) {
      health.driver = told->driver;
      health.durability = told->durability;
      health.ok = false;
      health.detail = error.message();
    }
  } else {
    health.driver = "fallback";
    health.detail = "the primary storage is away: " + gate_.why_away() +
                    "; what is written waits in " +
                    (outage_.is_durable() ? "the journal" : "memory");
    health.durability = outage_.durability();
  }
  health.resilience = gate_.resilience();
  outage_.add_to(*health.resilience);
  co_return health;
}

// ---- the keeper ---------------------------------------------------------------------------------

void ResilientStorage::start_keeper() {
  if (options_.executor) {
    boost::asio::co_spawn(options_.executor, keep(), boost::asio::detached);
    return;
  }
  boost::asio::co_spawn(own_context_, keep(), boost::asio::detached);
  own_thread_ = std::thread([this] { own_context_.run(); });
}

Task<void> ResilientStorage::keep() {
  constexpr std::chrono::minutes told_again{1};
  std::string told;
  Deadline told_at;
  for (;;) {
    try {
      co_await keep_once();
    } catch (const std::exception& error) {
      const auto* const known = dynamic_cast<const StorageError*>(&error);
      const std::string why = known != nullptr ? known->message() : error.what();
      const bool passes = known != nullptr && is_failure(*known);
      if (!passes && (why != told || clock_.monotonic() > told_at + told_again)) {
        told = why;
        told_at = clock_.monotonic();
        if (options_.log) options_.log("journal can't be replayed: " + why);
      }
    }
    co_await clock_.sleep_for(options_.keeper_interval);
  }
}

Task<void> ResilientStorage::keep_once() {
  gate_.note_answers();
  outage_.tell_untold(false);
  if (!gate_.admits()) {
    const bool opened = co_await gate_.probe();
    if (!opened) co_return;
    // Whoever follows a session looks at what happened elsewhere meanwhile.
    outage_.hub().miss();
  }
  if (!outage_.none()) co_await replay_all();
  co_await outage_.replay_retried(gate_);
}

// Sessions that are replayed at the same time, so that the way to the primary is not waited for
// once per entry.
constexpr std::size_t replays_at_once = 16;

struct ResilientStorage::Replaying {
  explicit Replaying(const boost::asio::any_io_executor& executor)
      : ended(executor, replays_at_once) {}

  std::vector<std::shared_ptr<Diverted>> sessions;
  std::atomic<std::size_t> next{0};
  boost::asio::experimental::concurrent_channel<void(boost::system::error_code)> ended;
  std::mutex mutex;
  std::exception_ptr error;  // guarded by mutex: the first
};

Task<void> ResilientStorage::replay_all() {
  const boost::asio::any_io_executor executor = co_await boost::asio::this_coro::executor;
  const auto replaying = std::make_shared<Replaying>(executor);
  replaying->sessions = outage_.all();
  const std::size_t workers = std::min(replays_at_once, replaying->sessions.size());
  for (std::size_t i = 0; i < workers; ++i)
    boost::asio::co_spawn(executor, replay_some(replaying), boost::asio::detached);
  for (std::size_t i = 0; i < workers; ++i)
    co_await replaying->ended.async_receive(boost::asio::use_awaitable);
  if (replaying->error) std::rethrow_exception(replaying->error);
}

// One session after the other, until none is left. One that could not be replayed holds up no
// other.
Task<void> ResilientStorage::replay_some(std::shared_ptr<Replaying> replaying) {
  for (;;) {
    const std::size_t at = replaying->next.fetch_add(1);
    if (at >= replaying->sessions.size() || !gate_.admits()) break;
    Diverted& diverted = *replaying->sessions[at];
    try {
      const AsyncMutex::Guard turn = co_await diverted.turn->lock();
      if (!diverted.over.load()) co_await outage_.replay(diverted, gate_, Deadline::max());
    } catch (const std::exception&) {
      const std::lock_guard lock(replaying->mutex);
      if (!replaying->error) replaying->error = std::current_exception();
    }
  }
  replaying->ended.try_send(boost::system::error_code());
}

}  // namespace

std::unique_ptr<StorageDriver> make_resilient_storage(std::shared_ptr<StorageDriver> primary,
                                                      std::unique_ptr<StorageDriver> fallback,
                                                      std::unique_ptr<Journal> journal,
                                                      ResilientOptions options, Clock& clock,
                                                      Random& random) {
  return std::make_unique<ResilientStorage>(std::move(primary), std::move(fallback),
                                            std::move(journal), std::move(options), clock, random);
}

}  // namespace actionflows
