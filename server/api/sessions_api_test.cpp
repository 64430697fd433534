#include "server/testing/served.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace actionflows {
namespace {

using test::Headers;
using test::Reply;
using test::Served;

class SessionsApi : public testing::Test {
 protected:
  void create(const std::string& id, const std::string& user = "ann") {
    const Reply reply =
        client_.post("/v1/sessions", R"({"userId":")" + user + R"(","sessionId":")" + id + "\"}");
    ASSERT_EQ(reply.status, 201) << reply.body;
  }

  // How many events the session's log has.
  int events(const std::string& id) {
    return std::stoi(client_.get("/v1/sessions/" + id + "/events").at("/lastSequence"));
  }

  Served served_;
  test::Client client_ = served_.client();
};

TEST_F(SessionsApi, CreatesWithAnIdOfTheClients) {
  const Reply reply =
      client_.post("/v1/sessions", R"({"userId":"ann","sessionId":"s1","metadata":{"a": 1}})");
  EXPECT_EQ(reply.status, 201) << reply.body;
  EXPECT_EQ(reply.header("Location"), "/v1/sessions/s1");
  EXPECT_EQ(reply.header("ETag"), "\"1\"");
  EXPECT_EQ(reply.header("ActionFlows-Durability"), "memory");
  EXPECT_EQ(reply.header("Content-Type"), "application/json");
  EXPECT_EQ(reply.at("/userId"), "ann");
  EXPECT_EQ(reply.at("/state"), "active");
  EXPECT_EQ(reply.at("/version"), "1");
  EXPECT_NE(reply.body.find(R"("metadata":{"a": 1})"), std::string::npos) << "kept byte for byte";
  EXPECT_EQ(client_.get("/v1/sessions/s1").body, reply.body);
}

TEST_F(SessionsApi, MintsAnIdWhereNoneIsGiven) {
  const Reply reply = client_.post("/v1/sessions", R"({"userId":"ann"})");
  ASSERT_EQ(reply.status, 201);
  EXPECT_EQ(reply.at("/sessionId").size(), 36U);
  EXPECT_EQ(client_.get(reply.header("Location")).status, 200);
}

TEST_F(SessionsApi, TheSameIdTwiceIsAConflict) {
  create("s1");
  const Reply reply = client_.post("/v1/sessions", R"({"userId":"bob","sessionId":"s1"})");
  EXPECT_EQ(reply.status, 409);
  EXPECT_EQ(reply.at("/type"), "urn:actionflows:problem:conflict");
  EXPECT_EQ(client_.get("/v1/sessions/s1").at("/userId"), "ann");
}

TEST_F(SessionsApi, ARepeatedCreationMakesOneSession) {
  const Headers key{{"Idempotency-Key", "create-1"}};
  const Reply first = client_.post("/v1/sessions", R"({"userId":"ann"})", key);
  const Reply second = client_.post("/v1/sessions", R"({"userId":"ann"})", key);
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(second.status, 201);
  EXPECT_EQ(first.body, second.body);
  EXPECT_EQ(client_.get("/v1/sessions?userId=ann").at("/items/0/sessionId"),
            first.at("/sessionId"));
  EXPECT_FALSE(client_.get("/v1/sessions?userId=ann").has("/items/1"));
}

TEST_F(SessionsApi, AnswersAReadWithItsSourceAndEntityTag) {
  create("s1");
  const Reply reply = client_.get("/v1/sessions/s1");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("ActionFlows-Source"), "memory; age=0");
  EXPECT_EQ(reply.header("ETag"), "\"1\"");
}

// A touch moves the deadline and not the version.
TEST(ActivityOfASession, IsToldToWhoKnowsTheVersion) {
  FakeClock clock;
  Served served({}, make_memory_storage(), clock);
  test::Client client = served.client();
  const Reply before = client.post("/v1/sessions", R"({"userId":"ann","sessionId":"s1"})");
  clock.advance(std::chrono::minutes(5));
  EXPECT_EQ(client.post("/v1/sessions/s1/touch").status, 204);
  const Reply after = client.get("/v1/sessions/s1", {{"If-None-Match", before.header("ETag")}});
  EXPECT_EQ(after.status, 200);
  EXPECT_EQ(after.header("ETag"), before.header("ETag")) << "for If-Match";
  EXPECT_GT(after.at("/expiresAt"), before.at("/expiresAt"));
}

