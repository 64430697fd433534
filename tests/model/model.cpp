#include "tests/model/model.hpp"

#include "actionflows/storage/driver.hpp"

#include <algorithm>

namespace actionflows::test {
namespace {

constexpr const char* kind_names[] = {"create_session", "update_session",
                                      "change_state",   "delete_session",
                                      "touch_session",  "create_chain",
                                      "update_chain",   "delete_chain",
                                      "archive_chain",  "cancel_chain",
                                      "create_step",    "update_step",
                                      "delete_step",    "act",
                                      "append_event",   "issue_token",
                                      "revoke_token",   "authenticate",
                                      "prune_events",   "erase_session",
                                      "sweep"};

const std::map<StepAction, std::string> action_events = {{StepAction::start, "step:started"},
                                                         {StepAction::complete, "step:completed"},
                                                         {StepAction::fail, "step:failed"},
                                                         {StepAction::skip, "step:skipped"},
                                                         {StepAction::retry, "step:retried"}};

const std::map<SessionState, std::string> state_events = {
    {SessionState::active, "session:resumed"},
    {SessionState::paused, "session:paused"},
    {SessionState::completed, "session:completed"}};

const std::map<std::pair<StepStatus, StepAction>, StepStatus> transitions = {
    {{StepStatus::pending, StepAction::start}, StepStatus::in_progress},
    {{StepStatus::in_progress, StepAction::complete}, StepStatus::completed},
    {{StepStatus::in_progress, StepAction::fail}, StepStatus::failed},
    {{StepStatus::pending, StepAction::skip}, StepStatus::skipped},
    {{StepStatus::failed, StepAction::skip}, StepStatus::skipped},
    {{StepStatus::failed, StepAction::retry}, StepStatus::pending}};

using Steps = std::map<std::uint32_t, Step>;

std::uint32_t count(const Steps& steps, StepStatus status) {
  return static_cast<std::uint32_t>(std::count_if(
      steps.begin(), steps.end(), [&](const auto& s) { return s.second.status == status; }));
}

// Whether the pending step waits, however far around, for a failed one.
bool waits_in_vain(const Steps& steps, std::uint32_t number) {
  const Step& step = steps.at(number);
  if (step.status == StepStatus::failed) return true;
  if (step.status != StepStatus::pending) return false;
  return std::any_of(step.waits_for.begin(), step.waits_for.end(),
                     [&](std::uint32_t other) { return waits_in_vain(steps, other); });
}

ChainStatus status_of(const Steps& steps) {
  const std::size_t pending = count(steps, StepStatus::pending);
  const std::size_t failed = count(steps, StepStatus::failed);
  if (pending == steps.size()) return ChainStatus::pending;
  if (count(steps, StepStatus::in_progress) > 0) return ChainStatus::in_progress;
  if (failed == 0) return pending == 0 ? ChainStatus::completed : ChainStatus::in_progress;
  const bool stuck = std::all_of(steps.begin(), steps.end(), [&](const auto& s) {
    return s.second.status != StepStatus::pending || waits_in_vain(steps, s.first);
  });
  return stuck ? ChainStatus::failed : ChainStatus::in_progress;
}

ExecutionMode mode_of_all(const Steps& steps) {
  bool each_follows = true;
  bool none_waits = true;
  std::uint32_t before = 0;
  for (const auto& [number, step] : steps) {
    const auto& waits = step.waits_for;
    if (before != 0 && std::find(waits.begin(), waits.end(), before) == waits.end())
      each_follows = false;
    if (!waits.empty()) none_waits = false;
    before = number;
  }
  if (each_follows) return ExecutionMode::sequential;
  return none_waits ? ExecutionMode::parallel : ExecutionMode::mixed;
}

std::string name_of_change(ChainStatus before, ChainStatus after) {
  if (before == after) return "chain:progressed";
  if (after == ChainStatus::completed) return "chain:completed";
  if (after == ChainStatus::failed) return "chain:failed";
  if (after == ChainStatus::cancelled) return "chain:cancelled";
  if (before == ChainStatus::failed) return "chain:reopened";
  return before == ChainStatus::pending ? "chain:started" : "chain:progressed";
}

bool is_over(ChainStatus status) {
  return status != ChainStatus::pending && status != ChainStatus::in_progress;
}

// What the log says of such a call, and about what.
std::vector<std::string> names_of(const Call& call) {
  switch (call.kind) {
    case Kind::create_session: return {"session:created"};
    case Kind::update_session: return {"session:updated"};
    case Kind::change_state: return {state_events.at(*call.state)};
    case Kind::delete_session: return {"session:deleted"};
    case Kind::create_chain: return {"chain:compiled"};
    case Kind::update_chain: return {"chain:updated"};
    case Kind::delete_chain: return {"chain:deleted"};
    case Kind::archive_chain: return {"chain:archived"};
    case Kind::cancel_chain: return {"chain:cancelled"};
    case Kind::create_step: return {"step:created"};
    case Kind::update_step: return {"step:updated"};
    case Kind::delete_step: return {"step:deleted"};
    case Kind::act: return {action_events.at(call.action)};
    case Kind::append_event: return {call.event_type};
    case Kind::revoke_token: return {"session:token_revoked"};
    default: return {};
  }
}

std::string about_of(const Call& call) {
  switch (call.kind) {
    case Kind::update_chain:
    case Kind::delete_chain:
    case Kind::archive_chain:
    case Kind::cancel_chain: return call.chain_id().str();
    case Kind::update_step:
    case Kind::delete_step:
    case Kind::act: return call.step_id().str();
    default: return {};
  }
}

// What the call asks for, in the terms of Told.
Model::Told asked_by(const Call& call) {
  Model::Told asked;
  const auto waits = [](const StepData& step) {
    std::string text = "(";
    for (const std::uint32_t other : step.waits_for) text += " " + std::to_string(other);
    return text + ")";
  };
  switch (call.kind) {
    case Kind::create_session:
      asked["user"] = call.user.str();
      asked["title"] = *call.title;
      break;
    case Kind::update_session:
      if (call.title || call.clears) asked["title"] = call.title.value_or("");
      if (call.metadata) asked["metadata"] = call.metadata->view();
      break;
    case Kind::change_state:
      if (call.state == SessionState::completed) asked["reason"] = *call.title;
      break;
    case Kind::create_chain:
      asked["chain"] = call.chain_data.title;
      for (const StepData& step : call.chain_data.steps) asked["chain"] += waits(step);
      break;
    case Kind::create_step:
      asked["step"] = std::to_string(call.chain) + waits(call.step_data);
      break;
    case Kind::update_chain:
    case Kind::update_step: asked["title"] = call.title.value_or(""); break;
    case Kind::act:
      if (call.report.result) asked["result"] = call.report.result->view();
      if (call.report.error) asked["error"] = *call.report.error;
      break;
    default: break;
  }
  return asked;
}

bool contradict(const Model::Told& told, const Model::Told& asked) {
  return std::any_of(told.begin(), told.end(), [&](const auto& field) {
    const auto same = asked.find(field.first);
    return same != asked.end() && same->second != field.second;
  });
}

Answer told(std::optional<Session> session) {
  Answer answer;
  answer.session = std::move(session);
  return answer;
}
Answer told(const Chain& chain) {
  Answer answer;
  answer.chain = chain;
  return answer;
}
Answer told(const Step& step) {
  Answer answer;
  answer.step = step;
  return answer;
}
Answer told(std::uint64_t number) {
  Answer answer;
  answer.number = number;
  return answer;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Call& call) {
  out << kind_names[static_cast<std::size_t>(call.kind)] << " " << call.session.str() << ".c"
      << call.chain << ".s" << call.step << " as " << call.operation_id;
  if (call.expected_version) out << " expecting " << *call.expected_version;
  if (call.kind == Kind::act) out << " " << to_string(call.action);
  if (call.state) out << " " << to_string(*call.state);
  if (call.title) out << " \"" << *call.title << '"';
  for (const StepData& step : call.chain_data.steps) {
    out << " (waits";
    for (const std::uint32_t other : step.waits_for) out << " " << other;
    out << ")";
  }
  for (const std::uint32_t other : call.step_data.waits_for) out << " waits " << other;
  return out;
}

std::ostream& operator<<(std::ostream& out, const Answer& answer) {
  std::string text;
  if (answer.error) text += std::string(to_string(*answer.error)) + " ";
  if (answer.repeated) text += "repeated ";
  const auto add = [&]<class T>(const std::optional<T>& record) {
    if (record) schema::schema_of<T>().encode(*record, schema::Form::full, text);
  };
  add(answer.session);
  add(answer.chain);
  add(answer.step);
  return out << text << " number " << answer.number;
}

Answer Model::perform(const Call& call, Timestamp now) {
  now_ = now;
  try {
    check_arguments(call);
    if (const auto answer = repeated(call)) return *answer;
    return dispatch(call);
  } catch (const Refused& refused) {
    Answer answer;
    answer.error = refused.code;
    return answer;
  }
}

Answer Model::dispatch(const Call& call) {
  switch (call.kind) {
    case Kind::create_session: return create_session(call);
    case Kind::update_session: return update_session(call);
    case Kind::change_state: return change_state(call);
    case Kind::delete_session: return delete_session(call);
    case Kind::touch_session: return touch_session(call);
    case Kind::create_chain: return create_chain(call);
    case Kind::update_chain: return update_chain(call);
    case Kind::delete_chain: return delete_chain(call);
    case Kind::archive_chain: return archive_chain(call);
    case Kind::cancel_chain: return cancel_chain(call);
    case Kind::create_step: return create_step(call);
    case Kind::update_step: return update_step(call);
    case Kind::delete_step: return delete_step(call);
    case Kind::act: return act(call);
    case Kind::append_event: return append_event(call);
    case Kind::issue_token: return issue_token(call);
    case Kind::revoke_token: return revoke_token(call);
    case Kind::authenticate: return authenticate(call);
    case Kind::prune_events: return prune_events(call);
    case Kind::erase_session: return erase_session(call);
    case Kind::sweep: return sweep();
  }
  return {};
}

// What is wrong with the call whatever the state is.
void Model::check_arguments(const Call& call) const {
  for (std::size_t i = 0; i < call.chain_data.steps.size(); ++i)
    for (const std::uint32_t other : call.chain_data.steps[i].waits_for)
      if (other > i) throw Refused{ErrorCode::invalid};
  const bool ends = call.action == StepAction::complete || call.action == StepAction::fail;
  const bool stops = call.action == StepAction::fail || call.action == StepAction::skip;
  if ((call.report.result && !ends) || (call.report.error && !stops))
    throw Refused{ErrorCode::invalid};
}

// ---- repeats

std::optional<Answer> Model::repeated(const Call& call) const {
  const auto found = entries_.find(call.session);
  const std::vector<std::string> names = names_of(call);
  if (found == entries_.end() || names.empty()) return std::nullopt;
  const std::vector<LogEntry>& log = found->second.log;
  const auto ours = [&](const LogEntry& e) { return e.operation_id == call.operation_id; };
  const std::size_t memory = std::min<std::size_t>(log.size(), operation_memory);
  const auto within =
      std::find_if(log.end() - static_cast<std::ptrdiff_t>(memory), log.end(), ours);
  if (within == log.end()) return std::nullopt;
  // It may begin before what is remembered. An older use of the same id does not count any more.
  auto first = within;
  while (first != log.begin() && ours(*(first - 1))) --first;
  const bool same = std::find(names.begin(), names.end(), first->type) != names.end() &&
                    (about_of(call).empty() || about_of(call) == first->about) &&
                    !contradict(first->told, asked_by(call));
  if (!same) throw Refused{ErrorCode::conflict};
  Answer answer = present(call, *first);
  answer.repeated = true;
  if (call.kind == Kind::append_event)
    answer.number = found->second.first_sequence + static_cast<std::uint64_t>(first - log.begin());
  return answer;
}

// The record as it stands now.
Answer Model::present(const Call& call, const LogEntry& event) const {
  Entry entry = entries_.at(call.session);
  Answer answer;
  Call about = call;
  switch (call.kind) {
    case Kind::create_session:
    case Kind::update_session:
    case Kind::change_state: answer.session = live(call, entry); break;
    case Kind::create_chain: about.chain = ChainId::parse(event.about)->number(); [[fallthrough]];
    case Kind::update_chain:
    case Kind::archive_chain:
    case Kind::cancel_chain: answer.chain = find_chain(about, entry).chain; break;
    case Kind::create_step:
      about.chain = StepId::parse(event.about)->chain().number();
      about.step = StepId::parse(event.about)->number();
      [[fallthrough]];
    case Kind::update_step:
    case Kind::act: answer.step = find_step(about, entry); break;
    default: break;
  }
  return answer;
}

// ---- parts

Session& Model::live(const Call&, Entry& entry) const {
  if (!entry.session || entry.session->expires_at <= now_) throw Refused{ErrorCode::not_found};
  return *entry.session;
}

Model::ChainEntry& Model::find_chain(const Call& call, Entry& entry) const {
  const auto found = entry.chains.find(call.chain);
  if (found == entry.chains.end()) throw Refused{ErrorCode::not_found};
  if (!found->second.chain.archived_at) live(call, entry);
  return found->second;
}

Step& Model::find_step(const Call& call, Entry& entry) const {
  Steps& steps = find_chain(call, entry).steps;
  const auto found = steps.find(call.step);
  if (found == steps.end()) throw Refused{ErrorCode::not_found};
  return found->second;
}

void Model::check_version(const Call& call, std::uint64_t found) const {
  if (call.expected_version && *call.expected_version != found) throw Refused{ErrorCode::conflict};
}

void Model::log(Entry& entry, const Call& call, std::string type, std::string about, Told told) {
  entry.log.push_back({std::move(type), std::move(about), call.operation_id, std::move(told)});
}

void Model::commit(const Call& call, Entry changed) {
  if (changed.log.size() > limits_.max_events && changed.session)
    throw Refused{ErrorCode::exhausted};
  if (changed.session) {
    changed.session->last_activity_at = now_;
    changed.session->expires_at = now_ + limits_.session_ttl;
  }
  entries_[call.session] = std::move(changed);
}

template <class T>
void touch_record(T& record, Timestamp now) {
  record.updated_at = now;
  ++record.version;
}

// The chain follows its steps, and leaves when it is done.
void Model::settle(const Call& call, Entry& entry, ChainEntry& in, const Chain& before) {
  Chain& chain = in.chain;
  if (chain.status != ChainStatus::cancelled) {
    chain.status = status_of(in.steps);
    chain.execution_mode = mode_of_all(in.steps);
    chain.running_steps = count(in.steps, StepStatus::in_progress);
    chain.completed_steps = count(in.steps, StepStatus::completed);
    chain.failed_steps = count(in.steps, StepStatus::failed);
    chain.skipped_steps = count(in.steps, StepStatus::skipped);
    chain.current_step.reset();
    for (const auto& [number, step] : in.steps)
      if (step.status == StepStatus::in_progress && !chain.current_step)
        chain.current_step = number;
  }
  if (count(in.steps, StepStatus::in_progress) > 0 && !chain.started_at) chain.started_at = now_;
  if (!is_over(chain.status)) chain.completed_at.reset();
  if (is_over(chain.status) && before.status != chain.status) chain.completed_at = now_;
  if (is_over(chain.status) && chain.status != ChainStatus::failed) chain.archived_at = now_;
  touch_record(chain, now_);
  log(entry, call, name_of_change(before.status, chain.status), chain.chain_id.str());
}

void Model::archive_failed(const Call& call, Entry& entry) {
  for (auto& [number, in] : entry.chains) {
    if (in.chain.archived_at || in.chain.status != ChainStatus::failed) continue;
    in.chain.archived_at = now_;
    touch_record(in.chain, now_);
    log(entry, call, "chain:archived", in.chain.chain_id.str());
  }
}

void Model::end(const Call& call, Entry& entry, const std::string& type) {
  log(entry, call, type);
  entry.numbers_given = entry.session->chain_count;
  entry.session.reset();
  entry.token_issued.reset();
  entry.ended = now_;
  std::erase_if(entry.chains, [](const auto& in) { return !in.second.chain.archived_at; });
}

void Model::expire(Entry& entry) {
  const Call sweep;
  archive_failed(sweep, entry);
  end(sweep, entry, "session:expired");
}

// ---- sessions

Answer Model::create_session(const Call& call) {
  Entry entry = entries_[call.session];
  if (entry.session && entry.session->expires_at <= now_) {
    expire(entry);
    entries_[call.session] = entry;
  }
  if (entry.session) throw Refused{ErrorCode::conflict};
  const bool something_stands = !entry.log.empty() || !entry.chains.empty();
  if (something_stands && entry.owner != call.user) throw Refused{ErrorCode::conflict};
  entry.owner = call.user;
  Session session;
  session.session_id = call.session;
  session.user_id = call.user;
  session.title = call.title;
  session.created_at = session.updated_at = now_;
  session.version = entry.log.empty() ? 1 : entry.last_sequence() + 1;
  session.chain_count = entry.log.empty() ? 0 : entry.numbers_given;
  for (const auto& [number, in] : entry.chains)
    session.chain_count = std::max(session.chain_count, number);
  entry.session = session;
  log(entry, call, "session:created", {}, asked_by(call));
  commit(call, std::move(entry));
  return told(entries_[call.session].session);
}

Answer Model::update_session(const Call& call) {
  Entry entry = entries_[call.session];
  Session& session = live(call, entry);
  check_version(call, session.version);
  const Session before = session;
  if (call.title) session.title = call.title;
  if (call.clears) session.title.reset();
  if (call.metadata) session.metadata = call.metadata;
  if (session == before) return told(session);
  Told told_of = asked_by(call);
  if (session.title == before.title) told_of.erase("title");
  if (session.metadata == before.metadata) told_of.erase("metadata");
  touch_record(session, now_);
  log(entry, call, "session:updated", {}, std::move(told_of));
  commit(call, std::move(entry));
  return told(entries_[call.session].session);
}

Answer Model::change_state(const Call& call) {
  Entry entry = entries_[call.session];
  Session& session = live(call, entry);
  check_version(call, session.version);
  if (session.state == *call.state) return told(session);
  if (session.state == SessionState::completed) throw Refused{ErrorCode::illegal_transition};
  session.state = *call.state;
  touch_record(session, now_);
  log(entry, call, state_events.at(*call.state), {}, asked_by(call));
  if (session.state == SessionState::completed) {
    session.completed_at = now_;
    session.end_reason = call.title;
    archive_failed(call, entry);
  }
  commit(call, std::move(entry));
  return told(entries_[call.session].session);
}

Answer Model::delete_session(const Call& call) {
  Entry entry = entries_[call.session];
  check_version(call, live(call, entry).version);
  end(call, entry, "session:deleted");
  commit(call, std::move(entry));
  return {};
}

Answer Model::touch_session(const Call& call) {
  Entry& entry = entries_[call.session];
  Session& session = live(call, entry);
  session.last_activity_at = now_;
  session.expires_at = now_ + limits_.session_ttl;
  return {};
}

// ---- chains

Answer Model::create_chain(const Call& call) {
  Entry entry = entries_[call.session];
  Session& session = live(call, entry);
  check_version(call, session.version);
  if (session.state == SessionState::completed) throw Refused{ErrorCode::illegal_transition};
  const std::uint32_t number = ++session.chain_count;
  ChainEntry& in = entry.chains[number];
  static_cast<ChainFields&>(in.chain) = call.chain_data;
  in.chain.chain_id = ChainId(call.session, number);
  in.chain.session_id = call.session;
  in.chain.created_at = in.chain.updated_at = now_;
  in.chain.version = 1;
  for (const StepData& data : call.chain_data.steps) {
    const std::uint32_t m = ++in.chain.step_count;
    Step& step = in.steps[m];
    static_cast<StepData&>(step) = data;
    step.step_id = StepId(in.chain.chain_id, m);
    step.chain_id = in.chain.chain_id;
    step.session_id = call.session;
    step.number = m;
    step.created_at = step.updated_at = now_;
    step.version = 1;
  }
  in.chain.execution_mode = mode_of_all(in.steps);
  if (number > limits_.max_chains || in.chain.step_count > limits_.max_steps)
    throw Refused{ErrorCode::exhausted};
  touch_record(session, now_);
  log(entry, call, "chain:compiled", in.chain.chain_id.str(), asked_by(call));
  log(entry, call, "session:updated");
  const Chain made = in.chain;
  commit(call, std::move(entry));
  return told(made);
}

Answer Model::update_chain(const Call& call) {
  Entry entry = entries_[call.session];
  Chain& chain = find_chain(call, entry).chain;
  check_version(call, chain.version);
  if (chain.archived_at) throw Refused{ErrorCode::illegal_transition};
  if (chain.title == *call.title) return told(chain);
  chain.title = *call.title;
  touch_record(chain, now_);
  log(entry, call, "chain:updated", chain.chain_id.str(), asked_by(call));
  const Chain made = chain;
  commit(call, std::move(entry));
  return told(made);
}

Answer Model::delete_chain(const Call& call) {
  Entry entry = entries_[call.session];
  const Chain& chain = find_chain(call, entry).chain;
  check_version(call, chain.version);
  if (chain.archived_at) throw Refused{ErrorCode::illegal_transition};
  log(entry, call, "chain:deleted", chain.chain_id.str());
  entry.chains.erase(call.chain);
  commit(call, std::move(entry));
  return {};
}

Answer Model::archive_chain(const Call& call) {
  Entry entry = entries_[call.session];
  Chain& chain = find_chain(call, entry).chain;
  check_version(call, chain.version);
  if (chain.archived_at) return told(chain);
  if (!is_over(chain.status)) throw Refused{ErrorCode::illegal_transition};
  chain.archived_at = now_;
  touch_record(chain, now_);
  log(entry, call, "chain:archived", chain.chain_id.str());
  const Chain made = chain;
  commit(call, std::move(entry));
  return told(made);
}

Answer Model::cancel_chain(const Call& call) {
  Entry entry = entries_[call.session];
  ChainEntry& in = find_chain(call, entry);
  check_version(call, in.chain.version);
  if (in.chain.archived_at || entry.session->state == SessionState::completed)
    throw Refused{ErrorCode::illegal_transition};
  const Chain before = in.chain;
  in.chain.status = ChainStatus::cancelled;
  settle(call, entry, in, before);
  const Chain made = in.chain;
  commit(call, std::move(entry));
  return told(made);
}

// ---- steps

Answer Model::create_step(const Call& call) {
  Entry entry = entries_[call.session];
  if (live(call, entry).state == SessionState::completed)
    throw Refused{ErrorCode::illegal_transition};
  ChainEntry& in = find_chain(call, entry);
  check_version(call, in.chain.version);
  if (in.chain.archived_at) throw Refused{ErrorCode::illegal_transition};
  for (const std::uint32_t other : call.step_data.waits_for)
    if (!in.steps.contains(other)) throw Refused{ErrorCode::invalid};
  const Chain before = in.chain;
  const std::uint32_t number = ++in.chain.step_count;
  if (number > limits_.max_steps) throw Refused{ErrorCode::exhausted};
  Step& step = in.steps[number];
  static_cast<StepData&>(step) = call.step_data;
  step.step_id = StepId(in.chain.chain_id, number);
  step.chain_id = in.chain.chain_id;
  step.session_id = call.session;
  step.number = number;
  step.created_at = step.updated_at = now_;
  step.version = 1;
  log(entry, call, "step:created", step.step_id.str(), asked_by(call));
  settle(call, entry, in, before);
  const Step made = step;
  commit(call, std::move(entry));
  return told(made);
}

Answer Model::update_step(const Call& call) {
  Entry entry = entries_[call.session];
  Step& step = find_step(call, entry);
  check_version(call, step.version);
  if (entry.chains.at(call.chain).chain.archived_at) throw Refused{ErrorCode::illegal_transition};
  if (step.learning == call.title) return told(step);
  step.learning = call.title;
  touch_record(step, now_);
  log(entry, call, "step:updated", step.step_id.str(), asked_by(call));
  const Step made = step;
  commit(call, std::move(entry));
  return told(made);
}

Answer Model::delete_step(const Call& call) {
  Entry entry = entries_[call.session];
  const Step step = find_step(call, entry);
  check_version(call, step.version);
  ChainEntry& in = entry.chains.at(call.chain);
  bool waited_for = false;
  for (const auto& [number, other] : in.steps)
    for (const std::uint32_t awaited : other.waits_for) waited_for |= awaited == call.step;
  if (in.chain.archived_at || step.status != StepStatus::pending || waited_for)
    throw Refused{ErrorCode::illegal_transition};
  const Chain before = in.chain;
  in.steps.erase(call.step);
  ++in.chain.deleted_steps;
  log(entry, call, "step:deleted", step.step_id.str());
  settle(call, entry, in, before);
  commit(call, std::move(entry));
  return {};
}

Answer Model::act(const Call& call) {
  Entry entry = entries_[call.session];
  Step& step = find_step(call, entry);
  check_version(call, step.version);
  ChainEntry& in = entry.chains.at(call.chain);
  if (in.chain.archived_at) throw Refused{ErrorCode::illegal_transition};
  const SessionState state = entry.session->state;
  const auto to = transitions.find({step.status, call.action});
  if (state == SessionState::completed || to == transitions.end())
    throw Refused{ErrorCode::illegal_transition};
  if (call.action == StepAction::start) {
    if (state == SessionState::paused) throw Refused{ErrorCode::illegal_transition};
    for (const std::uint32_t other : step.waits_for) {
      const StepStatus status = in.steps.at(other).status;
      if (status != StepStatus::completed && status != StepStatus::skipped)
        throw Refused{ErrorCode::illegal_transition};
    }
  }
  const Chain before = in.chain;
  const bool ran = step.status == StepStatus::in_progress;
  const auto error_before = step.error;
  const auto result_before = step.result;
  step.status = to->second;
  if (call.action == StepAction::start) {
    ++step.attempt;
    step.started_at = now_;
  } else if (call.action == StepAction::retry) {
    step.started_at.reset();
    step.completed_at.reset();
    step.duration_ms.reset();
    step.result.reset();
    step.error.reset();
  } else {
    step.completed_at = now_;
    if (ran) step.duration_ms = static_cast<std::uint64_t>((now_ - *step.started_at).count());
    if (call.report.result) step.result = call.report.result;
    if (call.report.error) step.error = call.report.error;
  }
  touch_record(step, now_);
  Told told_of = asked_by(call);
  if (step.error == error_before) told_of.erase("error");
  if (step.result == result_before) told_of.erase("result");
  log(entry, call, action_events.at(call.action), step.step_id.str(), std::move(told_of));
  settle(call, entry, in, before);
  const Step made = step;
  commit(call, std::move(entry));
  return told(made);
}

// ---- events and tokens

Answer Model::append_event(const Call& call) {
  Entry entry = entries_[call.session];
  live(call, entry);
  log(entry, call, call.event_type);
  commit(call, std::move(entry));
  return told(entries_[call.session].last_sequence());
}

Answer Model::issue_token(const Call& call) {
  Entry entry = entries_[call.session];
  if (live(call, entry).state == SessionState::completed)
    throw Refused{ErrorCode::illegal_transition};
  Call once = call;
  once.operation_id = "minted by the call";
  log(entry, once, "session:token_issued");
  entry.token_issued = now_;
  commit(call, std::move(entry));
  return {};
}

Answer Model::revoke_token(const Call& call) {
  Entry entry = entries_[call.session];
  live(call, entry);
  if (!entry.token_issued) return {};
  entry.token_issued.reset();
  log(entry, call, "session:token_revoked");
  commit(call, std::move(entry));
  return {};
}

// By the token that was issued last.
Answer Model::authenticate(const Call& call) {
  Entry& entry = entries_[call.session];
  if (!entry.session || entry.session->expires_at <= now_ || !entry.token_issued) return {};
  Session& session = *entry.session;
  const auto idle = now_ - session.last_activity_at;
  if (now_ - *entry.token_issued >= limits_.token_lifetime) return {};
  if (idle >= limits_.token_idle_limit) return {};
  if (idle >= std::chrono::minutes(1)) {
    session.last_activity_at = now_;
    session.expires_at = now_ + limits_.session_ttl;
  }
  return told(std::uint64_t{1});
}

// ---- upkeep

Answer Model::prune_events(const Call& call) {
  Entry& entry = entries_[call.session];
  std::uint64_t pruned = 0;
  for (; entry.first_sequence < call.first_kept && entry.log.size() > 1; ++pruned) {
    entry.log.erase(entry.log.begin());
    ++entry.first_sequence;
  }
  return told(pruned);
}

Answer Model::erase_session(const Call& call) {
  const Entry entry = entries_[call.session];
  entries_.erase(call.session);
  return told(entry.session || !entry.chains.empty() || !entry.log.empty() ? std::uint64_t{1} : 0);
}

Answer Model::sweep() {
  std::uint64_t expired = 0;
  for (auto& [id, entry] : entries_) {
    if (!entry.session && !entry.log.empty() && entry.ended + limits_.log_retention <= now_) {
      entry.log.clear();
      entry.first_sequence = 1;
    }
    std::erase_if(entry.chains, [&](const auto& in) {
      return in.second.chain.archived_at &&
             *in.second.chain.archived_at + limits_.archive_retention <= now_;
    });
    if (entry.session && entry.session->expires_at <= now_) {
      expire(entry);
      ++expired;
    }
  }
  return told(expired);
}

}  // namespace actionflows::test
