#include "actionflows/services/step_service.hpp"
#include "server/testing/served.hpp"
#include "tests/support/change.hpp"
#include "tests/support/hooked_driver.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace actionflows {
namespace {

using test::Headers;
using test::Reply;
using test::Served;

class ChainsApi : public testing::Test {
 protected:
  void SetUp() override { client_.post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})"); }

  Reply create(const std::string& body = R"({"title":"t","source":"flow"})",
               const Headers& headers = {}) {
    return client_.post("/v1/sessions/s/chains", body, headers);
  }

  // A chain of one step, which has failed.
  void create_failed() {
    create(R"({"title":"t","source":"flow","steps":[{"action":"a"}]})");
    client_.post("/v1/steps/s.c1.s1/start");
    client_.post("/v1/steps/s.c1.s1/fail", R"({"error":"no"})");
  }

  Served served_;
  test::Client client_ = served_.client();
};

TEST_F(ChainsApi, CreatesWithoutSteps) {
  const Reply reply = create();
  EXPECT_EQ(reply.status, 201) << reply.body;
  EXPECT_EQ(reply.header("Location"), "/v1/chains/s.c1");
  EXPECT_EQ(reply.header("ETag"), "\"1\"");
  EXPECT_EQ(reply.at("/status"), "pending");
  EXPECT_EQ(client_.get("/v1/chains/s.c1").body, reply.body);
}

TEST_F(ChainsApi, CreatesWithSteps) {
  const Reply reply = create(
      R"({"title":"t","source":"composed",
          "steps":[{"action":"a"},{"action":"b","waitsFor":[1]}]})");
  ASSERT_EQ(reply.status, 201) << reply.body;
  EXPECT_EQ(reply.at("/stepCount"), "2");
  EXPECT_EQ(client_.get("/v1/steps/s.c1.s2").at("/waitsFor"), "[1]");
  const Reply log = client_.get("/v1/sessions/s/events");
  EXPECT_EQ(log.at("/lastSequence"), "3");
  EXPECT_EQ(log.at("/items/1/operationId"), log.at("/items/2/operationId")) << "one commit";
}

TEST_F(ChainsApi, ARepeatedCreationMakesOneChain) {
  const Headers key{{"Idempotency-Key", "c"}};
  const Reply first = create(R"({"title":"t","source":"flow"})", key);
  const Reply second = create(R"({"title":"t","source":"flow"})", key);
  EXPECT_EQ(first.body, second.body);
  EXPECT_EQ(client_.get("/v1/chains/s.c2").status, 404);
}

TEST_F(ChainsApi, ReadsAChainWithItsSteps) {
  std::string steps;
  for (int n = 0; n < 130; ++n) steps += R"({"action":"a"},)";
  steps.pop_back();
  create(R"({"title":"t","source":"flow","steps":[)" + steps + "]}");
  const Reply reply = client_.get("/v1/chains/s.c1?include=steps");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.at("/chainId"), "s.c1");
  EXPECT_EQ(reply.at("/steps/129/number"), "130");
  EXPECT_FALSE(reply.has("/steps/130"));
  EXPECT_EQ(reply.header("ETag"), "") << "a step can change without its chain";
  EXPECT_FALSE(client_.get("/v1/chains/s.c1").has("/steps"));
  EXPECT_EQ(client_.get("/v1/chains/s.c1?include=everything").status, 400);
}

TEST_F(ChainsApi, AChainTooLongForOneAnswerSaysSo) {
  create(R"({"title":"t","source":"flow"})");
  const std::string large(1'500'000, 'x');
  for (int n = 0; n < 12; ++n) {
    const Reply step = client_.post("/v1/chains/s.c1/steps",
                                    R"({"action":"a","inputs":{"text":")" + large + "\"}}");
    ASSERT_EQ(step.status, 201);
  }
  const Reply reply = client_.get("/v1/chains/s.c1?include=steps");
  EXPECT_EQ(reply.status, 507);
  EXPECT_EQ(reply.at("/type"), "urn:actionflows:problem:exhausted");
  EXPECT_NE(reply.at("/detail").find("16 MiB"), std::string::npos);
}

// A chain of two steps over a driver that a test can step into.
class ChainWithSteps : public testing::Test {
 protected:
  using Call = test::HookedDriver::Call;