TEST_F(SessionsApi, AnswersHeadLikeGetWithoutTheBody) {
  create("s1");
  const Reply reply = client_.send("HEAD", "/v1/sessions/s1", "");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("ETag"), "\"1\"");
  EXPECT_EQ(reply.header("Content-Length"),
            std::to_string(client_.get("/v1/sessions/s1").body.size()));
}

TEST_F(SessionsApi, UnknownOnesAreNotFound) {
  for (const char* method : {"GET", "DELETE"})
    EXPECT_EQ(client_.send(method, "/v1/sessions/nobody", "").status, 404) << method;
  EXPECT_EQ(client_.patch("/v1/sessions/nobody", R"({"title":"t"})").status, 404);
  for (const char* action : {"touch", "token", "logout"})
    EXPECT_EQ(client_.post("/v1/sessions/nobody/" + std::string(action)).status, 404) << action;
  EXPECT_EQ(client_.del("/v1/sessions/nobody/token").status, 404);
}

TEST_F(SessionsApi, ListsAllSessionsOrAUsers) {
  create("a1", "ann");
  create("b1", "bob");
  create("a2", "ann");
  EXPECT_TRUE(client_.get("/v1/sessions").has("/items/2"));
  const Reply reply = client_.get("/v1/sessions?userId=bob");
  EXPECT_EQ(reply.at("/items/0/sessionId"), "b1");
  EXPECT_FALSE(reply.has("/items/1"));
  EXPECT_EQ(reply.at("/nextCursor"), "null");
  EXPECT_FALSE(reply.has("/corrupt"));
  EXPECT_EQ(reply.header("ActionFlows-Source"), "memory; age=0");
  EXPECT_EQ(client_.get("/v1/sessions?userId=nobody").at("/items"), "[]");
}

TEST_F(SessionsApi, ListsByState) {
  create("s1");
  create("s2");
  client_.patch("/v1/sessions/s2", R"({"state":"paused"})");
  const Reply reply = client_.get("/v1/sessions?userId=ann&state=paused");
  EXPECT_EQ(reply.at("/items/0/sessionId"), "s2");
  EXPECT_FALSE(reply.has("/items/1"));
}

TEST_F(SessionsApi, PagesSeeEachSessionOnce) {
  std::set<std::string> expected;
  for (int n = 0; n < 123; ++n) {
    const std::string id = "s" + std::to_string(n);
    create(id);
    expected.insert(id);
  }
  for (const char* limit : {"1", "7", "60", "123", "1000"}) {
    std::set<std::string> seen;
    std::string cursor;
    do {
      const Reply page = client_.get("/v1/sessions?limit=" + std::string(limit) +
                                     (cursor.empty() ? "" : "&cursor=" + cursor));
      ASSERT_EQ(page.status, 200) << page.body;
      for (int n = 0; page.has("/items/" + std::to_string(n)); ++n)
        EXPECT_TRUE(seen.insert(page.at("/items/" + std::to_string(n) + "/sessionId")).second);
      cursor = page.at("/nextCursor") == "null" ? "" : page.at("/nextCursor");
    } while (!cursor.empty());
    EXPECT_EQ(seen, expected) << limit;
  }
}

TEST_F(SessionsApi, PagesOfLargeRecordsEndEarly) {
  const std::string large(60'000, 'x');
  for (int n = 0; n < 120; ++n)
    client_.post("/v1/sessions", R"({"userId":"ann","summary":")" + large + "\"}");
  const Reply page = client_.get("/v1/sessions?limit=1000");
  EXPECT_LT(page.body.size(), std::size_t{8} << 20);
  EXPECT_NE(page.at("/nextCursor"), "null");
}

