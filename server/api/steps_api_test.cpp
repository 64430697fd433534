#include "server/testing/served.hpp"

#include <gtest/gtest.h>

#include <string>

namespace actionflows {
namespace {

using test::Headers;
using test::Reply;
using test::Served;

class StepsApi : public testing::Test {
 protected:
  void SetUp() override {
    client_.post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})");
    client_.post("/v1/sessions/s/chains",
                 R"({"title":"t","source":"flow",
                     "steps":[{"action":"a"},{"action":"b","waitsFor":[1]}]})");
  }

  Reply act(int step, const std::string& action, const std::string& body = "",
            const Headers& headers = {}) {
    return client_.post("/v1/steps/s.c1.s" + std::to_string(step) + "/" + action, body, headers);
  }
  std::string chain(const std::string& member) {
    return client_.get("/v1/chains/s.c1").at("/" + member);
  }

  Served served_;
  test::Client client_ = served_.client();
};

TEST_F(StepsApi, Appends) {
  const Reply reply =
      client_.post("/v1/chains/s.c1/steps", R"({"action":"c","inputs":{"x": [1]},"waitsFor":[2]})");
  EXPECT_EQ(reply.status, 201) << reply.body;
  EXPECT_EQ(reply.header("Location"), "/v1/steps/s.c1.s3");
  EXPECT_EQ(reply.header("ETag"), "\"1\"");
  EXPECT_NE(reply.body.find(R"("inputs":{"x": [1]})"), std::string::npos);
  EXPECT_EQ(client_.get("/v1/steps/s.c1.s3").body, reply.body);
  EXPECT_EQ(chain("stepCount"), "3");
}

TEST_F(StepsApi, ARepeatedAppendMakesOneStep) {
  const Headers key{{"Idempotency-Key", "append"}};
  const Reply first = client_.post("/v1/chains/s.c1/steps", R"({"action":"c"})", key);
  const Reply second = client_.post("/v1/chains/s.c1/steps", R"({"action":"c"})", key);
  EXPECT_EQ(first.body, second.body);
  EXPECT_EQ(chain("stepCount"), "3");
}

TEST_F(StepsApi, WaitsForEarlierStepsOnly) {
  for (const char* waits : {"[3]", "[4]", "[0]", "[1,1]"}) {
    const Reply reply = client_.post("/v1/chains/s.c1/steps",
                                     R"({"action":"c","waitsFor":)" + std::string(waits) + "}");
    EXPECT_EQ(reply.status, 400) << waits;
    EXPECT_EQ(reply.at("/issues/0/path/0"), "waitsFor") << waits;
  }
  EXPECT_EQ(chain("stepCount"), "2");
}

TEST_F(StepsApi, ListsInOrderByStatusAndPage) {
  for (int n = 0; n < 70; ++n) client_.post("/v1/chains/s.c1/steps", R"({"action":"c"})");
  const Reply all = client_.get("/v1/chains/s.c1/steps?limit=72");
  EXPECT_EQ(all.at("/items/71/number"), "72");
  EXPECT_EQ(all.at("/nextCursor"), "null");
  const Reply first = client_.get("/v1/chains/s.c1/steps?limit=71");
  const Reply second =
      client_.get("/v1/chains/s.c1/steps?limit=71&cursor=" + first.at("/nextCursor"));
  EXPECT_EQ(second.at("/items/0/number"), "72");
  EXPECT_FALSE(second.has("/items/1"));
  act(1, "start");
  const Reply running = client_.get("/v1/chains/s.c1/steps?status=in_progress");
  EXPECT_EQ(running.at("/items/0/number"), "1");
  EXPECT_FALSE(running.has("/items/1"));
}

TEST_F(StepsApi, RunsToTheEnd) {
  const Reply started = act(1, "start");
  EXPECT_EQ(started.status, 200) << started.body;
  EXPECT_EQ(started.at("/status"), "in_progress");
  EXPECT_EQ(started.at("/attempt"), "1");
  EXPECT_EQ(started.header("ETag"), "\"2\"");
  EXPECT_EQ(chain("status"), "in_progress");

  const Reply completed =
      act(1, "complete", R"({"result":{"big":12345678901234567890},"learning":"l"})");
  EXPECT_EQ(completed.at("/status"), "completed");
  EXPECT_NE(completed.body.find(R"("result":{"big":12345678901234567890})"), std::string::npos);
  EXPECT_EQ(completed.at("/learning"), "l");

  act(2, "start");
  act(2, "complete");
  EXPECT_EQ(chain("status"), "completed");
  EXPECT_TRUE(client_.get("/v1/chains/s.c1").has("/archivedAt"));
}

