// Whatever is wrong with a request: a clear answer, and nothing has changed.
#include "server/testing/faulty_storage.hpp"
#include "server/testing/served.hpp"
#include "tests/support/wait_until.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>
#include <tuple>

namespace actionflows {
namespace {

using namespace std::chrono_literals;
using test::FaultyStorage;
using test::Reply;
using test::Served;

std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') +
         std::string(static_cast<std::size_t>(depth), ']');
}

class BadInput : public testing::Test {
 protected:
  void SetUp() override {
    client_.post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})");
    client_.post("/v1/sessions/s/chains",
                 R"({"title":"t","source":"flow","steps":[{"action":"a"}]})");
    before_ = everything();
  }
  void TearDown() override { EXPECT_EQ(everything(), before_) << "nothing has changed"; }

  std::string everything() {
    return client_.get("/v1/sessions").body + client_.get("/v1/sessions/s/events").body +
           client_.get("/v1/chains/s.c1?include=steps").body;
  }

  // Expects a 400 whose first issue is `code` at `place`.
  void expect_issue(const Reply& reply, const std::string& code, const std::string& place = {}) {
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(reply.header("Content-Type"), "application/problem+json");
    EXPECT_EQ(reply.at("/type"), "urn:actionflows:problem:invalid");
    EXPECT_EQ(reply.at("/issues/0/code"), code) << reply.body;
    if (!place.empty()) {
      EXPECT_EQ(reply.at("/issues/0/path/0"), place) << reply.body;
    }
  }
  Reply create(const std::string& body) { return client_.post("/v1/sessions", body); }

  Served served_;
  test::Client client_ = served_.client();
  std::string before_;
};

TEST_F(BadInput, MalformedJsonIsPlacedByLineAndColumn) {
  const Reply reply = create("{\"userId\": \"ann\",\n  \"title\": tru}");
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("line 2"), std::string::npos) << reply.body;
  EXPECT_NE(reply.body.find("column 12"), std::string::npos) << reply.body;
  for (const char* text : {"", " ", "{", "}", "[", "{\"userId\":\"ann\"", "{\"userId\":\"ann\"}x",
                           "{\"userId\":\"ann\",}", "{'userId':'ann'}", "nul", "\xef\xbb\xbf{}",
                           "{\"userId\":\"a\nnn\"}", "{\"userId\":\"\\x\"}"})
    EXPECT_EQ(create(text).status, 400) << text;
}

TEST_F(BadInput, EveryIssueIsToldAtOnce) {
  const Reply reply = create(
      R"({"sessionId":"a/b","title":7,"cwd":null,"metadata":[],"state":"active","color":"red"})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_TRUE(reply.has("/issues/5")) << reply.body;
}

TEST_F(BadInput, WrongTypes) {
  for (const char* text : {"[]", "\"ann\"", "7", "null", "true"})
    expect_issue(create(text), "invalid_type");
  for (const char* value : {"7", "true", "{}", "[]", "null"}) {
    const std::string body = R"({"userId":"ann","title":)" + std::string(value) + "}";
    expect_issue(create(body), "invalid_type", "title");
  }
  expect_issue(create(R"({"userId":"ann","metadata":"x"})"), "invalid_type", "metadata");
  expect_issue(client_.patch("/v1/sessions/s", R"({"title":1.5})"), "invalid_type", "title");
  expect_issue(client_.patch("/v1/sessions/s", "[]"), "invalid_type");
}

TEST_F(BadInput, UnknownFields) {
  expect_issue(create(R"({"userId":"ann","tittle":"t"})"), "unrecognized_keys");
  expect_issue(client_.patch("/v1/sessions/s", R"({"userId":"bob"})"), "unrecognized_keys");
  expect_issue(client_.patch("/v1/chains/s.c1", R"({"status":"completed"})"), "unrecognized_keys");
  expect_issue(client_.post("/v1/sessions/s/chains",
                            R"({"title":"t","source":"flow","steps":[{"action":"a","x":1}]})"),
               "unrecognized_keys");
  expect_issue(client_.post("/v1/steps/s.c1.s1/complete", R"({"status":1})"), "unrecognized_keys");
}

TEST_F(BadInput, DuplicateKeys) {
  expect_issue(create(R"({"userId":"ann","userId":"bob"})"), "duplicate_key", "userId");
  expect_issue(create(R"({"userId":"ann","metadata":{"a":1,"a":2}})"), "duplicate_key", "metadata");
  expect_issue(create(R"({"userId":"ann","metadata":{"a":1,"\u0061":2}})"), "duplicate_key");
}

TEST_F(BadInput, MissingFields) {
  expect_issue(create("{}"), "invalid_type", "userId");
  expect_issue(client_.post("/v1/sessions/s/chains", R"({"source":"flow"})"), "invalid_type",
               "title");
  expect_issue(client_.post("/v1/chains/s.c1/steps", "{}"), "invalid_type", "action");
  expect_issue(client_.post("/v1/sessions/s/events", "{}"), "invalid_type", "type");
}

TEST_F(BadInput, TooLong) {
  expect_issue(create(R"({"userId":")" + std::string(201, 'u') + "\"}"), "invalid_string",
               "userId");
  expect_issue(create(R"({"userId":"ann","title":")" + std::string(501, 't') + "\"}"), "too_big",
               "title");
  EXPECT_EQ(client_.get("/v1/sessions/" + std::string(201, 's')).status, 400);
}

