#include "server/api/admin_api.hpp"

#include "actionflows/services/interchange.hpp"
#include "server/api/call.hpp"
#include "server/api/openapi.hpp"
#include "server/api/parameters.hpp"
#include "server/api/views.hpp"

#include <array>
#include <string>

namespace actionflows::api {
namespace {

using http::Method;
using http::Request;
using http::Response;

constexpr std::string_view ndjson = "application/x-ndjson";

constexpr std::array import_parameters{
    Parameter{"userId", R"({"type":"string"})", "Whose a recorded run is that names no user."}};

}  // namespace

void AdminApi::add_to(Routes& routes) {
  const auto add = [&](Method method, const char* pattern, const Operation& operation,
                       auto handler) { routes.add(method, pattern, operation, *this, handler); };
  add(Method::post, "/v1/import",
      {.name = "import_session",
       .summary = "Store one session from a line of an export or a recorded run",
       .tag = "interchange",
       .audience = Audience::full_access,
       .body = "InterchangeLine",
       .body_type = ndjson,
       .body_limit = max_line_bytes,
       .query = import_parameters,
       .status = 201,
       .answer = "Import",
       .locates = true,
       .other_status = 200,
       .other = "It is stored already."},
      &AdminApi::import);
  add(Method::get, "/v1/sessions/{sessionId}/export",
      {.name = "export_session",
       .summary = "A session as a whole, as one line that can be imported",
       .tag = "interchange",
       .audience = Audience::full_access,
       .answer = "InterchangeLine",
       .answer_type = ndjson},
      &AdminApi::export_session);
  add(Method::get, "/v1/sessions/{sessionId}/verify",
      {.name = "verify_session",
       .summary = "Rebuild a session from its log and compare it with what is stored",
       .tag = "interchange",
       .audience = Audience::full_access,
       .answer = "Verification"},
      &AdminApi::verify);
  add_probes_to(routes);
  openapi_ = Bytes(openapi_of(routes.endpoints()));
}

// What tells of the server, and nothing of what is stored.
void AdminApi::add_probes_to(Routes& routes) {
  const auto add = [&](Method method, const char* pattern, Operation operation, auto handler) {
    operation.tag = "operation";
    operation.tells_of_store = false;
    routes.add(method, pattern, operation, *this, handler);
  };
  add(Method::get, "/healthz",
      {.name = "healthz",
       .summary = "Whether the process serves",
       .tag = {},
       .audience = Audience::everyone,
       .answer = "Text",
       .answer_type = "text/plain"},
      &AdminApi::healthz);
  add(Method::get, "/readyz",
      {.name = "readyz",
       .summary = "Whether the storage answers; 503 when it does not",
       .tag = {},
       .audience = Audience::everyone,
       .answer = "Readiness",
       .other_status = 503,
       .other = "The storage does not answer."},
      &AdminApi::readyz);
  add(Method::get, "/metrics",
      {.name = "metrics",
       .summary = "Figures for Prometheus",
       .tag = {},
       .audience = Audience::full_access,
       .answer = "Text",
       .answer_type = "text/plain"},
      &AdminApi::metrics);
  add(Method::get, "/openapi.json",
      {.name = "openapi",
       .summary = "This description",
       .tag = {},
       .audience = Audience::everyone,
       .answer = "Any"},
      &AdminApi::openapi);
}

Task<Response> AdminApi::import(Request& request) {
  const Call call(request);
  Query query(request, import_parameters);
  ImportDefaults defaults;
  defaults.user = query.user("userId").value_or(defaults.user);
  query.check();
  Storage& storage = services_.storage;
  const SessionImage image =
      image_of_line(request.body, storage.clock().now(), storage.options().session_ttl, defaults);
  ImportView view;
  view.session_id = image.session.session_id;
  view.stored = co_await storage.restore(image, call.context());
  Response response = Response::json(json_of(view), view.stored ? 201 : 200);
  response.add("Location", "/v1/sessions/" + view.session_id.str());
  co_return call.with_durability(std::move(response));
}

Task<Response> AdminApi::export_session(Request& request) {
  const Call call(request);
  const SessionId id = call.session_id();
  const auto image = co_await read_image(services_.storage, id, call.context());
  if (!image) throw_not_found("session", id.str());
  Response response(200, ndjson, line_of_image(*image) + '\n');
  co_return call.with_source(std::move(response));
}

Task<Response> AdminApi::verify(Request& request) {
  const Call call(request);
  const SessionId id = call.session_id();
  Verification found = co_await services_.events.verify(id, call.context());
  VerificationView view;
  view.session_id = std::move(found.session);
  view.outcome = found.outcome;
  view.events = found.events;
  view.records = found.records;
  view.differences = std::move(found.differences);
  co_return call.read(json_of(view));
}

Task<Response> AdminApi::healthz(Request&) {
  Response response = Response::text("ok\n");
  response.add("Cache-Control", "no-store");
  co_return response;
}

Task<Response> AdminApi::readyz(Request&) {
  const Health health = co_await services_.storage.health();
  ReadinessView view;
  view.ready = health.ok;
  view.driver = health.driver;
  view.durability = to_string(health.durability);
  if (!health.detail.empty()) view.detail = health.detail;
  view.sessions = health.sessions;
  view.bytes = health.bytes;
  if (const auto& resilience = health.resilience) {
    view.breaker = resilience->breaker;
    view.breaker_since = resilience->since;
    view.journal_entries = resilience->journal_entries;
    view.journal_age_ms = static_cast<std::uint64_t>(resilience->journal_age.count());
    view.poisoned = resilience->poisoned;
  }
  Response response = Response::json(json_of(view), health.ok ? 200 : 503);
  response.add("Cache-Control", "no-store");
  if (!health.ok) response.add("Retry-After", "1");
  co_return response;
}

Task<Response> AdminApi::metrics(Request&) {
  const Health health = co_await services_.storage.health();
  const auto show = [&](const char* name, const char* help, std::uint64_t value) {
    metrics_.gauge(name, help).set(static_cast<std::int64_t>(value));
  };
  const auto count = [&](const char* name, const char* help, std::uint64_t total) {
    http::Counter& counter = metrics_.counter(name, help);
    const std::lock_guard lock(totals_mutex_);
    if (total > counter.value()) counter.add(total - counter.value());
  };
  show("actionflows_storage_up", "Whether the storage answers.", health.ok ? 1 : 0);
  show("actionflows_storage_sessions", "Live sessions.", health.sessions);
  show("actionflows_storage_bytes", "Memory or disk that the storage occupies.", health.bytes);
  if (const auto& resilience = health.resilience) {
    show("actionflows_primary_breaker", "0: closed, 1: half-open, 2: open.",
         resilience->breaker == "closed" ? 0
         : resilience->breaker == "open" ? 2
                                         : 1);
    count("actionflows_primary_attempts_total", "Calls that reached the primary storage.",
          resilience->attempts);
    count("actionflows_primary_retries_total", "Those of them that repeated a failed one.",
          resilience->retries);
    count("actionflows_primary_rejections_total", "Calls that the open breaker kept from it.",
          resilience->rejections);
    show("actionflows_journal_entries", "Acknowledged, not yet in the primary storage.",
         resilience->journal_entries);
    const auto age = std::chrono::duration_cast<std::chrono::seconds>(resilience->journal_age);
    show("actionflows_journal_age_seconds", "Of the oldest of them.",
         static_cast<std::uint64_t>(age.count()));
    count("actionflows_journal_replayed_total", "Journal entries that were replayed.",
          resilience->replayed);
    count("actionflows_journal_conflicts_total", "Fields or records that both sides had changed.",
          resilience->conflicts);
    show("actionflows_journal_poisoned", "Journal entries set aside.", resilience->poisoned);
  }
  co_return Response(200, http::Metrics::content_type, metrics_.text());
}

Task<Response> AdminApi::openapi(Request&) { co_return Response::json(openapi_); }

}  // namespace actionflows::api
