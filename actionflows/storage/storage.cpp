#include "actionflows/storage/storage.hpp"

#include "actionflows/base/encoding.hpp"
#include "actionflows/base/error.hpp"
#include "actionflows/model/rules.hpp"
#include "actionflows/storage/storage_checks.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

namespace actionflows {
namespace {

std::string mint_operation_id(Random& random) {
  std::array<char, 16> bytes;
  random.fill(std::as_writable_bytes(std::span(bytes)));
  return base64url({bytes.data(), bytes.size()});
}

// The same operation always meets the same session: a UUIDv8 (RFC 9562) of what identifies it.
SessionId derive_session_id(const UserId& user, const std::string& operation_id) {
  const Sha256 digest = sha256(user.str() + '\n' + operation_id);
  std::string text = hex(std::span(digest).first(16));
  text[12] = '8';
  text[16] = "89ab"[digest[8] & 3];
  for (const std::size_t dash : {8U, 13U, 18U, 23U}) text.insert(dash, 1, '-');
  return *SessionId::parse(text);
}

// A driver may look its index up first and read the records after: one can have changed in between.
bool still_fits(const Session& session, const SessionFilter& filter) {
  return (!filter.user || session.user_id == *filter.user) &&
         (!filter.state || session.state == *filter.state);
}

Task<void> archive_if_failed(Transaction& tx, const ChainId& id) {
  const std::optional<Chain> chain = co_await tx.find_chain(id);
  if (!chain || chain->archived_at || chain->status != ChainStatus::failed) co_return;
  Chain archived = *chain;
  archived.archived_at = tx.at();
  tx.update(*chain, archived, "chain:archived", By::store);
  tx.archive(archived);
}

// A failed chain stays so that it can be retried; where its session ends, nobody will.
Task<void> archive_failed_chains(Transaction& tx, const Session& session) {
  std::vector<RecordKey> keys;
  for (std::uint32_t n = 1; n <= session.chain_count; ++n) keys.push_back(RecordKey::of_chain(n));
  co_await tx.load(keys);
  for (const RecordKey key : keys) {
    try {
      co_await archive_if_failed(tx, ChainId(session.session_id, key.chain));
    } catch (const StorageError& error) {
      // A chain that can't be read or contradicts itself is left where it is: it must not hold up
      // its session's end.
      const ErrorCode code = error.code();
      if (code != ErrorCode::corrupt && code != ErrorCode::invalid &&
          code != ErrorCode::illegal_transition)
        throw;
    }
  }
}

}  // namespace

std::string_view event_of(SessionState state) {
  switch (state) {
    case SessionState::active: return "session:resumed";
    case SessionState::paused: return "session:paused";
    case SessionState::completed: return "session:completed";
  }
  return "session:updated";
}

Storage::Storage(std::unique_ptr<StorageDriver> driver, StorageOptions options, Clock& clock,
                 Random& random)
    : driver_(std::move(driver)), options_(options), clock_(clock), random_(random) {}

Storage::~Storage() = default;

// ---- changing: the one path ---------------------------------------------------------------------

Task<Storage::Outcome> Storage::transact(const SessionId& session, std::string operation,
                                         const Context& context, Change change) {
  check_context(context, operation);
  if (context.report != nullptr) *context.report = CallReport();
  const std::string operation_id =
      context.operation_id.empty() ? mint_operation_id(random_) : context.operation_id;
  for (int attempt = 1;; ++attempt) {
    check_deadline(context, clock_, operation);
    Transaction transaction(*driver_, session, clock_.now(), operation, context,
                            options_.record_limits);
    std::exception_ptr failed;
    bool answered = true;
    try {
      co_await change(transaction);
    } catch (const StorageError& error) {
      failed = std::current_exception();
      answered = error.code() != ErrorCode::unavailable && error.code() != ErrorCode::timeout;
    }
    // A repeated call meets what its first run left: it can fail, or find nothing to do, where that
    // one succeeded.
    if (failed || transaction.empty()) {
      std::optional<CommitResult> earlier;
      if (answered) earlier = co_await find_operation(session, context);
      if (earlier) co_return co_await outcome_of(session, *earlier, context);
      if (failed) std::rethrow_exception(failed);
      co_await tell_durability(context);
      co_return Outcome();
    }

    Commit commit = transaction.take();
    commit.operation_id = operation_id;
    commit.may_repeat = !context.operation_id.empty();
    if (!commit.end_session)
      commit.activity = Activity{commit.at, commit.at + options_.session_ttl};
    std::optional<CommitResult> done;
    try {
      done = co_await driver_->commit(commit);
    } catch (StorageError& error) {
      error.operation = operation;
      if (error.code() != ErrorCode::conflict) throw;
      // What stands there now can have the version, and be another record.
      if (context.expected_version && error.version_mismatch) throw;
    }
    if (done) {
      Outcome outcome = co_await outcome_of(session, *done, context);
      outcome.operation_id = operation_id;
      co_return outcome;
    }
    // No conflict of the caller's: it said nothing of a version, and may simply ask again.
    if (attempt >= options_.max_attempts)
      throw failure(ErrorCode::unavailable, "too many change the session at the same time",
                    operation, session.str());
    co_await pause_before_retry(attempt);
  }
}

Task<Storage::Outcome> Storage::outcome_of(const SessionId& session, CommitResult result,
                                           const Context& context) {
  Outcome outcome;
  outcome.result = result;
  outcome.operation_id = context.operation_id;
  if (result.repeated) outcome.repeated = co_await events_of(session, result);
  if (context.report != nullptr) {
    context.report->durability = result.durability;
    context.report->repeated = result.repeated;
    context.report->sequence = result.last_sequence;
  }
  co_return outcome;
}

// Full jitter over a doubling bound (Brooker, "Exponential Backoff And Jitter", 2015).
Task<void> Storage::pause_before_retry(int attempt) {
  const std::uint64_t bound = std::uint64_t{1'000} << std::min(attempt - 1, 9);
  const std::chrono::microseconds pause(random_.below(bound));
  co_await clock_.sleep_for(pause);
}

// The events of a commit that was applied before, as its result tells them.
Task<std::vector<Event>> Storage::events_of(const SessionId& session, const CommitResult& result) {
  const std::uint64_t first = co_await first_event_of(session, result);
  EventFilter filter;
  filter.after = first - 1;
  filter.limit = std::min<std::size_t>(result.last_sequence - filter.after, 1'000);
  EventList list = co_await read_events(session, filter);
  if (!list.corrupt.empty()) throw list.corrupt.front();
  co_return std::move(list.items);
}

// The memory of operations can end within the one that was found: its first events stand before.
Task<std::uint64_t> Storage::first_event_of(const SessionId& session, const CommitResult& result) {
  EventQuery query;
  query.limit = 2;
  std::uint64_t first = result.first_sequence;
  for (; first > 1; --first) {
    query.after = first - 2;
    const EventPage page = co_await driver_->read_events(session, query);
    const bool both = page.events.size() == 2 && page.events[0].sequence == first - 1;
    if (!both || page.events[0].operation_id != page.events[1].operation_id) break;
  }
  co_return first;
}

Task<std::optional<CommitResult>> Storage::find_operation(const SessionId& session,
                                                          const Context& context) {
  if (context.operation_id.empty()) co_return std::nullopt;
  const ReadResult read = co_await driver_->read(session, {});
  EventQuery query;
  query.after = read.last_sequence - std::min(read.last_sequence, operation_memory);
  query.limit = operation_memory;
  CommitResult result;
  while (query.after < read.last_sequence) {
    const EventPage page = co_await driver_->read_events(session, query);
    if (page.events.empty()) break;
    for (const StoredEvent& event : page.events) {
      if (event.operation_id != context.operation_id) continue;
      if (result.first_sequence == 0) result.first_sequence = event.sequence;
      result.last_sequence = event.sequence;
    }
    query.after = page.events.back().sequence;
  }
  if (result.first_sequence == 0) co_return std::nullopt;
  result.repeated = true;
  result.durability = co_await durability();
  co_return result;
}

// What a write is worth that the driver answers without saying so.
Task<Durability> Storage::durability() {
  const Health health = co_await driver_->health();
  co_return health.durability;
}

Task<void> Storage::tell_durability(const Context& context) {
  if (context.report != nullptr) context.report->durability = co_await durability();
}

// ---- sessions -----------------------------------------------------------------------------------

Task<Session> Storage::create_session(UserId user, SessionData data, std::optional<SessionId> id,
                                      const Context& context) {
  constexpr const char* operation = "create_session";
  Session session;
  static_cast<SessionData&>(session) = std::move(data);
  session.user_id = std::move(user);
  const bool derived = !id && !context.operation_id.empty();
  if (id) {
    session.session_id = *std::move(id);
  } else if (derived) {
    session.session_id = derive_session_id(session.user_id, context.operation_id);
  } else {
    session.session_id = SessionId::mint(clock_.now(), random_);
  }

  // Nearly always nothing stands under a new id, so the first attempt does not look.
  bool look = false;
  std::optional<Session> made_before;
  Change create = [&](Transaction& tx) -> Task<void> {
    if (std::exchange(look, true)) {
      co_await expire_session(session.session_id);
      co_await tx.load(RecordKey::of_session());
      if (tx.live() && !derived)
        throw failure(ErrorCode::conflict, "session " + session.session_id.str() + " exists",
                      operation, session.session_id.str());
      if (tx.live()) {
        made_before = co_await tx.session();  // by this operation: nothing else leads to this id
        co_return;
      }
      if (tx.owner() && *tx.owner() != session.user_id)
        throw failure(ErrorCode::conflict,
                      "a session of another user had the id " + session.session_id.str() +
                          ", and its archive or log is still kept",
                      operation, session.session_id.str());
      session.chain_count = co_await numbers_given(tx);
    }
    tx.create(session, session.chain_count == 0 && tx.last_sequence() == 0);
  };
  const Outcome outcome = co_await transact(session.session_id, operation, context, create);
  if (outcome.result.repeated) {
    const Event& event = repeated_event(outcome, {"session:created"}, {}, operation);
    const auto made = record_in<Session>(event, operation);
    const SessionData& asked = session;
    if (made.user_id != session.user_id || !(asked == made))
      throw_used_otherwise(outcome, operation, session.session_id.str());
    co_return co_await present_session(session.session_id, operation);
  }
  if (made_before) {
    if (context.report != nullptr) context.report->repeated = true;
    co_return *std::move(made_before);
  }
  co_return active_as(outcome.result, std::move(session));
}

// How many chain numbers earlier sessions of this id gave. The end of the last one tells.
Task<std::uint32_t> Storage::numbers_given(Transaction& tx) {
  std::uint32_t given = tx.last_archived();
  if (tx.last_sequence() == 0) co_return given;
  EventFilter newest;
  newest.after = tx.last_sequence() - 1;
  const EventList list = co_await read_events(tx.session_id(), newest);
  if (!list.corrupt.empty()) throw list.corrupt.front();
  for (const Event& event : list.items) {
    if (!event.data) continue;
    SessionEnd end;
    Issues ignored;
    if (schema::schema_of<SessionEnd>().decode(event.data->view(), schema::Form::stored, end,
                                               ignored))
      given = std::max(given, end.chain_count);
  }
  co_return given;
}

Task<std::optional<Session>> Storage::get_session(const SessionId& id, const Context& context) {
  check_deadline(context, clock_, "get_session");
  constexpr RecordKey key = RecordKey::of_session();
  const ReadResult read = co_await driver_->read(id, std::span(&key, 1));
  if (context.report != nullptr) context.report->provenance = read.provenance;
  if (!read.records[0] || read.activity.expires <= clock_.now()) co_return std::nullopt;
  std::optional<Session> session(std::in_place);
  decode_session_into(*session, id, *read.records[0], read.activity, "get_session");
  co_return session;
}

Task<std::optional<UserId>> Storage::owner_of(const SessionId& id) {
  ReadResult read = co_await driver_->read(id, {});
  co_return std::move(read.owner);
}

Task<Session> Storage::update_session(const SessionId& id, SessionUpdate update,
                                      const Context& context) {
  constexpr const char* operation = "update_session";
  check_update(update, operation, id.str());
  Session after;
  Change change = [&](Transaction& tx) -> Task<void> {
    const Session before = co_await tx.session();
    check_version(context, before.version, operation, id.str());
    after = co_await change_session(tx, before, update);
  };
  const Outcome outcome = co_await transact(id, operation, context, change);
  if (outcome.result.repeated) {
    const bool moves = update.has(&Session::state);
    const std::string_view moved = moves ? event_of(update.get(&Session::state)) : "";
    check_repeated_update(outcome, {"session:updated", moved}, {}, update, operation);
    co_return co_await present_session(id, operation);
  }
  co_return active_as(outcome.result, std::move(after));
}

Task<Session> change_session(Transaction& tx, const Session& before, const SessionUpdate& update) {
  Session after = before;
  schema::schema_of<Session>().apply(update, after);
  const bool moves = before.state != after.state;
  if (moves && !may_follow(before.state, after.state))
    throw_illegal("a " + std::string(to_string(before.state)) + " session can't become " +
                      std::string(to_string(after.state)),
                  tx.operation(), before.session_id.str());
  Session moved = before;
  moved.state = after.state;
  const By by = after == moved ? By::store : By::client;
  const bool ends = moves && after.state == SessionState::completed;
  if (ends) after.completed_at = tx.at();
  tx.update(before, after, moves ? event_of(after.state) : "session:updated", by);
  if (ends) co_await archive_failed_chains(tx, before);
  co_return after;
}

Session active_as(const CommitResult& result, Session session) {
  if (result.last_sequence == 0) return session;  // nothing was committed
  session.last_activity_at = result.activity.last_active;
  session.expires_at = result.activity.expires;
  return session;
}

Task<void> Storage::delete_session(const SessionId& id, const Context& context) {
  Change change = [&](Transaction& tx) -> Task<void> {
    const Session session = co_await tx.session();
    check_version(context, session.version, tx.operation(), id.str());
    tx.end_session("session:deleted", session);
  };
  const Outcome outcome = co_await transact(id, "delete_session", context, change);
  if (outcome.result.repeated) repeated_event(outcome, {"session:deleted"}, {}, "delete_session");
}

Task<Page<Session>> Storage::list_sessions(SessionFilter filter, PageQuery page,
                                           const Context& context) {
  check_limit(page.limit);
  check_deadline(context, clock_, "list_sessions");
  ListQuery query;
  query.user = filter.user;
  if (filter.state) query.state = std::string(to_string(*filter.state));
  if (page.cursor) query.after = decode_position(ListKind::sessions, *page.cursor);
  query.limit = page.limit;
  SessionPage found = co_await driver_->list_sessions(query);
  if (context.report != nullptr) context.report->provenance = found.provenance;

  Page<Session> result;
  result.corrupt = std::move(found.corrupt);
  const Timestamp now = clock_.now();
  for (const ListedSession& item : found.items) {
    if (item.activity.expires <= now) continue;
    try {
      Session session = decode_session(item.id, item.record, item.activity, "list_sessions");
      if (still_fits(session, filter)) result.items.push_back(std::move(session));
    } catch (const StorageError& error) {
      result.corrupt.push_back(error);
    }
  }
  if (found.next) result.next_cursor = encode_cursor(ListKind::sessions, *found.next);
  co_return result;
}

Task<void> Storage::touch_session(const SessionId& id, const Context& context) {
  check_deadline(context, clock_, "touch_session");
  const Timestamp now = clock_.now();
  const Activity activity{now, now + options_.session_ttl};
  const bool touched = co_await driver_->touch(id, activity);
  if (!touched) throw_not_found("session", id.str(), "touch_session");
  co_await tell_durability(context);
}

// Ends the session if its deadline has passed; false when there is no such session.
Task<bool> Storage::expire_session(const SessionId& id) {
  Change change = [&](Transaction& tx) -> Task<void> {
    tx.reach_expired();
    co_await tx.load(RecordKey::of_session());
    if (!tx.expired()) co_return;
    Session session;
    try {
      session = co_await tx.session();
    } catch (const StorageError& error) {
      // Its record can't be read, but that must not keep it forever.
      if (error.code() != ErrorCode::corrupt) throw;
    }
    if (session.session_id.empty()) session.chain_count = co_await numbers_in_log(tx);
    if (!session.session_id.empty()) co_await archive_failed_chains(tx, session);
    tx.end_session("session:expired", session, true);
  };
  const Outcome outcome = co_await transact(id, "sweep", Context::none(), change);
  co_return outcome.result.last_sequence != 0;
}

// The highest chain number that the archive and the log know of: for a session whose own record
// can't be read.
Task<std::uint32_t> Storage::numbers_in_log(Transaction& tx) {
  std::uint32_t given = tx.last_archived();
  EventFilter filter;
  filter.limit = max_page;
  for (;;) {
    const EventList list = co_await read_events(tx.session_id(), filter);
    for (const Event& event : list.items)
      if (event.chain_id && event.type.reserved())
        given = std::max(given, event.chain_id->number());
    if (!list.next_after) co_return given;
    filter.after = *list.next_after;
  }
}

Task<Session> Storage::present_session(const SessionId& id, const std::string& operation) {
  std::optional<Session> session = co_await get_session(id);
  if (!session) throw_not_found("session", id.str(), operation);
  co_return *std::move(session);
}

const Event& repeated_event(const Storage::Outcome& outcome,
                            std::initializer_list<std::string_view> types, std::string_view id,
                            std::string_view operation) {
  if (!outcome.repeated.empty()) {
    const Event& event = outcome.repeated.front();
    const std::string about = event.step_id    ? event.step_id->str()
                              : event.chain_id ? event.chain_id->str()
                                               : std::string();
    const bool same = std::find(types.begin(), types.end(), event.type.str()) != types.end();
    if (same && (id.empty() || id == about)) return event;
  }
  throw_used_otherwise(outcome, operation, id);
}

void throw_used_otherwise(const Storage::Outcome& outcome, std::string_view operation,
                          std::string_view id) {
  throw failure(ErrorCode::conflict,
                "the operation id " + outcome.operation_id + " was used for another call",
                std::string(operation), std::string(id));
}

}  // namespace actionflows
