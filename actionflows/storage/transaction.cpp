#include "actionflows/storage/transaction.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/json/writer.hpp"
#include "actionflows/storage/bounds.hpp"
#include "actionflows/storage/chain_batches.hpp"
#include "actionflows/storage/storage_checks.hpp"

#include <algorithm>
#include <utility>

namespace actionflows {
namespace {

// The form of schema_of<Event>, Form::stored, written without making an Event first.
void encode_event(std::string& out, std::string_view type, Timestamp at, std::string_view actor,
                  const std::optional<ChainId>& chain, const std::optional<StepId>& step,
                  std::string_view data) {
  json::Writer writer(out);
  const auto member = [&](std::string_view opening, std::string_view text) {
    writer.raw(opening);
    writer.string(text);
  };
  member("{\"type\":", type);
  writer.raw(",\"at\":");
  writer.timestamp(at);
  if (!actor.empty()) member(",\"actor\":", actor);
  if (chain) member(",\"chainId\":", chain->str());
  if (step) member(",\"stepId\":", step->str());
  if (!data.empty()) {
    writer.raw(",\"data\":");
    writer.raw(data);
  }
  writer.raw('}');
}

std::string& scratch() {
  thread_local std::string text;
  text.clear();
  return text;
}

RecordKey key_of(const Session&) { return RecordKey::of_session(); }
RecordKey key_of(const ChainId& id) { return RecordKey::of_chain(id.number()); }
RecordKey key_of(const StepId& id) { return RecordKey::of_step(id.chain().number(), id.number()); }

}  // namespace

Transaction::Transaction(StorageDriver& driver, const SessionId& session, Timestamp at,
                         std::string operation, const Context& context, const json::Limits& limits)
    : driver_(driver), context_(context), limits_(limits), operation_(std::move(operation)) {
  commit_.session = session;
  commit_.at = at;
}

// ---- reading ------------------------------------------------------------------------------------

Task<void> Transaction::load(std::vector<RecordKey> keys) {
  std::erase_if(keys, [&](RecordKey key) { return find(key) != nullptr; });
  if (keys.empty()) co_return;
  ReadResult read = co_await driver_.read(commit_.session, keys);
  for (std::size_t i = 0; i < keys.size(); ++i)
    loaded_.push_back({keys[i], std::move(read.records[i])});
  activity_ = read.activity;
  live_ = read.live;
  last_archived_ = read.last_archived;
  last_sequence_ = read.last_sequence;
  owner_ = std::move(read.owner);
  if (context_.report != nullptr) context_.report->provenance = read.provenance;
}

const Transaction::Loaded* Transaction::find(RecordKey key) const {
  const auto found = std::find_if(loaded_.begin(), loaded_.end(),
                                  [&](const Loaded& loaded) { return loaded.key == key; });
  return found != loaded_.end() ? &*found : nullptr;
}

Task<const Transaction::Loaded*> Transaction::fetch(RecordKey key) {
  if (find(key) == nullptr) co_await load(key);
  const Loaded* loaded = find(key);
  // What lives in an expired session is as absent as the session; its archive is not.
  const bool there = loaded->record && (loaded->record->archived || reach_expired_ || !expired());
  co_return there ? loaded : nullptr;
}

Task<Session> Transaction::session() {
  const Loaded* loaded = co_await fetch(RecordKey::of_session());
  if (loaded == nullptr) throw_not_found("session", session_id().str(), operation_);
  co_return decode_session(session_id(), *loaded->record, activity_, operation_);
}

Task<std::optional<Chain>> Transaction::find_chain(const ChainId& id) {
  const Loaded* loaded = co_await fetch(key_of(id));
  if (loaded == nullptr) co_return std::nullopt;
  co_return decode_record<Chain>(*loaded->record, id.str(), operation_);
}

Task<Chain> Transaction::chain(const ChainId& id) {
  std::optional<Chain> chain = co_await find_chain(id);
  if (!chain) throw_not_found("chain", id.str(), operation_);
  co_return *std::move(chain);
}

Task<Step> Transaction::step(const StepId& id) {
  const Loaded* loaded = co_await fetch(key_of(id));
  if (loaded == nullptr) throw_not_found("step", id.str(), operation_);
  co_return decode_record<Step>(*loaded->record, id.str(), operation_);
}

Task<std::vector<Step>> Transaction::steps(const Chain& chain) {
  std::vector<RecordKey> keys;
  keys.reserve(chain.step_count);
  for (std::uint32_t n = 1; n <= chain.step_count; ++n)
    keys.push_back(RecordKey::of_step(chain.chain_id.number(), n));
  co_await load(keys);
  std::vector<Step> steps;
  steps.reserve(keys.size());
  for (const RecordKey key : keys) {
    const Loaded* loaded = find(key);
    if (!loaded->record) continue;
    steps.push_back(
        decode_record<Step>(*loaded->record, StepId(chain.chain_id, key.step).str(), operation_));
  }
  co_return steps;
}

Task<std::optional<Credentials>> Transaction::credentials() {
  const Loaded* loaded = co_await fetch(RecordKey::of_credentials());
  if (loaded == nullptr) co_return std::nullopt;
  co_return decode_record<Credentials>(*loaded->record, session_id().str(), operation_);
}

// ---- changing -----------------------------------------------------------------------------------

template <class T>
void Transaction::check(const T& record, const std::string& id) const {
  Issues issues;
  if (!schema::schema_of<T>().validate(record, schema::Form::stored, issues))
    throw invalid_input(std::move(issues), operation_, id);
}

template <class T>
void Transaction::put(RecordKey key, const std::string& id, const T& record,
                      std::uint64_t expected_version, By by) {
  std::string& text = scratch();
  schema::schema_of<T>().encode(record, schema::Form::stored, text);
  if (by == By::client)
    if (auto issue = out_of_bounds(text, limits_))
      throw invalid_input({*std::move(issue)}, operation_, id);
  commit_.puts.push_back({key, Bytes(text), expected_version, expected_version + 1});
}

void Transaction::refuse_archived(RecordKey key, const std::string& id) const {
  const Loaded* loaded = find(key);
  if (loaded != nullptr && loaded->record && loaded->record->archived)
    throw_illegal(id + " is archived and can't change any more", operation_, id);
}

void Transaction::create(Session& session, bool fresh) {
  session.version = fresh ? 1 : last_sequence_ + 1;
  session.created_at = session.updated_at = at();
  check(session, session.session_id.str());
  put(key_of(session), session.session_id.str(), session, 0);
  commit_.puts.back().version = session.version;
  commit_.listed = ListKeys{session.user_id, std::string(to_string(session.state))};
  if (fresh) {
    commit_.precondition = Precondition::fresh;
  } else {
    commit_.expected_last_sequence = last_sequence_;
  }
  const Bytes record = commit_.puts.back().bytes;
  append("session:created", at(), std::nullopt, std::nullopt, record.view());
}

void Transaction::create(Chain& chain, std::vector<Step>& steps) {
  chain.version = 1;
  chain.created_at = chain.updated_at = at();
  check(chain, chain.chain_id.str());
  put(key_of(chain.chain_id), chain.chain_id.str(), chain, 0);

  const std::size_t first_step = commit_.puts.size();
  for (Step& step : steps) {
    step.version = 1;
    step.created_at = step.updated_at = at();
    check(step, step.step_id.str());
    put(key_of(step.step_id), step.step_id.str(), step, 0);
  }
  std::vector<std::string_view> step_texts;
  for (std::size_t i = first_step; i < commit_.puts.size(); ++i)
    step_texts.push_back(commit_.puts[i].bytes.view());
  std::string_view type = "chain:compiled";
  for (const std::string& data :
       chain_batches(commit_.puts[first_step - 1].bytes.view(), step_texts))
    append(std::exchange(type, "chain:extended"), at(), chain.chain_id, std::nullopt, data);
}

void Transaction::create(Step& step) {
  step.version = 1;
  step.created_at = step.updated_at = at();
  check(step, step.step_id.str());
  put(key_of(step.step_id), step.step_id.str(), step, 0);
  const Bytes record = commit_.puts.back().bytes;
  append("step:created", at(), step.chain_id, step.step_id, record.view());
}

// The event data of the change; nullopt: nothing changed.
template <class T>
std::optional<std::string> Transaction::change(RecordKey key, const std::string& id,
                                               const T& before, T& after, By by) {
  refuse_archived(key, id);
  std::string data;
  if (!schema::schema_of<T>().diff(before, after, data)) return std::nullopt;
  after.updated_at = at();
  after.version = before.version + 1;
  check(after, id);
  put(key, id, after, before.version, by);
  data.back() = ',';
  data += "\"updatedAt\":";
  json::append_timestamp(data, after.updated_at);
  data += '}';
  return data;
}

void Transaction::update(const Session& before, Session& after, std::string_view event_type,
                         By by) {
  const auto data = change(key_of(after), after.session_id.str(), before, after, by);
  if (!data) return;
  if (before.state != after.state)
    commit_.listed = ListKeys{after.user_id, std::string(to_string(after.state))};
  append(event_type, at(), std::nullopt, std::nullopt, *data);
}

void Transaction::update(const Chain& before, Chain& after, std::string_view event_type, By by) {
  const auto data = change(key_of(after.chain_id), after.chain_id.str(), before, after, by);
  if (data) append(event_type, at(), after.chain_id, std::nullopt, *data);
}

void Transaction::update(const Step& before, Step& after, std::string_view event_type, By by) {
  const auto data = change(key_of(after.step_id), after.step_id.str(), before, after, by);
  if (data) append(event_type, at(), after.chain_id, after.step_id, *data);
}

void Transaction::erase(const Chain& chain, const std::vector<Step>& steps) {
  refuse_archived(key_of(chain.chain_id), chain.chain_id.str());
  commit_.erases.push_back({key_of(chain.chain_id), chain.version});
  for (const Step& step : steps) commit_.erases.push_back({key_of(step.step_id), step.version});
  append("chain:deleted", at(), chain.chain_id, std::nullopt, {});
}

void Transaction::erase(const Step& step) {
  refuse_archived(key_of(step.step_id), step.step_id.str());
  commit_.erases.push_back({key_of(step.step_id), step.version});
  append("step:deleted", at(), step.chain_id, step.step_id, {});
}

void Transaction::archive(const Chain& chain) {
  commit_.archive.push_back(chain.chain_id.number());
}

void Transaction::end_session(std::string_view event_type, const Session& session,
                              bool if_expired) {
  commit_.end_session = true;
  if (if_expired) commit_.precondition = Precondition::expired;
  std::string data;
  schema::schema_of<SessionEnd>().encode({session.chain_count}, schema::Form::stored, data);
  append(event_type, at(), std::nullopt, std::nullopt, data);
}

void Transaction::set_credentials(const std::optional<Credentials>& before,
                                  const Credentials& after) {
  check(after, session_id().str());
  const Loaded* loaded = find(RecordKey::of_credentials());
  put(RecordKey::of_credentials(), session_id().str(), after, before ? loaded->record->version : 0,
      By::store);
  append("session:token_issued", at(), std::nullopt, std::nullopt, {});
}

void Transaction::erase_credentials() {
  const Loaded* loaded = find(RecordKey::of_credentials());
  commit_.erases.push_back({RecordKey::of_credentials(), loaded->record->version});
  append("session:token_revoked", at(), std::nullopt, std::nullopt, {});
}

void Transaction::append(std::string_view type, Timestamp event_at,
                         const std::optional<ChainId>& chain, const std::optional<StepId>& step,
                         std::string_view data) {
  std::string& text = scratch();
  encode_event(text, type, event_at, context_.actor, chain, step, data);
  commit_.events.push_back({Bytes(text), std::string(type), {}});
}

Commit Transaction::take() {
  const auto written = [&](RecordKey key) {
    const auto same = [&](const auto& change) { return change.key == key; };
    return std::any_of(commit_.puts.begin(), commit_.puts.end(), same) ||
           std::any_of(commit_.erases.begin(), commit_.erases.end(), same);
  };
  for (const Loaded& loaded : loaded_)
    if (!written(loaded.key))
      commit_.expects.push_back({loaded.key, loaded.record ? loaded.record->version : 0});
  return std::move(commit_);
}

// ---- chains and their steps ---------------------------------------------------------------------

namespace {

std::string_view settlement_event(const Chain& before, const Chain& after) {
  const bool changed = before.status != after.status;
  if (changed && after.status == ChainStatus::completed) return "chain:completed";
  if (changed && after.status == ChainStatus::failed) return "chain:failed";
  if (changed && after.status == ChainStatus::cancelled) return "chain:cancelled";
  if (changed && before.status == ChainStatus::failed) return "chain:reopened";
  if (changed && before.status == ChainStatus::pending) return "chain:started";
  return "chain:progressed";
}

}  // namespace

void settle(Transaction& transaction, const Chain& before, Chain& after) {
  const bool begun = after.status != ChainStatus::pending;
  const bool over = begun && after.status != ChainStatus::in_progress;
  if (after.running_steps > 0 && !after.started_at) after.started_at = transaction.at();
  if (!over) {
    after.completed_at.reset();
  } else if (before.status != after.status) {
    after.completed_at = transaction.at();
  }
  const bool archives = over && after.status != ChainStatus::failed;
  if (archives) after.archived_at = transaction.at();
  transaction.update(before, after, settlement_event(before, after), By::store);
  if (archives) transaction.archive(after);
}

}  // namespace actionflows