TEST_F(BadInput, TooDeep) {
  expect_issue(create(R"({"userId":"ann","metadata":{"a":)" + nested(64) + "}}"), "custom",
               "metadata");
  expect_issue(client_.post("/v1/sessions/s/events", R"({"type":"a:b","data":)" + nested(65) + "}"),
               "custom");
  EXPECT_EQ(create(nested(100'000)).status, 400);
}

TEST_F(BadInput, TooLargeARecord) {
  const std::string large((std::size_t{2} << 20) + 1, 'x');
  expect_issue(create(R"({"userId":"ann","metadata":{"a":")" + large + "\"}}"), "too_big");
  expect_issue(client_.post("/v1/sessions/s/events", R"({"type":"a:b","data":")" + large + "\"}"),
               "too_big");
}

TEST_F(BadInput, TooLargeARequest) {
  const Reply reply = create(std::string((std::size_t{5} << 20) + 1, ' '));
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(reply.at("/type"), "urn:actionflows:problem:too_large");
}

TEST_F(BadInput, InvalidUtf8) {
  for (const char* bytes :
       {"\xff", "\xc3\x28", "\xe2\x82", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    EXPECT_EQ(create(R"({"userId":"ann","title":")" + std::string(bytes) + "\"}").status, 400);
    EXPECT_EQ(create(R"({"userId":"ann","metadata":{"a":")" + std::string(bytes) + "\"}}").status,
              400);
  }
}

TEST_F(BadInput, LoneSurrogates) {
  EXPECT_EQ(create(R"({"userId":"ann","title":"\ud83d"})").status, 400);
  EXPECT_EQ(create(R"({"userId":"ann","metadata":{"a":"\ude00\ud83d"}})").status, 400);
}

TEST_F(BadInput, IdsThatCanNotBe) {
  expect_issue(create("{\"userId\":\"ann\",\"sessionId\":\"a\\u0000b\"}"), "invalid_string",
               "sessionId");
  for (const char* id : {"", "a b", "a/b", "a{b}", "a*", "a\\n", "\xc3\xa9"})
    expect_issue(create(R"({"userId":"ann","sessionId":")" + std::string(id) + "\"}"),
                 "invalid_string", "sessionId");
  for (const char* path : {"/v1/sessions/a%00b", "/v1/sessions/a%2Fb", "/v1/sessions/a%20b",
                           "/v1/sessions/%7Bs%7D/events"})
    expect_issue(client_.get(path), "invalid_string", "sessionId");
  for (const char* id : {"s", "s.c0", "s.c01", "s.c1.s1", "s.c", "s.c99999999999", "s.c-1"})
    expect_issue(client_.get("/v1/chains/" + std::string(id)), "invalid_string", "chainId");
  for (const char* id : {"s", "s.c1", "s.c1.s0", "s.c1.s01", ".c1.s1"})
    expect_issue(client_.get("/v1/steps/" + std::string(id)), "invalid_string", "stepId");
  EXPECT_EQ(client_.get("/v1/sessions/a%").status, 400);
}

TEST_F(BadInput, UnknownEnumerationValues) {
  expect_issue(client_.patch("/v1/sessions/s", R"({"state":"done"})"), "invalid_enum_value",
               "state");
  expect_issue(client_.post("/v1/sessions/s/chains", R"({"title":"t","source":"magic"})"),
               "invalid_enum_value", "source");
  const std::tuple<const char*, const char*, const char*> queries[] = {
      {"/v1/sessions?state=done", "state", "one of active, paused, completed"},
      {"/v1/sessions/s/chains?status=done", "status",
       "one of pending, in_progress, completed, failed, cancelled"},
      {"/v1/chains/s.c1/steps?status=done", "status",
       "one of pending, in_progress, completed, failed, skipped"},
      {"/v1/chains/s.c1?include=events", "include", "one of steps"}};
  for (const auto& [target, name, expected] : queries) {
    const Reply reply = client_.get(target);
    expect_issue(reply, "invalid_enum_value", name);
    EXPECT_EQ(reply.at("/issues/0/expected"), expected);
    EXPECT_EQ(reply.at("/issues/0/message"), "must be " + std::string(expected));
  }
}