TEST_F(SessionsApi, PatchesMerge) {
  client_.post("/v1/sessions",
               R"({"userId":"ann","sessionId":"s1","title":"t","metadata":{"a":1,"b":{"c":2}}})");
  const Reply reply = client_.patch(
      "/v1/sessions/s1", R"({"title":null,"summary":"s","metadata":{"b":{"c":null,"d":3}}})",
      {{"If-Match", "\"1\""}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.header("ETag"), "\"2\"");
  EXPECT_EQ(reply.header("ActionFlows-Durability"), "memory");
  EXPECT_FALSE(reply.has("/title"));
  EXPECT_EQ(reply.at("/summary"), "s");
  EXPECT_EQ(reply.at("/metadata"), R"({"a":1,"b":{"d":3}})");
  EXPECT_EQ(client_.get("/v1/sessions/s1").body, reply.body);
}

TEST_F(SessionsApi, AStaleVersionChangesNothing) {
  create("s1");
  client_.patch("/v1/sessions/s1", R"({"title":"second"})");
  const Headers stale{{"If-Match", "\"1\""}};
  const Reply reply = client_.patch("/v1/sessions/s1", R"({"title":"late"})", stale);
  EXPECT_EQ(reply.status, 412);
  EXPECT_EQ(reply.header("ETag"), "\"2\"");
  EXPECT_EQ(reply.at("/currentVersion"), "2");
  EXPECT_EQ(client_.del("/v1/sessions/s1", stale).status, 412);
  EXPECT_EQ(client_.post("/v1/sessions/s1/logout", "", stale).status, 412);
  EXPECT_EQ(client_.get("/v1/sessions/s1").at("/title"), "second");
}

TEST_F(SessionsApi, OnlyAnotherVersionFailsACondition) {
  create("s1");
  create("s2");
  const Headers key{{"Idempotency-Key", "k"}, {"If-Match", "\"1\""}};
  EXPECT_EQ(client_.patch("/v1/sessions/s1", R"({"title":"t"})", key).status, 200);
  const Reply reply = client_.del("/v1/sessions/s1", key);
  EXPECT_EQ(reply.status, 409) << "the key was used for something else: " << reply.body;
  EXPECT_FALSE(reply.has("/currentVersion"));
}

TEST_F(SessionsApi, AnyVersionIsAsked) {
  create("s1");
  EXPECT_EQ(client_.patch("/v1/sessions/s1", R"({"title":"t"})", {{"If-Match", "*"}}).status, 200);
}

TEST_F(SessionsApi, MalformedVersionsAreRefused) {
  create("s1");
  for (const char* tag : {"1", "\"one\"", "W/\"1\"", "\"1\", \"2\"", "\"", "\"\"", "\"1", "\"-1\"",
                          "\"99999999999999999999\""}) {
    const Reply reply = client_.patch("/v1/sessions/s1", R"({"title":"t"})", {{"If-Match", tag}});
    EXPECT_EQ(reply.status, 400) << tag;
    EXPECT_EQ(reply.at("/issues/0/path/0"), "If-Match") << tag;
  }
  EXPECT_EQ(events("s1"), 1);
}

TEST_F(SessionsApi, AStateIsPatched) {
  create("s1");
  EXPECT_EQ(client_.patch("/v1/sessions/s1", R"({"state":"paused"})").at("/state"), "paused");
  EXPECT_EQ(client_.patch("/v1/sessions/s1", R"({"state":"active"})").at("/state"), "active");
  const Reply done =
      client_.patch("/v1/sessions/s1", R"({"state":"completed","endReason":"done"})");
  EXPECT_EQ(done.at("/state"), "completed");
  EXPECT_TRUE(done.has("/completedAt"));
  const Reply reply = client_.patch("/v1/sessions/s1", R"({"state":"active"})");
  EXPECT_EQ(reply.status, 409);
  EXPECT_EQ(reply.at("/type"), "urn:actionflows:problem:illegal_transition");
  EXPECT_EQ(reply.at("/detail"), "a completed session can't become active");
}

TEST_F(SessionsApi, DeletesAndKeepsTheLog) {
  create("s1");
  const Reply reply = client_.del("/v1/sessions/s1", {{"If-Match", "\"1\""}});
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.header("ActionFlows-Durability"), "memory");
  EXPECT_EQ(client_.get("/v1/sessions/s1").status, 404);
  EXPECT_EQ(client_.get("/v1/sessions/s1/events").at("/items/1/type"), "session:deleted");
  EXPECT_EQ(client_.del("/v1/sessions/s1").status, 404);
}

