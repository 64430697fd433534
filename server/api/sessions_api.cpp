#include "server/api/sessions_api.hpp"

#include "server/api/call.hpp"
#include "server/api/paging.hpp"
#include "server/api/parameters.hpp"
#include "server/api/views.hpp"
#include "server/http/problem.hpp"

#include <array>
#include <optional>

namespace actionflows::api {
namespace {

using http::Method;
using http::Request;
using http::Response;

constexpr std::array session_list_parameters{user_parameter, state_parameter, limit_parameter,
                                             cursor_parameter};

// A token creates sessions for its own user, under new ids: with an id of its choice it could
// take over the log that somebody else's session left.
void check_creation(const Principal& principal, const Session& session) {
  if (principal.has_full_access()) return;
  Issues issues;
  const auto refuse = [&](const char* member, const char* message) {
    Issue issue;
    issue.path = {std::string(member)};
    issue.message = message;
    issues.push_back(std::move(issue));
  };
  if (!principal.may_see(session.user_id)) refuse("userId", "must be the token's own user");
  if (!session.session_id.empty())
    refuse("sessionId", "can be chosen with an API key only: leave it out");
  if (!issues.empty()) throw invalid_input(std::move(issues), "create_session");
}

}  // namespace

void SessionsApi::add_to(Routes& routes) {
  const auto add = [&](Method method, const char* pattern, Operation operation, auto handler) {
    operation.tag = "sessions";
    routes.add(method, pattern, operation, *this, handler);
  };
  add(Method::post, "/v1/sessions",
      {.name = "create_session",
       .summary = "Create a session",
       .tag = {},
       .body = "SessionCreate",
       .repeatable = true,
       .status = 201,
       .answer = "Session",
       .locates = true},
      &SessionsApi::create);
  add(Method::get, "/v1/sessions",
      {.name = "list_sessions",
       .summary = "List sessions, newest activity first",
       .tag = {},
       .query = session_list_parameters,
       .answer = "SessionPage"},
      &SessionsApi::list);
  add(Method::get, "/v1/sessions/{sessionId}",
      {.name = "get_session", .summary = "Read a session", .tag = {}, .answer = "Session"},
      &SessionsApi::get);
  add(Method::patch, "/v1/sessions/{sessionId}",
      {.name = "update_session",
       .summary = "Change a session by an RFC 7396 merge patch",
       .tag = {},
       .body = "SessionUpdate",
       .body_type = "application/merge-patch+json",
       .takes_version = true,
       .repeatable = true,
       .answer = "Session"},
      &SessionsApi::update);
  add(Method::del, "/v1/sessions/{sessionId}",
      {.name = "delete_session",
       .summary = "Delete a session and its live records; its log and archive stay for their time",
       .tag = {},
       .takes_version = true,
       .repeatable = true,
       .status = 204},
      &SessionsApi::remove);
  add_actions_to(routes);
}

void SessionsApi::add_actions_to(Routes& routes) {
  const auto add = [&](Method method, const char* pattern, Operation operation, auto handler) {
    operation.tag = "sessions";
    routes.add(method, pattern, operation, *this, handler);
  };
  add(Method::post, "/v1/sessions/{sessionId}/touch",
      {.name = "touch_session",
       .summary = "Note activity: moves the session's deadline",
       .tag = {},
       .body = "Nothing",
       .body_optional = true,
       .status = 204},
      &SessionsApi::touch);
  add(Method::post, "/v1/sessions/{sessionId}/token",
      {.name = "issue_token",
       .summary = "Issue a token for the session; the one before is refused from then on. With a "
                  "token: exchange it for a new one that expires when it would have",
       .tag = {},
       .body = "Nothing",
       .body_optional = true,
       .answer = "Token"},
      &SessionsApi::issue_token);
  add(Method::del, "/v1/sessions/{sessionId}/token",
      {.name = "revoke_token",
       .summary = "Revoke the session's token",
       .tag = {},
       .repeatable = true,
       .status = 204},
      &SessionsApi::revoke_token);
  add(Method::post, "/v1/sessions/{sessionId}/logout",
      {.name = "logout",
       .summary = "Revoke the token and delete the session with its live records",
       .tag = {},
       .body = "Nothing",
       .body_optional = true,
       .takes_version = true,
       .repeatable = true,
       .status = 204},
      &SessionsApi::logout);
}

Task<Response> SessionsApi::create(Request& request) {
  const Call call(request, services_);
  auto session = call.body<Session>();
  check_creation(call.principal(), session);
  std::optional<SessionId> id;
  if (!session.session_id.empty()) id = std::move(session.session_id);
  const Session created = co_await services_.sessions.create(std::move(session.user_id),
                                                             static_cast<SessionData&&>(session),
                                                             std::move(id), call.context());
  co_return call.created(created, "/v1/sessions/", created.session_id.str());
}

Task<Response> SessionsApi::list(Request& request) {
  const Call call(request, services_);
  Query query(request, session_list_parameters);
  SessionFilter filter;
  filter.user = user_to_list(query, call.principal());
  filter.state = query.session_state("state");
  const PageQuery page = query.page(ListKind::sessions);
  query.check();
  const auto list = [&](PageQuery portion) {
    return services_.storage.list_sessions(filter, std::move(portion), call.context());
  };
  co_return call.read(co_await encode_page(page, list));
}

Task<Response> SessionsApi::get(Request& request) {
  const Call call(request, services_);
  const SessionId id = call.session_id();
  const auto session = co_await services_.storage.get_session(id, call.context());
  if (!session) throw_not_found("session", id.str());
  co_return call.record(*session);
}

Task<Response> SessionsApi::update(Request& request) {
  const Call call(request, services_);
  const SessionId id = call.session_id();
  auto update = call.patch<Session>();
  const Session session =
      co_await services_.storage.update_session(id, std::move(update), call.context());
  co_return call.written(session);
}

Task<Response> SessionsApi::remove(Request& request) {
  const Call call(request, services_);
  co_await services_.storage.delete_session(call.session_id(), call.context());
  co_return call.done();
}

Task<Response> SessionsApi::touch(Request& request) {
  const Call call(request, services_);
  static_cast<void>(call.optional_body<Nothing>());
  co_await services_.sessions.touch(call.session_id(), call.context());
  co_return call.done();
}

Task<Response> SessionsApi::issue_token(Request& request) {
  const Call call(request, services_);
  static_cast<void>(call.optional_body<Nothing>());
  const SessionId session = call.session_id();
  std::optional<IssuedToken> issued;
  if (const auto& bearer = call.principal().bearer) {
    // Else a token that leaked could go on in others, whatever is done to end it.
    if (session != bearer->session)
      co_return http::problem(403, "forbidden",
                              "a token can be exchanged for a new one of its own session: for "
                              "another session's this takes an API key");
    issued = co_await services_.sessions.rotate_token(call.principal().proof, call.context());
    if (!issued) co_return credentials_refused();
  } else {
    issued = co_await services_.sessions.issue_token(session, call.context());
  }
  const TokenView view{.token = std::move(issued->token), .expires_at = issued->expires_at};
  Response response = Response::json(json_of(view));
  response.add("Cache-Control", "no-store");
  co_return call.with_durability(std::move(response));
}

Task<Response> SessionsApi::revoke_token(Request& request) {
  const Call call(request, services_);
  co_await services_.sessions.revoke_token(call.session_id(), call.context());
  co_return call.done();
}

Task<Response> SessionsApi::logout(Request& request) {
  const Call call(request, services_);
  static_cast<void>(call.optional_body<Nothing>());
  co_await services_.sessions.logout(call.session_id(), call.context());
  co_return call.done();
}

}  // namespace actionflows::api
