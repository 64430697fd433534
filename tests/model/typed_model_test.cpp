// Random sequences of all calls of the typed interface and its services, good and bad ones, on the
// library and on the model: every answer and everything that can be read afterwards must be the
// same, and the log must tell the same again.
//
// ACTIONFLOWS_TYPED_SEQUENCES sets how many sequences run, ACTIONFLOWS_SEED repeats a run. A
// failure is shrunk to a short sequence, which is told call by call.
#include "actionflows/services/chain_service.hpp"
#include "actionflows/services/event_log.hpp"
#include "actionflows/services/session_service.hpp"
#include "tests/model/model.hpp"
#include "tests/support/sanitized.hpp"
#include "tests/support/typed_storage.hpp"

#include <rapidcheck.h>

#include <array>
#include <set>
#include <sstream>

namespace actionflows::test {
namespace {

constexpr int sequences_by_default = sanitized ? 100 : 2'500;

constexpr ModelLimits limits{.max_events = 400,
                             .max_chains = 6,
                             .max_steps = 5,
                             .log_retention = 36h,
                             .archive_retention = 60h,
                             .session_ttl = 24h,
                             .token_idle_limit = 2h,
                             .token_lifetime = 12h};

// ---- what is drawn

// How a call is made.
enum class Manner : std::uint8_t {
  plain,
  right_version,  // expects the version that stands
  wrong_version,
  lost,    // the answer to its commit gets lost, and it is repeated
  repeat,  // an earlier call once more
  misuse,  // this call under the operation id of an earlier one
};

// Small numbers, made concrete by the state at hand. All zero is the simplest.
struct Draw {
  std::uint8_t kind = 0;  // of Kind; beyond: time passes, or many events are appended
  Manner manner = Manner::plain;
  std::uint8_t session = 0;
  std::uint8_t chain = 0;
  std::uint8_t step = 0;
  std::uint8_t amount = 0;
};
using Draws = std::vector<Draw>;

constexpr std::uint8_t kind_count = static_cast<std::uint8_t>(Kind::sweep) + 1;
constexpr std::uint8_t wait_kind = kind_count;
constexpr std::uint8_t flood_kind = kind_count + 1;

std::ostream& operator<<(std::ostream& out, const Draw& draw) {
  return out << "draw(" << int{draw.kind} << ", " << static_cast<int>(draw.manner) << ", "
             << int{draw.session} << ", " << int{draw.chain} << ", " << int{draw.step} << ", "
             << int{draw.amount} << ")";
}

Draw draw(rc::Random& random) {
  const std::uint64_t bits = random.next();
  const auto byte = [&](int n) { return static_cast<std::uint8_t>(bits >> (8 * n)); };
  const auto of = [](Kind kind) { return static_cast<std::uint8_t>(kind); };
  Draw drawn;
  drawn.kind = static_cast<std::uint8_t>(byte(0) % (flood_kind + 1));
  // What builds up is drawn more often than what tears down, and the rare is rare.
  if (byte(1) < 60) drawn.kind = of(Kind::act);
  if (byte(1) >= 60 && byte(1) < 85) drawn.kind = of(Kind::create_chain);
  if (byte(1) >= 85 && byte(1) < 100) drawn.kind = of(Kind::create_session);
  const bool rare = drawn.kind == of(Kind::erase_session) || drawn.kind == flood_kind ||
                    drawn.kind == of(Kind::delete_session) || drawn.kind == of(Kind::cancel_chain);
  if (rare && byte(1) < 230) drawn.kind = of(Kind::act);
  drawn.session = byte(3) < 190 ? std::uint8_t{0} : static_cast<std::uint8_t>(byte(3) % 3);
  drawn.manner = byte(2) < 150 ? Manner::plain : static_cast<Manner>(byte(2) % 6);
  drawn.chain = byte(4) % 4;
  drawn.step = byte(5) % 4;
  drawn.amount = byte(6);
  return drawn;
}

rc::Seq<Draw> simpler(const Draw& from) {
  std::vector<Draw> tries;
  const auto attempt = [&](auto member, auto value) {
    if (from.*member == value) return;
    tries.push_back(from);
    tries.back().*member = value;
  };
  attempt(&Draw::manner, Manner::plain);
  for (const auto member : {&Draw::session, &Draw::chain, &Draw::step, &Draw::amount})
    attempt(member, std::uint8_t{0});
  attempt(&Draw::amount, static_cast<std::uint8_t>(from.amount / 2));
  return rc::seq::fromContainer(std::move(tries));
}

// Short sequences first: rapidcheck's size grows to 100.
rc::Gen<Draws> sequences() {
  return [](const rc::Random& seed, int size) {
    rc::Random random = seed;
    Draws draws(1 + random.next() % static_cast<std::uint64_t>(2 + size));
    for (Draw& each : draws) each = draw(random);
    return rc::shrinkable::shrinkRecur(std::move(draws), [](const Draws& from) {
      return rc::seq::concat(rc::shrink::removeChunks(from),
                             rc::shrink::eachElement(from, &simpler));
    });
  };
}

// ---- calls on the library

class Library {
 public:
  explicit Library(Clock& clock) : clock_(clock) {
    MemoryOptions memory;
    memory.limits.max_events = limits.max_events;
    memory.limits.max_chains = limits.max_chains;
    memory.limits.max_steps = limits.max_steps;
    memory.limits.log_retention = limits.log_retention;
    memory.limits.archive_retention = limits.archive_retention;
    auto hooked = std::make_unique<HookedDriver>(make_memory_storage(memory));
    driver_ = hooked.get();
    storage_.emplace(std::move(hooked), StorageOptions(), clock_, random_);
    options_.token_idle_limit = limits.token_idle_limit;
    options_.token_lifetime = limits.token_lifetime;
  }

