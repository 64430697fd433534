// Storage's functions for chains and steps.
#include "actionflows/base/error.hpp"
#include "actionflows/json/report.hpp"
#include "actionflows/model/rules.hpp"
#include "actionflows/storage/chain_batches.hpp"
#include "actionflows/storage/storage.hpp"
#include "actionflows/storage/storage_checks.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace actionflows {
namespace {

Step make_step(const ChainId& chain, std::uint32_t number, StepData data) {
  Step step;
  static_cast<StepData&>(step) = std::move(data);
  std::sort(step.waits_for.begin(), step.waits_for.end());
  step.step_id = StepId(chain, number);
  step.chain_id = chain;
  step.session_id = chain.session();
  step.number = number;
  return step;
}

bool is_made_of(const Step& step, const StepData& data) {
  const StepData& told = step;
  return told == make_step(step.chain_id, step.number, data);
}

// Whether the events of a chain's creation, as far as they were read, tell of this one.
bool tells_of_chain(const Storage::Outcome& outcome, const ChainData& data,
                    const std::string& operation) {
  for (const Event& event : outcome.repeated) {
    if (event.type.noun() != "chain") continue;
    const auto batch = record_in<ChainBatch>(event, operation);
    const ChainFields& fields = data;
    if (batch.chain && !(fields == *batch.chain && batch.chain->step_count == data.steps.size()))
      return false;
    for (const Step& step : batch.steps.value_or(std::vector<Step>()))
      if (step.number > data.steps.size() || !is_made_of(step, data.steps[step.number - 1]))
        return false;
  }
  return true;
}

// What is wrong with waiting, as step `number`, for steps that were deleted. `steps` are the
// present ones, in ascending order.
void check_present(std::uint32_t number, const std::vector<std::uint32_t>& waits_for,
                   const std::vector<Step>& steps, json::Report& report) {
  const auto before = [](const Step& step, std::uint32_t other) { return step.number < other; };
  const json::Within list(report, "waitsFor");
  for (std::size_t i = 0; i < waits_for.size() && !report.full(); ++i) {
    if (waits_for[i] >= number) continue;
    const auto found = std::lower_bound(steps.begin(), steps.end(), waits_for[i], before);
    if (found != steps.end() && found->number == waits_for[i]) continue;
    const json::Within item(report, i);
    report.add(IssueCode::custom, "step " + std::to_string(waits_for[i]) + " was deleted",
               "the number of a present step", std::to_string(waits_for[i]));
  }
}

// Whether the one record that was read exists: what lives in an expired session does not.
bool is_there(const ReadResult& read, Timestamp now) {
  const auto& record = read.records[0];
  return record && (record->archived || read.activity.expires > now);
}

// Records that are numbered from 1 to `count`, with holes where some were deleted.
template <class T>
struct Numbered {
  ListKind kind;
  SessionId session;
  std::uint32_t count = 0;
  std::function<RecordKey(std::uint32_t)> key;
  std::function<std::string(std::uint32_t)> name;
  std::function<bool(const T&)> wanted;
};

template <class T>
Task<Page<T>> list_numbered(StorageDriver& driver, const Numbered<T>& records,
                            const PageQuery& query, const Context& context) {
  constexpr std::uint32_t batch = 64;
  check_limit(query.limit);
  std::uint32_t last = query.cursor ? decode_number(records.kind, *query.cursor) : 0;  // looked at
  Page<T> page;
  while (last < records.count) {
    std::vector<RecordKey> keys;
    for (std::uint32_t n = last + 1; n <= records.count && keys.size() < batch; ++n)
      keys.push_back(records.key(n));
    const ReadResult read = co_await driver.read(records.session, keys);
    if (context.report != nullptr) context.report->provenance = read.provenance;
    for (const auto& record : read.records) {
      if (page.items.size() == query.limit) {
        page.next_cursor = encode_cursor(records.kind, last);
        co_return page;
      }
      ++last;
      if (!record) continue;
      try {
        T item = decode_record<T>(*record, records.name(last), "list");
        if (records.wanted(item)) page.items.push_back(std::move(item));
      } catch (const StorageError& error) {
        page.corrupt.push_back(error);
      }
    }
  }
  co_return page;
}

}  // namespace

