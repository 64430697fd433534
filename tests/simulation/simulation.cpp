#include "tests/simulation/simulation.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/base/fake_clock.hpp"
#include "actionflows/services/event_log.hpp"
#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/resilient/resilient_storage.hpp"
#include "actionflows/storage/resilient/testing/link.hpp"
#include "actionflows/storage/storage.hpp"
#include "tests/support/run.hpp"

#include <boost/asio/detached.hpp>

#include <map>
#include <set>
#include <vector>

namespace actionflows::test {
namespace {

using namespace std::chrono_literals;

constexpr int steps = 60;
constexpr std::size_t processes = 2;
constexpr std::size_t sessions = 2;

const UserId ann = *UserId::parse("ann");

// A journal that outlives its process, and that a process which has ended can't reach any more.
class KeptJournal final : public Journal {
 public:
  KeptJournal(std::shared_ptr<Journal> kept, std::shared_ptr<bool> alive)
      : kept_(std::move(kept)), alive_(std::move(alive)) {}

  Task<std::uint64_t> append(JournalKind kind, const Commit& commit, Timestamp at) override {
    return kept().append(kind, commit, at);
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
  StorageDriver* driver = nullptr;
  std::unique_ptr<Storage> storage;
};

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed) {
    for (std::size_t n = 0; n < processes; ++n) {
      journals_.push_back(make_memory_journal());
      weather_.emplace_back();
      start(n);
    }
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
    if (!*alive) throw StorageError(ErrorCode::unavailable, "the process has ended");
    if (moment == Moment::before) {
      if (chance(weather.slow))
        co_await clock_.sleep_for(std::chrono::milliseconds(random_.below(4'000)));
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
    options.executor = context_->get_executor();
    auto driver = make_resilient_storage(process.link, make_memory_storage(),
                                         std::make_unique<KeptJournal>(journals_[n], process.alive),
                                         options, clock_, random_);
    process.driver = driver.get();
    process.storage =
        std::make_unique<Storage>(std::move(driver), StorageOptions{}, clock_, random_);
  }

  // What it had in hand goes on, but reaches nothing any more.
  void crash(std::size_t n) {
    *current_[n]->alive = false;
    ++out_.crashes;
    start(n);
  }

  // ---- clients

  void acknowledge(const std::string& operation, const CallReport& report) {
    acknowledged_.insert(operation);
    ++out_.acknowledged;
    if (report.durability && report.durability->level == DurabilityLevel::journal) ++out_.degraded;
  }

  Task<void> create(Process& process, SessionId id, std::string operation) {
    CallReport report;
    Context context;
    context.operation_id = operation;
    context.report = &report;
    co_await process.storage->create_session(ann, {}, id, context);
    if (!*process.alive) co_return;
    acknowledge(operation, report);
    created_.insert(id);
    known_to_[id] = &journals_[process.number];
  }

  Task<void> append(Process& process, SessionId id, std::string operation) {
    CallReport report;
    Context context;
    context.operation_id = operation;
    context.report = &report;
    EventData data;
    data.type = *EventType::parse("run:noted");
    co_await process.storage->append_event(id, data, context);
    if (*process.alive) acknowledge(operation, report);
  }

  Task<void> update(Process& process, SessionId id, std::string operation) {
    CallReport report;
    Context context;
    context.operation_id = operation;
    context.report = &report;
    SessionUpdate update;
    const std::uint64_t field = random_.below(3);
    if (field == 0) update.set(&Session::title, operation);
    if (field == 1) update.set(&Session::cwd, operation);
    if (field == 2) update.set(&Session::summary, operation);
    co_await process.storage->update_session(id, update, context);
    if (*process.alive) acknowledge(operation, report);
  }

  Task<void> look(Process& process, SessionId id, std::string) {
    const bool existed = surely_there(process, id);
    const std::optional<Session> session = co_await process.storage->get_session(id);
    if (existed && !session && *process.alive) fail("a session was told as absent");
  }

  // A call that fails leaves it open what has become of it; only absence must not be told.
  Task<void> guarded(Task<void> call, Process& process, SessionId id) {
    const bool existed = surely_there(process, id);
    ++busy_;
    try {
      co_await std::move(call);
    } catch (const StorageError& error) {
      if (error.code() == ErrorCode::not_found && existed && *process.alive)
        fail("a session was told as not found");
      if (error.code() == ErrorCode::invalid || error.code() == ErrorCode::corrupt)
        fail("a call ended as " + error.message());
    }
    --busy_;
  }

  SessionId new_id() { return *SessionId::parse("s" + std::to_string(++operations_)); }

  // What one process made while the primary was away, the others can't know yet.
  bool surely_there(const Process& process, const SessionId& id) {
    if (!created_.contains(id)) return false;
    return known_to_[id] == &journals_[process.number] || test::run(store_->read(id, {})).live;
  }

  using Call = Task<void> (World::*)(Process&, SessionId, std::string);
  void begin(std::size_t n, Call call, const SessionId& id) {
    Process& process = *current_[n];
    const std::string operation = "op" + std::to_string(++operations_);
    boost::asio::co_spawn(*context_, guarded((this->*call)(process, id, operation), process, id),
                          boost::asio::detached);
  }

  void begin_call() {
    const std::size_t n = random_.below(processes);
    const std::uint64_t kind = random_.below(20);
    if (kind == 0) return begin(n, &World::create, new_id());
    const SessionId id =
        *std::next(created_.begin(), static_cast<std::ptrdiff_t>(random_.below(created_.size())));
    if (!surely_there(*current_[n], id)) return;
    begin(n, kind < 8 ? &World::append : kind < 17 ? &World::update : &World::look, id);
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
    } else {
      begin_call();
    }
    pass(std::chrono::milliseconds(chance(10) ? random_.below(8'000) : random_.below(200)));
    check_log();
  }

  void heal() {
    for (Weather& weather : weather_) weather = {};
    for (int n = 0; n < 60 && (n < 15 || busy_ != 0 || waiting() != 0); ++n) pass(1s);
    if (busy_ != 0) fail("calls hang");
    if (waiting() != 0) fail("the journals are not drained");
  }

  std::size_t waiting() {
    std::size_t entries = 0;
    for (const auto& journal : journals_) entries += journal->entries().size();
    return entries;
  }

  // ---- promises

  // At all times: numbers are dense, and no operation was applied twice.
  void check_log() {
    for (const SessionId& id : created_) {
      std::map<std::string, std::uint64_t> last;
      std::uint64_t expected = 1;
      for (const StoredEvent& event : test::run(store_->read_events(id, {})).events) {
        if (event.sequence != expected++) fail("the log is not dense");
        const auto [place, first] = last.try_emplace(event.operation_id, event.sequence);
        if (!first && place->second + 1 != event.sequence)
          fail(event.operation_id + " was applied twice");
        place->second = event.sequence;
      }
    }
  }

  void check_end() {
    std::set<std::string> applied;
    for (const SessionId& id : created_)
      for (const StoredEvent& event : test::run(store_->read_events(id, {})).events) {
        applied.insert(event.operation_id);
        if (event.bytes.view().find("\"applied\"") != std::string_view::npos) ++out_.conflicts;
      }
    for (const std::string& operation : acknowledged_)
      if (!applied.contains(operation)) fail(operation + " was acknowledged and is lost");
    for (const SessionId& id : created_) check_session(id);
  }

  void check_session(const SessionId& id) {
    const auto first = end(current_[0]->storage->get_session(id));
    if (!first) return fail(id.str() + " is lost");
    for (const Process* process : current_)
      if (end(process->storage->get_session(id)) != first)
        fail("the processes see different states");
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

  std::set<SessionId> created_;
  std::map<SessionId, const void*> known_to_;  // the journal of the process that made it
  std::set<std::string> acknowledged_;
  int operations_ = 0;
  int busy_ = 0;
  Outcome out_;
};

}  // namespace

Outcome simulate(std::uint64_t seed) { return World(seed).run(); }

}  // namespace actionflows::test
