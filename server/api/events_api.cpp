#include "server/api/events_api.hpp"

#include "actionflows/json/writer.hpp"
#include "server/api/call.hpp"
#include "server/api/paging.hpp"
#include "server/api/parameters.hpp"
#include "server/api/streams.hpp"
#include "server/api/views.hpp"

#include <array>
#include <memory>
#include <string>
#include <string_view>

namespace actionflows::api {
namespace {

using http::Method;
using http::Request;
using http::Response;

constexpr Parameter after_parameter{"after", position_schema,
                                    "Events with greater sequence numbers."};

constexpr std::array event_list_parameters{
    after_parameter, limit_parameter,
    Parameter{"type", R"({"type":"string"})", "Only of this type."},
    Parameter{"since", R"({"type":"string","format":"date-time"})", "At this time or later."},
    Parameter{"until", R"({"type":"string","format":"date-time"})", "Before this time."}};

constexpr std::array prune_parameters{
    Parameter{"before", position_schema, "The first event to keep."}};

constexpr std::array stream_parameters{
    Parameter{"after", position_schema,
              "Go on behind this event; Last-Event-ID, where given, wins. 0: from the beginning. "
              "Without either: what happens from now on."}};

// Where a stream is to go on; nullopt: from now on.
std::optional<std::uint64_t> position_asked(Query& query) {
  const auto after = query.number("after");
  const auto last_seen = query.number_in_header("Last-Event-ID");
  return last_seen ? last_seen : after;
}

std::string members_of(const EventList& list) {
  std::string members = "\"nextAfter\":";
  if (list.next_after) {
    json::append_number(members, *list.next_after);
  } else {
    members += "null";
  }
  members += ",\"firstSequence\":";
  json::append_number(members, list.first_sequence);
  members += ",\"lastSequence\":";
  json::append_number(members, list.last_sequence);
  return members;
}

}  // namespace

void EventsApi::add_to(Routes& routes) {
  const auto add = [&](Method method, const char* pattern, Operation operation, auto handler) {
    operation.tag = "events";
    routes.add(method, pattern, operation, *this, handler);
  };
  add(Method::post, "/v1/sessions/{sessionId}/events",
      {.name = "append_event",
       .summary = "Append an event of the client's own",
       .tag = {},
       .body = "EventDataCreate",
       .repeatable = true,
       .status = 201,
       .answer = "Event"},
      &EventsApi::append);
  add(Method::get, "/v1/sessions/{sessionId}/events",
      {.name = "list_events",
       .summary = "Read a session's events in sequence; the log outlives its session",
       .tag = {},
       .query = event_list_parameters,
       .answer = "EventPage"},
      &EventsApi::list);
  add(Method::del, "/v1/sessions/{sessionId}/events",
      {.name = "prune_events",
       .summary = "Remove a log's oldest events, at most all but the newest",
       .tag = {},
       .audience = Audience::full_access,
       .query = prune_parameters,
       .answer = "Prune"},
      &EventsApi::prune);
  add(Method::get, "/v1/sessions/{sessionId}/stream",
      {.name = "stream_events",
       .summary = "Follow a session's events; id is the sequence number, event the type",
       .tag = {},
       .query = stream_parameters,
       .resumable = true,
       .answer = "SessionMessage",
       .answer_type = "text/event-stream"},
      &EventsApi::stream);
  add(Method::get, "/v1/stream",
      {.name = "stream_notices",
       .summary = "Follow what happens in all sessions of the caller, in short",
       .tag = {},
       .answer = "NoticeMessage",
       .answer_type = "text/event-stream",
       .tells_of_store = false},
      &EventsApi::stream_all);
}

Task<Response> EventsApi::append(Request& request) {
  const Call call(request, services_);
  const SessionId session = call.session_id();
  auto data = call.body<EventData>();
  const Event event =
      co_await services_.storage.append_event(session, std::move(data), call.context());
  co_return call.with_durability(Response::json(json_of(event), 201));
}

Task<Response> EventsApi::list(Request& request) {
  const Call call(request, services_);
  const SessionId session = call.session_id();
  Query query(request, event_list_parameters);
  EventFilter filter;
  filter.after = query.number("after").value_or(filter.after);
  filter.limit = query.limit(page_portion);
  filter.type = query.event_type("type");
  filter.since = query.time("since");
  filter.until = query.time("until");
  query.check();
  const EventList list =
      co_await services_.storage.read_events(session, std::move(filter), call.context());
  if (list.last_sequence == 0) throw_not_found("session", session.str());
  ItemsWriter writer;
  for (const Event& event : list.items) writer.add(event);
  writer.add(list.corrupt);
  co_return call.read(std::move(writer).finish(members_of(list)));
}

Task<Response> EventsApi::prune(Request& request) {
  const Call call(request, services_);
  const SessionId session = call.session_id();
  Query query(request, prune_parameters);
  const auto before = query.number("before");
  query.require("before", before.has_value());
  query.check();
  EventFilter newest;
  newest.limit = 1;
  const EventList log = co_await services_.storage.read_events(session, newest, call.context());
  if (log.last_sequence == 0) throw_not_found("session", session.str());
  PruneView view;
  view.removed = co_await services_.events.prune(session, *before, call.context());
  co_return call.with_durability(Response::json(json_of(view)));
}

Task<Response> EventsApi::stream(Request& request) {
  const Call call(request);
  SessionId session = call.session_id();
  Query query(request, stream_parameters);
  const auto position = position_asked(query);
  query.check();
  EventFilter newest;
  newest.limit = 1;
  const EventList log = co_await services_.storage.read_events(session, newest, call.context());
  if (log.last_sequence == 0) throw_not_found("session", session.str());
  const StreamContext context{services_, access_, principal_of(request), heartbeat_};
  const std::uint64_t after = position.value_or(log.last_sequence);
  Response response = Response::event_stream(
      [context, session = std::move(session), after](http::StreamWriter& writer) {
        return stream_session(context, session, after, writer);
      });
  co_return call.with_source(std::move(response));
}

Task<Response> EventsApi::stream_all(Request& request) {
  const StreamContext context{services_, access_, principal_of(request), heartbeat_};
  co_return Response::event_stream(
      [context](http::StreamWriter& writer) { return stream_notices(context, writer); });
}

}  // namespace actionflows::api
