#include "actionflows/services/step_service.hpp"

#include "actionflows/model/limits.hpp"
#include "actionflows/schema/object.hpp"
#include "actionflows/storage/storage_checks.hpp"

#include <algorithm>
#include <utility>

namespace actionflows {
namespace {

std::string_view event_of(StepAction action) {
  switch (action) {
    case StepAction::start: return "step:started";
    case StepAction::complete: return "step:completed";
    case StepAction::fail: return "step:failed";
    case StepAction::skip: return "step:skipped";
    case StepAction::retry: return "step:retried";
  }
  return "step:started";
}

void check_report(StepAction action, const StepReport& report, const std::string& operation) {
  Issues issues;
  const auto refuse = [&](const char* member) {
    Issue issue;
    issue.path = {std::string(member)};
    issue.code = IssueCode::unrecognized_keys;
    issue.message = "is not taken by " + std::string(to_string(action));
    issues.push_back(std::move(issue));
  };
  const bool ends = action == StepAction::complete || action == StepAction::fail;
  const bool stops = action == StepAction::fail || action == StepAction::skip;
  if (report.result && !ends) refuse("result");
  if (report.error && !stops) refuse("error");
  if (report.learning && !ends && !stops) refuse("learning");
  schema::schema_of<StepReport>().validate(report, schema::Form::create, issues);
  if (!issues.empty()) throw invalid_input(std::move(issues), operation);
}

// The steps that `step` waits for and that hold it back.
Task<std::vector<Step>> blockers(Transaction& tx, const Step& step) {
  std::vector<RecordKey> keys;
  for (const std::uint32_t number : step.waits_for)
    keys.push_back(RecordKey::of_step(step.chain_id.number(), number));
  co_await tx.load(keys);
  std::vector<Step> found;
  for (const RecordKey key : keys) {
    Step other = co_await tx.step(StepId(step.chain_id, key.step));
    if (!releases(other.status)) found.push_back(std::move(other));
  }
  co_return found;
}

Task<void> check_start(Transaction& tx, const Session& session, const Step& step) {
  const std::string& id = step.step_id.str();
  if (session.state == SessionState::paused)
    throw_illegal("session " + session.session_id.str() + " is paused", tx.operation(), id);
  const std::vector<Step> waiting = co_await blockers(tx, step);
  if (waiting.empty()) co_return;
  std::string message = "step " + id + " waits for";
  for (const Step& other : waiting)
    message += (&other == &waiting.front() ? " step " : ", step ") + std::to_string(other.number) +
               " (" + std::string(to_string(other.status)) + ")";
  throw_illegal(std::move(message), tx.operation(), id);
}

// The step after `action`, as of `at`.
Step acted_on(const Step& before, StepAction action, StepStatus status, const StepReport& report,
              Timestamp at) {
  Step after = before;
  after.status = status;
  if (action == StepAction::start || action == StepAction::retry) {
    after.started_at.reset();
    after.completed_at.reset();
    after.duration_ms.reset();
    after.result.reset();
    after.error.reset();
  }
  if (action == StepAction::start) {
    ++after.attempt;
    after.started_at = at;
  }
  if (ended(status)) {
    after.completed_at = at;
    const bool ran = before.status == StepStatus::in_progress;
    if (ran && after.started_at && *after.started_at <= at)
      after.duration_ms = static_cast<std::uint64_t>((at - *after.started_at).count());
  }
  if (report.result) after.result = report.result;
  if (report.error) after.error = report.error;
  if (report.learning) after.learning = report.learning;
  return after;
}

StepUpdate update_of(const StepReport& report) {
  StepUpdate update;
  if (report.result) update.set(&Step::result, report.result);
  if (report.error) update.set(&Step::error, report.error);
  if (report.learning) update.set(&Step::learning, report.learning);
  return update;
}

Task<void> move_chain(Transaction& tx, const Chain& before, const Step& from, const Step& to) {
  Chain after = before;
  if (!advance(after, to.number, from.status, to.status)) {
    std::vector<Step> steps = co_await tx.steps(before);
    const auto here = std::find_if(steps.begin(), steps.end(),
                                   [&](const Step& step) { return step.number == to.number; });
    *here = to;
    summarize(after, steps);
  }
  settle(tx, before, after);
}

}  // namespace

template <>
const schema::Schema<StepReport>& schema::schema_of<StepReport>() {
  static const auto& schema = *new auto(
      object<StepReport>("StepReport", "What an action leaves on its step.",
                         field("result", &StepReport::result, free_any())
                             .creation(optional_on_create)
                             .describe("Free-form; kept byte for byte. Of complete and fail."),
                         field("error", &StepReport::error, text().max(max_error_text))
                             .creation(optional_on_create)
                             .describe("Of fail and skip."),
                         field("learning", &StepReport::learning, text().max(max_text))
                             .creation(optional_on_create)
                             .describe("Of complete, fail and skip.")));
  return schema;
}

Task<Step> StepService::act(const StepId& id, StepAction action, StepReport report,
                            const Context& context) {
  const std::string operation = std::string(to_string(action)) + "_step";
  if (report.result && report.result->is_null()) report.result.reset();  // the same as none
  check_report(action, report, operation);
  const ChainId chain_id = id.chain();
  const SessionId session_id = chain_id.session();
  const By by = report.result || report.error || report.learning ? By::client : By::store;
  Step after;
  Storage::Change change = [&](Transaction& tx) -> Task<void> {
    co_await tx.load(RecordKey::of_session(), RecordKey::of_chain(chain_id.number()),
                     RecordKey::of_step(chain_id.number(), id.number()));
    const Step before = co_await tx.step(id);
    check_version(context, before.version, operation, id.str());
    const Chain chain = co_await tx.chain(chain_id);
    if (chain.archived_at)
      throw_illegal("chain " + chain_id.str() + " is " + std::string(to_string(chain.status)) +
                        " and archived",
                    operation, id.str());
    const Session session = co_await tx.session();
    check_open(session, operation);
    const auto status = next_status(before.status, action);
    if (!status)
      throw_illegal("step " + id.str() + " is " + std::string(to_string(before.status)) +
                        " and can't " + std::string(to_string(action)),
                    operation, id.str());
    if (action == StepAction::start) co_await check_start(tx, session, before);
    after = acted_on(before, action, *status, report, tx.at());
    tx.update(before, after, event_of(action), by);
    co_await move_chain(tx, chain, before, after);
  };
  const Storage::Outcome outcome =
      co_await storage_.transact(session_id, operation, context, change);
  if (outcome.result.repeated) {
    check_repeated_update(outcome, {event_of(action)}, id.str(), update_of(report), operation);
    co_return co_await storage_.present_step(id, operation);
  }
  co_return after;
}

Task<Step> StepService::start(const StepId& id, const Context& context) {
  return act(id, StepAction::start, {}, context);
}
Task<Step> StepService::complete(const StepId& id, StepReport report, const Context& context) {
  return act(id, StepAction::complete, std::move(report), context);
}
Task<Step> StepService::fail(const StepId& id, StepReport report, const Context& context) {
  return act(id, StepAction::fail, std::move(report), context);
}
Task<Step> StepService::skip(const StepId& id, StepReport report, const Context& context) {
  return act(id, StepAction::skip, std::move(report), context);
}
Task<Step> StepService::retry(const StepId& id, const Context& context) {
  return act(id, StepAction::retry, {}, context);
}

}  // namespace actionflows
