#include "server/testing/faulty_storage.hpp"
#include "server/testing/served.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace actionflows {
namespace {

using namespace std::chrono_literals;
using test::FaultyStorage;
using test::Reply;
using test::Served;

constexpr std::string_view recorded_run =
    R"({"source":"notes:1","licence":"MIT","session":{"user":null,"cwd":"/home/ada",)"
    R"("startedAt":null},"chains":[{"title":"Look","source":"flow","steps":[{"action":"Look",)"
    R"("inputs":{},"waitsFor":[],"status":"completed","startedAt":"2026-02-11T20:36:51.804Z",)"
    R"("completedAt":null,"result":"","error":null}]}]})";

class AdminApi : public testing::Test {
 protected:
  Served served_;
  test::Client client_ = served_.client();
};

TEST_F(AdminApi, ImportsARunOnce) {
  const Reply first = client_.post("/v1/import", recorded_run);
  EXPECT_EQ(first.status, 201) << first.body;
  EXPECT_EQ(first.at("/stored"), "true");
  const Reply session = client_.get(first.header("Location"));
  EXPECT_EQ(session.at("/sessionId"), first.at("/sessionId"));
  EXPECT_EQ(session.at("/userId"), "unknown");
  EXPECT_EQ(session.at("/state"), "completed");
  const Reply second = client_.post("/v1/import", recorded_run);
  EXPECT_EQ(second.status, 200);
  EXPECT_EQ(second.at("/stored"), "false");
  EXPECT_EQ(second.at("/sessionId"), first.at("/sessionId"));
}

TEST_F(AdminApi, ImportsForAUser) {
  const Reply reply = client_.post("/v1/import?userId=ada", recorded_run);
  EXPECT_EQ(client_.get(reply.header("Location")).at("/userId"), "ada");
}

TEST_F(AdminApi, RefusesALineWithItsIssues) {
  const Reply reply = client_.post("/v1/import", R"({"session":{},"chains":7})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_TRUE(reply.has("/issues/0/path/0")) << reply.body;
  EXPECT_EQ(client_.get("/v1/sessions").at("/items"), "[]");
}

TEST_F(AdminApi, AnExportIsImportedElsewhereToTheByte) {
  client_.post("/v1/sessions", R"({"userId":"ann","sessionId":"s","metadata":{"b": 1,"a":2}})");
  client_.post("/v1/sessions/s/chains",
               R"({"title":"t","source":"flow","steps":[{"action":"a"},{"action":"b"}]})");
  client_.post("/v1/steps/s.c1.s1/start");
  client_.post("/v1/sessions/s/events", R"({"type":"note:added","data":{"x": null}})");
  const Reply line = client_.get("/v1/sessions/s/export");
  EXPECT_EQ(line.status, 200);
  EXPECT_EQ(line.header("Content-Type"), "application/x-ndjson");
  EXPECT_EQ(line.body.find('\n'), line.body.size() - 1);

  Served other;
  test::Client there = other.client();
  EXPECT_EQ(there.post("/v1/import", line.body).status, 201);
  EXPECT_EQ(there.get("/v1/sessions/s/export").body, line.body);
  EXPECT_EQ(there.get("/v1/sessions/s/verify").at("/outcome"), "equal");
  EXPECT_EQ(there.get("/v1/sessions/s/events").body, client_.get("/v1/sessions/s/events").body);
}

TEST_F(AdminApi, TakesLinesLongerThanOtherBodies) {
  const std::string line = std::string(recorded_run) + std::string(std::size_t{6} << 20, ' ');
  EXPECT_EQ(client_.post("/v1/import", line).status, 201);
}

TEST_F(AdminApi, Verifies) {
  client_.post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})");
  client_.post("/v1/sessions/s/chains",
               R"({"title":"t","source":"flow","steps":[{"action":"a"}]})");
  const Reply reply = client_.get("/v1/sessions/s/verify");
  EXPECT_EQ(reply.at("/outcome"), "equal") << reply.body;
  EXPECT_EQ(reply.at("/records"), "3");
  EXPECT_EQ(reply.at("/events"), "3");
  EXPECT_EQ(reply.at("/differences"), "[]");
  client_.del("/v1/sessions/s/events?before=2");
  EXPECT_EQ(client_.get("/v1/sessions/s/verify").at("/outcome"), "pruned");
  EXPECT_EQ(client_.get("/v1/sessions/q/verify").status, 404);
  EXPECT_EQ(client_.get("/v1/sessions/q/export").status, 404);
}

TEST_F(AdminApi, ShowsFigures) {
  client_.post("/v1/sessions", R"({"userId":"ann"})");
  const Reply reply = client_.get("/metrics");
  EXPECT_EQ(reply.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  for (const char* line : {"actionflows_storage_sessions 1\n", "actionflows_storage_up 1\n",
                           "actionflows_http_streams 0\n",
                           "actionflows_http_requests_total{route=\"/v1/"
                           "sessions\",method=\"POST\",status=\"2xx\"} 1\n"})
    EXPECT_NE(reply.body.find(line), std::string::npos) << line << reply.body;
  EXPECT_EQ(reply.body.find("actionflows_storage_bytes 0\n"), std::string::npos);
}

TEST(Health, TellsOfProcessAndStorage) {
  FaultyStorage::Switch fault;
  AppOptions options;
  options.sweep_interval = 1h;
  Served served(options, std::make_unique<FaultyStorage>(make_memory_storage(), fault));
  test::Client client = served.client();
  EXPECT_EQ(client.get("/healthz").body, "ok\n");
  const Reply ready = client.get("/readyz");
  EXPECT_EQ(ready.status, 200);
  EXPECT_EQ(ready.at("/ready"), "true");
  EXPECT_EQ(ready.at("/driver"), "memory");
  EXPECT_EQ(ready.at("/durability"), "memory");
  EXPECT_EQ(ready.header("Cache-Control"), "no-store");

  fault.fail_with(ErrorCode::unavailable);
  const Reply unready = client.get("/readyz");
  EXPECT_EQ(unready.status, 503);
  EXPECT_EQ(unready.at("/ready"), "false");
  EXPECT_EQ(unready.at("/detail"), "told to fail");
  EXPECT_EQ(client.get("/healthz").status, 200) << "the process is well";
  EXPECT_NE(client.get("/metrics").body.find("actionflows_storage_up 0\n"), std::string::npos);
}

}  // namespace
}  // namespace actionflows
