#include "tests/simulation/simulation.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/services/event_log.hpp"
#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/resilient/resilient_storage.hpp"
#include "tests/simulation/clients.hpp"
#include "tests/simulation/follower.hpp"
#include "tests/simulation/scene.hpp"
#include "tests/support/run.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace actionflows::test {
namespace {

using namespace std::chrono_literals;

constexpr int steps = 60;
constexpr std::size_t first_sessions = 2;
constexpr std::size_t followers_of_each = 2;
constexpr std::chrono::milliseconds longest_call = 6s;

// How finely time passes: as calls are, or where only time is to pass.
constexpr std::chrono::milliseconds fine = 50ms;
constexpr std::chrono::milliseconds coarse = 250ms;
constexpr std::chrono::milliseconds leaping = 1s;

constexpr std::chrono::milliseconds keeper_interval = 100ms;

// What a full store says, of whatever make.
const std::array<StorageError, 3> refusals = [] {
  StorageError passing(ErrorCode::unavailable, "MISCONF can't persist to disk");
  passing.retryable = true;
  const StorageError lasting(ErrorCode::unavailable, "READONLY You can't write");
  StorageError full(ErrorCode::exhausted, "OOM command not allowed");
  full.retryable = true;
  return std::array<StorageError, 3>{passing, lasting, full};
}();

// How the disk of one process is, in hundredths of its writes.
struct Disk {
  std::uint64_t refused = 0;
  std::uint64_t slow = 0;
  bool kept_more = false;  // than it was to: what has been replayed
};

// A journal that outlives its process, and that a process which has ended can't reach any more.
class KeptJournal final : public Journal {
 public:
  // `changed`: others have changed it.
  KeptJournal(Scene& scene, std::shared_ptr<Journal> kept, std::shared_ptr<bool> alive, Disk& disk,
              std::shared_ptr<bool> changed)
      : scene_(scene),
        kept_(std::move(kept)),
        alive_(std::move(alive)),
        disk_(disk),
        changed_(std::move(changed)) {}

  Task<std::uint64_t> append(JournalKind kind, std::shared_ptr<const Commit> commit,
                             Timestamp at) override {
    check_disk();
    co_await turn();
    const std::uint64_t id = co_await kept().append(kind, std::move(commit), at);
    co_await turn();
    co_return id;
  }
  Task<void> remove(std::span<const std::uint64_t> ids) override {
    const bool kept_more = std::exchange(disk_.kept_more, true);
    check_disk();
    disk_.kept_more = kept_more;
    return kept().remove(ids);
  }
  Task<void> poison(std::uint64_t id, std::string_view reason) override {
    check_disk();
    return kept().poison(id, reason);
  }
  Task<bool> changed_by_others() override { co_return *alive_&& std::exchange(*changed_, false); }
  bool retry(std::uint64_t id) override { return kept().retry(id); }
  std::vector<JournalEntry> entries() override { return kept().entries(); }
  [[nodiscard]] const std::string& damage() const override { return kept_->damage(); }
  [[nodiscard]] bool durable() const override { return true; }

 private:
  Journal& kept() {
    if (!*alive_) throw StorageError(ErrorCode::unavailable, "the process has ended");
    return *kept_;
  }
  void check_disk() {
    if (scene_.chance(disk_.refused))
      throw StorageError(ErrorCode::unavailable, "the disk is full");
  }
  // Until the disk has turned. The process may end meanwhile.
  Task<void> turn() {
    if (scene_.chance(disk_.slow))
      co_await scene_.clock.sleep_for(std::chrono::milliseconds(scene_.random.below(300)));
  }

  Scene& scene_;
  const std::shared_ptr<Journal> kept_;
  const std::shared_ptr<bool> alive_;
  Disk& disk_;
  const std::shared_ptr<bool> changed_;
};

// The clock of one process. Who looks after its outages sleeps on once it has ended: that spares
// half of a run's time, and reaches nothing any more.
class MortalClock final : public Clock {
 public:
  MortalClock(Clock& real, std::shared_ptr<const bool> alive)
      : real_(real), alive_(std::move(alive)) {}

