// Random sequences of all operations, good and bad ones, on a driver and on the model: every
// answer and everything that can be seen afterwards must be the same.
//
// ACTIONFLOWS_SEQUENCES sets how many sequences run, ACTIONFLOWS_SEED repeats a run. A failure is
// shrunk to a short sequence, which is told operation by operation; rapidcheck's RC_PARAMS work,
// too.
#include "tests/conformance/conformance.hpp"
#include "tests/conformance/model.hpp"
#include "tests/support/sanitized.hpp"
#include "tests/support/seed.hpp"

#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <sstream>

namespace actionflows::test {
namespace {

constexpr int most_sequences = sanitized ? 100 : 1'000'000;

constexpr DriverLimits model_limits{.max_events = 700,
                                    .max_chains = 5,
                                    .max_steps = 5,
                                    .touch_interval = 2min,
                                    .log_retention = 1h,
                                    .archive_retention = 2h};

// ---- what is drawn

enum class Kind : std::uint8_t {
  change,  // a commit made of `parts`
  create,  // likewise, to a session that is not there
  end,     // likewise, and the last one
  repeat,  // an earlier commit once more
  touch,
  prune,
  sweep,
  erase,
  wait,  // time passes
};
constexpr const char* kind_names[] = {"change", "create", "end",   "repeat", "touch",
                                      "prune",  "sweep",  "erase", "wait"};

// What is wrong with a commit.
enum class Flaw : std::uint8_t {
  none,
  stale_put,
  stale_expect,
  stale_erase,
  missing_erase,
  put_into_archive,
  archive_absent,
  archive_twice,
  no_events,
  two_puts,
  no_growth,
  no_deadline,
  only_fresh,
  only_expired,
  numbered,
  elsewhere_in_the_log,
  chain_beyond_limit,
  step_beyond_limit,
};
constexpr std::uint8_t flaw_count = 18;

// A commit's parts, as bits.
constexpr std::uint8_t with_session = 1, with_chain = 2, with_step = 4, with_erase = 8,
                       with_expect = 16, with_archive = 32, with_listing = 64,
                       with_credentials = 128;

// Small numbers, made concrete by the state at hand: so that what remains of a sequence after
// shrinking still means something. All zero is the simplest.
struct Operation {
  Kind kind = Kind::change;
  std::uint8_t session = 0;
  std::uint8_t chain = 0;
  std::uint8_t step = 0;
  std::uint8_t parts = 0;
  Flaw flaw = Flaw::none;
  std::uint8_t amount = 0;
};
using Operations = std::vector<Operation>;

std::ostream& operator<<(std::ostream& out, const Operation& op) {
  return out << kind_names[static_cast<std::size_t>(op.kind)] << "(session " << int{op.session}
             << ", chain " << int{op.chain} << ", step " << int{op.step} << ", parts "
             << int{op.parts} << ", flaw " << static_cast<int>(op.flaw) << ", amount "
             << int{op.amount} << ")";
}

Operation draw(rc::Random& random) {
  const std::uint64_t bits = random.next();
  const auto byte = [&](int n) { return static_cast<std::uint8_t>(bits >> (8 * n)); };
  // Changes and creations are drawn more often than what removes.
  constexpr std::array kinds = {Kind::change, Kind::change, Kind::change, Kind::change,
                                Kind::change, Kind::change, Kind::create, Kind::create,
                                Kind::end,    Kind::repeat, Kind::repeat, Kind::touch,
                                Kind::prune,  Kind::sweep,  Kind::wait,   Kind::erase};
  Operation op;
  op.kind = kinds[byte(0) % kinds.size()];
  if (op.kind == Kind::erase && byte(0) >= 128) op.kind = Kind::change;
  op.session = byte(1) % 3;
  op.chain = byte(2) % 4;
  op.step = byte(3) % 4;
  op.parts = byte(4);
  op.flaw = byte(5) % 4 == 0 ? static_cast<Flaw>(byte(5) / 4 % flaw_count) : Flaw::none;
  op.amount = byte(6);
  return op;
}

rc::Seq<Operation> simpler(const Operation& op) {
  std::vector<Operation> tries;
  const auto attempt = [&](auto member, auto value) {
    if (op.*member == value) return;
    tries.push_back(op);
    tries.back().*member = value;
  };
  attempt(&Operation::kind, Kind::change);
  attempt(&Operation::flaw, Flaw::none);
  for (const auto member : {&Operation::session, &Operation::chain, &Operation::step,
                            &Operation::parts, &Operation::amount})
    attempt(member, std::uint8_t{0});
  for (int bit = 1; bit < 256; bit *= 2)
    attempt(&Operation::parts, static_cast<std::uint8_t>(op.parts & ~bit));
  attempt(&Operation::amount, static_cast<std::uint8_t>(op.amount / 2));
  return rc::seq::fromContainer(std::move(tries));
}

// Short sequences first: rapidcheck's size grows to 100.
rc::Gen<Operations> sequences() {
  return [](const rc::Random& seed, int size) {
    rc::Random random = seed;
    Operations operations(1 + random.next() % static_cast<std::uint64_t>(1 + size / 2));
    for (Operation& op : operations) op = draw(random);
    return rc::shrinkable::shrinkRecur(std::move(operations), [](const Operations& from) {
      return rc::seq::concat(rc::shrink::removeChunks(from),
                             rc::shrink::eachElement(from, &simpler));
    });
  };
}

// ---- what is done with it

// Three sessions and two users of one sequence, on the driver and on the model.
class Comparison {
 public:
  explicit Comparison(StorageDriver& driver) : driver_(driver), model_(model_limits) {
    const std::string name = "model." + std::to_string(system_random().next());
    for (const char* end : {".a", ".b", ".c"})
      sessions_.push_back(SessionId::parse(name + end).value());
    for (const char* end : {".ann", ".bob"}) users_.push_back(UserId::parse(name + end).value());
    history_.resize(sessions_.size());
  }
  ~Comparison() {
    for (const SessionId& session : sessions_) run(driver_.erase_session(session));
  }
  Comparison(const Comparison&) = delete;
  Comparison& operator=(const Comparison&) = delete;

