// Where an answer comes from and what a write is worth: told as the storage tells it, on every
// route.
#include "server/testing/served.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace actionflows {
namespace {

using test::Headers;
using test::Reply;

// Keeps everything in memory and tells of itself what Redis would.
class RedisLikeStorage final : public StorageDriver {
 public:
  Task<ReadResult> read(const SessionId& session, std::span<const RecordKey> keys) override {
    return told(real_->read(session, keys));
  }
  Task<CommitResult> commit(const Commit& commit) override {
    CommitResult result = co_await real_->commit(commit);
    result.durability = worth;
    co_return result;
  }
  Task<SessionPage> list_sessions(const ListQuery& query) override {
    return told(real_->list_sessions(query));
  }
  Task<ArchivePage> list_archive(const ListQuery& query) override {
    return told(real_->list_archive(query));
  }
  Task<EventPage> read_events(const SessionId& session, const EventQuery& query) override {
    return told(real_->read_events(session, query));
  }
  Task<std::unique_ptr<Subscription>> subscribe(std::optional<SessionId> session) override {
    return real_->subscribe(std::move(session));
  }
  Task<bool> touch(const SessionId& session, const Activity& activity) override {
    return real_->touch(session, activity);
  }
  Task<std::uint64_t> prune_events(const SessionId& session, std::uint64_t first_kept) override {
    return real_->prune_events(session, first_kept);
  }
  Task<SweepResult> sweep(const SweepQuery& query) override { return real_->sweep(query); }
  Task<bool> erase_session(const SessionId& session) override {
    return real_->erase_session(session);
  }
  Task<Health> health() override {
    Health health = co_await real_->health();
    health.durability = worth;
    co_return health;
  }

 private:
  static constexpr Durability worth{.level = DurabilityLevel::redis, .replicas = 1};

  template <class T>
  static Task<T> told(Task<T> work) {
    T result = co_await std::move(work);
    result.provenance.source = Source::redis;
    result.provenance.age = std::chrono::milliseconds(2'900);
    result.provenance.partial = std::is_same_v<T, SessionPage>;
    co_return result;
  }

  const std::unique_ptr<StorageDriver> real_ = make_memory_storage();
};

class Told : public testing::Test {
 protected:
  void SetUp() override {
    expect_worth(client_.post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})"), 201);
    expect_worth(client_.post("/v1/sessions/s/chains",
                              R"({"title":"t","source":"flow","steps":[{"action":"a"}]})"),
                 201);
  }

  static void expect_worth(const Reply& reply, int status = 200) {
    EXPECT_EQ(reply.status, status) << reply.body;
    EXPECT_EQ(reply.header("ActionFlows-Durability"), "redis-replicated(1)") << reply.body;
    EXPECT_EQ(reply.header("ActionFlows-Source"), "");
  }
  static void expect_source(const Reply& reply, const std::string& also = {}) {
    EXPECT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.header("ActionFlows-Source"), "redis; age=2" + also) << reply.body;
    EXPECT_EQ(reply.header("ActionFlows-Durability"), "");
  }

  test::Served served_{AppOptions{}, std::make_unique<RedisLikeStorage>()};
  test::Client client_ = served_.client();
};

TEST_F(Told, OfReads) {
  for (const char* path :
       {"/v1/sessions/s", "/v1/sessions/s/chains", "/v1/chains/s.c1",
        "/v1/chains/s.c1?include=steps", "/v1/chains/s.c1/steps", "/v1/steps/s.c1.s1",
        "/v1/archive", "/v1/sessions/s/events", "/v1/sessions/s/export", "/v1/sessions/s/verify"})
    expect_source(client_.get(path));
  expect_source(client_.get("/v1/sessions"), "; partial");
  expect_source(served_.stream("/v1/sessions/s/stream").head);
}

TEST_F(Told, OfWrites) {
  expect_worth(client_.patch("/v1/sessions/s", R"({"title":"t"})"));
  expect_worth(client_.post("/v1/sessions/s/touch"), 204);
  expect_worth(client_.post("/v1/sessions/s/token"));
  expect_worth(client_.del("/v1/sessions/s/token"), 204);
  expect_worth(client_.patch("/v1/chains/s.c1", R"({"title":"u"})"));
  expect_worth(client_.post("/v1/chains/s.c1/steps", R"({"action":"b"})"), 201);
  expect_worth(client_.patch("/v1/steps/s.c1.s1", R"({"description":"d"})"));
  expect_worth(client_.post("/v1/steps/s.c1.s1/start"));
  expect_worth(client_.del("/v1/steps/s.c1.s2"), 204);
  expect_worth(client_.post("/v1/sessions/s/events", R"({"type":"a:b"})"), 201);
  expect_worth(client_.del("/v1/sessions/s/events?before=3"));
  expect_worth(client_.post("/v1/chains/s.c1/cancel"));
  expect_worth(client_.post("/v1/chains/s.c1/archive"));
  expect_worth(client_.post("/v1/sessions/s/logout"), 204);
}

TEST_F(Told, OfWritesThatFindNothingToDo) {
  expect_worth(client_.patch("/v1/sessions/s", "{}"));
  expect_worth(client_.del("/v1/sessions/s/token"), 204);
  const std::string line = client_.get("/v1/sessions/s/export").body;
  expect_worth(client_.post("/v1/import", line));
}

TEST_F(Told, OfWritesThatWereDoneBefore) {
  const Headers key{{"Idempotency-Key", "k"}};
  const Headers other_key{{"Idempotency-Key", "l"}};
  for (int times = 0; times < 2; ++times) {
    expect_worth(client_.post("/v1/sessions", R"({"userId":"ann"})", key), 201);
    expect_worth(client_.post("/v1/steps/s.c1.s1/start", "", key));
  }
  for (int times = 0; times < 2; ++times)
    expect_worth(client_.del("/v1/chains/s.c1", other_key), 204);
}

}  // namespace
}  // namespace actionflows
