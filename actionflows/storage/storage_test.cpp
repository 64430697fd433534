#include "actionflows/storage/storage.hpp"

#include "tests/support/typed_storage.hpp"

#include <set>

namespace actionflows {
namespace {

using namespace test;

class Sessions : public TypedStorageTest {};

TEST_F(Sessions, AreCreatedAndReadBack) {
  SessionData data = titled("Nightly");
  data.cwd = "/srv/app";
  data.hostname = "build-7";
  data.platform = "linux";
  data.summary = "two\nlines and \xE2\x82\xAC";
  data.metadata = json::Raw::parse(R"({"b": 1,"a":[12345678901234567890, 1e400]})");
  const Session made = run(storage().create_session(user("ann"), data, session_id("s")));
  EXPECT_EQ(made.session_id.str(), "s");
  EXPECT_EQ(made.user_id.str(), "ann");
  EXPECT_EQ(made.state, SessionState::active);
  EXPECT_EQ(made.version, 1u);
  EXPECT_EQ(made.created_at, clock.now());
  EXPECT_EQ(made.updated_at, clock.now());
  EXPECT_EQ(made.last_activity_at, clock.now());
  EXPECT_EQ(made.expires_at, clock.now() + 24h);
  EXPECT_EQ(static_cast<const SessionData&>(made), data);
  EXPECT_EQ(get(made.session_id), made);

  const std::vector<Event> log = events(made.session_id);
  ASSERT_EQ(log.size(), 1u);
  EXPECT_EQ(log[0].type.str(), "session:created");
  EXPECT_EQ(log[0].sequence, 1u);
  EXPECT_FALSE(log[0].actor);
  EXPECT_FALSE(log[0].operation_id.empty());
}

TEST_F(Sessions, WithoutAnIdGetOneThatIsNew) {
  std::set<std::string> ids;
  for (int i = 0; i < 20; ++i)
    ids.insert(run(storage().create_session(user("ann"), {})).session_id.str());
  EXPECT_EQ(ids.size(), 20u);
}

TEST_F(Sessions, AreAbsentAsNothingAndNotAsAnError) {
  EXPECT_EQ(get(session_id("nobody")), std::nullopt);
  EXPECT_EQ(get(ChainId(session_id("nobody"), 1)), std::nullopt);
  EXPECT_EQ(get(StepId(ChainId(session_id("nobody"), 1), 1)), std::nullopt);
  EXPECT_EQ(get(SessionId()), std::nullopt);
  EXPECT_EQ(get(ChainId()), std::nullopt);
  EXPECT_EQ(get(StepId()), std::nullopt);
}

TEST_F(Sessions, OfABackendThatIsAwayAreNeverAbsent) {
  const Session made = make_session();
  const ChainId chain(made.session_id, 1);  // must outlive the calls
  const StepId step(chain, 1);
  for (const ErrorCode code : {ErrorCode::unavailable, ErrorCode::timeout, ErrorCode::corrupt}) {
    const auto broken = [&](auto call) {
      break_next(Call::read, code);
      return error_of(call()).code();
    };
    EXPECT_EQ(broken([&] { return storage().get_session(made.session_id); }), code);
    EXPECT_EQ(broken([&] { return storage().get_chain(chain); }), code);
    EXPECT_EQ(broken([&] { return storage().get_step(step); }), code);
    EXPECT_EQ(broken([&] { return storage().update_session(made.session_id, {}); }), code);
    EXPECT_EQ(broken([&] { return storage().delete_session(made.session_id); }), code);
    EXPECT_EQ(broken([&] { return storage().list_chains(made.session_id); }), code);
  }
}

TEST_F(Sessions, ThatExistAreNotCreatedAgain) {
  const Session made = make_session();
  const StorageError error =
      error_of(storage().create_session(user("bob"), titled("other"), made.session_id));
  EXPECT_EQ(error.code(), ErrorCode::conflict);
  EXPECT_EQ(error.operation, "create_session");
  EXPECT_EQ(error.record, "s");
  EXPECT_EQ(get(made.session_id), made);
  EXPECT_EQ(events(made.session_id).size(), 1u);
}

TEST_F(Sessions, AreRefusedWithEveryIssue) {
  SessionData data;
  data.title = std::string(501, 'x');
  data.cwd = "\xFF";
  data.metadata = json::Raw::parse("[1]");
  const StorageError error =
      error_of(storage().create_session(UserId(), std::move(data), session_id("s")));
  EXPECT_EQ(error.code(), ErrorCode::invalid);
  EXPECT_EQ(paths_of(error), (std::vector<std::string>{"userId", "title", "cwd", "metadata"}));
  EXPECT_EQ(get(session_id("s")), std::nullopt);
  EXPECT_TRUE(events(session_id("s")).empty());
}

TEST_F(Sessions, WithAnEmptyIdAreRefused) {
  const StorageError error = error_of(storage().create_session(user("ann"), {}, SessionId()));
  EXPECT_EQ(error.code(), ErrorCode::invalid);
  EXPECT_EQ(paths_of(error), std::vector<std::string>{"sessionId"});
}

TEST_F(Sessions, AreUpdatedFieldByField) {
  const Session made = make_session();
  clock.advance(1s);
  SessionUpdate update;
  update.set(&Session::summary, "done").clear(&Session::title);
  update.merge(&Session::metadata, json::Raw::parse(R"({"n":1})"));
  const Session updated = run(storage().update_session(made.session_id, update));
  EXPECT_EQ(updated.version, 2u);
  EXPECT_EQ(updated.summary, "done");
  EXPECT_EQ(updated.title, std::nullopt);
  EXPECT_EQ(updated.metadata->view(), R"({"n":1})");
  EXPECT_EQ(updated.created_at, made.created_at);
  EXPECT_EQ(updated.updated_at, clock.now());
  EXPECT_EQ(updated.expires_at, clock.now() + 24h);
  EXPECT_EQ(get(made.session_id), updated);
  const Event event = events(made.session_id).back();
  EXPECT_EQ(event.type.str(), "session:updated");
  EXPECT_EQ(event.data->view(), R"({"title":null,"summary":"done","metadata":{"n":1},)"
                                R"("updatedAt":"2026-01-01T00:00:01.000Z"})");
}

TEST_F(Sessions, ThatAreUpdatedToWhatTheyAreStayAsTheyAre) {
  const Session made = make_session();
  SessionUpdate update;
  update.set(&Session::title, "a session");
  EXPECT_EQ(run(storage().update_session(made.session_id, update)), made);
  EXPECT_EQ(run(storage().update_session(made.session_id, {})), made);
  EXPECT_EQ(events(made.session_id).size(), 1u);
}

TEST_F(Sessions, AreNotUpdatedIntoAnythingInvalid) {
  const Session made = make_session();
  SessionUpdate update;
  update.set(&Session::title, std::string(501, 'x')).set(&Session::summary, "\xC0");
  const StorageError error = error_of(storage().update_session(made.session_id, update));
  EXPECT_EQ(error.code(), ErrorCode::invalid);
  EXPECT_EQ(paths_of(error), (std::vector<std::string>{"title", "summary"}));

  SessionUpdate merge;
  merge.merge(&Session::metadata, json::Raw::parse("5"));
  EXPECT_EQ(error_of(storage().update_session(made.session_id, merge)).code(), ErrorCode::invalid);
  SessionUpdate refused;
  refused.set(&Session::chain_count, 7u).set(&Session::user_id, user("eve"));
  EXPECT_EQ(paths_of(error_of(storage().update_session(made.session_id, refused))).size(), 1u);
  EXPECT_EQ(get(made.session_id), made);
}

TEST_F(Sessions, AreNeverCreatedByUpdateOrTouchOrDelete) {
  const SessionId nobody = session_id("nobody");
  SessionUpdate update;
  update.set(&Session::title, "late");
  EXPECT_EQ(error_of(storage().update_session(nobody, update)).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(storage().touch_session(nobody)).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(storage().delete_session(nobody)).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(storage().append_event(nobody, event_data("note:made"))).code(),
            ErrorCode::not_found);
  EXPECT_EQ(error_of(storage().create_chain(nobody, chain_data())).code(), ErrorCode::not_found);
  EXPECT_EQ(get(nobody), std::nullopt);
  EXPECT_TRUE(events(nobody).empty());
}

TEST_F(Sessions, CompareTheVersionTheCallerExpects) {
  const Session made = make_session();
  SessionUpdate update;
  update.set(&Session::title, "second");
  run(storage().update_session(made.session_id, update, expecting(1)));
  update.set(&Session::title, "third");
  const StorageError error =
      error_of(storage().update_session(made.session_id, update, expecting(1)));
  EXPECT_EQ(error.code(), ErrorCode::conflict);
  EXPECT_EQ(error.current_version, 2u);
  EXPECT_EQ(error_of(storage().delete_session(made.session_id, expecting(1))).code(),
            ErrorCode::conflict);
  EXPECT_EQ(error_of(storage().create_chain(made.session_id, chain_data(), expecting(1))).code(),
            ErrorCode::conflict);
  EXPECT_EQ(error_of(storage().append_event(made.session_id, event_data("note:made"), expecting(1)))
                .code(),
            ErrorCode::conflict);
  EXPECT_EQ(get(made.session_id)->title, "second");
  run(storage().append_event(made.session_id, event_data("note:made"), expecting(2)));
  run(storage().delete_session(made.session_id, expecting(2)));
}

TEST_F(Sessions, OfTwoUpdatesThatMeetBothStand) {
  const Session made = make_session();
  SessionUpdate theirs;
  theirs.set(&Session::cwd, "/theirs");
  SessionUpdate ours;
  ours.set(&Session::hostname, "ours");
  const auto other = [&]() -> Task<void> {
    const Session updated = co_await storage().update_session(made.session_id, theirs);
    EXPECT_EQ(updated.version, 2u);
  };
  meanwhile(other);
  const Session updated = run(storage().update_session(made.session_id, ours));
  EXPECT_EQ(updated.version, 3u);
  EXPECT_EQ(updated.cwd, "/theirs");
  EXPECT_EQ(updated.hostname, "ours");
  EXPECT_EQ(events(made.session_id).size(), 3u);
}

TEST_F(Sessions, OfTwoUpdatesThatExpectTheSameVersionOneIsRefused) {
  const Session made = make_session();
  SessionUpdate update;
  update.set(&Session::cwd, "/x");
  const auto other = [&]() -> Task<void> {
    co_await storage().update_session(made.session_id, update);
  };
  meanwhile(other);
  SessionUpdate ours;
  ours.set(&Session::hostname, "ours");
  const StorageError error =
      error_of(storage().update_session(made.session_id, ours, expecting(1)));
  EXPECT_EQ(error.code(), ErrorCode::conflict);
  EXPECT_EQ(error.current_version, 2u);
  EXPECT_EQ(get(made.session_id)->hostname, std::nullopt);
}

TEST_F(Sessions, GiveUpAfterABoundedNumberOfConflicts) {
  StorageOptions options;
  options.max_attempts = 4;
  open({}, options);
  const Session made = make_session();
  int attempts = 0;
  driver().before = [&](Call call) -> Task<void> {
    if (call == Call::commit) {
      ++attempts;
      throw failure(ErrorCode::conflict, "somebody else", "commit");
    }
    co_return;
  };
  SessionUpdate update;
  update.set(&Session::cwd, "/x");
  const StorageError error = error_of(storage().update_session(made.session_id, update));
  EXPECT_EQ(error.code(), ErrorCode::unavailable);  // it asked for no version
  EXPECT_EQ(error.operation, "update_session");
  EXPECT_EQ(attempts, 4);
  EXPECT_GT(clock.slept(), 0ms);
  EXPECT_LE(clock.slept(), 1ms + 2ms + 4ms);
}

TEST_F(Sessions, AreDeletedWithEverythingThatLives) {
  const Session made = make_session();
  const Chain chain = make_chain(made.session_id, {{}});
  run(storage().delete_session(made.session_id));
  EXPECT_EQ(get(made.session_id), std::nullopt);
  EXPECT_EQ(get(chain.chain_id), std::nullopt);
  EXPECT_EQ(get(StepId(chain.chain_id, 1)), std::nullopt);
  EXPECT_EQ(events(made.session_id).back().type.str(), "session:deleted");
  EXPECT_TRUE(run(storage().list_sessions({})).items.empty());
  EXPECT_EQ(error_of(storage().delete_session(made.session_id)).code(), ErrorCode::not_found);
}

TEST_F(Sessions, AreTouchedAtMostOncePerInterval) {
  DriverLimits limits;
  limits.touch_interval = 1min;
  open(limits, {});
  const Session made = make_session();
  clock.advance(30s);
  run(storage().touch_session(made.session_id));
  EXPECT_EQ(get(made.session_id)->expires_at, made.expires_at);
  clock.advance(30s);
  run(storage().touch_session(made.session_id));
  EXPECT_EQ(get(made.session_id)->expires_at, made.expires_at + 1min);
  EXPECT_EQ(get(made.session_id)->last_activity_at, made.last_activity_at + 1min);
  EXPECT_EQ(get(made.session_id)->version, 1u);
  EXPECT_EQ(events(made.session_id).size(), 1u);
}

TEST_F(Sessions, AreErasedWithoutATrace) {
  const Session made = make_session();
  make_chain(made.session_id, {{}});
  EXPECT_TRUE(run(storage().erase_session(made.session_id)));
  EXPECT_FALSE(run(storage().erase_session(made.session_id)));
  EXPECT_TRUE(events(made.session_id).empty());
  EXPECT_EQ(run(storage().read_events(made.session_id)).last_sequence, 0u);
  EXPECT_EQ(make_chain(make_session().session_id).chain_id.number(), 1u);
}

// ---- states

TEST_F(Sessions, FollowTheirStates) {
  const Session made = make_session();
  const auto move = [&](SessionState to) {
    SessionUpdate update;
    update.set(&Session::state, to);
    return storage().update_session(made.session_id, update);
  };
  EXPECT_EQ(run(move(SessionState::paused)).state, SessionState::paused);
  EXPECT_EQ(run(move(SessionState::paused)).version, 2u);
  EXPECT_EQ(run(move(SessionState::active)).state, SessionState::active);
  const Session completed = run(move(SessionState::completed));
  EXPECT_EQ(completed.completed_at, clock.now());
  for (const SessionState state : {SessionState::active, SessionState::paused}) {
    const StorageError error = error_of(move(state));
    EXPECT_EQ(error.code(), ErrorCode::illegal_transition);
    EXPECT_EQ(error.record, "s");
  }
  EXPECT_EQ(event_types(made.session_id),
            (std::vector<std::string>{"session:created", "session:paused", "session:resumed",
                                      "session:completed"}));
}

// ---- lists

class SessionLists : public TypedStorageTest {
 protected:
  // The names on the pages, one string for each page.
  std::vector<std::string> pages(const SessionFilter& filter, std::size_t limit,
                                 const std::function<void()>& between = {}) {
    std::vector<std::string> names;
    PageQuery query;
    query.limit = limit;
    do {
      const Page<Session> page = run(storage().list_sessions(filter, query));
      std::string text;
      for (const Session& session : page.items) text += session.session_id.str() + " ";
      names.push_back(text);
      query.cursor = page.next_cursor;
      if (between) between();
    } while (query.cursor);
    return names;
  }
};

TEST_F(SessionLists, ComeByUserAndStateNewestActivityFirst) {
  for (const char* name : {"a", "b", "c", "d"}) {
    make_session(name, name == std::string("d") ? "bob" : "ann");
    clock.advance(1s);
  }
  SessionUpdate paused;
  paused.set(&Session::state, SessionState::paused);
  run(storage().update_session(session_id("a"), paused));
  EXPECT_EQ(pages({.user = user("ann"), .state = {}}, 10), std::vector<std::string>{"a c b "});
  EXPECT_EQ(pages({}, 10), std::vector<std::string>{"a d c b "});
  EXPECT_EQ(pages({.user = {}, .state = SessionState::paused}, 10), std::vector<std::string>{"a "});
  EXPECT_EQ(pages({.user = user("ann"), .state = SessionState::active}, 1),
            (std::vector<std::string>{"c ", "b "}));
  EXPECT_EQ(pages({.user = user("eve"), .state = {}}, 10), std::vector<std::string>{""});
}

// The driver found it in its index before it changed, and read it after.
TEST_F(SessionLists, PassOverWhatNoLongerFitsTheFilter) {
  for (const char* name : {"a", "b", "c"}) make_session(name);
  const auto change_record = [&](const char* name, const auto& change) {
    Session session = *get(session_id(name));
    change(session);
    std::string text;
    schema::schema_of<Session>().encode(session, schema::Form::stored, text);
    plant(session_id(name), session_record, text);
  };
  change_record("a", [](Session& session) { session.state = SessionState::paused; });
  change_record("b", [](Session& session) { session.user_id = user("bob"); });
  EXPECT_EQ(pages({.user = {}, .state = SessionState::active}, 10),
            std::vector<std::string>{"b c "});
  EXPECT_EQ(pages({.user = user("ann"), .state = {}}, 10), std::vector<std::string>{"a c "});
}

TEST_F(SessionLists, StayStableWhileSessionsComeAndGo) {
  for (char name = 'a'; name <= 'h'; ++name) {
    make_session(std::string(1, name));
    clock.advance(1s);
  }
  int round = 0;
  const auto come_and_go = [&] {
    clock.advance(1s);
    make_session("new" + std::to_string(round));
    if (round == 0) run(storage().delete_session(session_id("g")));  // the page's last one
    if (round == 1) run(storage().delete_session(session_id("b")));  // one not seen yet
    ++round;
  };
  EXPECT_EQ(pages({.user = user("ann"), .state = {}}, 2, come_and_go),
            (std::vector<std::string>{"h g ", "f e ", "d c ", "a "}));
}

TEST_F(SessionLists, TellWhatCannotBeReadAndServeTheRest) {
  for (const char* name : {"a", "b", "c"}) make_session(name);
  plant(session_id("b"), session_record, R"({"sessionId":"b"})");
  const Page<Session> page = run(storage().list_sessions({}));
  ASSERT_EQ(page.items.size(), 2u);
  ASSERT_EQ(page.corrupt.size(), 1u);
  EXPECT_EQ(page.corrupt[0].code(), ErrorCode::corrupt);
  EXPECT_EQ(page.corrupt[0].record, "b");
  EXPECT_FALSE(page.corrupt[0].issues.empty());
  const StorageError error = error_of(storage().get_session(session_id("b")));
  EXPECT_EQ(error.code(), ErrorCode::corrupt);
  EXPECT_EQ(error.record, "b");
}

TEST_F(SessionLists, RefuseLimitsAndCursorsThatAreNone) {
  const Session made = make_session();
  make_session("other");
  for (const std::size_t limit : {std::size_t{0}, std::size_t{1'001}}) {
    PageQuery query;
    query.limit = limit;
    const StorageError error = error_of(storage().list_sessions({}, query));
    EXPECT_EQ(error.code(), ErrorCode::invalid);
    EXPECT_EQ(paths_of(error), std::vector<std::string>{"limit"});
    EXPECT_EQ(error_of(storage().list_archive({}, query)).code(), ErrorCode::invalid);
    EXPECT_EQ(error_of(storage().list_chains(made.session_id, {}, query)).code(),
              ErrorCode::invalid);
    EventFilter filter;
    filter.limit = limit;
    EXPECT_EQ(error_of(storage().read_events(made.session_id, filter)).code(), ErrorCode::invalid);
  }
  PageQuery one;
  one.limit = 1;
  PageQuery of_sessions;
  of_sessions.cursor = run(storage().list_sessions({}, one)).next_cursor;
  ASSERT_TRUE(of_sessions.cursor);
  EXPECT_EQ(error_of(storage().list_archive({}, of_sessions)).code(), ErrorCode::invalid);
  EXPECT_EQ(error_of(storage().list_chains(made.session_id, {}, of_sessions)).code(),
            ErrorCode::invalid);
  for (const char* text : {"", "x", "!!", "cDE", "czEgYQ=="}) {
    PageQuery query;
    query.cursor = text;
    EXPECT_EQ(error_of(storage().list_sessions({}, query)).code(), ErrorCode::invalid) << text;
  }
}

// ---- the context

class Contexts : public TypedStorageTest {};

TEST_F(Contexts, StandInTheEvents) {
  Context context;
  context.actor = "ann@laptop";
  context.operation_id = "op";
  CallReport report;
  context.report = &report;
  run(storage().create_session(user("ann"), {}, session_id("s"), context));
  const Event event = events(session_id("s")).front();
  EXPECT_EQ(event.actor, "ann@laptop");
  EXPECT_EQ(event.operation_id, "op");
  EXPECT_EQ(report.sequence, 1u);
  EXPECT_EQ(report.durability->level, DurabilityLevel::memory);
  EXPECT_FALSE(report.repeated);
}

TEST_F(Contexts, AreCheckedBeforeAnythingIsDone) {
  Context context;
  context.actor = "\xFF";
  context.operation_id = std::string(201, 'x');
  const StorageError error =
      error_of(storage().create_session(user("ann"), {}, session_id("s"), context));
  EXPECT_EQ(error.code(), ErrorCode::invalid);
  EXPECT_EQ(paths_of(error), (std::vector<std::string>{"actor", "operationId"}));
  EXPECT_EQ(get(session_id("s")), std::nullopt);
  // By the measure of the drivers, which know no characters.
  context = with_operation("a");
  for (int i = 0; i < 100; ++i) context.operation_id += "é";
  EXPECT_EQ(paths_of(error_of(storage().create_session(user("ann"), {}, session_id("s"), context))),
            std::vector<std::string>{"operationId"});
  context.operation_id.erase(0, 1);
  run(storage().create_session(user("ann"), {}, session_id("s"), context));
}

TEST_F(Contexts, EndACallWhoseDeadlineHasPassed) {
  const Session made = make_session();
  Context late;
  late.deadline = clock.monotonic();
  SessionUpdate update;
  update.set(&Session::title, "late");
  EXPECT_EQ(error_of(storage().get_session(made.session_id, late)).code(), ErrorCode::timeout);
  EXPECT_EQ(error_of(storage().update_session(made.session_id, update, late)).code(),
            ErrorCode::timeout);
  EXPECT_EQ(error_of(storage().list_sessions({}, {}, late)).code(), ErrorCode::timeout);
  EXPECT_EQ(error_of(storage().read_events(made.session_id, {}, late)).code(), ErrorCode::timeout);
  EXPECT_EQ(error_of(storage().touch_session(made.session_id, late)).code(), ErrorCode::timeout);
  EXPECT_EQ(get(made.session_id), made);
}

TEST_F(Contexts, EndARetryWhoseDeadlinePassesMeanwhile) {
  const Session made = make_session();
  driver().before = [&](Call call) -> Task<void> {
    if (call == Call::commit) {
      clock.advance(1s);
      throw failure(ErrorCode::conflict, "somebody else", "commit");
    }
    co_return;
  };
  Context context;
  context.deadline = clock.monotonic() + 1'500ms;
  SessionUpdate update;
  update.set(&Session::title, "late");
  EXPECT_EQ(error_of(storage().update_session(made.session_id, update, context)).code(),
            ErrorCode::timeout);
}

TEST_F(Contexts, TellOfThisCallOnly) {
  const Session made = make_session();
  CallReport report;
  report.repeated = true;
  report.sequence = 99;
  Context context;
  context.report = &report;
  run(storage().update_session(made.session_id, {}, context));  // changes nothing
  EXPECT_FALSE(report.repeated);
  EXPECT_EQ(report.sequence, 0u);
}

}  // namespace
}  // namespace actionflows
