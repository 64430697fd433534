#include "server/api/routes.hpp"

#include "actionflows/base/error.hpp"
#include "server/api/access.hpp"
#include "server/http/problem.hpp"

#include <utility>

namespace actionflows::api {
namespace {

Task<http::Response> answer_forbidden() {
  co_return http::problem(403, "forbidden",
                          "this takes an API key: a session's token is not enough");
}

http::Handler for_full_access(http::Handler handler) {
  return [handler = std::move(handler)](http::Request& request) {
    return principal_of(request)->has_full_access() ? handler(request) : answer_forbidden();
  };
}

void check_headers(const http::Request& request, bool takes_version, bool repeatable) {
  if (request.method == http::Method::get || request.method == http::Method::head) return;
  Issues issues;
  const auto refuse = [&](const char* name) {
    if (!request.header(name)) return;
    Issue issue;
    issue.path = {std::string(name)};
    issue.code = IssueCode::invalid_string;
    issue.message = "means nothing to this request";
    issues.push_back(std::move(issue));
  };
  if (!takes_version) refuse("If-Match");
  if (!repeatable) refuse("Idempotency-Key");
  if (!issues.empty()) throw invalid_input(std::move(issues));
}

// Where there are parameters, the handler checks them all together.
http::Handler checked(const Operation& operation, http::Handler handler) {
  return [handler = std::move(handler), takes_version = operation.takes_version,
          repeatable = operation.repeatable,
          has_query = !operation.query.empty()](http::Request& request) {
    check_headers(request, takes_version, repeatable);
    if (!has_query) Query(request, {}).check();
    return handler(request);
  };
}

}  // namespace

void Routes::add(http::Method method, std::string_view pattern, Operation operation,
                 http::Handler handler) {
  http::RouteOptions options;
  options.name = operation.name;
  options.summary = operation.summary;
  options.guarded = operation.audience != Audience::everyone;
  options.body_limit = operation.body_limit;
  // An action that says everything in its path may come without a body and its length.
  if (operation.body.empty() || operation.body_optional) options.body = http::BodyRule::optional;
  handler = checked(operation, std::move(handler));
  if (operation.audience == Audience::full_access) handler = for_full_access(std::move(handler));
  router_.add(method, pattern, std::move(handler), std::move(options));
  endpoints_.push_back({method, std::string(pattern), operation});
}

}  // namespace actionflows::api
