#include "server/api/streams.hpp"

#include "actionflows/json/writer.hpp"
#include "server/api/call.hpp"
#include "server/api/views.hpp"

#include <algorithm>

namespace actionflows::api {
namespace {

// When a browser is to come back after a break.
constexpr std::string_view opening = "retry: 2000\n\n";
constexpr std::string_view heartbeat_comment = ": heartbeat\n\n";

bool ends_a_session(const Event& event) {
  return event.type.str() == "session:deleted" || event.type.str() == "session:expired";
}

// Whether more may come: a session that is there, or one whose end was only now written down.
Task<bool> goes_on(Storage& storage, const SessionId& id) {
  const auto session = co_await storage.get_session(id);
  if (session) co_return true;
  co_return co_await storage.expire_session(id);
}

// Whether what stands under this id now, a session or what is left of one, is theirs to see.
Task<bool> may_be_shown(Storage& storage, const Principal& principal, const SessionId& id) {
  if (principal.has_full_access()) co_return true;
  const std::optional<UserId> owner = co_await storage.owner_of(id);
  co_return owner&& principal.may_see(*owner);
}

void append_gap(std::string& out, std::uint64_t from, std::uint64_t to, std::uint64_t resume) {
  append_sse(out, "gap", json_of(GapView{.from = from, .to = to}), resume);
}

void append_end(std::string& out, EndReason reason) {
  append_sse(out, "end", json_of(EndView{.reason = reason}));
}

// `position`: what was read up to before.
void append_batch(std::string& out, const EventFollower::Batch& batch, std::uint64_t position) {
  if (batch.restarted) append_gap(out, batch.resumes_after + 1, position, batch.resumes_after);
  if (batch.gap) append_gap(out, batch.gap->from, batch.gap->to, batch.gap->to);
  std::string json;
  for (const Event& event : batch.events) {
    json.clear();
    schema::schema_of<Event>().encode(event, schema::Form::full, json);
    append_sse(out, event.type.str(), json, event.sequence);
  }
  for (const StorageError& corrupt : batch.corrupt) {
    const CorruptView view{.id = corrupt.record, .detail = corrupt.message()};
    append_sse(out, "corrupt", json_of(view));
  }
}

// Appends the batch, unless it is not theirs to see; and says whether the stream is over with it.
Task<std::optional<EndReason>> append_allowed(std::string& out, const StreamContext& context,
                                              const SessionId& session,
                                              const EventFollower::Batch& batch,
                                              std::uint64_t position) {
  const Principal& principal = *context.principal;
  Storage& storage = context.services.storage;
  const bool accepted = co_await context.access.is_still_accepted(principal);
  if (!accepted) co_return EndReason::unauthenticated;
  // Asked after the batch was read: the id may have become somebody else's before that.
  const bool theirs = co_await may_be_shown(storage, principal, session);
  if (!theirs) co_return EndReason::session_ended;
  append_batch(out, batch, position);
  const bool may_be_over = batch.events.empty() || ends_a_session(batch.events.back());
  if (batch.restarted || !may_be_over) co_return std::nullopt;
  const bool more = co_await goes_on(storage, session);
  if (more) co_return std::nullopt;
  co_return EndReason::session_ended;
}

void append_notices(std::string& out, const Subscription::Batch& batch,
                    const Principal& principal) {
  if (batch.missed) append_sse(out, "gap", "{}");
  for (const Wakeup& wakeup : batch.wakeups) {
    if (!principal.may_see(wakeup.user)) continue;
    const Notice notice{
        .session_id = wakeup.session, .sequence = wakeup.sequence, .type = wakeup.type};
    append_sse(out, "notice", json_of(notice));
  }
}

}  // namespace

void append_sse(std::string& out, std::string_view name, std::string_view data,
                std::optional<std::uint64_t> id) {
  if (id) {
    out += "id: ";
    json::append_number(out, *id);
    out += '\n';
  }
  out.append("event: ").append(name).append("\n");
  for (;;) {
    const std::size_t end = std::min(data.find_first_of("\r\n"), data.size());
    out.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == data.size()) break;
    data.remove_prefix(data.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
  }
  out += '\n';
}

Task<void> stream_session(StreamContext context, SessionId session, std::uint64_t after,
                          http::StreamWriter& writer) {
  Storage& storage = context.services.storage;
  std::string out(opening);
  EventFilter newest;  // the newest number is all that is asked for
  newest.after = after;
  newest.limit = 1;
  const EventList log = co_await storage.read_events(session, newest);
  if (after > log.last_sequence) {
    append_gap(out, log.last_sequence + 1, after, log.last_sequence);
    after = log.last_sequence;
  }
  const auto follower = co_await context.services.events.follow(session, after);
  // The first look does not wait, so that a session that is over is said to be.
  std::chrono::milliseconds patience{0};
  for (;;) {
    const std::uint64_t position = follower->position();
    const EventFollower::Batch batch = co_await follower->next(patience);
    patience = context.heartbeat;
    const auto end = co_await append_allowed(out, context, session, batch, position);
    if (end) append_end(out, *end);
    if (out.empty()) out = heartbeat_comment;
    const bool sent = co_await writer.write(out);
    if (!sent || end) co_return;
    out.clear();
  }
}

Task<void> stream_notices(StreamContext context, http::StreamWriter& writer) {
  const auto subscription = co_await context.services.storage.subscribe(std::nullopt);
  std::string out(opening);
  for (;;) {
    const bool sent = co_await writer.write(out);
    if (!sent) co_return;
    const Subscription::Batch batch = co_await subscription->next(context.heartbeat);
    out.clear();
    const bool accepted = co_await context.access.is_still_accepted(*context.principal);
    if (!accepted) {
      append_end(out, EndReason::unauthenticated);
      co_await writer.write(out);
      co_return;
    }
    append_notices(out, batch, *context.principal);
    if (out.empty()) out = heartbeat_comment;
  }
}

}  // namespace actionflows::api
