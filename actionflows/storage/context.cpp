#include "actionflows/storage/context.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/model/limits.hpp"
#include "actionflows/schema/object.hpp"

#include <utility>

namespace actionflows {

template <>
const schema::Schema<Context>& schema::schema_of<Context>() {
  static const auto& schema = *new auto(object<Context>(
      "Context", "What a call is told beside its arguments.",
      field("actor", &Context::actor, text().max(max_name)),
      field("operationId", &Context::operation_id, text().max_bytes(max_operation_id))));
  return schema;
}

void check_context(const Context& context, const std::string& operation) {
  if (context.actor.empty() && context.operation_id.empty()) return;
  Issues issues;
  if (!schema::schema_of<Context>().validate(context, schema::Form::full, issues))
    throw invalid_input(std::move(issues), operation);
}

}  // namespace actionflows
