#include "actionflows/model/step.hpp"

#include "actionflows/base/names.hpp"
#include "actionflows/model/limits.hpp"
#include "actionflows/model/rules.hpp"
#include "actionflows/schema/object.hpp"

namespace actionflows {
namespace {

using schema::field;
using schema::optional_on_create;
using schema::required_on_create;

constexpr Names<StepStatus, 5> step_status_names{{{"pending", StepStatus::pending},
                                                  {"in_progress", StepStatus::in_progress},
                                                  {"completed", StepStatus::completed},
                                                  {"failed", StepStatus::failed},
                                                  {"skipped", StepStatus::skipped}}};

// The fields that a step and the request for one have in common.
auto action() {
  return field("action", &StepData::action, schema::text().min(1).max(max_name))
      .creation(required_on_create)
      .describe("What is done: a tool, an agent, an activity.");
}
auto model() {
  return field("model", &StepData::model, schema::text().max(max_name))
      .creation(optional_on_create)
      .writable();
}
auto description() {
  return field("description", &StepData::description, schema::text().max(max_text))
      .creation(optional_on_create)
      .writable();
}
auto inputs() {
  return field("inputs", &StepData::inputs, schema::free_object())
      .creation(optional_on_create)
      .describe("Free-form; kept byte for byte.");
}
auto waits_for() {
  return field("waitsFor", &StepData::waits_for,
               schema::distinct(schema::array(schema::integer().min(1)).max(max_waits)))
      .creation(optional_on_create)
      .describe("Numbers of earlier steps of the chain that must end well before this one starts.");
}
auto step_metadata() {
  return field("metadata", &StepData::metadata, schema::free_object())
      .creation(optional_on_create)
      .writable()
      .describe("Free-form; kept byte for byte.");
}

}  // namespace

std::string_view to_string(StepStatus status) { return name_in(step_status_names, status); }

std::optional<StepStatus> parse_step_status(std::string_view text) {
  return value_in(step_status_names, text);
}

template <>
const schema::Schema<StepData>& schema::schema_of<StepData>() {
  static const auto& schema =
      *new auto(object<StepData>("StepData", "What the creator of a step says of it.", action(),
                                 model(), description(), inputs(), waits_for(), step_metadata()));
  return schema;
}

template <>
const schema::Schema<Step>& schema::schema_of<Step>() {
  static const auto& schema = *new auto(
      object<Step>(
          "Step", "One action of a chain.", field("stepId", &Step::step_id, identifier()),
          field("chainId", &Step::chain_id, identifier()),
          field("sessionId", &Step::session_id, identifier()),
          field("number", &Step::number, integer().min(1))
              .describe("Its place in the chain, from 1; never reused."),
          action(), model(), description(), inputs(), waits_for(),
          field("status", &Step::status, enumeration(step_status_names)),
          field("attempt", &Step::attempt, integer()).describe("How often it was started."),
          field("startedAt", &Step::started_at, timestamp()),
          field("completedAt", &Step::completed_at, timestamp())
              .describe("When it ended, in whatever way."),
          field("durationMs", &Step::duration_ms, integer())
              .describe("Absent when it is not known or the clock ran backwards in between."),
          field("result", &Step::result, free_any())
              .describe("Free-form; kept byte for byte. null is the same as none."),
          field("error", &Step::error, text().max(max_error_text)),
          field("learning", &Step::learning, text().max(max_text)).writable(), step_metadata(),
          field("createdAt", &Step::created_at, timestamp()),
          field("updatedAt", &Step::updated_at, timestamp()),
          field("version", &Step::version, integer().min(1))
              .beside()
              .describe("Grows by one with each change of the record; the ETag."))
          .check([](const Step& step, json::Report& report) {
            if (step.number != 0) check_waits_for(step.number, step.waits_for, report);
          }));
  return schema;
}

}  // namespace actionflows
