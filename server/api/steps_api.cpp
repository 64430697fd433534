#include "server/api/steps_api.hpp"

#include "server/api/call.hpp"
#include "server/api/paging.hpp"
#include "server/api/parameters.hpp"

#include <array>
#include <string>

namespace actionflows::api {
namespace {

using http::Method;
using http::Request;
using http::Response;

constexpr std::array step_list_parameters{step_status_parameter, limit_parameter, cursor_parameter};

struct ActionRoute {
  StepAction action;
  const char* pattern;
  const char* name;
  const char* summary;
};

constexpr std::array actions{
    ActionRoute{StepAction::start, "/v1/steps/{stepId}/start", "start_step",
                "Start a step whose dependencies have ended well"},
    ActionRoute{StepAction::complete, "/v1/steps/{stepId}/complete", "complete_step",
                "Complete a step, with its result"},
    ActionRoute{StepAction::fail, "/v1/steps/{stepId}/fail", "fail_step",
                "Fail a step, with its error"},
    ActionRoute{StepAction::skip, "/v1/steps/{stepId}/skip", "skip_step",
                "Skip a step: what waits for it may go on"},
    ActionRoute{StepAction::retry, "/v1/steps/{stepId}/retry", "retry_step",
                "Make a failed step pending again; its chain is reopened"}};

}  // namespace

void StepsApi::add_to(Routes& routes) {
  const auto add = [&](Method method, const char* pattern, Operation operation, auto handler) {
    operation.tag = "steps";
    routes.add(method, pattern, operation, *this, handler);
  };
  add(Method::post, "/v1/chains/{chainId}/steps",
      {.name = "create_step",
       .summary = "Append a step to a chain",
       .tag = {},
       .body = "StepDataCreate",
       .repeatable = true,
       .status = 201,
       .answer = "Step",
       .locates = true},
      &StepsApi::create);
  add(Method::get, "/v1/chains/{chainId}/steps",
      {.name = "list_steps",
       .summary = "List a chain's steps in execution order",
       .tag = {},
       .query = step_list_parameters,
       .answer = "StepPage"},
      &StepsApi::list);
  add(Method::get, "/v1/steps/{stepId}",
      {.name = "get_step",
       .summary = "Read a step, live or archived",
       .tag = {},
       .comparable = true,
       .answer = "Step"},
      &StepsApi::get);
  add(Method::patch, "/v1/steps/{stepId}",
      {.name = "update_step",
       .summary = "Change a step by an RFC 7396 merge patch",
       .tag = {},
       .body = "StepUpdate",
       .body_type = "application/merge-patch+json",
       .takes_version = true,
       .repeatable = true,
       .answer = "Step"},
      &StepsApi::update);
  add(Method::del, "/v1/steps/{stepId}",
      {.name = "delete_step",
       .summary = "Delete a pending step that no other waits for",
       .tag = {},
       .takes_version = true,
       .repeatable = true,
       .status = 204},
      &StepsApi::remove);
  for (const ActionRoute& route : actions) {
    const Operation operation{.name = route.name,
                              .summary = route.summary,
                              .tag = "steps",
                              .body = "StepReportCreate",
                              .body_optional = true,
                              .takes_version = true,
                              .repeatable = true,
                              .answer = "Step"};
    routes.add(Method::post, route.pattern, operation,
               [this, action = route.action](Request& request) { return act(request, action); });
  }
}

Task<Response> StepsApi::create(Request& request) {
  const Call call(request, services_);
  const ChainId chain = call.chain_id();
  auto data = call.body<StepData>();
  const Step step = co_await services_.storage.create_step(chain, std::move(data), call.context());
  co_return call.created(step, "/v1/steps/", step.step_id.str());
}

Task<Response> StepsApi::list(Request& request) {
  const Call call(request, services_);
  const ChainId chain = call.chain_id();
  Query query(request, step_list_parameters);
  const auto status = query.step_status("status");
  const PageQuery page = query.page(ListKind::steps);
  query.check();
  const auto list = [&](PageQuery portion) {
    return services_.storage.list_steps(chain, status, std::move(portion), call.context());
  };
  co_return call.read(co_await encode_page(page, list));
}

Task<Response> StepsApi::get(Request& request) {
  const Call call(request, services_);
  const StepId id = call.step_id();
  const auto step = co_await services_.storage.get_step(id, call.context());
  if (!step) throw_not_found("step", id.str());
  co_return call.record(*step);
}

Task<Response> StepsApi::update(Request& request) {
  const Call call(request, services_);
  const StepId id = call.step_id();
  auto update = call.patch<Step>();
  const Step step = co_await services_.storage.update_step(id, std::move(update), call.context());
  co_return call.written(step);
}

Task<Response> StepsApi::remove(Request& request) {
  const Call call(request, services_);
  co_await services_.storage.delete_step(call.step_id(), call.context());
  co_return call.done();
}

Task<Response> StepsApi::act(Request& request, StepAction action) {
  const Call call(request, services_);
  const StepId id = call.step_id();
  auto report = call.optional_body<StepReport>();
  const Step step = co_await services_.steps.act(id, action, std::move(report), call.context());
  co_return call.written(step);
}

}  // namespace actionflows::api