// ---- chains -------------------------------------------------------------------------------------

Task<Chain> Storage::create_chain(const SessionId& session_id, ChainData data,
                                  const Context& context) {
  constexpr const char* operation = "create_chain";
  check_data(data, operation);
  Chain chain;
  Change change = [&](Transaction& tx) -> Task<void> {
    const Session before = co_await tx.session();
    check_version(context, before.version, operation, session_id.str());
    check_open(before, operation);
    Session session = before;
    ++session.chain_count;
    chain = Chain();
    static_cast<ChainFields&>(chain) = data;
    chain.chain_id = ChainId(session_id, session.chain_count);
    chain.session_id = session_id;
    chain.step_count = static_cast<std::uint32_t>(data.steps.size());
    std::vector<Step> steps;
    for (const StepData& step : data.steps) {
      const auto number = static_cast<std::uint32_t>(steps.size() + 1);
      steps.push_back(make_step(chain.chain_id, number, step));
      chain.execution_mode = mode_with(chain.execution_mode, number, steps.back().waits_for);
    }
    tx.create(chain, steps);
    tx.update(before, session, "session:updated", By::store);
  };
  const Outcome outcome = co_await transact(session_id, operation, context, change);
  if (outcome.result.repeated) {
    const Event& event = repeated_event(outcome, {"chain:compiled"}, {}, operation);
    if (!tells_of_chain(outcome, data, operation)) throw_used_otherwise(outcome, operation);
    co_return co_await present_chain(*event.chain_id, operation);
  }
  co_return chain;
}

Task<std::optional<Chain>> Storage::get_chain(const ChainId& id, const Context& context) {
  check_deadline(context, clock_, "get_chain");
  const SessionId session = id.session();
  const RecordKey key = RecordKey::of_chain(id.number());
  const ReadResult read = co_await driver_->read(session, std::span(&key, 1));
  if (context.report != nullptr) context.report->provenance = read.provenance;
  if (!is_there(read, clock_.now())) co_return std::nullopt;
  co_return decode_record<Chain>(*read.records[0], id.str(), "get_chain");
}

Task<Chain> Storage::update_chain(const ChainId& id, ChainUpdate update, const Context& context) {
  constexpr const char* operation = "update_chain";
  check_update(update, operation, id.str());
  Chain after;
  Change change = [&](Transaction& tx) -> Task<void> {
    const Chain before = co_await tx.chain(id);
    check_version(context, before.version, operation, id.str());
    after = before;
    schema::schema_of<Chain>().apply(update, after);
    tx.update(before, after, "chain:updated");
  };
  const Outcome outcome = co_await transact(id.session(), operation, context, change);
  if (outcome.result.repeated) {
    check_repeated_update(outcome, {"chain:updated"}, id.str(), update, operation);
    co_return co_await present_chain(id, operation);
  }
  co_return after;
}

Task<void> Storage::delete_chain(const ChainId& id, const Context& context) {
  Change change = [&](Transaction& tx) -> Task<void> {
    const Chain chain = co_await tx.chain(id);
    check_version(context, chain.version, tx.operation(), id.str());
    const std::vector<Step> steps = co_await tx.steps(chain);
    tx.erase(chain, steps);
  };
  const Outcome outcome = co_await transact(id.session(), "delete_chain", context, change);
  if (outcome.result.repeated) repeated_event(outcome, {"chain:deleted"}, id.str(), "delete_chain");
}

Task<Page<Chain>> Storage::list_chains(const SessionId& session_id,
                                       std::optional<ChainStatus> status, PageQuery page,
                                       const Context& context) {
  const std::optional<Session> session = co_await get_session(session_id, context);
  if (!session) throw_not_found("session", session_id.str(), "list_chains");
  const Numbered<Chain> chains{
      ListKind::chains,
      session_id,
      session->chain_count,
      [](std::uint32_t number) { return RecordKey::of_chain(number); },
      [&](std::uint32_t number) { return ChainId(session_id, number).str(); },
      [&](const Chain& chain) { return !status || chain.status == *status; }};
  co_return co_await list_numbered(*driver_, chains, page, context);
}

