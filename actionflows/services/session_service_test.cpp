#include "actionflows/services/session_service.hpp"

#include "actionflows/services/step_service.hpp"
#include "tests/support/typed_storage.hpp"

namespace actionflows {
namespace {

using namespace test;

class SessionStates : public TypedStorageTest {
 protected:
  const SessionId s = make_session().session_id;
  SessionService sessions{storage()};
};

TEST_F(SessionStates, AreMovedAndStayWhereTheyAre) {
  EXPECT_EQ(run(sessions.pause(s)).state, SessionState::paused);
  EXPECT_EQ(run(sessions.pause(s)).version, 2u);
  EXPECT_EQ(run(sessions.resume(s)).state, SessionState::active);
  EXPECT_EQ(run(sessions.resume(s)).version, 3u);
  clock.advance(1s);
  const Session completed = run(sessions.complete(s, "all done"));
  EXPECT_EQ(completed.state, SessionState::completed);
  EXPECT_EQ(completed.end_reason, "all done");
  EXPECT_EQ(completed.completed_at, clock.now());
  EXPECT_EQ(completed.expires_at, clock.now() + 24h);
  EXPECT_EQ(get(s), completed);
  EXPECT_EQ(event_types(s), (std::vector<std::string>{"session:created", "session:paused",
                                                      "session:resumed", "session:completed"}));
}

TEST_F(SessionStates, EndWithCompletion) {
  run(sessions.complete(s, "first"));
  const Session again = run(sessions.complete(s, "second"));
  EXPECT_EQ(again.end_reason, "first");
  EXPECT_EQ(again.version, 2u);
  const StorageError error = error_of(sessions.pause(s));
  EXPECT_EQ(error.code(), ErrorCode::illegal_transition);
  EXPECT_EQ(error.operation, "pause_session");
  EXPECT_EQ(error.record, "s");
  EXPECT_EQ(error_of(sessions.resume(s)).code(), ErrorCode::illegal_transition);
}

TEST_F(SessionStates, OfTwoCompletionsThatMeetTheFirstReasonStands) {
  const auto other = [&]() -> Task<void> { co_await sessions.complete(s, "theirs"); };
  meanwhile(other);
  EXPECT_EQ(run(sessions.complete(s, "ours")).end_reason, "theirs");
}

TEST_F(SessionStates, AreComparedByVersion) {
  EXPECT_EQ(error_of(sessions.pause(s, expecting(2))).code(), ErrorCode::conflict);
  EXPECT_EQ(run(sessions.pause(s, expecting(1))).version, 2u);
}

TEST_F(SessionStates, OfNobodyAreNotFound) {
  EXPECT_EQ(error_of(sessions.pause(session_id("nobody"))).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(sessions.logout(session_id("nobody"))).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(sessions.touch(session_id("nobody"))).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(sessions.issue_token(session_id("nobody"))).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(sessions.revoke_token(session_id("nobody"))).code(), ErrorCode::not_found);
}

TEST_F(SessionStates, CompletionArchivesFailedChainsAndNoOthers) {
  StepService steps(storage());
  for (int i = 0; i < 3; ++i) make_chain(s, {{}});
  run(steps.start(StepId(ChainId(s, 2), 1)));
  run(steps.fail(StepId(ChainId(s, 2), 1)));
  plant(s, test::chain(3), "{}");  // what can't be read holds up nothing
  run(sessions.complete(s));
  EXPECT_FALSE(get(ChainId(s, 1))->archived_at);
  EXPECT_EQ(get(ChainId(s, 2))->archived_at, clock.now());
  EXPECT_EQ(event_types(s).back(), "chain:archived");
}

// ---- tokens

class Tokens : public TypedStorageTest {
 protected:
  const SessionId s = make_session().session_id;
  SessionService sessions{storage()};

