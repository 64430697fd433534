#include "actionflows/model/chain.hpp"

#include "actionflows/model/limits.hpp"
#include "actionflows/model/rules.hpp"
#include "actionflows/schema/object.hpp"

namespace actionflows {
namespace {

using schema::field;
using schema::optional_on_create;
using schema::required_on_create;

constexpr Names<ChainStatus, 5> chain_status_names{{{"pending", ChainStatus::pending},
                                                    {"in_progress", ChainStatus::in_progress},
                                                    {"completed", ChainStatus::completed},
                                                    {"failed", ChainStatus::failed},
                                                    {"cancelled", ChainStatus::cancelled}}};

constexpr Names<ExecutionMode, 3> mode_names{{{"sequential", ExecutionMode::sequential},
                                              {"parallel", ExecutionMode::parallel},
                                              {"mixed", ExecutionMode::mixed}}};

// The fields that a chain and the request for one have in common.
auto title() {
  return field("title", &ChainFields::title, schema::text().min(1).max(max_title))
      .creation(required_on_create)
      .writable();
}
auto source() {
  return field("source", &ChainFields::source, schema::enumeration(chain_source_names))
      .creation(optional_on_create);
}
auto ref() {
  return field("ref", &ChainFields::ref, schema::text().max(max_name))
      .creation(optional_on_create)
      .writable()
      .describe("What it was made from: a flow's name, a task's id.");
}
auto summary() {
  return field("summary", &ChainFields::summary, schema::text().max(max_text))
      .creation(optional_on_create)
      .writable();
}
auto chain_metadata() {
  return field("metadata", &ChainFields::metadata, schema::free_object())
      .creation(optional_on_create)
      .writable()
      .describe("Free-form; kept byte for byte.");
}

}  // namespace

std::string_view to_string(ChainStatus status) { return name_in(chain_status_names, status); }

std::optional<ChainStatus> parse_chain_status(std::string_view text) {
  return value_in(chain_status_names, text);
}

template <>
const schema::Schema<ChainData>& schema::schema_of<ChainData>() {
  static const auto& schema = *new auto(
      object<ChainData>("ChainData", "What the creator of a chain says of it.", title(), source(),
                        ref(), summary(), chain_metadata(),
                        field("steps", &ChainData::steps,
                              array(object_of<StepData>(Form::create)).max(max_steps_at_creation))
                            .creation(optional_on_create)
                            .describe("Numbered in their order, from 1."))
          .check_on_create([](const ChainData& chain, json::Report& report) {
            check_waits_among(chain.steps, report);
          }));
  return schema;
}

template <>
const schema::Schema<Chain>& schema::schema_of<Chain>() {
  static const auto& schema = *new auto(object<Chain>(
      "Chain", "An ordered plan of steps within a session.",
      field("chainId", &Chain::chain_id, identifier()),
      field("sessionId", &Chain::session_id, identifier()), title(), source(), ref(),
      field("status", &Chain::status, enumeration(chain_status_names))
          .describe("Follows the steps; cancelled by call only."),
      field("executionMode", &Chain::execution_mode, enumeration(mode_names))
          .describe("Derived from what waits for what."),
      field("stepCount", &Chain::step_count, integer())
          .describe("Step numbers given so far, those of deleted steps included."),
      field("deletedSteps", &Chain::deleted_steps, integer()),
      field("runningSteps", &Chain::running_steps, integer()),
      field("completedSteps", &Chain::completed_steps, integer()),
      field("failedSteps", &Chain::failed_steps, integer()),
      field("skippedSteps", &Chain::skipped_steps, integer()),
      field("currentStep", &Chain::current_step, integer().min(1))
          .describe("The first step in progress."),
      summary(), chain_metadata(), field("createdAt", &Chain::created_at, timestamp()),
      field("updatedAt", &Chain::updated_at, timestamp()),
      field("startedAt", &Chain::started_at, timestamp()),
      field("completedAt", &Chain::completed_at, timestamp())
          .describe("When it ended, in whatever way."),
      field("archivedAt", &Chain::archived_at, timestamp())
          .describe("An archived chain and its steps never change again."),
      field("version", &Chain::version, integer().min(1))
          .beside()
          .describe("Grows by one with each change of the record; the ETag.")));
  return schema;
}

}  // namespace actionflows