TEST_F(StepsApi, AStartNamesWhatBlocksIt) {
  const Reply reply = act(2, "start");
  EXPECT_EQ(reply.status, 409);
  EXPECT_EQ(reply.at("/type"), "urn:actionflows:problem:illegal_transition");
  EXPECT_EQ(reply.at("/detail"), "step s.c1.s2 waits for step 1 (pending)");
  act(1, "skip");
  EXPECT_EQ(act(2, "start").status, 200);
}

TEST_F(StepsApi, FailsAndRetries) {
  act(1, "start");
  const Reply failed = act(1, "fail", R"({"error":"no disk","result":[1]})");
  EXPECT_EQ(failed.at("/status"), "failed");
  EXPECT_EQ(failed.at("/error"), "no disk");
  EXPECT_EQ(chain("status"), "failed");
  const Reply retried = act(1, "retry");
  EXPECT_EQ(retried.at("/status"), "pending");
  EXPECT_FALSE(retried.has("/error"));
  EXPECT_NE(chain("status"), "failed");
}

TEST_F(StepsApi, IllegalTransitionsNameTheState) {
  for (const char* action : {"complete", "fail", "retry"}) {
    const Reply reply = act(1, action);
    EXPECT_EQ(reply.status, 409) << action;
    EXPECT_EQ(reply.at("/detail"), "step s.c1.s1 is pending and can't " + std::string(action));
  }
}

TEST_F(StepsApi, AReportHasToFitItsAction) {
  const Reply reply = act(1, "start", R"({"result":1})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.at("/issues/0/path/0"), "result");
  EXPECT_EQ(act(1, "start", R"({"sesult":1})").status, 400);
  EXPECT_EQ(act(1, "start", "{}").status, 200);
  EXPECT_EQ(act(1, "complete", R"({"error":"?"})").status, 400);
}

TEST_F(StepsApi, ARepeatedActionIsDoneOnce) {
  act(1, "start", "", {{"Idempotency-Key", "start"}});
  const Headers key{{"Idempotency-Key", "done"}};
  const Reply first = act(1, "complete", R"({"result":1})", key);
  const Reply second = act(1, "complete", R"({"result":1})", key);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(second.status, 200) << second.body;
  EXPECT_EQ(first.body, second.body);
  EXPECT_EQ(act(1, "complete", R"({"result":1})").status, 409) << "without the key";
}

TEST_F(StepsApi, ActsByVersion) {
  EXPECT_EQ(act(1, "start", "", {{"If-Match", "\"2\""}}).status, 412);
  EXPECT_EQ(act(1, "start", "", {{"If-Match", "\"1\""}}).status, 200);
}

TEST_F(StepsApi, PatchesAndDeletes) {
  const Reply reply =
      client_.patch("/v1/steps/s.c1.s2", R"({"description":"d"})", {{"If-Match", "\"1\""}});
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.at("/description"), "d");
  EXPECT_EQ(client_.patch("/v1/steps/s.c1.s2", R"({"status":"completed"})").status, 400);
  EXPECT_EQ(client_.get("/v1/steps/s.c1.s2", {{"If-None-Match", "\"2\""}}).status, 304);
  EXPECT_EQ(client_.del("/v1/steps/s.c1.s1").status, 409) << "another waits for it";
  EXPECT_EQ(client_.del("/v1/steps/s.c1.s2", {{"If-Match", "\"1\""}}).status, 412);
  EXPECT_EQ(client_.del("/v1/steps/s.c1.s2").status, 204);
  EXPECT_EQ(client_.get("/v1/steps/s.c1.s2").status, 404);
}

TEST_F(StepsApi, UnknownOnesAreNotFound) {
  EXPECT_EQ(client_.get("/v1/steps/s.c1.s9").status, 404);
  EXPECT_EQ(client_.patch("/v1/steps/s.c1.s9", "{}").status, 404);
  EXPECT_EQ(client_.del("/v1/steps/s.c1.s9").status, 404);
  EXPECT_EQ(act(9, "start").status, 404);
  EXPECT_EQ(client_.get("/v1/chains/s.c9/steps").status, 404);
  EXPECT_EQ(client_.post("/v1/chains/s.c9/steps", R"({"action":"a"})").status, 404);
}

}  // namespace
}  // namespace actionflows
