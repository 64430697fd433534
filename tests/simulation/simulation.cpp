#include "tests/simulation/simulation.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/base/fake_clock.hpp"
#include "actionflows/services/event_log.hpp"
#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/resilient/resilient_storage.hpp"
#include "actionflows/storage/resilient/testing/link.hpp"
#include "actionflows/storage/storage.hpp"
#include "tests/simulation/ledger.hpp"
#include "tests/support/run.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

namespace actionflows::test {
namespace {

using namespace std::chrono_literals;

constexpr int steps = 60;
constexpr std::size_t processes = 2;
constexpr std::size_t sessions = 2;

constexpr auto loss_hold = 30s;
constexpr std::chrono::milliseconds longest_call = 6s;

const UserId ann = *UserId::parse("ann");

// A journal that outlives its process, and that a process which has ended can't reach any more.
class KeptJournal final : public Journal {
 public:
  KeptJournal(std::shared_ptr<Journal> kept, std::shared_ptr<bool> alive)
      : kept_(std::move(kept)), alive_(std::move(alive)) {}

  Task<std::uint64_t> append(JournalKind kind, std::shared_ptr<const Commit> commit,
                             Timestamp at) override {
    return kept().append(kind, std::move(commit), at);
  }
  Task<void> remove(std::span<const std::uint64_t> ids) override { return kept().remove(ids); }
  Task<void> poison(std::uint64_t id, std::string_view reason) override {
    return kept().poison(id, reason);
  }
  Task<bool> changed_by_others() override { co_return false; }
  bool retry(std::uint64_t id) override { return kept().retry(id); }
  std::vector<JournalEntry> entries() override { return kept().entries(); }
  [[nodiscard]] const std::string& damage() const override { return kept_->damage(); }
  [[nodiscard]] bool durable() const override { return true; }

 private:
  Journal& kept() {
    if (!*alive_) throw StorageError(ErrorCode::unavailable, "the process has ended");
    return *kept_;
  }
  const std::shared_ptr<Journal> kept_;
  const std::shared_ptr<bool> alive_;
};

// How the way of one process to the store is, in hundredths of its calls.
struct Weather {
  std::uint64_t refused = 0;
  std::uint64_t unanswered = 0;
  std::uint64_t slow = 0;
};

struct Process {
  std::size_t number = 0;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  std::shared_ptr<Link> link;
  std::unique_ptr<Storage> storage;

  std::set<SessionId> seen;                           // its newest answer was the primary's
  std::map<SessionId, Clock::Monotonic> held;         // seen, and lost: not to be told as absent
  std::vector<std::pair<ChainId, std::string>> told;  // chains and what made them
};

struct Absence {
  bool existed = false;
  int emptied = 0;  // how often the primary had lost its data then
};

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed) {
    for (std::size_t n = 0; n < processes; ++n) {
      journals_.push_back(make_memory_journal());
      weather_.emplace_back();
      start(n);
    }
    losing_ = chance(40);
    for (std::size_t n = 0; n < sessions; ++n) begin(0, &World::create, new_id());
    pass(1s);
  }
  ~World() { context_.reset(); }  // whoever waits goes before what they wait in

  Outcome run() {
    try {
      for (int n = 0; n < steps && out_.broken.empty(); ++n) step();
      if (out_.broken.empty()) heal();
      if (out_.broken.empty()) check_end();
    } catch (const StorageError& error) {
      fail("the end can't be looked at: " + error.message());
    }
    return out_;
  }

 private:
  bool chance(std::uint64_t percent) { return random_.below(100) < percent; }
  void fail(const std::string& what) {
    if (out_.broken.empty()) out_.broken = what;
  }

  // ---- processes