  ChainWithSteps() {
    auto hooked = std::make_unique<test::HookedDriver>(make_memory_storage());
    driver_ = hooked.get();
    driver_->before = [this](Call call) -> Task<void> {
      if (call != Call::read || !armed_.exchange(false)) co_return;
      const bool again = co_await before_read_(++reads_);
      armed_ = again;
    };
    AppOptions options;
    options.sweep_interval = std::chrono::hours(1);
    served_.emplace(options, std::move(hooked));
    client_.emplace(served_->client());
    client_->post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})");
    client_->post("/v1/sessions/s/chains",
                  R"({"title":"t","source":"flow","steps":[{"action":"a"},{"action":"b"}]})");
  }

  // `hook` is run before each read, with its number from 1 on, as long as it returns true; its own
  // reads are not counted.
  Reply get_while(std::function<Task<bool>(int)> hook) {
    before_read_ = std::move(hook);
    armed_ = true;
    Reply reply = client_->get("/v1/chains/s.c1?include=steps");
    armed_ = false;
    return reply;
  }

  const ChainId chain_ = *ChainId::parse("s.c1");
  test::HookedDriver* driver_ = nullptr;  // the storage's own
  std::function<Task<bool>(int)> before_read_;
  std::atomic<bool> armed_{false};
  int reads_ = 0;
  std::optional<Served> served_;
  std::optional<test::Client> client_;
};

TEST_F(ChainWithSteps, TellsOfAStepThatCannotBeRead) {
  test::Change damage(chain_.session(), system_clock().now());
  damage.put(RecordKey::of_step(1, 1), 1, Bytes("{}")).no_events();
  damage.event("test:planted", R"({"type":"test:planted","at":"2026-01-01T00:00:00.000Z"})");
  test::run(driver_->real().commit(damage));
  const Reply reply = client_->get("/v1/chains/s.c1?include=steps");
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.at("/steps/0/stepId"), "s.c1.s2");
  EXPECT_FALSE(reply.has("/steps/1"));
  EXPECT_EQ(reply.at("/corrupt/0/id"), "s.c1.s1");
}

TEST_F(ChainWithSteps, IsOfOneMoment) {
  // A step is started after the chain was read and before its steps are.
  const Reply reply = get_while([this](int read) -> Task<bool> {
    if (read < 3) co_return true;
    StepService steps(served_->storage);
    co_await steps.start(StepId(chain_, 1));
    co_return false;
  });
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.at("/steps/0/status"), "in_progress");
  EXPECT_EQ(reply.at("/status"), "in_progress");
  EXPECT_FALSE(reply.has("/corrupt"));
}

TEST_F(ChainWithSteps, ThatKeepsChangingSaysSo) {
  const Reply reply = get_while([this](int read) -> Task<bool> {
    ChainUpdate update;
    update.set(&Chain::title, "title " + std::to_string(read));
    co_await served_->storage.update_chain(chain_, std::move(update));
    co_return true;
  });
  EXPECT_EQ(reply.status, 409) << reply.body;
  EXPECT_EQ(reply.at("/detail"), "chain s.c1 keeps changing");
}

TEST_F(ChainsApi, AnswersAKnownVersionWithoutABody) {
  create();
  const Reply known = client_.get("/v1/chains/s.c1", {{"If-None-Match", "\"1\""}});
  EXPECT_EQ(known.status, 304);
  EXPECT_EQ(known.header("ETag"), "\"1\"");
  EXPECT_EQ(known.body, "");
  EXPECT_EQ(client_.get("/v1/chains/s.c1", {{"If-None-Match", "\"2\", W/\"1\""}}).status, 304);
  EXPECT_EQ(client_.get("/v1/chains/s.c1", {{"If-None-Match", "\"2\""}}).status, 200);
}

TEST_F(ChainsApi, UnknownOnesAreNotFound) {
  EXPECT_EQ(client_.get("/v1/chains/s.c7").status, 404);
  EXPECT_EQ(client_.get("/v1/chains/s.c7?include=steps").status, 404);
  EXPECT_EQ(client_.patch("/v1/chains/s.c7", "{}").status, 404);
  EXPECT_EQ(client_.del("/v1/chains/s.c7").status, 404);
  EXPECT_EQ(client_.post("/v1/chains/s.c7/cancel").status, 404);
  EXPECT_EQ(client_.post("/v1/chains/s.c7/archive").status, 404);
  EXPECT_EQ(client_.get("/v1/sessions/other/chains").status, 404);
  EXPECT_EQ(client_.post("/v1/sessions/other/chains", R"({"title":"t","source":"flow"})").status,
            404);
}

