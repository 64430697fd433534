#include "tests/simulation/clients.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/services/chain_service.hpp"
#include "actionflows/services/step_service.hpp"
#include "tests/support/run.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <array>
#include <iterator>
#include <span>
#include <utility>

namespace actionflows::test {
namespace {

const UserId client_user = *UserId::parse("ann");

}  // namespace

// What one client wants; the same each time it asks for it.
struct Clients::Wish {
  Call call = nullptr;
  SessionId session;
  std::string name;  // also its operation id
  Field field = Field::none;
  bool about_chain = false;
  bool ends = false;     // update: the session, too
  bool unnamed = false;  // append, compile: without an operation id
  Target target;
  StepAction action = StepAction::start;
};

// What is said beside it, and what is told beside the answer.
struct Clients::Asking {
  explicit Asking(const Wish& wish) {
    context.operation_id = wish.name;
    context.report = &report;
  }
  Asking(const Asking&) = delete;
  Asking& operator=(const Asking&) = delete;

  CallReport report;
  Context context;
};

// ---- sessions -----------------------------------------------------------------------------------

Task<void> Clients::create(Process& process, const Wish& wish) {
  Asking asking(wish);
  co_await process.storage->create_session(client_user, {}, wish.session, asking.context);
  if (!*process.alive) co_return;
  created_.insert(wish.session);
  Ledger& ledger = scene_.ledger;
  if (!ledger.was_lost(wish.session) || ledger.stands(wish.session))
    known_to_[wish.session] = process.number;
  acknowledge(process, wish, asking.context);
}

Task<void> Clients::append(Process& process, const Wish& wish) {
  Asking asking(wish);
  EventData data;
  data.type = *EventType::parse("run:noted");
  if (wish.unnamed) {  // it is for the storage to repeat it safely
    asking.context.operation_id.clear();
    data.data = json::Raw::parse("{\"note\":\"" + wish.name + "\"}");
  }
  co_await process.storage->append_event(wish.session, data, asking.context);
  acknowledge(process, wish, asking.context);
}

Task<void> Clients::update(Process& process, const Wish& wish) {
  Asking asking(wish);
  SessionUpdate update;
  if (wish.field == Field::title) update.set(&Session::title, wish.name);
  if (wish.field == Field::cwd) update.set(&Session::cwd, wish.name);
  if (wish.field == Field::summary) update.set(&Session::summary, wish.name);
  if (wish.ends) update.set(&Session::state, SessionState::completed);
  co_await process.storage->update_session(wish.session, update, asking.context);
  acknowledge(process, wish, asking.context);
}

Task<void> Clients::touch(Process& process, const Wish& wish) {
  const Timestamp asked_at = scene_.clock.now();
  co_await process.storage->touch_session(wish.session);
  if (!*process.alive) co_return;
  ++scene_.out.touches;
  scene_.note(wish.name + " is acknowledged");
  scene_.ledger.touched(wish.session, process.number, asked_at);
}

Task<void> Clients::remove(Process& process, const Wish& wish) {
  Asking asking(wish);
  ending_.insert(wish.session);
  co_await process.storage->delete_session(wish.session, asking.context);
  acknowledge(process, wish, asking.context);
}

Task<void> Clients::sweep(Process& process, const Wish&) { co_await process.storage->sweep(); }

Task<void> Clients::look(Process& process, const Wish& wish) {
  const Absence before = absence(process, wish.session);
  Asking asking(wish);
  const std::optional<Session> session =
      co_await process.storage->get_session(wish.session, asking.context);
  if (!session) {
    return_absent(process, wish.session, before, "a session was told as absent");
  } else if (*process.alive) {
    const bool at_primary = asking.report.provenance->source != Source::fallback;
    if (at_primary) process.lives_until[wish.session] = session->expires_at;
    note_seen(process, wish.session, at_primary);
  }
}

// ---- chains -------------------------------------------------------------------------------------

Task<void> Clients::compile(Process& process, const Wish& wish) {
  Asking asking(wish);
  if (wish.unnamed) asking.context.operation_id.clear();
  ChainData data;
  data.title = wish.name;
  data.steps.resize(wish.ends ? 1 : 2);
  for (StepData& step : data.steps) step.action = wish.name;
  const Chain chain = co_await process.storage->create_chain(wish.session, data, asking.context);
  if (!*process.alive) co_return;
  if (chain.title == wish.name) {
    told_.push_back({chain.chain_id, std::nullopt, wish.name, {}});
    for (std::uint32_t n = 1; n <= data.steps.size(); ++n)
      told_.push_back({chain.chain_id, StepId(chain.chain_id, n), wish.name, wish.name});
  }
  acknowledge(process, wish, asking.context);
}

// The client has seen what it means: its title, or its action, tells which it is.
Task<bool> Clients::find_target(Process& process, const Target& target, Context& context) {
  if (!target.step) {
    const std::optional<Chain> chain = co_await process.storage->get_chain(target.chain);
    if (!chain || chain->title != target.chain_maker) co_return false;
    context.expected_version = chain->version;
    co_return true;
  }
  const std::optional<Step> step = co_await process.storage->get_step(*target.step);
  if (!step || step->action != target.step_maker) co_return false;
  context.expected_version = step->version;
  co_return true;
}

Task<void> Clients::describe(Process& process, const Wish& wish) {
  Asking asking(wish);
  if (!co_await find_target(process, wish.target, asking.context)) co_return;
  ChainUpdate update;
  update.set(&Chain::summary, wish.target.chain_maker);
  update.set(&Chain::ref, wish.name);
  co_await process.storage->update_chain(wish.target.chain, update, asking.context);
  acknowledge(process, wish, asking.context);
}

Task<void> Clients::cancel(Process& process, const Wish& wish) {
  Asking asking(wish);
  if (!co_await find_target(process, wish.target, asking.context)) co_return;
  ChainService chains(*process.storage);
  co_await chains.cancel(wish.target.chain, asking.context);
  acknowledge(process, wish, asking.context);
}

Task<void> Clients::archive(Process& process, const Wish& wish) {
  Asking asking(wish);
  if (!co_await find_target(process, wish.target, asking.context)) co_return;
  co_await process.storage->archive_chain(wish.target.chain, asking.context);
  acknowledge(process, wish, asking.context);
}

Task<void> Clients::remove_chain(Process& process, const Wish& wish) {
  Asking asking(wish);
  removing_.insert(wish.target.chain.str());
  if (!co_await find_target(process, wish.target, asking.context)) co_return;
  co_await process.storage->delete_chain(wish.target.chain, asking.context);
  acknowledge(process, wish, asking.context);
}

// A chain that is in the store, whoever made it.
Task<void> Clients::look_at_chain(Process& process, const Wish& wish) {
  const RecordKey key = RecordKey::of_chain(1);
  const ReadResult read = run(scene_.primary->read(wish.session, std::span(&key, 1)));
  const Absence before = absence(process, wish.session);
  const ChainId chain(wish.session, 1);
  const std::optional<Chain> found = co_await process.storage->get_chain(chain);
  const bool may_be_gone = removing_.contains(chain.str()) || before.losses != scene_.losses();
  if (read.records[0] && !found && !may_be_gone)
    return_absent(process, wish.session, before, "a chain was told as absent");
}

// ---- steps --------------------------------------------------------------------------------------

Task<void> Clients::extend(Process& process, const Wish& wish) {
  Asking asking(wish);
  if (!co_await find_target(process, wish.target, asking.context)) co_return;
  StepData data;
  data.action = wish.name;
  const Step step = co_await process.storage->create_step(wish.target.chain, data, asking.context);
  if (!*process.alive) co_return;
  if (step.action == wish.name)
    told_.push_back({wish.target.chain, step.step_id, wish.target.chain_maker, wish.name});
  acknowledge(process, wish, asking.context);
}

Task<void> Clients::describe_step(Process& process, const Wish& wish) {
  Asking asking(wish);
  if (!co_await find_target(process, wish.target, asking.context)) co_return;
  StepUpdate update;
  update.set(&Step::description, wish.name);
  co_await process.storage->update_step(*wish.target.step, update, asking.context);
  acknowledge(process, wish, asking.context);
}

Task<void> Clients::act(Process& process, const Wish& wish) {
  Asking asking(wish);
  if (!co_await find_target(process, wish.target, asking.context)) co_return;
  StepService steps(*process.storage);
  StepReport report;
  if (wish.action == StepAction::fail) report.error = wish.name;
  co_await steps.act(*wish.target.step, wish.action, report, asking.context);
  acknowledge(process, wish, asking.context);
}

Task<void> Clients::remove_step(Process& process, const Wish& wish) {
  Asking asking(wish);
  if (!co_await find_target(process, wish.target, asking.context)) co_return;
  co_await process.storage->delete_step(*wish.target.step, asking.context);
  acknowledge(process, wish, asking.context);
}

// ---- asking -------------------------------------------------------------------------------------

void Clients::acknowledge(Process& process, const Wish& wish, const Context& context) {
  if (!*process.alive) return;
  const CallReport& report = *context.report;
  if (report.sequence == 0) return;  // there was nothing to do
  const bool journaled = report.durability && report.durability->level == DurabilityLevel::journal;
  ++scene_.out.acknowledged;
  scene_.note(wish.name + (journaled ? " is acknowledged, journaled" : " is acknowledged"));
  if (journaled) ++scene_.out.degraded;
  scene_.ledger.acknowledged(wish.name);
  if (!report.repeated) process.lives_until[wish.session] = scene_.ledger.promised(wish.name);
  note_seen(process, wish.session, !journaled && !report.repeated);
}

void Clients::note_seen(Process& process, const SessionId& id, bool at_primary) {
  Ledger& ledger = scene_.ledger;
  if (!at_primary) {
    process.seen.erase(id);
  } else if (!ledger.waits(id, process.number) && ledger.stands(id)) {
    process.seen.insert(id);
    process.held.erase(id);
  }
}

// A call that fails leaves it open what has become of it; only absence must not be told.
Task<bool> Clients::attempt(Process& process, const Wish& wish) {
  const Absence before = absence(process, wish.session);
  try {
    co_await (this->*wish.call)(process, wish);
  } catch (const StorageError& error) {
    scene_.note(wish.name + " fails: " + error.message());
    const bool about_session = error.record == wish.session.str();
    if (error.code() == ErrorCode::not_found && about_session)
      return_absent(process, wish.session, before, "a session was told as not found");
    if (error.code() == ErrorCode::invalid || error.code() == ErrorCode::corrupt)
      scene_.fail("a call ended as " + error.message());
    process.seen.erase(wish.session);
    co_return error.code() != ErrorCode::unavailable&& error.code() != ErrorCode::timeout;
  }
  co_return true;
}

// Who was not answered may ask once more, this process or another.
Task<void> Clients::guarded(std::size_t n, Wish wish) {
  ++busy_;
  const bool answered = co_await attempt(*scene_.current[n], wish);
  if (!answered && !wish.unnamed && scene_.chance(30)) {
    const bool elsewhere = scene_.chance(30);
    ++scene_.out.repeated;
    scene_.ledger.asked_again(wish.name, elsewhere);
    const std::chrono::milliseconds pause(scene_.random.below(3'000));
    co_await scene_.clock.sleep_for(pause);
    const std::size_t asked = elsewhere ? (n + 1) % processes : n;
    co_await attempt(*scene_.current[asked], wish);
  }
  --busy_;
}

void Clients::begin(std::size_t n, Wish wish, std::string_view what) {
  wish.name = "op" + std::to_string(++operations_);
  const std::string about = wish.target.step   ? wish.target.step->str()
                            : wish.about_chain ? wish.target.chain.str()
                                               : wish.session.str();
  scene_.note(wish.name + " of process " + std::to_string(n) + ": " + std::string(what) + " " +
              (about.empty() ? wish.session.str() : about));
  Operation operation;
  operation.session = wish.session;
  operation.process = n;
  operation.field = wish.field;
  operation.about_chain = wish.about_chain;
  operation.ends_session = wish.call == &Clients::remove;
  operation.chain_maker = wish.target.chain_maker;
  operation.step_maker = wish.target.step_maker;
  scene_.ledger.asked(wish.name, std::move(operation));
  boost::asio::co_spawn(*scene_.context, guarded(n, std::move(wish)), boost::asio::detached);
}

void Clients::begin_session(std::size_t process) {
  Wish wish;
  wish.call = &Clients::create;
  wish.session = *SessionId::parse("s" + std::to_string(operations_ + 1));
  begin(process, std::move(wish), "create");
}

// Some chain or step that was acknowledged, whichever session it is of.
// False: there is none.
bool Clients::choose_target(Wish& wish, bool step) {
  std::vector<const Target*> fitting;
  for (const Target& target : told_)
    if (target.step.has_value() == step) fitting.push_back(&target);
  if (fitting.empty()) return false;
  wish.target = *fitting[scene_.random.below(fitting.size())];
  wish.session = wish.target.chain.session();
  wish.about_chain = true;
  return true;
}

struct Clients::Choice {
  std::uint64_t weight;  // in hundredths
  Call call;
  std::string_view name;
  enum { of_session, of_chain, of_step } about = of_session;
};

void Clients::begin_something() {
  static constexpr std::array<Choice, 16> choices{{
      {24, &Clients::append, "append"},
      {18, &Clients::update, "update"},
      {9, &Clients::look, "look"},
      {6, &Clients::touch, "touch"},
      {2, &Clients::remove, "remove"},
      {4, &Clients::sweep, "sweep"},
      {7, &Clients::compile, "compile"},
      {5, &Clients::look_at_chain, "look at chain"},
      {4, &Clients::describe, "describe", Choice::of_chain},
      {1, &Clients::cancel, "cancel", Choice::of_chain},
      {2, &Clients::archive, "archive", Choice::of_chain},
      {1, &Clients::remove_chain, "remove chain", Choice::of_chain},
      {3, &Clients::extend, "extend", Choice::of_chain},
      {4, &Clients::describe_step, "describe step", Choice::of_step},
      {9, &Clients::act, "act", Choice::of_step},
      {1, &Clients::remove_step, "remove step", Choice::of_step},
  }};
  Random& random = scene_.random;
  const std::size_t n = random.below(processes);
  if (created_.empty() || random.below(24) == 0) return begin_session(n);
  Wish wish;
  wish.session =
      *std::next(created_.begin(), static_cast<std::ptrdiff_t>(random.below(created_.size())));
  std::uint64_t at = random.below(100);
  const auto* choice = choices.begin();
  for (; at >= choice->weight; ++choice) at -= choice->weight;
  wish.call = choice->call;
  const bool finds =
      choice->about == Choice::of_session || choose_target(wish, choice->about == Choice::of_step);
  if (!finds) return;
  if (wish.call == &Clients::compile) wish.about_chain = true;
  if (wish.call == &Clients::append || wish.call == &Clients::compile)
    wish.unnamed = scene_.chance(50);
  if (wish.call == &Clients::update) wish.field = static_cast<Field>(1 + random.below(3));
  wish.ends = scene_.chance(wish.call == &Clients::update ? 2 : 50);
  wish.action = static_cast<StepAction>(random.below(5));
  // What has ended or is not known here is asked for now and then, too.
  if (!surely_there(*scene_.current[n], wish.session) && !scene_.chance(15)) return;
  begin(n, std::move(wish), choice->name);
}

// ---- what may be told as absent -----------------------------------------------------------------

Clients::Absence Clients::absence(const Process& process, const SessionId& id) {
  return {surely_there(process, id), scene_.losses()};
}

void Clients::return_absent(Process& process, const SessionId& id, const Absence& before,
                            std::string_view what) {
  const bool same_store = before.losses == scene_.losses();
  const bool exists = surely_there(process, id) && (same_store || held(process, id));
  if (before.existed && exists && *process.alive) scene_.fail(std::string(what));
}

// Lost, but known here, and not for long enough to be a fact.
bool Clients::held(const Process& process, const SessionId& id) {
  const auto found = process.held.find(id);
  const bool seen = found != process.held.end() && scene_.clock.monotonic() < found->second;
  return seen || scene_.ledger.waits(id, process.number);
}

// What one process made while the primary was away, the others can't know yet.
bool Clients::surely_there(const Process& process, const SessionId& id) {
  if (!created_.contains(id) || ending_.contains(id)) return false;
  Ledger& ledger = scene_.ledger;
  if (ledger.stands(id)) return ledger.lives(id);
  const auto known = known_to_.find(id);
  const bool made_here = known != known_to_.end() && known->second == process.number;
  const auto until = process.lives_until.find(id);
  const bool lives = until != process.lives_until.end() && until->second > scene_.clock.now();
  return lives && (made_here || held(process, id)) && !ledger.ended(id);
}

void Clients::before_loss() {
  stood_.clear();
  for (const SessionId& id : created_)
    if (scene_.ledger.stands(id)) stood_.insert(id);
}

void Clients::after_loss() {
  const Clock::Monotonic until = scene_.clock.monotonic() + loss_hold;
  for (const SessionId& id : created_) {
    if (scene_.ledger.stands(id)) continue;
    for (Process* process : scene_.current)
      if (process->seen.contains(id)) process->held.try_emplace(id, until);
    if (stood_.contains(id)) known_to_.erase(id);
  }
  for (Process* process : scene_.current) process->seen.clear();
}

}  // namespace actionflows::test
