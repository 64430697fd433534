#include "server/testing/served.hpp"

#include <gtest/gtest.h>

#include <string>

namespace actionflows {
namespace {

using test::Headers;
using test::Reply;
using test::Served;

class EventsApi : public testing::Test {
 protected:
  void SetUp() override { client_.post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})"); }

  Reply append(const std::string& body = R"({"type":"note:added"})", const Headers& headers = {}) {
    return client_.post(log_, body, headers);
  }

  const std::string log_ = "/v1/sessions/s/events";
  Served served_;
  test::Client client_ = served_.client();
};

TEST_F(EventsApi, Appends) {
  const Reply reply = append(
      R"({"type":"note:added","at":"2026-01-01T01:00:00+01:00","data":{"text": "\ud83d\ude00"}})");
  EXPECT_EQ(reply.status, 201) << reply.body;
  EXPECT_EQ(reply.header("ActionFlows-Durability"), "memory");
  EXPECT_EQ(reply.at("/sequence"), "2");
  EXPECT_EQ(reply.at("/sessionId"), "s");
  EXPECT_EQ(reply.at("/at"), "2026-01-01T00:00:00.000Z");
  EXPECT_NE(reply.body.find(R"("data":{"text": "\ud83d\ude00"})"), std::string::npos);
  const Reply list = client_.get(log_ + "?after=1");
  EXPECT_NE(list.body.find(reply.body), std::string::npos) << "read as it was answered";
}

TEST_F(EventsApi, ARepeatedAppendLeavesOneEvent) {
  const Headers key{{"Idempotency-Key", "note-1"}};
  const Reply first = append(R"({"type":"note:added","data":1})", key);
  const Reply second = append(R"({"type":"note:added","data":1})", key);
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(second.status, 201);
  EXPECT_EQ(first.body, second.body);
  EXPECT_EQ(client_.get(log_).at("/lastSequence"), "2");
}

TEST_F(EventsApi, AKeyUsedForSomethingElseIsAConflict) {
  const Headers key{{"Idempotency-Key", "note-1"}};
  append(R"({"type":"note:added"})", key);
  EXPECT_EQ(client_.patch("/v1/sessions/s", R"({"title":"t"})", key).status, 409);
  EXPECT_FALSE(client_.get("/v1/sessions/s").has("/title"));
}

TEST_F(EventsApi, MalformedKeysAreRefused) {
  for (const std::string& key : {std::string(201, 'k'), std::string("two words")}) {
    const Reply reply = append(R"({"type":"note:added"})", {{"Idempotency-Key", key}});
    EXPECT_EQ(reply.status, 400) << key;
    EXPECT_EQ(reply.at("/issues/0/path/0"), "Idempotency-Key");
  }
  EXPECT_EQ(append(R"({"type":"note:added"})", {{"Idempotency-Key", std::string(200, 'k')}}).status,
            201);
  EXPECT_EQ(client_.get(log_).at("/lastSequence"), "2");
}

TEST_F(EventsApi, ReservedTypesAndForeignIdsAreRefused) {
  const Reply reply =
      append(R"({"type":"step:completed","chainId":"other.c1","stepId":"x.c1.s1"})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_TRUE(reply.has("/issues/2")) << reply.body;
}

TEST_F(EventsApi, ReadsInPages) {
  for (int n = 0; n < 10; ++n) append();
  const Reply first = client_.get(log_ + "?limit=4");
  EXPECT_EQ(first.at("/items/0/sequence"), "1");
  EXPECT_EQ(first.at("/items/3/sequence"), "4");
  EXPECT_EQ(first.at("/nextAfter"), "4");
  EXPECT_EQ(first.at("/firstSequence"), "1");
  EXPECT_EQ(first.at("/lastSequence"), "11");
  EXPECT_EQ(first.header("ActionFlows-Source"), "memory; age=0");
  const Reply last = client_.get(log_ + "?after=8&limit=4");
  EXPECT_EQ(last.at("/items/2/sequence"), "11");
  EXPECT_EQ(last.at("/nextAfter"), "null");
  EXPECT_EQ(client_.get(log_ + "?after=99").at("/items"), "[]");
}

TEST_F(EventsApi, Filters) {
  append(R"({"type":"note:added","at":"2026-01-01T00:00:00Z","data":1})");
  append(R"({"type":"note:removed","at":"2026-01-02T00:00:00Z","data":2})");
  append(R"({"type":"note:added","at":"2026-01-03T00:00:00Z","data":3})");
  const Reply type = client_.get(log_ + "?type=note:removed");
  EXPECT_EQ(type.at("/items/0/data"), "2");
  EXPECT_FALSE(type.has("/items/1"));
  const Reply range =
      client_.get(log_ + "?since=2026-01-02T00:00:00Z&until=2026-01-03T01:00:00%2B01:00");
  EXPECT_EQ(range.at("/items/0/data"), "2");
  EXPECT_FALSE(range.has("/items/1")) << "until is not included";
}

TEST_F(EventsApi, PrunesTheOldest) {
  for (int n = 0; n < 5; ++n) append();
  EXPECT_EQ(client_.del(log_ + "?before=4").at("/removed"), "3");
  const Reply list = client_.get(log_);
  EXPECT_EQ(list.at("/firstSequence"), "4");
  EXPECT_EQ(list.at("/items/0/sequence"), "4");
  const Reply reply = client_.del(log_);
  EXPECT_EQ(reply.status, 400) << "everything is never pruned by leaving something out";
  EXPECT_EQ(reply.at("/issues/0/path/0"), "before");
}

TEST_F(EventsApi, UnknownSessionsHaveNoLog) {
  EXPECT_EQ(client_.get("/v1/sessions/nobody/events").status, 404);
  EXPECT_EQ(client_.post("/v1/sessions/nobody/events", R"({"type":"note:added"})").status, 404);
  EXPECT_EQ(client_.get("/v1/sessions/nobody/stream").status, 404);
  EXPECT_EQ(client_.del("/v1/sessions/nobody/events?before=1").status, 404);
}

}  // namespace
}  // namespace actionflows
