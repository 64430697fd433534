// A chain: an ordered plan of steps within a session.
#pragma once

#include "actionflows/base/names.hpp"
#include "actionflows/model/step.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace actionflows {

enum class ChainSource : std::uint8_t { flow, composed, meta_task };
enum class ChainStatus : std::uint8_t { pending, in_progress, completed, failed, cancelled };
enum class ExecutionMode : std::uint8_t { sequential, parallel, mixed };

inline constexpr Names<ChainSource, 3> chain_source_names{{{"flow", ChainSource::flow},
                                                           {"composed", ChainSource::composed},
                                                           {"meta-task", ChainSource::meta_task}}};

std::string_view to_string(ChainStatus status);
std::optional<ChainStatus> parse_chain_status(std::string_view text);

// What a chain and the request for one have in common.
struct ChainFields {
  std::string title;
  ChainSource source = ChainSource::flow;
  std::optional<std::string> ref;  // what it was made from: a flow's name, a task's id
  std::optional<std::string> summary;
  std::optional<json::Raw> metadata;  // an object

  friend bool operator==(const ChainFields&, const ChainFields&) = default;
};

// What its creator says of it. The steps are numbered in their order, from 1.
struct ChainData : ChainFields {
  std::vector<StepData> steps;

  friend bool operator==(const ChainData&, const ChainData&) = default;
};

struct Chain : ChainFields {
  ChainId chain_id;
  SessionId session_id;
  ChainStatus status = ChainStatus::pending;  // follows the steps: see rules.hpp
  ExecutionMode execution_mode = ExecutionMode::sequential;
  std::uint32_t step_count = 0;  // step numbers given so far, those of deleted steps included
  std::uint32_t deleted_steps = 0;
  std::uint32_t running_steps = 0;
  std::uint32_t completed_steps = 0;
  std::uint32_t failed_steps = 0;
  std::uint32_t skipped_steps = 0;
  std::optional<std::uint32_t> current_step;  // the first that is in progress
  Timestamp created_at;
  Timestamp updated_at;
  std::optional<Timestamp> started_at;
  std::optional<Timestamp> completed_at;  // when it ended, in whatever way
  std::optional<Timestamp> archived_at;
  std::uint64_t version = 0;  // kept by the backend beside the record

  friend bool operator==(const Chain&, const Chain&) = default;
};

// A change of a chain's writable fields.
using ChainUpdate = schema::Partial<Chain>;

namespace schema {
template <>
const Schema<ChainData>& schema_of<ChainData>();
template <>
const Schema<Chain>& schema_of<Chain>();
}  // namespace schema

}  // namespace actionflows