Task<Chain> Storage::archive_chain(const ChainId& id, const Context& context) {
  constexpr const char* operation = "archive_chain";
  Chain after;
  Change change = [&](Transaction& tx) -> Task<void> {
    const Chain before = co_await tx.chain(id);
    check_version(context, before.version, operation, id.str());
    after = before;
    if (before.archived_at) co_return;
    if (before.status == ChainStatus::pending || before.status == ChainStatus::in_progress)
      throw_illegal("chain " + id.str() + " is " + std::string(to_string(before.status)) +
                        ": only an ended chain can be archived",
                    operation, id.str());
    after.archived_at = tx.at();
    tx.update(before, after, "chain:archived", By::store);
    tx.archive(after);
  };
  const Outcome outcome = co_await transact(id.session(), operation, context, change);
  if (outcome.result.repeated) {
    repeated_event(outcome, {"chain:archived"}, id.str(), operation);
    co_return co_await present_chain(id, operation);
  }
  co_return after;
}

Task<Page<Chain>> Storage::list_archive(std::optional<UserId> user, PageQuery page,
                                        const Context& context) {
  check_limit(page.limit);
  check_deadline(context, clock_, "list_archive");
  ListQuery query;
  query.user = std::move(user);
  if (page.cursor) query.after = decode_position(ListKind::archive, *page.cursor);
  query.limit = page.limit;
  ArchivePage found = co_await driver_->list_archive(query);
  if (context.report != nullptr) context.report->provenance = found.provenance;
  Page<Chain> result;
  result.corrupt = std::move(found.corrupt);
  for (const ArchivedChain& item : found.items) {
    try {
      result.items.push_back(decode_record<Chain>(item.record, item.id.str(), "list_archive"));
    } catch (const StorageError& error) {
      result.corrupt.push_back(error);
    }
  }
  if (found.next) result.next_cursor = encode_cursor(ListKind::archive, *found.next);
  co_return result;
}

// ---- steps --------------------------------------------------------------------------------------

Task<Step> Storage::create_step(const ChainId& chain_id, StepData data, const Context& context) {
  constexpr const char* operation = "create_step";
  check_data(data, operation);
  Step step;
  Change change = [&](Transaction& tx) -> Task<void> {
    co_await tx.load(RecordKey::of_session(), RecordKey::of_chain(chain_id.number()));
    const Session session = co_await tx.session();
    check_open(session, operation);
    const Chain before = co_await tx.chain(chain_id);
    check_version(context, before.version, operation, chain_id.str());
    if (before.archived_at)
      throw_illegal("chain " + chain_id.str() + " is archived and can't change any more", operation,
                    chain_id.str());
    const std::uint32_t number = before.step_count + 1;
    // The others matter only where one of them has failed or is gone.
    const bool look_at_all = before.failed_steps > 0 || before.deleted_steps > 0;
    std::vector<Step> steps;
    if (look_at_all) steps = co_await tx.steps(before);

    Issues issues;
    json::Report report(issues);
    check_waits_for(number, data.waits_for, report);
    if (before.deleted_steps > 0) check_present(number, data.waits_for, steps, report);
    if (!issues.empty()) throw invalid_input(std::move(issues), operation, chain_id.str());
    step = make_step(chain_id, number, data);
    tx.create(step);

    Chain after = before;
    after.step_count = number;
    if (look_at_all) {
      steps.push_back(step);
      summarize(after, steps);
      after.execution_mode = mode_of(steps);
    } else {
      after.execution_mode = mode_with(before.execution_mode, number, step.waits_for);
    }
    settle(tx, before, after);
  };
  const Outcome outcome = co_await transact(chain_id.session(), operation, context, change);
  if (outcome.result.repeated) {
    const Event& event = repeated_event(outcome, {"step:created"}, {}, operation);
    const auto made = record_in<Step>(event, operation);
    if (made.chain_id != chain_id || !is_made_of(made, data))
      throw_used_otherwise(outcome, operation, chain_id.str());
    co_return co_await present_step(*event.step_id, operation);
  }
  co_return step;
}