  Answer perform(const Call& call);
  // The answer to the next commit gets lost.
  void lose_next() {
    driver_->after = [armed = true](HookedDriver::Call now) mutable -> Task<void> {
      if (now == HookedDriver::Call::commit && std::exchange(armed, false))
        throw failure(ErrorCode::timeout, "lost on purpose", "test");
      co_return;
    };
  }
  void lose_none() { driver_->after = {}; }

  Storage& storage() { return *storage_; }

 private:
  void dispatch(const Call& call, const Context& context, Answer& answer);
  void dispatch_more(const Call& call, const Context& context, Answer& answer);

  Clock& clock_;
  SeededRandom random_{test_seed()};
  HookedDriver* driver_ = nullptr;
  std::optional<Storage> storage_;
  SessionServiceOptions options_;
  std::map<SessionId, std::string> tokens_;
};

Answer Library::perform(const Call& call) {
  Answer answer;
  CallReport report;
  Context context;
  context.operation_id = call.operation_id;
  context.expected_version = call.expected_version;
  context.report = &report;
  try {
    dispatch(call, context, answer);
    answer.repeated = report.repeated;
  } catch (const StorageError& error) {
    answer = Answer();
    answer.error = error.code();
  }
  return answer;
}

void Library::dispatch(const Call& call, const Context& context, Answer& answer) {
  Storage& storage = *storage_;
  SessionService sessions(storage, options_);
  SessionData data;
  SessionUpdate session_update;
  ChainUpdate chain_update;
  switch (call.kind) {
    case Kind::create_session:
      data.title = call.title;
      answer.session = run(storage.create_session(call.user, data, call.session, context));
      return;
    case Kind::update_session:
      if (call.title) session_update.set(&Session::title, *call.title);
      if (call.clears) session_update.clear(&Session::title);
      if (call.metadata) session_update.merge(&Session::metadata, *call.metadata);
      answer.session = run(storage.update_session(call.session, session_update, context));
      return;
    case Kind::change_state:
      answer.session =
          run(*call.state == SessionState::active ? sessions.resume(call.session, context)
              : *call.state == SessionState::paused
                  ? sessions.pause(call.session, context)
                  : sessions.complete(call.session, call.title, context));
      return;
    case Kind::delete_session: return run(sessions.logout(call.session, context));
    case Kind::touch_session: return run(sessions.touch(call.session, context));
    case Kind::create_chain:
      answer.chain = run(storage.create_chain(call.session, call.chain_data, context));
      return;
    case Kind::update_chain:
      chain_update.set(&Chain::title, *call.title);
      answer.chain = run(storage.update_chain(call.chain_id(), chain_update, context));
      return;
    case Kind::delete_chain: return run(storage.delete_chain(call.chain_id(), context));
    case Kind::archive_chain:
      answer.chain = run(storage.archive_chain(call.chain_id(), context));
      return;
    case Kind::cancel_chain:
      answer.chain = run(ChainService(storage).cancel(call.chain_id(), context));
      return;
    default: return dispatch_more(call, context, answer);
  }
}

void Library::dispatch_more(const Call& call, const Context& context, Answer& answer) {
  Storage& storage = *storage_;
  SessionService sessions(storage, options_);
  StepUpdate step_update;
  switch (call.kind) {
    case Kind::create_step:
      answer.step = run(storage.create_step(call.chain_id(), call.step_data, context));
      return;
    case Kind::update_step:
      if (call.title) step_update.set(&Step::learning, *call.title);
      if (!call.title) step_update.clear(&Step::learning);
      answer.step = run(storage.update_step(call.step_id(), step_update, context));
      return;
    case Kind::delete_step: return run(storage.delete_step(call.step_id(), context));
    case Kind::act:
      answer.step =
          run(StepService(storage).act(call.step_id(), call.action, call.report, context));
      return;
    case Kind::append_event:
      answer.number =
          run(storage.append_event(call.session, event_data(call.event_type), context)).sequence;
      return;
    case Kind::issue_token:
      tokens_[call.session] = run(sessions.issue_token(call.session, context)).token;
      return;
    case Kind::revoke_token: return run(sessions.revoke_token(call.session, context));
    case Kind::authenticate:
      answer.number = run(sessions.authenticate(tokens_[call.session])) ? 1 : 0;
      return;
    case Kind::prune_events:
      answer.number = run(storage.prune_events(call.session, call.first_kept, context));
      return;
    case Kind::erase_session:
      answer.number = run(storage.erase_session(call.session, context)) ? 1 : 0;
      return;
    default: answer.number = run(storage.sweep(1'000)).sessions_expired; return;
  }
}

// ---- side by side

class Comparison {
 public:
  void take(const Draw& draw);
  // What can be read, record by record, list by list, and the log's own account.
  void compare_everything();

 private:
  Call make_call(const Draw& draw);
  void aim(const Draw& draw, Call& call) const;
  StepAction draw_action(const Call& call, std::uint8_t bits) const;
  void fill(const Draw& draw, Call& call) const;
  std::uint64_t version_of(const Call& call) const;
  void perform(const Call& call, Manner manner);
  void compare(const SessionId& id);
  void compare_lists();
  void verify(const SessionId& id, const Model::Entry& entry);

  template <class T>
  void same(const std::string& what, const T& expected, const T& actual) const {
    if (expected == actual) return;
    std::ostringstream text;
    text << what << " differs; expected:\n" << expected << "\nbut was:\n" << actual;
    fail(text.str());
  }
  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error(why + "\nafter" + trace_.str());
  }

  RestlessClock clock_{*parse_rfc3339("2026-01-01T00:00:00Z")};
  Library library_{clock_};
  Model model_{limits};
  std::vector<Call> history_;
  std::ostringstream trace_;
  int operations_ = 0;
};

std::vector<std::uint32_t> draw_waits(std::uint8_t bits, std::uint32_t number) {
  std::vector<std::uint32_t> waits;
  for (std::uint32_t earlier = 1; earlier < number && earlier < 5; ++earlier)
    if ((bits >> (earlier + number)) % 2 == 1) waits.push_back(earlier);
  return waits;
}

Call Comparison::make_call(const Draw& draw) {
  Call call;
  call.kind = static_cast<Kind>(draw.kind);
  call.operation_id = "op-" + std::to_string(++operations_);
  const std::string name(1, static_cast<char>('a' + draw.session));
  call.session = session_id(name);
  call.user = user(draw.amount % 3 == 0 ? "bob" : "ann");
  call.chain = 1u + draw.chain;
  call.step = 1u + draw.step;
  if (draw.amount % 8 != 7) aim(draw, call);
  fill(draw, call);
  return call;
}

// Mostly at what is there: what is not is soon refused. Where there is nothing, it is made.
void Comparison::aim(const Draw& draw, Call& call) const {
  const bool upkeep = call.kind == Kind::sweep || call.kind == Kind::prune_events ||
                      call.kind == Kind::erase_session;
  const auto entry = model_.entries().find(call.session);
  const bool live = entry != model_.entries().end() && entry->second.session &&
                    entry->second.session->expires_at > clock_.now();
  if (upkeep) return;
  if (!live) {
    call.kind = Kind::create_session;
    return;
  }
  if (call.kind == Kind::create_session && draw.amount % 8 != 1) call.kind = Kind::create_chain;
  std::vector<std::uint32_t> open;
  for (const auto& [number, in] : entry->second.chains)
    if (!in.chain.archived_at && !in.steps.empty()) open.push_back(number);
  if (open.empty()) {
    if (call.kind == Kind::act) call.kind = Kind::create_chain;
    return;
  }
  call.chain = open[draw.chain % open.size()];
  const auto& steps = entry->second.chains.at(call.chain).steps;
  auto step = steps.begin();
  std::advance(step, draw.step % steps.size());
  call.step = step->first;
}

// Mostly one that the step can do, and seldom what ends it badly.
StepAction Comparison::draw_action(const Call& call, std::uint8_t bits) const {
  const auto any = static_cast<StepAction>(bits % 5);
  const auto entry = model_.entries().find(call.session);
  if (bits % 8 == 0 || entry == model_.entries().end()) return any;
  const auto chain = entry->second.chains.find(call.chain);
  if (chain == entry->second.chains.end()) return any;
  const auto step = chain->second.steps.find(call.step);
  if (step == chain->second.steps.end()) return any;
  switch (step->second.status) {
    case StepStatus::pending: return bits % 4 == 1 ? StepAction::skip : StepAction::start;
    case StepStatus::in_progress: return bits % 3 == 1 ? StepAction::fail : StepAction::complete;
    case StepStatus::failed: return bits % 4 == 1 ? StepAction::skip : StepAction::retry;
    default: return any;
  }
}

void Comparison::fill(const Draw& draw, Call& call) const {
  const std::uint8_t amount = draw.amount;
  call.title = std::string(1, static_cast<char>('x' + amount % 3));
  if (call.kind == Kind::update_session) {
    call.clears = amount % 4 == 0;
    if (call.clears) call.title.reset();
    if (amount % 2 == 1)
      call.metadata = json::Raw::parse("{\"k\":" + std::to_string(amount % 5) + "}");
  }
  if (call.kind == Kind::change_state) {
    call.state = static_cast<SessionState>(amount % 2);
    if (amount >= 220) call.state = SessionState::completed;
  }
  if (call.kind == Kind::create_chain) {
    call.chain_data.title = *call.title;
    for (std::uint32_t n = 1; n <= (amount / 8) % 6u; ++n)
      call.chain_data.steps.push_back(step_data("act", draw_waits(amount, n)));
    if (amount >= 245 && !call.chain_data.steps.empty()) call.chain_data.steps[0].waits_for = {1};
  }
  if (call.kind == Kind::create_step) {
    call.step_data = step_data("act", draw_waits(amount, 1u + draw.step));
    if (amount >= 245) call.step_data.waits_for = {9};
  }
  if (call.kind == Kind::act) {
    call.action = draw_action(call, amount / 8);
    const bool ends = call.action == StepAction::complete || call.action == StepAction::fail;
    if (amount % 8 == 1 && (ends || amount >= 240)) call.report.result = json::Raw::parse("[1, 2]");
    if (amount % 8 == 2 && (call.action == StepAction::fail || amount >= 240))
      call.report.error = "broke";
  }
  call.event_type = amount % 2 == 0 ? "note:made" : "note:read";
  call.first_kept = amount % 40u;
}

// Of the record that the call names; 0: there is none.
std::uint64_t Comparison::version_of(const Call& call) const {
  const auto entry = model_.entries().find(call.session);
  if (entry == model_.entries().end()) return 0;
  const auto chain = entry->second.chains.find(call.chain);
  const bool found = chain != entry->second.chains.end();
  switch (call.kind) {
    case Kind::update_chain:
    case Kind::delete_chain:
    case Kind::archive_chain:
    case Kind::cancel_chain:
    case Kind::create_step: return found ? chain->second.chain.version : 0;
    case Kind::update_step:
    case Kind::delete_step:
    case Kind::act: {
      if (!found || !chain->second.steps.contains(call.step)) return 0;
      return chain->second.steps.at(call.step).version;
    }
    case Kind::update_session:
    case Kind::change_state:
    case Kind::delete_session:
    case Kind::create_chain: return entry->second.session ? entry->second.session->version : 0;
    default: return 0;
  }
}

void Comparison::take(const Draw& draw) {
  if (draw.kind == wait_kind) {
    constexpr std::array waits = {std::chrono::milliseconds(1), 1'000ms * 61, 1'000ms * 60 * 125,
                                  1'000ms * 3'600 * 13, 1'000ms * 3'600 * 25};
    clock_.advance(waits[draw.amount % waits.size()]);
    trace_ << "\n  a while of kind " << draw.amount % waits.size();
    return;
  }
  if (draw.kind == flood_kind) {
    Draw single = draw;
    single.kind = static_cast<std::uint8_t>(Kind::append_event);
    for (int i = 0; i < 130; ++i) perform(make_call(single), Manner::plain);
    return;
  }
  Call call = make_call(draw);
  const bool known = !history_.empty();
  const Call& earlier = known ? history_[draw.amount % history_.size()] : call;
  if (draw.manner == Manner::repeat) call = earlier;
  if (draw.manner == Manner::misuse) call.operation_id = earlier.operation_id;
  if (draw.manner == Manner::right_version && version_of(call) != 0)
    call.expected_version = version_of(call);
  if (draw.manner == Manner::wrong_version && version_of(call) != 0)
    call.expected_version = version_of(call) + 1;
  perform(call, draw.manner);
  history_.push_back(call);
  compare(call.session);
}

void Comparison::perform(const Call& call, Manner manner) {
  trace_ << "\n  " << call;
  // A lost answer leaves open what was done; but a creation that first ends an expired session has
  // two commits, and which one's answer got lost is not said here.
  const bool loses = manner == Manner::lost && call.kind != Kind::create_session &&
                     call.kind != Kind::sweep && call.kind != Kind::issue_token;
  if (loses) library_.lose_next();
  Answer actual = library_.perform(call);
  library_.lose_none();
  Answer expected = model_.perform(call, clock_.now());
  if (loses && actual.error == ErrorCode::timeout) {
    trace_ << ", and again";
    actual = library_.perform(call);
    expected = model_.perform(call, clock_.now());
    if (!expected.error) expected.repeated = true;
  }
  same("the answer", expected, actual);
}

template <class T>
std::string text_of(const std::optional<T>& record) {
  std::string text;
  if (record) schema::schema_of<T>().encode(*record, schema::Form::full, text);
  return text;
}

void Comparison::compare(const SessionId& id) {
  Storage& storage = library_.storage();
  const auto found = model_.entries().find(id);
  const Model::Entry entry = found != model_.entries().end() ? found->second : Model::Entry();
  const bool live = entry.session && entry.session->expires_at > clock_.now();
  same(id.str(), text_of(live ? entry.session : std::nullopt),
       text_of(run(storage.get_session(id))));
  for (std::uint32_t n = 1; n <= limits.max_chains; ++n) {
    const ChainId chain_id(id, n);
    const auto chain = entry.chains.find(n);
    const bool there =
        chain != entry.chains.end() && (live || chain->second.chain.archived_at.has_value());
    same(chain_id.str(), text_of(there ? std::optional(chain->second.chain) : std::nullopt),
         text_of(run(storage.get_chain(chain_id))));
    for (std::uint32_t m = 1; m <= limits.max_steps; ++m) {
      const StepId step_id(chain_id, m);
      const bool step_there = there && chain->second.steps.contains(m);
      same(step_id.str(),
           text_of(step_there ? std::optional(chain->second.steps.at(m)) : std::nullopt),
           text_of(run(storage.get_step(step_id))));
    }
  }
  std::string types;
  EventFilter filter;
  filter.limit = 1'000;
  const EventList log = run(storage.read_events(id, filter));
  for (const Event& event : log.items) types += event.type.str() + "\n";
  std::string expected;
  for (const Model::LogEntry& event : entry.log) expected += event.type + "\n";
  same("the log", expected, types);
  same<std::uint64_t>("its end", entry.log.empty() ? 0 : entry.last_sequence(), log.last_sequence);
}

void Comparison::compare_lists() {
  std::set<std::string> live;
  std::set<std::string> archive;
  for (const auto& [id, entry] : model_.entries()) {
    if (entry.session && entry.session->expires_at > clock_.now()) live.insert(id.str());
    for (const auto& [number, in] : entry.chains)
      if (in.chain.archived_at) archive.insert(in.chain.chain_id.str());
  }
  Storage& storage = library_.storage();
  std::set<std::string> listed;
  for (const char* name : {"ann", "bob"}) {
    PageQuery query;
    query.limit = 1;
    do {
      const Page<Session> page =
          run(storage.list_sessions({.user = user(name), .state = {}}, query));
      for (const Session& session : page.items)
        if (session.user_id != user(name) || !listed.insert(session.session_id.str()).second)
          fail("lists " + session.session_id.str() + " twice, or of another user");
      query.cursor = page.next_cursor;
    } while (query.cursor);
  }
  if (listed != live) fail("lists other sessions than live");
  std::set<std::string> archived;
  PageQuery query;
  query.limit = 2;
  do {
    const Page<Chain> page = run(storage.list_archive({}, query));
    for (const Chain& chain : page.items)
      if (!archived.insert(chain.chain_id.str()).second) fail("lists an archived chain twice");
    query.cursor = page.next_cursor;
  } while (query.cursor);
  if (archived != archive) fail("lists another archive");
}

void Comparison::verify(const SessionId& id, const Model::Entry& entry) {
  EventLog log(library_.storage());
  if (entry.log.empty()) {
    const StorageError error = error_of(log.verify(id));
    return same("verifying", actionflows::to_string(ErrorCode::not_found),
                actionflows::to_string(error.code()));
  }
  const Verification found = run(log.verify(id));
  const auto expected =
      entry.first_sequence > 1 ? Verification::Outcome::pruned : Verification::Outcome::equal;
  if (found.outcome == expected) return;
  std::string text = "verifying says " + std::string(actionflows::to_string(found.outcome));
  for (const std::string& difference : found.differences) text += "\n" + difference;
  fail(text);
}

void Comparison::compare_everything() {
  for (const char* name : {"a", "b", "c"}) compare(session_id(name));
  compare_lists();
  for (const auto& [id, entry] : model_.entries()) verify(id, entry);
}

TEST(TypedModel, AgreesOnRandomSequences) {
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  const auto wanted = number_from_environment("ACTIONFLOWS_TYPED_SEQUENCES");
  params.maxSuccess = wanted ? static_cast<int>(*wanted) : sequences_by_default;
  params.seed = test_seed();
  rc::detail::TestMetadata metadata;
  metadata.id = metadata.description = "the typed layer and the model agree";
  const auto property = [] {
    const Draws draws = *sequences();
    Comparison comparison;
    for (const Draw& each : draws) comparison.take(each);
    comparison.compare_everything();
  };
  const rc::detail::TestResult result = rc::detail::checkTestable(property, metadata, params);
  if (result.is<rc::detail::SuccessResult>()) return;
  std::ostringstream text;
  rc::detail::printResultMessage(result, text);
  ADD_FAILURE() << text.str() << "\nto repeat: ACTIONFLOWS_SEED=" << test_seed();
}

}  // namespace
}  // namespace actionflows::test
