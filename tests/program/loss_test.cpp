// The production server whose Redis has lost its data: it says so within five seconds, and what it
// knew is not told as absent.
#include "tests/program/ask.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/slack.hpp"
#include "tests/support/wait_until.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace actionflows::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using SteadyTime = std::chrono::steady_clock::time_point;

bool tells_loss(std::string_view text) {
  return text.find("the server has lost its data") != text.npos;
}

std::chrono::milliseconds since(SteadyTime begin) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               begin);
}

// Asks for what a server has told before, again and again: it is told as it was, or the answer is
// open (503, 504).
class Readers {
 public:
  Readers(std::string url, std::vector<std::string> targets) : url_(std::move(url)) {
    for (const std::string& target : targets) {
      const cli::HttpAnswer answer = ask(url_, "GET", target);
      EXPECT_EQ(answer.status, 200) << target;
      known_[target] = answer.body;
    }
    thread_ = std::thread([this] {
      while (!stop_ && !testing::Test::HasFailure()) read_all();
    });
  }
  ~Readers() { stop(); }
  Readers(const Readers&) = delete;
  Readers& operator=(const Readers&) = delete;

  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  // Until each of them has been asked for so many more times.
  [[nodiscard]] bool go_on(std::size_t rounds) const {
    const std::size_t wanted = rounds_ + rounds;
    return wait_until([&] { return rounds_ >= wanted; });
  }
  // How often each status was answered; after `stop`.
  [[nodiscard]] const std::map<int, int>& statuses() const { return statuses_; }

 private:
  void read_all() {
    for (const auto& [target, body] : known_) {
      try {
        const cli::HttpAnswer answer = ask(url_, "GET", target);
        ++statuses_[answer.status];
        EXPECT_THAT(answer.status, testing::AnyOf(200, 503, 504)) << target << answer.body;
        if (answer.status == 200) {
          EXPECT_EQ(answer.body, body) << target;
        }
      } catch (const std::exception& error) {
        ADD_FAILURE() << target << ": " << error.what();
      }
      std::this_thread::sleep_for(5ms);
    }
    ++rounds_;
  }

  const std::string url_;
  std::map<std::string, std::string> known_;  // what was told, by target
  std::map<int, int> statuses_;
  std::atomic<std::size_t> rounds_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;  // the last: it uses the others
};

// Sessions with all that belongs to one; returns where that is read.
std::vector<std::string> fill(const std::string& url) {
  std::vector<std::string> targets = {"/v1/sessions?userId=ann"};
  for (int n = 0; n < 3; ++n) {
    const std::string id = "kept-" + std::to_string(n);
    const std::string session = "/v1/sessions/" + id;
    const std::string made = R"({"userId":"ann","sessionId":")" + id + "\"}";
    EXPECT_EQ(ask(url, "POST", "/v1/sessions", made).status, 201);
    const std::string plan =
        R"({"title":"Build","source":"flow","steps":[{"action":"compile"},{"action":"link"}]})";
    EXPECT_EQ(ask(url, "POST", session + "/chains", plan).status, 201);
    EXPECT_EQ(ask(url, "POST", session + "/events", R"({"type":"run:noted"})").status, 201);
    targets.insert(targets.end(), {session, session + "/events", "/v1/chains/" + id + ".c1",
                                   "/v1/steps/" + id + ".c1.s2"});
  }
  return targets;
}

struct Noticed {
  std::chrono::milliseconds by_readyz{-1};
  std::chrono::milliseconds by_log{-1};
};

// How long it takes until both have told of the loss.
Noticed wait_for_notice(ServerProcess& server, SteadyTime lost) {
  Noticed noticed;
  const bool both = wait_until([&] {
    if (noticed.by_log < 0ms && tells_loss(server.process().err())) noticed.by_log = since(lost);
    if (noticed.by_readyz < 0ms && tells_loss(ask(server.url(), "GET", "/readyz").body))
      noticed.by_readyz = since(lost);
    std::this_thread::sleep_for(50ms);
    return noticed.by_log >= 0ms && noticed.by_readyz >= 0ms;
  });
  EXPECT_TRUE(both) << ask(server.url(), "GET", "/readyz").body << server.process().err();
  return noticed;
}

// `lose` takes the data away.
void expect_told(RedisServer& redis, const std::function<void()>& lose) {
  ServerProcess server({}, in_production(redis.url()));
  Readers readers(server.url(), fill(server.url()));
  ASSERT_TRUE(readers.go_on(2));
  lose();
  const SteadyTime lost = std::chrono::steady_clock::now();
  const Noticed noticed = wait_for_notice(server, lost);
  EXPECT_LE(noticed.by_readyz, 5s * slack());
  EXPECT_LE(noticed.by_log, 5s * slack());
  // Once nothing reaches Redis any more, that was told, and not why.
  EXPECT_TRUE(server.process().wait_for_err("the circuit is open"));
  EXPECT_TRUE(wait_until([&] { return tells_loss(ask(server.url(), "GET", "/readyz").body); }));
  EXPECT_TRUE(readers.go_on(20));
  // Also not what it has never heard of: that may have been there.
  EXPECT_EQ(ask(server.url(), "GET", "/v1/sessions/never-heard-of").status, 503);
  readers.stop();
  std::cout << "told by /readyz after " << noticed.by_readyz.count() << " ms, by the log after "
            << noticed.by_log.count() << " ms; reads answered";
  for (const auto& [status, count] : readers.statuses())
    std::cout << ' ' << status << ": " << count << " times";
  std::cout << std::endl;
}

TEST(Loss, OfAllKeysIsToldAndNothingKnownIsAbsent) {
  NEEDS_REDIS();
  RedisServer redis;
  expect_told(redis, [&] { EXPECT_EQ(redis.text({"FLUSHALL"}), "OK"); });
}

TEST(Loss, ByARestartWithoutDataIsToldAndNothingKnownIsAbsent) {
  NEEDS_REDIS();
  RedisServer redis;
  expect_told(redis, [&] { redis.restart(RedisServer::Data::dropped); });
}

}  // namespace
}  // namespace actionflows::test