TEST_F(ChainsApi, ListsByStatusAndPage) {
  for (int n = 0; n < 5; ++n) create();
  client_.post("/v1/chains/s.c2/cancel");
  const Reply first = client_.get("/v1/sessions/s/chains?limit=3");
  EXPECT_EQ(first.at("/items/2/chainId"), "s.c3");
  EXPECT_FALSE(first.has("/items/3"));
  const Reply second =
      client_.get("/v1/sessions/s/chains?limit=3&cursor=" + first.at("/nextCursor"));
  EXPECT_EQ(second.at("/items/0/chainId"), "s.c4");
  EXPECT_EQ(second.at("/nextCursor"), "null");
  const Reply cancelled = client_.get("/v1/sessions/s/chains?status=cancelled");
  EXPECT_EQ(cancelled.at("/items/0/chainId"), "s.c2");
  EXPECT_FALSE(cancelled.has("/items/1"));
}

TEST_F(ChainsApi, PatchesByVersion) {
  create();
  const Reply reply =
      client_.patch("/v1/chains/s.c1", R"({"summary":"x"})", {{"If-Match", "\"1\""}});
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.header("ETag"), "\"2\"");
  EXPECT_EQ(reply.at("/summary"), "x");
  const Reply stale =
      client_.patch("/v1/chains/s.c1", R"({"summary":"y"})", {{"If-Match", "\"1\""}});
  EXPECT_EQ(stale.status, 412);
  EXPECT_EQ(stale.header("ETag"), "\"2\"");
}

TEST_F(ChainsApi, Deletes) {
  create(R"({"title":"t","source":"flow","steps":[{"action":"a"}]})");
  EXPECT_EQ(client_.del("/v1/chains/s.c1", {{"If-Match", "\"9\""}}).status, 412);
  EXPECT_EQ(client_.del("/v1/chains/s.c1").status, 204);
  EXPECT_EQ(client_.get("/v1/chains/s.c1").status, 404);
  EXPECT_EQ(client_.get("/v1/steps/s.c1.s1").status, 404);
}

TEST_F(ChainsApi, CancelArchives) {
  create(R"({"title":"t","source":"flow","steps":[{"action":"a"}]})");
  const Reply reply = client_.post("/v1/chains/s.c1/cancel", "{}");
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.at("/status"), "cancelled");
  EXPECT_TRUE(reply.has("/archivedAt"));
  EXPECT_EQ(client_.get("/v1/chains/s.c1").body, reply.body) << "read by the same call";
  EXPECT_EQ(client_.post("/v1/chains/s.c1/cancel").status, 409);
  EXPECT_EQ(client_.patch("/v1/chains/s.c1", R"({"summary":"late"})").status, 409);
}

TEST_F(ChainsApi, ArchivesWhatHasEnded) {
  create();
  const Reply early = client_.post("/v1/chains/s.c1/archive");
  EXPECT_EQ(early.status, 409);
  EXPECT_EQ(early.at("/type"), "urn:actionflows:problem:illegal_transition");
  client_.del("/v1/chains/s.c1");
  create(R"({"title":"t","source":"flow","steps":[{"action":"a"}]})");
  client_.post("/v1/steps/s.c2.s1/start");
  client_.post("/v1/steps/s.c2.s1/fail");
  EXPECT_EQ(client_.post("/v1/chains/s.c2/archive").status, 200);
  EXPECT_TRUE(client_.get("/v1/chains/s.c2").has("/archivedAt"));
}

TEST_F(ChainsApi, TheArchiveOutlivesItsSession) {
  create();
  client_.post("/v1/chains/s.c1/cancel");
  client_.post("/v1/sessions", R"({"userId":"bob","sessionId":"b"})");
  client_.post("/v1/sessions/b/chains", R"({"title":"t","source":"flow"})");
  client_.post("/v1/chains/b.c1/cancel");
  client_.del("/v1/sessions/s");
  const Reply reply = client_.get("/v1/archive?userId=ann");
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.at("/items/0/chainId"), "s.c1");
  EXPECT_FALSE(reply.has("/items/1"));
  EXPECT_EQ(client_.get("/v1/chains/s.c1").status, 200);
  const Reply first = client_.get("/v1/archive?limit=1");
  const Reply second = client_.get("/v1/archive?limit=1&cursor=" + first.at("/nextCursor"));
  EXPECT_EQ(first.at("/items/0/chainId"), "b.c1") << "latest first";
  EXPECT_EQ(second.at("/items/0/chainId"), "s.c1");
}

TEST_F(ChainsApi, ACompletedSessionTakesNoChains) {
  create_failed();
  client_.patch("/v1/sessions/s", R"({"state":"completed"})");
  EXPECT_EQ(create().status, 409);
  EXPECT_TRUE(client_.get("/v1/chains/s.c1").has("/archivedAt")) << "nobody retries it any more";
}

}  // namespace
}  // namespace actionflows