TEST_F(SessionsApi, TouchMovesTheDeadline) {
  create("s1");
  const std::string before = client_.get("/v1/sessions/s1").at("/expiresAt");
  std::string after = before;
  for (int tries = 0; tries < 1000 && after == before; ++tries) {
    ASSERT_EQ(client_.post("/v1/sessions/s1/touch").status, 204);
    after = client_.get("/v1/sessions/s1").at("/expiresAt");
  }
  EXPECT_GT(after, before);
  EXPECT_EQ(events("s1"), 1) << "activity is no event";
}

TEST_F(SessionsApi, ActionsTakeNoBodyOrAnEmptyObject) {
  create("s1");
  EXPECT_EQ(client_.post("/v1/sessions/s1/touch", "{}").status, 204);
  EXPECT_EQ(client_.raw("POST /v1/sessions/s1/touch HTTP/1.1\r\nHost: localhost\r\n\r\n").status,
            204)
      << "without Content-Length";
  const Reply reply = client_.post("/v1/sessions/s1/logout", R"({"force":true})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.at("/issues/0/code"), "unrecognized_keys");
  EXPECT_EQ(client_.get("/v1/sessions/s1").status, 200);
}

TEST_F(SessionsApi, TokensAreIssuedRotatedAndRevoked) {
  create("s1");
  const Reply first = client_.post("/v1/sessions/s1/token");
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(first.header("Cache-Control"), "no-store");
  EXPECT_TRUE(first.has("/expiresAt"));
  const auto status_with = [&](const Reply& issued) {
    return client_.get("/v1/sessions/s1", Served::bearer(issued.at("/token"))).status;
  };
  EXPECT_EQ(status_with(first), 200);
  const Reply second = client_.post("/v1/sessions/s1/token");
  EXPECT_NE(first.at("/token"), second.at("/token"));
  EXPECT_EQ(status_with(first), 401) << "rotated";
  EXPECT_EQ(status_with(second), 200);
  EXPECT_EQ(client_.del("/v1/sessions/s1/token").status, 204);
  EXPECT_EQ(status_with(second), 401) << "revoked";
  EXPECT_EQ(client_.del("/v1/sessions/s1/token").status, 204) << "nothing to revoke";
}

TEST_F(SessionsApi, LogoutEndsTokenAndSession) {
  create("s1");
  const std::string token = client_.post("/v1/sessions/s1/token").at("/token");
  EXPECT_EQ(client_.post("/v1/sessions/s1/logout").status, 204);
  EXPECT_EQ(client_.get("/v1/sessions/s1", Served::bearer(token)).status, 401);
  EXPECT_EQ(client_.get("/v1/sessions/s1").status, 404);
  EXPECT_EQ(client_.get("/v1/sessions/s1/events").status, 200);
}

TEST_F(SessionsApi, ARepeatedChangeIsAppliedOnce) {
  create("s1");
  const Headers key{{"Idempotency-Key", "k1"}};
  const Reply first = client_.patch("/v1/sessions/s1", R"({"title":"t"})", key);
  const Reply second = client_.patch("/v1/sessions/s1", R"({"title":"t"})", key);
  EXPECT_EQ(first.body, second.body);
  EXPECT_EQ(events("s1"), 2);
  EXPECT_EQ(client_.del("/v1/sessions/s1", {{"Idempotency-Key", "k2"}}).status, 204);
  EXPECT_EQ(client_.del("/v1/sessions/s1", {{"Idempotency-Key", "k2"}}).status, 204);
  EXPECT_EQ(events("s1"), 3);
}

TEST_F(SessionsApi, NamesTheActor) {
  create("s1");
  client_.patch("/v1/sessions/s1", R"({"title":"t"})", {{"ActionFlows-Actor", "the-dashboard"}});
  EXPECT_EQ(client_.get("/v1/sessions/s1/events").at("/items/1/actor"), "the-dashboard");
  const Reply reply =
      client_.patch("/v1/sessions/s1", R"({"title":"u"})", {{"ActionFlows-Actor", "a b"}});
  EXPECT_EQ(reply.status, 400);
}

}  // namespace
}  // namespace actionflows
