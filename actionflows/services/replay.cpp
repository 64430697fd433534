#include "actionflows/services/replay.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/storage/bounds.hpp"
#include "actionflows/storage/chain_batches.hpp"

#include <iterator>
#include <utility>

namespace actionflows {
namespace {

[[noreturn]] void refuse(const Event& event, const std::string& why) {
  const std::string name = event.session_id.str() + "#" + std::to_string(event.sequence);
  throw failure(ErrorCode::corrupt, "event " + name + " (" + event.type.str() + ") " + why,
                "replay", name);
}

[[noreturn]] void refuse(const Event& event, const std::string& why, const Issue& issue) {
  const std::string path = to_string(issue.path);
  refuse(event, why + ": " + (path.empty() ? "" : path + ": ") + issue.message);
}

template <class T>
T decode(const Event& event, std::string_view data) {
  T value;
  Issues issues;
  if (!schema::schema_of<T>().decode(data, schema::Form::stored, value, issues, stored_limits))
    refuse(event, "does not hold the record it should", issues.front());
  return value;
}

template <class T>
void change(const Event& event, std::string_view data, T& record) {
  try {
    schema::schema_of<T>().patch(record, data);
  } catch (const StorageError& error) {
    if (error.code() != ErrorCode::corrupt || error.issues.empty()) throw;
    refuse(event, "does not hold the change it should", error.issues.front());
  }
}

}  // namespace

void Replay::apply(const Event& event) {
  if (last_sequence_ != 0 && event.sequence != last_sequence_ + 1)
    refuse(event, "does not follow event " + std::to_string(last_sequence_));
  last_sequence_ = event.sequence;
  const std::string_view data = event.data ? event.data->view() : std::string_view("{}");
  const std::string_view noun = event.type.noun();
  if (noun == "session") apply_session(event, data);
  if (noun == "chain") apply_chain(event, data);
  if (noun == "step") apply_step(event, data);
}

void Replay::apply_session(const Event& event, std::string_view data) {
  const std::string_view verb = event.type.verb();
  if (verb == "token_issued" || verb == "token_revoked" || verb == "reconciled") return;
  if (verb == "created") {
    if (session_) refuse(event, "creates a session that is there");
    session_ = decode<Session>(event, data);
  } else if (!session_) {
    refuse(event, "changes a session that is not there");
  } else if (verb == "deleted" || verb == "expired") {
    session_.reset();
    std::erase_if(chains_, [](const auto& entry) { return !entry.second.archived_at; });
    std::erase_if(steps_, [&](const auto& entry) { return !chains_.contains(entry.first.first); });
  } else {
    change(event, data, *session_);
  }
}

void Replay::apply_chain(const Event& event, std::string_view data) {
  if (!event.chain_id) refuse(event, "names no chain");
  const std::uint32_t number = event.chain_id->number();
  const std::string_view verb = event.type.verb();
  if (verb == "compiled" || verb == "extended") {
    auto batch = decode<ChainBatch>(event, data);
    if (!batch.chain && !chains_.contains(number))
      refuse(event, "extends a chain that is not there");
    if (batch.chain && !chains_.emplace(number, *std::move(batch.chain)).second)
      refuse(event, "creates a chain that is there");
    for (Step& step : batch.steps.value_or(std::vector<Step>()))
      steps_.insert_or_assign({number, step.number}, std::move(step));
    return;
  }
  const auto found = chains_.find(number);
  if (found == chains_.end()) refuse(event, "changes a chain that is not there");
  if (verb == "deleted") {
    chains_.erase(found);
    erase_steps(number);
  } else {
    change(event, data, found->second);
  }
}

void Replay::apply_step(const Event& event, std::string_view data) {
  if (!event.step_id) refuse(event, "names no step");
  const std::pair key(event.step_id->chain().number(), event.step_id->number());
  const std::string_view verb = event.type.verb();
  if (verb == "created") {
    if (!steps_.emplace(key, decode<Step>(event, data)).second)
      refuse(event, "creates a step that is there");
    return;
  }
  const auto found = steps_.find(key);
  if (found == steps_.end()) refuse(event, "changes a step that is not there");
  if (verb == "deleted") {
    steps_.erase(found);
  } else {
    change(event, data, found->second);
  }
}

const Chain* Replay::find(const ChainId& id) const {
  const auto found = chains_.find(id.number());
  return found != chains_.end() ? &found->second : nullptr;
}

const Step* Replay::find(const StepId& id) const {
  const auto found = steps_.find({id.chain().number(), id.number()});
  return found != steps_.end() ? &found->second : nullptr;
}

std::size_t Replay::step_count(const ChainId& id) const {
  const auto begin = steps_.lower_bound({id.number(), 0});
  const auto end = steps_.lower_bound({id.number() + 1, 0});
  return static_cast<std::size_t>(std::distance(begin, end));
}

void Replay::erase_steps(std::uint32_t chain) {
  steps_.erase(steps_.lower_bound({chain, 0}), steps_.lower_bound({chain + 1, 0}));
}

}  // namespace actionflows