  Timestamp now() const override { return real_.now(); }
  Monotonic monotonic() const override { return real_.monotonic(); }
  Task<void> sleep_for(std::chrono::nanoseconds duration) override {
    const bool over = duration == keeper_interval && !*alive_;
    return real_.sleep_for(over ? std::chrono::nanoseconds(24h) : duration);
  }

 private:
  Clock& real_;
  const std::shared_ptr<const bool> alive_;
};

// How the way of one process to the store is, in hundredths of its calls.
struct Weather {
  std::uint64_t refused = 0;
  std::uint64_t unanswered = 0;
  std::uint64_t slow = 0;
};

// What differs from one run to the other.
struct Plan {
  bool losing = false;    // the primary may lose its data
  bool expiring = false;  // sessions live for minutes, and time leaps
  bool prompt = false;    // the primary answers at once or not at all: no call needs a timer
};

class World {
 public:
  World(std::uint64_t seed, std::function<void(std::string_view)> tell)
      : World(seed, plan_of(seed), std::move(tell)) {}
  ~World() { scene_.context.reset(); }  // whoever waits goes before what they wait in
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Outcome run() {
    try {
      for (int n = 0; n < steps && scene_.out.broken.empty(); ++n) step();
      if (scene_.out.broken.empty()) heal();
      if (scene_.out.broken.empty()) check_end();
    } catch (const StorageError& error) {
      scene_.fail("the end can't be looked at: " + error.message());
    }
    count();
    return scene_.out;
  }

 private:
  static Plan plan_of(std::uint64_t seed) {
    SeededRandom random(~seed);
    return {random.below(100) < 40, random.below(100) < 40, random.below(100) < 40};
  }

  World(std::uint64_t seed, Plan plan, std::function<void(std::string_view)> tell)
      : plan_(plan), scene_(seed, plan.expiring ? 4min : std::chrono::milliseconds(24h)) {
    scene_.tell = std::move(tell);
    for (std::size_t n = 0; n < processes; ++n) {
      scene_.journals.push_back(make_memory_journal());
      journal_changed_.push_back(std::make_shared<bool>(false));
      weather_.emplace_back();
      start(n);
    }
    for (std::size_t n = 0; n < first_sessions; ++n) clients_.begin_session(0);
    pass(1s);
  }

  // ---- processes