TEST_F(BadInput, NumbersOutOfRange) {
  for (const char* number : {"-1", "0", "1.5", "4294967296", "1e99", "99999999999999999999"}) {
    const Reply reply = client_.post("/v1/chains/s.c1/steps",
                                     R"({"action":"a","waitsFor":[)" + std::string(number) + "]}");
    EXPECT_EQ(reply.status, 400) << number;
    EXPECT_EQ(reply.at("/issues/0/path/0"), "waitsFor") << number;
  }
  for (const std::string list : {"/v1/sessions?limit=", "/v1/sessions/s/events?limit="}) {
    expect_issue(client_.get(list + "0"), "too_small", "limit");
    for (const char* limit : {"1001", "99999999999999999999"})
      expect_issue(client_.get(list + limit), "too_big", "limit");
    for (const char* limit : {"", "-1", "1.0", "ten", "99999999999999999999x"})
      expect_issue(client_.get(list + limit), "invalid_string", "limit");
  }
}

// JavaScript could not read them in an answer.
TEST_F(BadInput, NumbersThatJavaScriptCanNotHold) {
  const std::string log = "/v1/sessions/s/events";
  EXPECT_EQ(client_.get(log + "?after=9007199254740991").status, 200);
  for (const std::string number : {"9007199254740992", "18446744073709551615"}) {
    expect_issue(client_.get(log + "?after=" + number), "too_big", "after");
    expect_issue(client_.del(log + "?before=" + number), "too_big", "before");
    expect_issue(client_.get("/v1/sessions/s/stream?after=" + number), "too_big", "after");
    expect_issue(client_.get("/v1/sessions/s/stream", {{"Last-Event-ID", number}}), "too_big",
                 "Last-Event-ID");
  }
}

TEST_F(BadInput, QueriesThatMeanNothing) {
  expect_issue(client_.get("/v1/sessions?stauts=active"), "unrecognized_keys", "stauts");
  expect_issue(client_.get("/v1/sessions?limit=1&limit=2"), "duplicate_key", "limit");
  expect_issue(client_.get("/v1/sessions?cursor=xyz"), "invalid_string", "cursor");
  expect_issue(client_.get("/v1/sessions/s/chains?cursor=xyz"), "invalid_string", "cursor");
  expect_issue(client_.get("/v1/sessions?userId=a%20b"), "invalid_string", "userId");
  expect_issue(client_.get("/v1/sessions/s/events?since=yesterday"), "invalid_string", "since");
  expect_issue(client_.get("/v1/sessions/s/events?type=note"), "invalid_string", "type");
}

TEST_F(BadInput, EveryIssueOfAQueryIsToldAtOnce) {
  const auto expect_issues = [](const Reply& reply, std::size_t count) {
    EXPECT_EQ(reply.status, 400);
    EXPECT_TRUE(reply.has("/issues/" + std::to_string(count - 1))) << reply.body;
    EXPECT_FALSE(reply.has("/issues/" + std::to_string(count))) << reply.body;
  };
  expect_issues(client_.get("/v1/sessions?limit=x&state=y&z=1"), 3);
  expect_issues(client_.get("/v1/sessions?limit=0&state=x"), 2);
  for (const char* list :
       {"/v1/sessions", "/v1/archive", "/v1/sessions/s/chains", "/v1/chains/s.c1/steps"})
    expect_issues(client_.get(std::string(list) + "?limit=0&cursor=zz"), 2);
  expect_issues(client_.get("/v1/sessions/s/events?limit=0&after=x&type=y"), 3);
  expect_issues(client_.get("/v1/sessions/s/stream?after=x", {{"Last-Event-ID", "y"}}), 2);
}