  std::string issue() { return run(sessions.issue_token(s)).token; }
  bool accepted(std::string_view token) { return run(sessions.authenticate(token)).has_value(); }
};

TEST_F(Tokens, StandForTheirSessionAndItsUser) {
  const IssuedToken issued = run(sessions.issue_token(s));
  EXPECT_EQ(issued.expires_at, clock.now() + 24h);
  const std::optional<Bearer> bearer = run(sessions.authenticate(issued.token));
  ASSERT_TRUE(bearer);
  EXPECT_EQ(bearer->session, s);
  EXPECT_EQ(bearer->user.str(), "ann");
}

TEST_F(Tokens, AreReplacedByTheNextOneAtOnce) {
  const std::string first = issue();
  const std::string second = issue();
  EXPECT_NE(first, second);
  EXPECT_FALSE(accepted(first));
  EXPECT_TRUE(accepted(second));
  // Also where the call carries an operation id: the first token could not be told again.
  const std::string third = run(sessions.issue_token(s, with_operation("op"))).token;
  const std::string fourth = run(sessions.issue_token(s, with_operation("op"))).token;
  EXPECT_FALSE(accepted(third));
  EXPECT_TRUE(accepted(fourth));
}

TEST_F(Tokens, AreRevokedAtOnceAndForAll) {
  SessionService another(storage());
  const std::string token = issue();
  run(another.revoke_token(s));
  EXPECT_FALSE(accepted(token));
  run(sessions.revoke_token(s));  // nothing to revoke
  EXPECT_EQ(event_types(s), (std::vector<std::string>{"session:created", "session:token_issued",
                                                      "session:token_revoked"}));
}

TEST_F(Tokens, EndWithTheirSession) {
  const std::string token = issue();
  run(sessions.logout(s));
  EXPECT_FALSE(accepted(token));
  make_session();  // another one of the same name
  EXPECT_FALSE(accepted(token));
  const std::string second = issue();
  clock.advance(24h);
  EXPECT_FALSE(accepted(second));
  EXPECT_FALSE(accepted(token));
}

TEST_F(Tokens, AreNotIssuedToCompletedSessions) {
  run(sessions.pause(s));
  issue();
  run(sessions.complete(s));
  EXPECT_EQ(error_of(sessions.issue_token(s)).code(), ErrorCode::illegal_transition);
}

TEST_F(Tokens, AreRefusedWhenTheirSessionWasIdleTooLong) {
  const std::string token = issue();
  clock.advance(2h - 1ms);
  EXPECT_TRUE(accepted(token));  // counts as activity
  clock.advance(2h - 1ms);
  EXPECT_TRUE(accepted(token));
  clock.advance(2h);
  EXPECT_FALSE(accepted(token));
  run(storage().touch_session(s));
  EXPECT_TRUE(accepted(token));
}

TEST_F(Tokens, AreRefusedWhenTheyAreTooOldHoweverBusy) {
  const std::string token = issue();
  for (int hour = 1; hour < 24; ++hour) {
    clock.advance(1h);
    ASSERT_TRUE(accepted(token)) << hour;
  }
  clock.advance(1h - 1ms);
  EXPECT_TRUE(accepted(token));
  clock.advance(1ms);
  EXPECT_FALSE(accepted(token));
  EXPECT_TRUE(get(s));
}

TEST_F(Tokens, ThatAreOnlyCheckedCountAsNoActivity) {
  const std::string token = issue();
  clock.advance(1h);
  const std::optional<Bearer> bearer = run(sessions.check(token));
  ASSERT_TRUE(bearer);
  EXPECT_EQ(bearer->session, s);
  EXPECT_EQ(bearer->user.str(), "ann");
  clock.advance(1h);
  EXPECT_FALSE(run(sessions.check(token)));
  EXPECT_FALSE(accepted(token));
}

TEST_F(Tokens, AreRotatedWithoutLivingLonger) {
  const IssuedToken first = run(sessions.issue_token(s));
  std::string token = first.token;
  for (int hour = 1; hour < 24; ++hour) {
    clock.advance(1h);
    const std::optional<IssuedToken> next = run(sessions.rotate_token(token));
    ASSERT_TRUE(next) << hour;
    EXPECT_EQ(next->expires_at, first.expires_at);
    EXPECT_FALSE(accepted(token)) << "exchanged";
    token = next->token;
    EXPECT_TRUE(accepted(token));
  }
  clock.advance(1h);
  EXPECT_FALSE(accepted(token));
  EXPECT_FALSE(run(sessions.rotate_token(token)));
}

TEST_F(Tokens, ThatAreNotAcceptedAreNotRotated) {
  const std::string old = issue();
  const std::string token = issue();
  EXPECT_FALSE(run(sessions.rotate_token(old)));
  EXPECT_FALSE(run(sessions.rotate_token("aft.")));
  EXPECT_TRUE(accepted(token));
  run(sessions.revoke_token(s));
  EXPECT_FALSE(run(sessions.rotate_token(token)));
  EXPECT_EQ(event_types(s).back(), "session:token_revoked");
}

TEST_F(Tokens, AreNotRotatedWhenTheyAreRevokedAtThisMoment) {
  const std::string token = issue();
  const auto revoke = [&]() -> Task<void> { co_await sessions.revoke_token(s); };
  meanwhile(revoke);
  EXPECT_FALSE(run(sessions.rotate_token(token)));
  EXPECT_EQ(event_types(s).back(), "session:token_revoked");
}

TEST_F(Tokens, OfCompletedSessionsAreNotRotated) {
  const std::string token = issue();
  run(sessions.complete(s));
  EXPECT_EQ(error_of(sessions.rotate_token(token)).code(), ErrorCode::illegal_transition);
}

TEST_F(Tokens, CountAsActivityAtMostOnceAMinute) {
  const std::string token = issue();
  int touches = 0;
  driver().before = [&](Call call) -> Task<void> {
    touches += call == Call::touch ? 1 : 0;
    co_return;
  };
  for (int i = 0; i < 10; ++i) {
    clock.advance(20s);
    EXPECT_TRUE(accepted(token));
  }
  EXPECT_EQ(touches, 3);
}

TEST_F(Tokens, ThatAreNoneAreRefused) {
  const std::string token = issue();
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(accepted(changed)) << i;
    EXPECT_FALSE(accepted(token.substr(0, i))) << i;
  }
  for (const std::string& text :
       {std::string(), std::string("aft."), std::string("aft.."), std::string("aft.cw."),
        token + "A", token + "=", token + " ", " " + token, "Aft" + token.substr(3),
        std::string(10'000, 'x'), std::string("aft.\0.x", 7),
        "aft.bm9ib2R5." + token.substr(token.rfind('.') + 1)})
    EXPECT_FALSE(accepted(text)) << text;
  EXPECT_TRUE(accepted(token));
}

TEST_F(Tokens, OfOneSessionDoNotOpenAnother) {
  const std::string token = issue();
  make_session("t");
  const std::string other = run(sessions.issue_token(session_id("t"))).token;
  const auto secret = [](const std::string& text) { return text.substr(text.rfind('.')); };
  EXPECT_FALSE(accepted(token.substr(0, token.rfind('.')) + secret(other)));
  EXPECT_FALSE(accepted(other.substr(0, other.rfind('.')) + secret(token)));
}

TEST_F(Tokens, ThatCannotBeCheckedAreNeitherAcceptedNorRefused) {
  const std::string token = issue();
  for (const ErrorCode code : {ErrorCode::unavailable, ErrorCode::timeout, ErrorCode::corrupt}) {
    break_next(Call::read, code);
    EXPECT_EQ(error_of(sessions.authenticate(token)).code(), code);
  }
  clock.advance(1min);
  break_next(Call::touch, ErrorCode::unavailable);
  EXPECT_EQ(error_of(sessions.authenticate(token)).code(), ErrorCode::unavailable);
  driver().before = {};
  plant(s, credentials, "{}");
  EXPECT_EQ(error_of(sessions.authenticate(token)).code(), ErrorCode::corrupt);
}

// With limits below the minute that activity is usually written at.
TEST_F(Tokens, OfSessionsThatAreUsedStayGoodHoweverShortTheLimits) {
  const std::vector<std::pair<std::chrono::milliseconds, std::chrono::milliseconds>> cases = {
      {24h, 20s}, {3s, 2h}, {3s, 1s}};
  for (const auto& [ttl, idle_limit] : cases) {
    DriverLimits limits;
    limits.touch_interval = activity_interval(ttl, idle_limit);
    StorageOptions options;
    options.session_ttl = ttl;
    open(limits, options);
    make_session();
    SessionServiceOptions tokens;
    tokens.token_idle_limit = idle_limit;
    SessionService service(storage(), tokens);
    const std::string token = run(service.issue_token(s)).token;
    const auto shortest = std::min(ttl, idle_limit);
    for (int use = 0; use < 10; ++use) {
      clock.advance(shortest - limits.touch_interval);
      ASSERT_TRUE(run(service.authenticate(token))) << use;
      clock.advance(limits.touch_interval - 1ms);
      ASSERT_TRUE(run(service.authenticate(token))) << use;
    }
    clock.advance(shortest);
    EXPECT_FALSE(run(service.authenticate(token)));
  }
}

TEST_F(Tokens, WriteActivityDownOnceAMinuteAtMost) {
  EXPECT_EQ(activity_interval(24h, 2h), 1min);
  EXPECT_EQ(activity_interval(5min, 2h), 30s);
  EXPECT_EQ(activity_interval(24h, 20s), 5s);
}

// It ends between the check and what counts as its activity.
TEST_F(Tokens, OfASessionThatEndsAtThisMomentAreRefused) {
  const std::string token = issue();
  clock.advance(1min);
  driver().before = [&](Call call) -> Task<void> {
    if (call == Call::touch) co_await driver().real().erase_session(s);
  };
  EXPECT_FALSE(accepted(token));
}

TEST_F(Tokens, AreStoredNowhere) {
  std::vector<std::string> secrets;
  for (int i = 0; i < 3; ++i) {
    const std::string token = issue();
    secrets.push_back(token);
    secrets.push_back(token.substr(token.rfind('.') + 1));
    EXPECT_TRUE(accepted(token));
  }
  run(sessions.revoke_token(s));
  secrets.push_back(issue());
  std::string kept;
  for (const StoredEvent& event : run(driver().real().read_events(s, {})).events)
    kept.append(event.bytes.view()).append(event.operation_id);
  const std::vector<RecordKey> keys{session_record, credentials};
  for (const auto& record : run(driver().real().read(s, keys)).records)
    kept.append(record->bytes.view());
  for (const std::string& secret : secrets)
    EXPECT_EQ(kept.find(secret.substr(secret.rfind('.') + 1)), std::string::npos);
  EXPECT_NE(kept.find("tokenSha256"), std::string::npos);
  // And of the digest nothing is in the log.
  for (const Event& event : events(s))
    if (event.type.verb().starts_with("token")) {
      EXPECT_FALSE(event.data);
    }
}

}  // namespace
}  // namespace actionflows