  Task<void> travel(std::shared_ptr<bool> alive, std::size_t n, Moment moment) {
    const Weather& weather = weather_[n];
    if (!*alive) co_await clock_.sleep_for(24h);
    if (down()) throw StorageError(ErrorCode::unavailable, "connection refused");
    if (moment == Moment::before) {
      if (chance(weather.slow))
        co_await clock_.sleep_for(std::chrono::milliseconds(random_.below(4'000)));
      if (down()) throw StorageError(ErrorCode::unavailable, "connection reset");
      if (chance(weather.refused)) throw StorageError(ErrorCode::unavailable, "refused");
    } else if (chance(weather.unanswered)) {
      throw StorageError(ErrorCode::timeout, "no answer");
    }
  }

  void start(std::size_t n) {
    Process& process = *processes_.emplace_back(std::make_unique<Process>());
    current_[n] = &process;
    process.number = n;
    process.link = std::make_shared<Link>(store_);
    process.link->hook = [this, alive = process.alive, n](Moment moment) {
      return travel(alive, n, moment);
    };
    ResilientOptions options;
    options.breaker.longest_open = 10s;
    options.keeper_interval = 100ms;
    options.loss_hold = loss_hold;
    options.executor = context_->get_executor();
    auto driver = make_resilient_storage(process.link, make_memory_storage(),
                                         std::make_unique<KeptJournal>(journals_[n], process.alive),
                                         options, clock_, random_);
    process.storage =
        std::make_unique<Storage>(std::move(driver), StorageOptions{}, clock_, random_);
  }

  // What it had in hand goes on, but reaches nothing any more.
  void crash(std::size_t n) {
    *current_[n]->alive = false;
    ++out_.crashes;
    start(n);
  }

  // ---- the primary

  [[nodiscard]] bool down() const { return clock_.monotonic() < down_until_; }

  // It is away for a while, and has lost everything or nothing when it is back.
  void restart_primary(bool empty) {
    // A store that comes back empty within one call could be taken for the one before: what is made
    // in it anew begins with the same versions.
    const auto at_least = empty ? longest_call : 0ms;
    down_until_ = clock_.monotonic() + at_least + std::chrono::milliseconds(random_.below(10'000));
    ++(empty ? out_.empty_restarts : out_.restarts);
    if (!empty) return;
    ledger_.losing();
    for (const SessionId& id : created_) {
      for (Process* process : current_)
        if (process->seen.contains(id))
          process->held.try_emplace(id, clock_.monotonic() + loss_hold);
      if (ledger_.stands(id)) known_to_.erase(id);
    }
    for (Process* process : current_) process->seen.clear();
    for (const SessionId& id : asked_) test::run(store_->erase_session(id));
  }

  // ---- clients

  void acknowledge(Process& process, const SessionId& id, const Context& context) {
    const CallReport& report = *context.report;
    const bool journaled =
        report.durability && report.durability->level == DurabilityLevel::journal;
    ++out_.acknowledged;
    if (journaled) ++out_.degraded;
    ledger_.acknowledged(context.operation_id);
    note_seen(process, id, !journaled && !report.repeated);
  }

  void note_seen(Process& process, const SessionId& id, bool at_primary) {
    if (!at_primary) {
      process.seen.erase(id);
    } else if (!ledger_.waits(id, process.number) && ledger_.stands(id)) {
      process.seen.insert(id);
      process.held.erase(id);
    }
  }

  Task<void> create(Process& process, SessionId id, std::string operation) {
    CallReport report;
    Context context;
    context.operation_id = operation;
    context.report = &report;
    co_await process.storage->create_session(ann, {}, id, context);
    if (!*process.alive) co_return;
    created_.insert(id);
    const bool stands = ledger_.stands(id);
    if (!ledger_.was_lost(id) || stands) known_to_[id] = process.number;
    acknowledge(process, id, context);
  }

  Task<void> append(Process& process, SessionId id, std::string operation) {
    CallReport report;
    Context context;
    context.operation_id = operation;
    context.report = &report;
    EventData data;
    data.type = *EventType::parse("run:noted");
    if (chance(50)) {  // without an id of its own it is for the storage to repeat it safely
      context.operation_id.clear();
      data.data = json::Raw::parse("{\"note\":\"" + operation + "\"}");
    }
    co_await process.storage->append_event(id, data, context);
    context.operation_id = operation;
    if (*process.alive) acknowledge(process, id, context);
  }

  Task<void> update(Process& process, SessionId id, std::string operation) {
    CallReport report;
    Context context;
    context.operation_id = operation;
    context.report = &report;
    SessionUpdate update;
    const Field field = fields_.at(operation);
    if (field == Field::title) update.set(&Session::title, operation);
    if (field == Field::cwd) update.set(&Session::cwd, operation);
    if (field == Field::summary) update.set(&Session::summary, operation);
    if (chance(2)) update.set(&Session::state, SessionState::completed);
    co_await process.storage->update_session(id, update, context);
    if (*process.alive) acknowledge(process, id, context);
  }

  Task<void> compile(Process& process, SessionId id, std::string operation) {
    CallReport report;
    Context context;
    context.operation_id = operation;
    context.report = &report;
    ChainData data;
    data.title = operation;
    data.steps.resize(1);
    data.steps[0].action = "look";
    const Chain chain = co_await process.storage->create_chain(id, data, context);
    if (!*process.alive) co_return;
    process.told.emplace_back(chain.chain_id, operation);
    acknowledge(process, id, context);
  }

  // The summary tells which chain the client meant: the title tells which it is.
  Task<void> describe(Process& process, SessionId id, std::string operation) {
    const auto [chain, made_by] = process.told[random_.below(process.told.size())];
    if (chain.session() != id) co_return;
    CallReport report;
    Context context;
    context.operation_id = operation;
    context.report = &report;
    const std::optional<Chain> before = co_await process.storage->get_chain(chain);
    if (!before || before->title != made_by) co_return;
    ChainUpdate update;
    update.set(&Chain::summary, made_by);
    update.set(&Chain::ref, operation);
    context.expected_version = before->version;
    co_await process.storage->update_chain(chain, update, context);
    if (*process.alive) acknowledge(process, id, context);
  }

  Task<void> look(Process& process, SessionId id, std::string) {
    const Absence before = absence(process, id);
    CallReport report;
    Context context;
    context.report = &report;
    const std::optional<Session> session = co_await process.storage->get_session(id, context);
    if (!session) return_absent(process, id, before, "a session was told as absent");
    if (session && *process.alive)
      note_seen(process, id, report.provenance->source != Source::fallback);
  }

  // A chain that is in the store, whoever made it.
  Task<void> look_at_chain(Process& process, SessionId id, std::string) {
    const RecordKey key = RecordKey::of_chain(1);
    const bool stands = test::run(store_->read(id, std::span(&key, 1))).records[0].has_value();
    const Absence before = absence(process, id);
    const ChainId chain(id, 1);
    const std::optional<Chain> found = co_await process.storage->get_chain(chain);
    if (stands && !found) return_absent(process, id, before, "a chain was told as absent");
  }

  Absence absence(const Process& process, const SessionId& id) {
    return {surely_there(process, id), out_.empty_restarts};
  }

  void return_absent(Process& process, const SessionId& id, const Absence& before,
                     const std::string& what) {
    const bool same_store = before.emptied == out_.empty_restarts;
    const bool exists = same_store ? surely_there(process, id) : held(process, id);
    if (before.existed && exists && *process.alive) fail(what);
  }

  // A call that fails leaves it open what has become of it; only absence must not be told.
  Task<void> guarded(Task<void> call, Process& process, SessionId id) {
    const Absence before = absence(process, id);
    ++busy_;
    try {
      co_await std::move(call);
    } catch (const StorageError& error) {
      if (error.code() == ErrorCode::not_found)
        return_absent(process, id, before, "a session was told as not found");
      if (error.code() == ErrorCode::invalid || error.code() == ErrorCode::corrupt)
        fail("a call ended as " + error.message());
      process.seen.erase(id);
    }
    --busy_;
  }

  SessionId new_id() {
    const SessionId id = *SessionId::parse("s" + std::to_string(++operations_));
    asked_.insert(id);
    return id;
  }

  // Lost, but known here, and not for long enough to be a fact.
  bool held(const Process& process, const SessionId& id) {
    const auto found = process.held.find(id);
    const bool seen = found != process.held.end() && clock_.monotonic() < found->second;
    return seen || ledger_.waits(id, process.number);
  }

  // What one process made while the primary was away, the others can't know yet.
  bool surely_there(const Process& process, const SessionId& id) {
    if (!created_.contains(id)) return false;
    const auto known = known_to_.find(id);
    const bool made_here = known != known_to_.end() && known->second == process.number;
    return made_here || held(process, id) || ledger_.stands(id);
  }

  using Call = Task<void> (World::*)(Process&, SessionId, std::string);
  void begin(std::size_t n, Call call, const SessionId& id, Field field = Field::none,
             bool about_chain = false) {
    Process& process = *current_[n];
    const std::string operation = "op" + std::to_string(++operations_);
    fields_[operation] = field;
    ledger_.asked(operation, {id, n, field, about_chain, 0, 0});
    boost::asio::co_spawn(*context_, guarded((this->*call)(process, id, operation), process, id),
                          boost::asio::detached);
  }

  void begin_call() {
    const std::size_t n = random_.below(processes);
    const std::uint64_t kind = random_.below(24);
    if (kind == 0) return begin(n, &World::create, new_id());
    const SessionId id =
        *std::next(created_.begin(), static_cast<std::ptrdiff_t>(random_.below(created_.size())));
    if (!surely_there(*current_[n], id)) return;
    if (kind < 8) return begin(n, &World::append, id);
    if (kind < 10) return begin(n, &World::compile, id, Field::none, true);
    if (kind < 12 && !current_[n]->told.empty())
      return begin(n, &World::describe, id, Field::none, true);
    if (kind < 14) return begin(n, &World::look_at_chain, id);
    if (kind < 17) return begin(n, &World::look, id);
    const auto field = static_cast<Field>(1 + random_.below(3));
    begin(n, &World::update, id, field);
  }

  // ---- time

  void poll() {
    context_->restart();
    context_->poll();
  }

  void pass(std::chrono::milliseconds time) {
    constexpr std::chrono::milliseconds piece = 50ms;
    for (poll(); time > 0ms; time -= piece) {
      clock_.advance(piece);
      poll();
    }
  }

  void step() {
    const std::uint64_t what = random_.below(100);
    if (what < 12) {
      Weather& weather = weather_[random_.below(processes)];
      const std::uint64_t mood = random_.below(4);
      weather = {};
      if (mood == 1) weather = {100, 0, 0};
      if (mood == 2) weather = {random_.below(60), random_.below(60), 0};
      if (mood == 3) weather = {random_.below(30), random_.below(30), random_.below(60)};
    } else if (what < 16) {
      crash(random_.below(processes));
    } else if (what < 18) {
      restart_primary(losing_ && chance(70));
    } else {
      begin_call();
    }
    pass(std::chrono::milliseconds(chance(10) ? random_.below(8'000) : random_.below(200)));
    fail_if(ledger_.check());
  }

  void heal() {
    for (Weather& weather : weather_) weather = {};
    down_until_ = {};
    for (int n = 0; n < 100 && (n < 15 || busy_ != 0 || waiting() != 0); ++n) pass(1s);
    if (busy_ != 0) fail("calls hang");
    if (waiting() != 0) fail("the journals are not drained");
  }

  // Entries that are set aside stay, and so does what they begin with.
  std::size_t waiting() {
    std::size_t entries = 0;
    for (const auto& journal : journals_)
      for (const JournalEntry& entry : journal->entries())
        if (entry.kind != JournalKind::base && entry.poison.empty()) ++entries;
    return entries;
  }

  // ---- promises

  void fail_if(const std::string& broken) {
    if (!broken.empty()) fail(broken);
  }

  void check_end() {
    fail_if(ledger_.check_end());
    out_.conflicts = ledger_.conflicts();
    out_.set_aside = ledger_.set_aside();
    bool lost = false;
    for (const SessionId& id : created_) {
      if (ledger_.stands(id)) {
        check_session(id);
      } else if (ledger_.was_lost(id)) {
        lost = true;
      } else {
        fail(id.str() + " is lost");
      }
    }
    if (lost) check_lost();
  }

  // In the end the loss is a fact.
  void check_lost() {
    for (int round = 0; round < 2; ++round, pass(loss_hold + 1s))
      for (const SessionId& id : created_)
        for (const Process* process : current_) {
          if (ledger_.stands(id)) continue;
          try {
            if (end(process->storage->get_session(id))) fail("a lost session is told as there");
          } catch (const StorageError& error) {
            const bool held = error.code() == ErrorCode::unavailable && round == 0;
            if (!held) fail("a lost session is told as " + error.message());
          }
        }
  }

  void check_session(const SessionId& id) {
    const auto first = end(current_[0]->storage->get_session(id));
    if (!first) return fail(id.str() + " is told as absent");
    for (const Process* process : current_)
      if (end(process->storage->get_session(id)) != first)
        fail("the processes see different states");
    for (std::uint32_t n = 1; n <= first->chain_count; ++n) {
      const ChainId chain_id(id, n);
      const std::optional<Chain> chain = end(current_[0]->storage->get_chain(chain_id));
      if (chain && chain->summary && *chain->summary != chain->title)
        fail(chain_id.str() + " was taken for another chain");
    }
    EventLog log(*current_[0]->storage);
    const Verification found = end(log.verify(id));
    if (found.outcome != Verification::Outcome::equal)
      fail("the log does not tell the state: " +
           (found.differences.empty() ? std::string() : found.differences.front()));
  }

  // Runs a call to its end while nothing breaks.
  template <class T>
  T end(Task<T> task) {
    return test::run(std::move(task));
  }

  SeededRandom random_;
  FakeClock clock_;
  std::shared_ptr<StorageDriver> store_ = make_memory_storage();
  std::unique_ptr<boost::asio::io_context> context_ = std::make_unique<boost::asio::io_context>(1);
  std::vector<std::shared_ptr<Journal>> journals_;
  std::vector<Weather> weather_;
  std::vector<std::unique_ptr<Process>> processes_;  // those that have ended, too
  std::array<Process*, processes> current_{};

  Ledger ledger_{*store_, journals_};
  std::set<SessionId> asked_;  // to be created
  std::set<SessionId> created_;
  std::map<SessionId, std::size_t> known_to_;  // the process that made it
  std::map<std::string, Field> fields_;        // what an operation changes
  bool losing_ = false;                        // the primary may lose its data
  Clock::Monotonic down_until_{};
  int operations_ = 0;
  int busy_ = 0;
  Outcome out_;
};

}  // namespace

Outcome simulate(std::uint64_t seed) { return World(seed).run(); }

}  // namespace actionflows::test