TEST_F(BadInput, BodiesWithoutLength) {
  for (const char* head : {"POST /v1/sessions", "PATCH /v1/sessions/s"}) {
    const Reply reply = client_.raw(std::string(head) + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_EQ(reply.status, 411);
    EXPECT_EQ(reply.at("/type"), "urn:actionflows:problem:length_required");
  }
}

TEST_F(BadInput, ConditionsThatNothingWouldCompare) {
  const test::Headers version{{"If-Match", "\"1\""}};
  for (const char* path :
       {"/v1/sessions", "/v1/sessions/s/touch", "/v1/sessions/s/token", "/v1/sessions/s/chains",
        "/v1/chains/s.c1/steps", "/v1/sessions/s/events", "/v1/import"})
    expect_issue(client_.post(path, "{}", version), "invalid_string", "If-Match");
}

TEST_F(BadInput, WrongMethodsAreToldTheRightOnes) {
  const Reply reply = client_.send("PUT", "/v1/sessions/s", "{}");
  EXPECT_EQ(reply.status, 405);
  EXPECT_EQ(reply.header("Allow"), "GET, HEAD, PATCH, DELETE, OPTIONS");
  EXPECT_EQ(client_.get("/v1/sessions/s/touch").header("Allow"), "POST, OPTIONS");
  EXPECT_EQ(client_.send("BREW", "/v1/sessions/s", "").status, 501);
}

TEST_F(BadInput, UnknownRoutes) {
  for (const char* path :
       {"/", "/v1", "/v2/sessions", "/v1/sessions/", "/v1/sessions/s/", "/v1/sessions/s/chain",
        "/v1/steps", "/V1/sessions", "//v1/sessions", "/v1/../healthz"}) {
    const Reply reply = client_.get(path);
    EXPECT_EQ(reply.status, 404) << path;
    EXPECT_EQ(reply.at("/type"), "urn:actionflows:problem:not_found");
  }
}

TEST(ExpiredSessions, AreNotThere) {
  AppOptions options;
  options.sweep_interval = 1h;
  FakeClock clock;
  Served served(options, make_memory_storage(), clock);
  test::Client client = served.client();
  client.post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})");
  client.post("/v1/sessions/s/chains", R"({"title":"t","source":"flow"})");
  clock.advance(25h);
  for (const char* path : {"/v1/sessions/s", "/v1/sessions/s/chains", "/v1/chains/s.c1"})
    EXPECT_EQ(client.get(path).status, 404) << path;
  EXPECT_EQ(client.patch("/v1/sessions/s", R"({"title":"t"})").status, 404);
  EXPECT_EQ(client.post("/v1/sessions/s/touch").status, 404);
  EXPECT_EQ(client.get("/v1/sessions").at("/items"), "[]");
  EXPECT_EQ(client.get("/v1/sessions/s/events").status, 200) << "its log is";
  // Appending looks for the session only in its second attempt, and waits for it by the clock.
  auto append = std::async(std::launch::async, [&] {
    return client.post("/v1/sessions/s/events", R"({"type":"a:b"})").status;
  });
  EXPECT_TRUE(test::wait_until([&] {
    clock.advance(1ms);
    return append.wait_for(0s) == std::future_status::ready;
  }));
  EXPECT_EQ(append.get(), 404);
}

// ---- what is not the client's fault

class Failures : public testing::Test {
 protected:
  Reply get_while(ErrorCode code) {
    fault_.fail_with(code);
    Reply reply = client_.get("/v1/sessions/s");
    fault_.work();
    return reply;
  }

  static AppOptions quiet() {
    AppOptions options;
    options.sweep_interval = 1h;
    return options;
  }

  FaultyStorage::Switch fault_;
  Served served_{quiet(), std::make_unique<FaultyStorage>(make_memory_storage(), fault_)};
  test::Client client_ = served_.client();
};

TEST_F(Failures, HaveTheStatusOfTheirCode) {
  const std::pair<ErrorCode, int> expected[] = {{ErrorCode::unavailable, 503},
                                                {ErrorCode::timeout, 504},
                                                {ErrorCode::exhausted, 507},
                                                {ErrorCode::corrupt, 500}};
  for (const auto& [code, status] : expected) {
    const Reply reply = get_while(code);
    EXPECT_EQ(reply.status, status);
    EXPECT_EQ(reply.header("Content-Type"), "application/problem+json");
  }
  EXPECT_EQ(get_while(ErrorCode::unavailable).header("Retry-After"), "1");
}

TEST_F(Failures, OfTheInsideTellNothingButAnId) {
  const Reply reply = get_while(ErrorCode::corrupt);
  EXPECT_EQ(reply.at("/errorId").size(), 16U);
  EXPECT_EQ(reply.body.find("told to fail"), std::string::npos);
}

TEST(Limits, AreNamed) {
  MemoryOptions memory;
  memory.limits.max_events = 4;
  memory.limits.max_chains = 1;
  Served served({}, make_memory_storage(memory));
  test::Client client = served.client();
  client.post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})");
  const auto expect_full = [](const Reply& reply, const std::string& detail) {
    EXPECT_EQ(reply.status, 507);
    EXPECT_EQ(reply.at("/type"), "urn:actionflows:problem:exhausted");
    EXPECT_EQ(reply.at("/detail"), detail);
  };
  const auto add_chain = [&] {
    return client.post("/v1/sessions/s/chains", R"({"title":"t","source":"flow"})");
  };
  const auto add_event = [&] { return client.post("/v1/sessions/s/events", R"({"type":"a:b"})"); };
  EXPECT_EQ(add_chain().status, 201);
  expect_full(add_chain(), "the session has too many chains (limit 1)");
  EXPECT_EQ(add_event().status, 201);
  expect_full(add_event(), "the session's log is full: prune it (limit 4)");
}

}  // namespace
}  // namespace actionflows
