#include "server/api/routes.hpp"

#include "server/api/access.hpp"
#include "server/http/problem.hpp"

#include <optional>

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
  if (operation.audience == Audience::full_access) handler = for_full_access(std::move(handler));
  router_.add(method, pattern, std::move(handler), std::move(options));
  endpoints_.push_back({method, std::string(pattern), operation});
}

}  // namespace actionflows::api