  void take(const Operation& op);

 private:
  void perform(const Operation& op);
  Change make_change(const Operation& op);
  void add_parts(const Operation& op, Change& change) const;
  void add_flaw(const Operation& op, Change& change) const;
  void commit(const Commit& commit);
  void touch(const Operation& op);
  void sweep();
  void compare_views(const Operation& op);

  template <class A, class B>
  void same(const std::string& what, const A& expected, const B& actual) const {
    if (expected == actual) return;
    std::ostringstream text;
    text << what << " differs; expected:\n" << expected << "\nbut was:\n" << actual;
    fail(text.str());
  }
  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error(why + "\nafter" + trace_);
  }
  const SessionId& session(const Operation& op) const { return sessions_[op.session]; }

  StorageDriver& driver_;
  Model model_;
  std::vector<SessionId> sessions_;
  std::vector<UserId> users_;
  std::vector<std::vector<Commit>> history_;  // of each session
  Timestamp now_ = *parse_rfc3339("2100-01-01T00:00:00Z");
  std::string trace_;
};

void Comparison::take(const Operation& op) {
  std::ostringstream line;
  line << "\n  " << op;
  trace_ += line.str();
  now_ += 1ms;  // so that no two deadlines are the same by chance
  perform(op);
  compare_views(op);
}

void Comparison::perform(const Operation& op) {
  switch (op.kind) {
    case Kind::change:
    case Kind::create:
    case Kind::end:
      history_[op.session].push_back(make_change(op));
      return commit(history_[op.session].back());
    case Kind::repeat: {
      const std::vector<Commit>& earlier = history_[op.session];
      if (earlier.empty()) return;
      Commit again = earlier[earlier.size() - 1 - op.amount % earlier.size()];
      again.may_repeat = true;
      return commit(again);
    }
    case Kind::touch: return touch(op);
    case Kind::prune:
      return same("the count of pruned events", model_.prune_events(session(op), op.amount),
                  run(driver_.prune_events(session(op), op.amount)));
    case Kind::sweep: return sweep();
    case Kind::erase:
      return same("whether there was something to erase", model_.erase_session(session(op)),
                  run(driver_.erase_session(session(op))));
    case Kind::wait:
      constexpr std::chrono::milliseconds waits[] = {1s, 6min, 31min, 61min};
      now_ += waits[op.amount % 4];
      return;
  }
}

Change Comparison::make_change(const Operation& op) {
  Change change(session(op), now_);
  // Seldom so many that the log is full and operations are forgotten.
  change.event_count(op.amount < 236 ? 1 + op.amount % 3 : 13u * (op.amount - 235u));
  change.may_repeat = op.amount % 2 == 1;
  const UserId& user = users_[op.amount / 3 % 2];
  const char* state = op.amount / 6 % 2 == 0 ? "active" : "paused";
  if (op.kind == Kind::create) change.put(session_record);
  if (op.kind == Kind::create || (op.parts & with_listing) != 0)
    change.active_until(now_ + 5min + std::chrono::minutes(op.amount % 16)).list_as(user, state);
  if (op.kind == Kind::end) change.end();
  add_parts(op, change);
  add_flaw(op, change);
  return change;
}

// Right as far as the model's versions go, but for what is archived and so can't be changed.
void Comparison::add_parts(const Operation& op, Change& change) const {
  const auto version = [&](RecordKey key) { return model_.version(session(op), key); };
  const auto has = [&](std::uint8_t part) { return (op.parts & part) != 0; };
  const RecordKey chain_key = chain(1u + op.chain);
  const RecordKey step_key = step(1u + op.chain, 1u + op.step);
  const RecordKey other_step = step(1u + op.chain, 1u + (op.step + 1u) % 4u);
  if (has(with_session) && op.kind != Kind::create && version(session_record) != 0)
    change.put(session_record, version(session_record));
  if (has(with_chain)) change.put(chain_key, version(chain_key));
  if (has(with_step)) change.put(step_key, version(step_key));
  if (has(with_credentials)) change.put(credentials, version(credentials));
  if (has(with_expect)) change.expect(other_step, version(other_step));
  if (has(with_erase) && version(other_step) != 0) change.erase(other_step, version(other_step));
  if (has(with_archive) && (has(with_chain) || version(chain_key) != 0))
    change.move_to_archive(chain_key.chain);
}

void Comparison::add_flaw(const Operation& op, Change& change) const {
  const RecordKey far = step(4, 4);
  switch (op.flaw) {
    case Flaw::none: return;
    case Flaw::stale_put:
      if (change.puts.empty()) return;
      change.puts.back().expected_version += 1;
      change.puts.back().version += 1;
      return;
    case Flaw::stale_expect: change.expect(far, model_.version(session(op), far) + 1); return;
    case Flaw::stale_erase:
      if (!change.erases.empty()) change.erases.back().version += op.amount % 2 == 0 ? 1u : 2u;
      return;
    case Flaw::missing_erase: change.erase(step(4, 3), 1); return;
    case Flaw::put_into_archive: change.put(step(1u + op.chain, 4), op.amount % 2); return;
    case Flaw::archive_absent: change.move_to_archive(1u + (op.chain + 1u) % 4u); return;
    case Flaw::archive_twice: change.move_to_archive(1).move_to_archive(1); return;
    case Flaw::no_events: change.no_events(); return;
    case Flaw::two_puts:
      if (!change.puts.empty()) change.puts.push_back(change.puts.front());
      return;
    case Flaw::no_growth:
      if (!change.puts.empty()) change.puts.front().version = change.puts.front().expected_version;
      return;
    case Flaw::no_deadline: change.activity.reset(); return;
    case Flaw::only_fresh: change.only_if(Precondition::fresh); return;
    case Flaw::only_expired: change.only_if(Precondition::expired); return;
    case Flaw::numbered: change.first_event(1u + op.amount); return;
    case Flaw::elsewhere_in_the_log: change.after_event(op.amount); return;
    case Flaw::chain_beyond_limit: change.put(chain(6)); return;
    case Flaw::step_beyond_limit: change.put(step(1u + op.chain, 6)); return;
  }
}

void Comparison::commit(const Commit& commit) {
  const Model::Answer expected = model_.commit(commit);
  try {
    const CommitResult result = run(driver_.commit(commit));
    if (!expected.refusals.empty())
      fail("let through what is " + std::string(to_string(*expected.refusals.begin())));
    same("the first sequence", expected.result.first_sequence, result.first_sequence);
    same("the last sequence", expected.result.last_sequence, result.last_sequence);
    if (model_.live(commit.session) && expected.result.activity != result.activity)
      fail("tells another activity than holds");
    same("whether it is a repeat", expected.result.repeated, result.repeated);
  } catch (const StorageError& error) {
    if (!expected.refusals.contains(error.code()))
      fail("refused as " + std::string(to_string(error.code())) + ": " + error.message() +
           (expected.refusals.empty()
                ? std::string("; nothing is wrong with it")
                : "; it is " + std::string(to_string(*expected.refusals.begin()))));
  }
}

// Later or earlier in both its times: what else would be is not said.
void Comparison::touch(const Operation& op) {
  const bool forward = op.amount % 3 != 0;
  const Activity activity = forward ? Activity{now_, now_ + 21min + std::chrono::minutes(op.amount)}
                                    : Activity{now_ - 24h * 365, now_ - 24h * 364};
  same("whether a session was touched", model_.touch(session(op), activity),
       run(driver_.touch(session(op), activity)));
}

void Comparison::sweep() {
  SweepQuery query;
  query.now = now_;
  query.limit = 1'000;
  std::set<SessionId> ours;
  for (const SessionId& id : run(driver_.sweep(query)).expired)
    if (std::find(sessions_.begin(), sessions_.end(), id) != sessions_.end()) ours.insert(id);
  if (model_.sweep(now_) != ours) fail("the sweep names others than have expired");
}

void Comparison::compare_views(const Operation& op) {
  for (const SessionId& id : sessions_)
    same(id.str(), model_.view(id, usual_keys()), view_of(driver_, id, usual_keys()));
  for (const UserId& user : users_)
    same(user.str(), model_.view(user, std::nullopt), view_of(driver_, user, 1u + op.amount % 3u));
  const UserId& ann = users_[0];
  same("the active of ann", model_.view(ann, "active"), view_of(driver_, ann, 2, "active"));
}

TEST_P(DriverConformance, ModelAgreesOnRandomSequences) {
  open(model_limits);
  rc::detail::TestParams params = rc::detail::configuration().testParams;
  const auto wanted = number_from_environment("ACTIONFLOWS_SEQUENCES");
  params.maxSuccess =
      wanted ? static_cast<int>(*wanted) : std::min(GetParam().sequences, most_sequences);
  params.seed = test_seed();
  rc::detail::TestMetadata metadata;
  metadata.id = metadata.description = "the driver and the model agree";
  const auto property = [&] {
    const Operations operations = *sequences();
    Comparison comparison(driver());
    for (const Operation& op : operations) comparison.take(op);
  };
  const rc::detail::TestResult result = rc::detail::checkTestable(property, metadata, params);
  if (result.is<rc::detail::SuccessResult>()) return;
  std::ostringstream text;
  rc::detail::printResultMessage(result, text);
  ADD_FAILURE() << text.str() << "\nto repeat: ACTIONFLOWS_SEED=" << test_seed();
}

}  // namespace
}  // namespace actionflows::test