  Task<void> travel(std::shared_ptr<bool> alive, std::size_t n, Moment moment) {
    const Weather& weather = weather_[n];
    if (!*alive && plan_.prompt) throw StorageError(ErrorCode::unavailable, "nobody is there");
    if (!*alive) co_await scene_.clock.sleep_for(24h);
    if (down()) throw StorageError(ErrorCode::unavailable, "connection refused");
    if (moment == Moment::before) {
      if (scene_.chance(weather.slow))
        co_await scene_.clock.sleep_for(std::chrono::milliseconds(scene_.random.below(4'000)));
      if (down()) throw StorageError(ErrorCode::unavailable, "connection reset");
      if (scene_.chance(weather.refused)) throw StorageError(ErrorCode::unavailable, "refused");
    } else if (scene_.chance(weather.unanswered)) {
      throw StorageError(ErrorCode::timeout, "no answer");
    }
  }

  void start(std::size_t n) {
    Process& process = *processes_.emplace_back(std::make_unique<Process>());
    scene_.current[n] = &process;
    process.number = n;
    process.clock = std::make_unique<MortalClock>(scene_.clock, process.alive);
    process.link = std::make_shared<Link>(scene_.primary);
    process.link->hook = [this, alive = process.alive, n](Moment moment) {
      return travel(alive, n, moment);
    };
    ResilientOptions options;
    options.breaker.longest_open = 10s;
    options.keeper_interval = keeper_interval;
    options.loss_hold = loss_hold;
    if (plan_.prompt) options.primary_timeout = 0ms;
    options.executor = scene_.context->get_executor();
    if (scene_.tell)
      options.log = [this, n](std::string_view line) { scene_.note(of(n) + std::string(line)); };
    auto journal = std::make_unique<KeptJournal>(scene_, scene_.journals[n], process.alive,
                                                 disks_[n], journal_changed_[n]);
    auto driver = make_resilient_storage(process.link, make_memory_storage(), std::move(journal),
                                         options, *process.clock, scene_.random);
    StorageOptions usual;
    usual.session_ttl = scene_.lifetime;
    process.storage =
        std::make_unique<Storage>(std::move(driver), usual, *process.clock, scene_.random);
    followers_[n].clear();
  }

  static std::string of(std::size_t process) { return "process " + std::to_string(process) + ": "; }

  // What it had in hand goes on, but reaches nothing any more.
  void crash(std::size_t n) {
    *scene_.current[n]->alive = false;
    ++scene_.out.crashes;
    scene_.note(of(n) + "crashes");
    disks_[n] = {};  // a journal that can't be opened keeps a process from starting
    start(n);
  }

  // ---- the primary

  [[nodiscard]] bool down() const { return scene_.clock.monotonic() < down_until_; }

  // It is away for a while, and has lost everything, its latest changes or nothing when it is back.
  void restart_primary() {
    const std::size_t all = scene_.primary->changes();
    const bool loses = plan_.losing && all > 0 && scene_.chance(70);
    std::size_t kept = all;
    if (loses)
      kept = scene_.chance(50) ? 0 : all - std::min<std::size_t>(all, 1 + scene_.random.below(12));
    // A store that comes back with less within one call could be taken for the one before: what is
    // made in it anew begins with the same versions.
    const auto at_least = loses ? longest_call : 0ms;
    down_until_ = scene_.clock.monotonic() + at_least +
                  std::chrono::milliseconds(scene_.random.below(10'000));
    ++(!loses      ? scene_.out.restarts
       : kept == 0 ? scene_.out.empty_restarts
                   : scene_.out.older_restarts);
    scene_.note("the primary restarts with " + std::to_string(kept) + " of " + std::to_string(all) +
                " changes");
    if (loses) {
      scene_.ledger.losing();
      clients_.before_loss();
    }
    scene_.primary->restart(kept);
    if (loses) {
      scene_.ledger.has_lost();
      clients_.after_loss();
    }
  }

  void fill_primary() {
    ++scene_.out.refusals;
    scene_.primary->full = refusals[scene_.random.below(refusals.size())];
    scene_.note("the primary is full: " + scene_.primary->full->message());
    scene_.primary->ill = scene_.chance(50);
    full_until_ = scene_.clock.monotonic() + std::chrono::milliseconds(scene_.random.below(15'000));
  }

  void empty_primary() {
    scene_.primary->full.reset();
    scene_.primary->ill = false;
  }

  // ---- who looks after the journals

  // An entry that was set aside is let in again, or given up.
  void mend(std::size_t n) {
    std::vector<JournalEntry> entries = scene_.journals[n]->entries();
    std::erase_if(entries, [](const JournalEntry& entry) { return entry.poison.empty(); });
    if (entries.empty()) return;
    const JournalEntry& entry = entries[scene_.random.below(entries.size())];
    if (scene_.chance(60)) {
      ++scene_.out.retried;
      scene_.note(of(n) + "entry " + std::to_string(entry.id) + " is retried");
      scene_.ledger.retried(entry);
      scene_.journals[n]->retry(entry.id);
    } else {
      ++scene_.out.dropped;
      scene_.note(of(n) + "entry " + std::to_string(entry.id) + " is dropped");
      scene_.ledger.dropped(entry);
      test::run(scene_.journals[n]->remove(std::span(&entry.id, 1)));
    }
    *journal_changed_[n] = true;
  }

  // ---- followers

  void look_at_events() {
    for (std::size_t n = 0; n < processes; ++n) {
      for (const auto& follower : followers_[n]) {
        boost::asio::co_spawn(*scene_.context, Follower::look(follower), boost::asio::detached);
        if (!follower->broken().empty()) scene_.fail(follower->broken());
      }
      const auto& sessions = clients_.sessions();
      if (followers_[n].size() >= followers_of_each || sessions.empty()) continue;
      const auto which = static_cast<std::ptrdiff_t>(scene_.random.below(sessions.size()));
      followers_[n].push_back(std::make_shared<Follower>(*scene_.current[n]->storage,
                                                         *std::next(sessions.begin(), which)));
    }
  }

  // ---- time

  void poll() {
    scene_.context->restart();
    scene_.context->poll();
  }

  void pass(std::chrono::milliseconds time, std::chrono::milliseconds piece = fine) {
    for (poll(); time > 0ms; time -= piece) {
      scene_.clock.advance(piece);
      poll();
    }
  }

  void change_weather(Weather& weather) {
    const std::uint64_t mood = scene_.random.below(4);
    weather = {};
    if (mood == 1) weather = {100, 0, 0};
    if (mood == 2) weather = {scene_.random.below(60), scene_.random.below(60), 0};
    if (mood == 3)
      weather = {scene_.random.below(30), scene_.random.below(30), scene_.random.below(60)};
    if (plan_.prompt) weather.slow = 0;
  }

  void step() {
    if (scene_.clock.monotonic() >= full_until_) empty_primary();
    const std::uint64_t what = scene_.random.below(100);
    if (what < 2) {
      Disk& disk = disks_[scene_.random.below(processes)];
      const bool bad = scene_.chance(60);
      disk.refused = bad ? scene_.random.below(30) : 0;
      disk.slow = bad ? scene_.random.below(60) : 0;
    } else if (what < 12) {
      change_weather(weather_[scene_.random.below(processes)]);
    } else if (what < 16) {
      crash(scene_.random.below(processes));
    } else if (what < 18) {
      restart_primary();
    } else if (what < 20) {
      fill_primary();
    } else if (what < 24) {
      mend(scene_.random.below(processes));
    } else {
      clients_.begin_something();
    }
    look_at_events();
    const bool leaps = plan_.expiring && clients_.busy() == 0 && scene_.chance(6);
    if (leaps) {
      pass(std::chrono::seconds(30 + scene_.random.below(200)), leaping);
    } else {
      const std::uint64_t longest = scene_.chance(10) ? 8'000 : 200;
      pass(std::chrono::milliseconds(scene_.random.below(longest)));
    }
    fail_if(scene_.ledger.check());
  }

  void heal() {
    scene_.note("all is well again");
    for (Weather& weather : weather_) weather = {};
    for (std::size_t n = 0; n < processes; ++n) {
      // The next process knows by the operation ids what has been replayed.
      if (disks_[n].kept_more) crash(n);
      disks_[n] = {};
    }
    down_until_ = {};
    empty_primary();
    for (int n = 0; n < 100 && (n < 15 || clients_.busy() != 0 || waiting() != 0); ++n)
      pass(1s, coarse);
    if (clients_.busy() != 0) scene_.fail("calls hang");
    if (waiting() != 0) scene_.fail("the journals are not drained");
  }

  // Entries that are set aside stay, and so does what they begin with.
  std::size_t waiting() {
    std::size_t entries = 0;
    for (const auto& journal : scene_.journals)
      for (const JournalEntry& entry : journal->entries())
        if (entry.kind != JournalKind::base && entry.poison.empty()) ++entries;
    return entries;
  }

  // ---- promises

  void fail_if(const std::string& broken) {
    if (!broken.empty()) scene_.fail(broken);
  }

  void count() {
    Outcome& out = scene_.out;
    out.conflicts = scene_.ledger.conflicts();
    out.set_aside = scene_.ledger.set_aside();
    out.deleted = scene_.ledger.deleted();
    out.expired = scene_.ledger.expired();
    out.archived = scene_.ledger.archived();
    for (const auto& followers : followers_)
      for (const auto& follower : followers) out.rewinds += follower->rewinds();
  }

  void check_end() {
    fail_if(scene_.ledger.check_end());
    if (scene_.losses() != 0) {
      look_at_losses(true);
      pass(loss_hold + 1s, coarse);
      look_at_losses(false);
    }
    for (int n = 0; n < 10; ++n) end(scene_.current[0]->storage->sweep());
    fail_if(scene_.ledger.check());
    for (const SessionId& id : clients_.sessions()) {
      if (scene_.ledger.ended(id)) {
        check_ended(id);
      } else if (scene_.ledger.stands(id)) {
        check_session(id);
      } else if (!scene_.ledger.was_lost(id)) {
        scene_.fail(id.str() + " is lost");
      }
    }
    check_followers();
  }

  // In the end the loss is a fact; before, it is no absence.
  void look_at_losses(bool may_be_held) {
    for (const SessionId& id : clients_.sessions())
      for (const Process* process : scene_.current) {
        const bool stands = scene_.ledger.stands(id);
        try {
          const bool found = end(process->storage->get_session(id)).has_value();
          if (found && !stands) scene_.fail("a lost session is told as there");
        } catch (const StorageError& error) {
          const bool held = error.code() == ErrorCode::unavailable && may_be_held;
          if (!held) scene_.fail("a lost session is told as " + error.message());
        }
      }
  }

  void check_ended(const SessionId& id) {
    for (const Process* process : scene_.current)
      if (end(process->storage->get_session(id))) scene_.fail(id.str() + " has ended and is there");
    check_log(id);
  }

  // A chain that is deleted takes all of its steps along.
  void check_steps(const ChainId& id, bool stands) {
    std::vector<RecordKey> keys;
    for (std::uint32_t n = 1; n <= 8; ++n) keys.push_back(RecordKey::of_step(id.number(), n));
    const ReadResult read = end(scene_.primary->read(id.session(), keys));
    for (const auto& record : read.records)
      if (record && !stands) scene_.fail("a step outlives its chain, " + id.str());
  }

  void check_session(const SessionId& id) {
    const auto first = end(scene_.current[0]->storage->get_session(id));
    if (!first) return scene_.fail(id.str() + " is told as absent");
    for (const Process* process : scene_.current)
      if (end(process->storage->get_session(id)) != first)
        scene_.fail("the processes see different states");
    for (std::uint32_t n = 1; n <= first->chain_count; ++n) {
      const ChainId chain_id(id, n);
      const std::optional<Chain> chain = end(scene_.current[0]->storage->get_chain(chain_id));
      if (chain && chain->summary && *chain->summary != chain->title)
        scene_.fail(chain_id.str() + " was taken for another chain");
      check_steps(chain_id, chain.has_value());
    }
    check_log(id);
  }

  void check_log(const SessionId& id) {
    EventLog log(*scene_.current[0]->storage);
    const Verification found = end(log.verify(id));
    if (found.outcome != Verification::Outcome::equal)
      scene_.fail("the log does not tell the state: " +
                  (found.differences.empty() ? std::string() : found.differences.front()));
  }

  // Each has seen all events of the log as it is now, once and in order. What the primary itself
  // has lost and made anew under the same numbers nobody can tell from what was there.
  void check_followers() {
    for (int n = 0; n < 4; ++n) {
      look_at_events();
      pass(1s, coarse);
    }
    for (const auto& followers : followers_)
      for (const auto& follower : followers) {
        const SessionId& id = follower->session();
        if (scene_.ledger.was_lost(id)) continue;
        if (!follower->at_rest()) scene_.fail("a follower does not catch up");
        EventFilter filter;
        filter.limit = 1'000;
        std::vector<std::string> all;
        for (const Event& event : end(scene_.current[0]->storage->read_events(id, filter)).items)
          all.push_back(seen_as(event));
        if (follower->seen() == all) continue;
        const auto [seen, is] =
            std::mismatch(follower->seen().begin(), follower->seen().end(), all.begin(), all.end());
        scene_.fail("a follower of " + id.str() + " has seen other events from number " +
                    std::to_string(is - all.begin() + 1) + " on");
      }
  }

  // Runs a call to its end while nothing breaks.
  template <class T>
  T end(Task<T> task) {
    return test::run(std::move(task));
  }

  const Plan plan_;
  Scene scene_;
  Clients clients_{scene_};
  std::vector<std::shared_ptr<bool>> journal_changed_;
  std::vector<Weather> weather_;
  std::array<Disk, processes> disks_{};
  std::vector<std::unique_ptr<Process>> processes_;  // those that have ended, too
  std::array<std::vector<std::shared_ptr<Follower>>, processes> followers_;
  Clock::Monotonic down_until_{};
  Clock::Monotonic full_until_{};
};

}  // namespace

Outcome simulate(std::uint64_t seed, std::function<void(std::string_view)> tell) {
  return World(seed, std::move(tell)).run();
}

}  // namespace actionflows::test