Task<std::optional<Step>> Storage::get_step(const StepId& id, const Context& context) {
  check_deadline(context, clock_, "get_step");
  const ChainId chain = id.chain();
  const SessionId session = chain.session();
  const RecordKey key = RecordKey::of_step(chain.number(), id.number());
  const ReadResult read = co_await driver_->read(session, std::span(&key, 1));
  if (context.report != nullptr) context.report->provenance = read.provenance;
  if (!is_there(read, clock_.now())) co_return std::nullopt;
  co_return decode_record<Step>(*read.records[0], id.str(), "get_step");
}

Task<Step> Storage::update_step(const StepId& id, StepUpdate update, const Context& context) {
  constexpr const char* operation = "update_step";
  check_update(update, operation, id.str());
  Step after;
  Change change = [&](Transaction& tx) -> Task<void> {
    const Step before = co_await tx.step(id);
    check_version(context, before.version, operation, id.str());
    after = before;
    schema::schema_of<Step>().apply(update, after);
    tx.update(before, after, "step:updated");
  };
  const Outcome outcome = co_await transact(id.session(), operation, context, change);
  if (outcome.result.repeated) {
    check_repeated_update(outcome, {"step:updated"}, id.str(), update, operation);
    co_return co_await present_step(id, operation);
  }
  co_return after;
}

Task<void> Storage::delete_step(const StepId& id, const Context& context) {
  constexpr const char* operation = "delete_step";
  const ChainId chain_id = id.chain();
  Change change = [&](Transaction& tx) -> Task<void> {
    const Step step = co_await tx.step(id);
    check_version(context, step.version, operation, id.str());
    if (step.status != StepStatus::pending)
      throw_illegal("step " + id.str() + " is " + std::string(to_string(step.status)) +
                        ": only a pending step can be deleted",
                    operation, id.str());
    const Chain before = co_await tx.chain(chain_id);
    std::vector<Step> steps = co_await tx.steps(before);
    for (const Step& other : steps)
      if (std::find(other.waits_for.begin(), other.waits_for.end(), id.number()) !=
          other.waits_for.end())
        throw_illegal("step " + std::to_string(other.number) + " waits for step " + id.str(),
                      operation, id.str());
    std::erase_if(steps, [&](const Step& other) { return other.number == id.number(); });
    tx.erase(step);
    Chain after = before;
    ++after.deleted_steps;
    summarize(after, steps);
    after.execution_mode = mode_of(steps);
    settle(tx, before, after);
  };
  const Outcome outcome = co_await transact(chain_id.session(), operation, context, change);
  if (outcome.result.repeated) repeated_event(outcome, {"step:deleted"}, id.str(), operation);
}

Task<Page<Step>> Storage::list_steps(const ChainId& chain_id, std::optional<StepStatus> status,
                                     PageQuery page, const Context& context) {
  const std::optional<Chain> chain = co_await get_chain(chain_id, context);
  if (!chain) throw_not_found("chain", chain_id.str(), "list_steps");
  const Numbered<Step> steps{
      ListKind::steps,
      chain_id.session(),
      chain->step_count,
      [&](std::uint32_t number) { return RecordKey::of_step(chain_id.number(), number); },
      [&](std::uint32_t number) { return StepId(chain_id, number).str(); },
      [&](const Step& step) { return !status || step.status == *status; }};
  co_return co_await list_numbered(*driver_, steps, page, context);
}

// ---- what a repeated operation had made ---------------------------------------------------------

Task<Chain> Storage::present_chain(const ChainId& id, const std::string& operation) {
  std::optional<Chain> chain = co_await get_chain(id);
  if (!chain) throw_not_found("chain", id.str(), operation);
  co_return *std::move(chain);
}

Task<Step> Storage::present_step(const StepId& id, const std::string& operation) {
  std::optional<Step> step = co_await get_step(id);
  if (!step) throw_not_found("step", id.str(), operation);
  co_return *std::move(step);
}

}  // namespace actionflows
