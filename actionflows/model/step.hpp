// A step: one action of a chain.
#pragma once

#include "actionflows/base/time.hpp"
#include "actionflows/json/raw.hpp"
#include "actionflows/model/ids.hpp"
#include "actionflows/schema/schema.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace actionflows {

enum class StepStatus : std::uint8_t { pending, in_progress, completed, failed, skipped };

std::string_view to_string(StepStatus status);
std::optional<StepStatus> parse_step_status(std::string_view text);

// What its creator says of it.
struct StepData {
  std::string action;
  std::optional<std::string> model;
  std::optional<std::string> description;
  std::optional<json::Raw> inputs;       // an object
  std::vector<std::uint32_t> waits_for;  // numbers of earlier steps of the chain, ascending
  std::optional<json::Raw> metadata;     // an object

  friend bool operator==(const StepData&, const StepData&) = default;
};

struct Step : StepData {
  StepId step_id;
  ChainId chain_id;
  SessionId session_id;
  std::uint32_t number = 0;  // in its chain, from 1
  StepStatus status = StepStatus::pending;
  std::uint32_t attempt = 0;  // how often it was started
  std::optional<Timestamp> started_at;
  std::optional<Timestamp> completed_at;     // when it ended, in whatever way
  std::optional<std::uint64_t> duration_ms;  // absent when the clock ran backwards in between
  std::optional<json::Raw> result;           // any value; null and none are the same
  std::optional<std::string> error;
  std::optional<std::string> learning;
  Timestamp created_at;
  Timestamp updated_at;
  std::uint64_t version = 0;  // kept by the backend beside the record

  friend bool operator==(const Step&, const Step&) = default;
};

// A change of a step's writable fields.
using StepUpdate = schema::Partial<Step>;

namespace schema {
template <>
const Schema<StepData>& schema_of<StepData>();
template <>
const Schema<Step>& schema_of<Step>();
}  // namespace schema

}  // namespace actionflows
