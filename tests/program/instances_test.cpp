// Two servers in production on one Redis, or one cluster, as their clients see them: what one takes
// the other has, also after both have lost Redis and gone on without it.
#include "tests/program/ask.hpp"
#include "tests/support/json.hpp"
#include "tests/support/redis_cluster.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/sanitized.hpp"
#include "tests/support/wait_until.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace actionflows::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

std::string exported_by(const std::string& url) {
  const Finished done = run_program({"export", "--server", url, "--quiet"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  return done.out;
}

// ---- an outage ----------------------------------------------------------------------------------

constexpr std::string_view shared_session = "/v1/sessions/shared";

// Posts numbered events to the shared session until it is stopped, each under its key until it is
// acknowledged.
class Poster {
 public:
  Poster(std::string url, std::string name) : url_(std::move(url)), name_(std::move(name)) {
    thread_ = std::thread([this] {
      while (!stop_) post_one();
    });
  }
  ~Poster() { stop(); }
  Poster(const Poster&) = delete;
  Poster& operator=(const Poster&) = delete;

  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::size_t acknowledged() const { return acknowledged_; }
  [[nodiscard]] bool goes_on() const {
    const std::size_t wanted = acknowledged_ + 20;
    return wait_until([&] { return acknowledged_ >= wanted; });
  }

 private:
  void post_one() {
    const std::string number = std::to_string(acknowledged_);
    Asked event{.method = "POST", .target = std::string(shared_session) + "/events"};
    event.body = R"({"type":"test:by_)" + name_ + R"(","data":{"n":)" + number + "}}";
    event.key = name_ + "-" + number;
    try {
      EXPECT_EQ(ask_until_answered(url_, event).status, 201) << event.key;
      ++acknowledged_;
    } catch (const std::exception& error) {
      ADD_FAILURE() << event.key << ": " << error.what();
      stop_ = true;
    }
    std::this_thread::sleep_for(10ms);
  }

  const std::string url_;
  const std::string name_;
  std::atomic<bool> stop_{false};
  std::atomic<std::size_t> acknowledged_{0};
  std::thread thread_;  // the last: it uses the others
};

// Two fields that both instances change, and one that is each one's own.
void change_fields(const std::string& url, const std::string& name) {
  const auto change = [&](const std::string& field) {
    Asked patch{.method = "PATCH", .target = std::string(shared_session)};
    patch.body = "{\"" + field + "\":\"" + field + " of " + name + "\"}";
    patch.key = name + "-" + field;
    EXPECT_EQ(ask_until_answered(url, patch).status, 200) << patch.key;
  };
  change("title");
  change("summary");
  change(name == "a" ? "cwd" : "hostname");
}

// Each event that was acknowledged once, and no other.
void expect_union(const std::string& exported, const Poster& poster) {
  for (std::size_t n = 0; n < poster.acknowledged(); ++n) {
    const std::string key = "\"" + poster.name() + "-" + std::to_string(n) + "\"";
    EXPECT_EQ(count_of(exported, key), 1u) << key;
  }
  const std::string type = "\"test:by_" + poster.name() + "\"";
  EXPECT_EQ(count_of(exported, type), poster.acknowledged());
}

// The one who was replayed later has won, and the other's value stands beside it.
void expect_conflict_told(const std::string& exported, const std::string& session,
                          const std::string& field) {
  const std::string kept = json_at(session, "/" + field);
  const std::string lost = field + (kept == field + " of a" ? " of b" : " of a");
  const auto says = [&](const char* which, const std::string& value) {
    return std::string("\"").append(which).append("\":{\"") + field + "\":\"" + value + "\"}";
  };
  EXPECT_EQ(count_of(exported, says("applied", kept)), 1u) << field;
  EXPECT_EQ(count_of(exported, says("replaced", lost)), 1u) << field;
}

TEST(Instances, ThatBothWriteOneSessionWhileRedisIsKilledConverge) {
  NEEDS_REDIS();
  RedisServer redis({.appendonly = true});
  const Folder folder;
  ServerProcess a({}, in_production(redis.url(), folder.path("a.db")));
  ServerProcess b({}, in_production(redis.url(), folder.path("b.db")));
  const std::string made = R"({"userId":"ann","sessionId":"shared","title":"of both"})";
  ASSERT_EQ(ask(a.url(), "POST", "/v1/sessions", made).status, 201);
  ASSERT_EQ(ask(b.url(), "GET", std::string(shared_session)).status, 200);
  Poster by_a(a.url(), "a");
  Poster by_b(b.url(), "b");
  ASSERT_TRUE(by_a.goes_on() && by_b.goes_on());
  redis.kill();
  ASSERT_TRUE(a.process().wait_for_err("the circuit is open"));
  ASSERT_TRUE(b.process().wait_for_err("the circuit is open"));
  change_fields(a.url(), "a");
  change_fields(b.url(), "b");
  ASSERT_TRUE(by_a.goes_on() && by_b.goes_on());
  redis.restart(RedisServer::Data::kept);
  ASSERT_TRUE(a.process().wait_for_err("the circuit is closed"));
  ASSERT_TRUE(b.process().wait_for_err("the circuit is closed"));
  ASSERT_TRUE(by_a.goes_on() && by_b.goes_on());
  by_a.stop();
  by_b.stop();
  ASSERT_TRUE(wait_until([&] { return is_replayed(a.url()) && is_replayed(b.url()); }));

  const std::string session = ask(a.url(), "GET", std::string(shared_session)).body;
  EXPECT_EQ(session, ask(b.url(), "GET", std::string(shared_session)).body);
  EXPECT_EQ(json_at(session, "/cwd"), "cwd of a");
  EXPECT_EQ(json_at(session, "/hostname"), "hostname of b");
  const std::string exported = exported_by(a.url());
  EXPECT_EQ(exported, exported_by(b.url()));
  for (const Poster* poster : {&by_a, &by_b}) expect_union(exported, *poster);
  for (const char* field : {"title", "summary"}) expect_conflict_told(exported, session, field);
  // Of all that was brought back only these two met what the other had done; and appended events
  // have nothing to merge, though both replay at once.
  EXPECT_EQ(count_of(exported, "\"applied\":"), 2u);
  EXPECT_LE(count_of(exported, "\"session:reconciled\""), 6u) << "not of changes alone";
  for (const ServerProcess* server : {&a, &b})
    EXPECT_THAT(ask(server->url(), "GET", "/readyz").body, HasSubstr("\"poisoned\":0"));
  const Finished verified = run_program({"verify", "--storage", redis.url()});
  EXPECT_THAT(verified.out, StartsWith("1 of 1 session rebuilt equal")) << verified.err;
  std::cout << by_a.acknowledged() << " events by one, " << by_b.acknowledged() << " by the other"
            << std::endl;
}

// ---- recorded runs ------------------------------------------------------------------------------

// Through one instance into what `redis_url` names, and out through another.
void expect_unchanged(const std::string& redis_url, const std::string& runs) {
  const ServerProcess into({}, in_production(redis_url));
  const ServerProcess out_of({}, in_production(redis_url));
  const auto begin = std::chrono::steady_clock::now();
  const Finished imported = run_program({"import", runs, "--server", into.url()});
  EXPECT_EQ(imported.exit_code, 0) << imported.err;
  EXPECT_THAT(imported.out, HasSubstr(" 0 already there, 0 refused"));
  EXPECT_THAT(run_program({"import", runs, "--server", out_of.url()}).out,
              HasSubstr(" 0 stored, "));
  const Finished verified = run_program({"verify", "--server", out_of.url()});
  EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  const std::string exported = exported_by(out_of.url());
  EXPECT_EQ(exported, exported_by(into.url()));

  // And into another store, which says the same of it.
  const Folder folder;
  const ServerProcess apart;
  const std::string file = folder.file("export.ndjson", exported);
  EXPECT_EQ(run_program({"import", file, "--server", apart.url()}).exit_code, 0);
  EXPECT_EQ(exported, exported_by(apart.url()));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  std::cout << imported.out << verified.out << exported.size() << " bytes exported by each, "
            << took.count() << " s in all" << std::endl;
}

TEST(InstancesRuns, GoThroughTwoOnOneRedisUnchanged) {
  NEEDS_REDIS();
  const RedisServer redis;
  expect_unchanged(redis.url(), fixture("runs.ndjson"));
}

TEST(InstancesRuns, GoThroughTwoOnAClusterUnchanged) {
  NEEDS_REDIS();
  const RedisCluster cluster;
  expect_unchanged(cluster.url(), fixture("runs.ndjson"));
}

TEST(InstancesRuns, RecordedOnesGoThroughTwoOnOneRedisUnchanged) {
  NEEDS_REDIS();
  if (sanitized) GTEST_SKIP() << "takes minutes under a sanitizer; the fixtures go the same way";
  const std::string runs = recorded_runs();
  if (!std::filesystem::exists(runs)) GTEST_SKIP() << "no recorded runs here: " << runs;
  const RedisServer redis;
  expect_unchanged(redis.url(), runs);
}

TEST(InstancesRuns, RecordedOnesGoThroughTwoOnAClusterUnchanged) {
  NEEDS_REDIS();
  if (sanitized) GTEST_SKIP() << "takes minutes under a sanitizer; the fixtures go the same way";
  const std::string runs = recorded_runs();
  if (!std::filesystem::exists(runs)) GTEST_SKIP() << "no recorded runs here: " << runs;
  const RedisCluster cluster;
  expect_unchanged(cluster.url(), runs);
}

}  // namespace
}  // namespace actionflows::test
