// What the wrapper makes of error replies: those that may pass are tried again and open the
// circuit, the others are told as redis/errors.hpp says.
#include "actionflows/storage/redis/errors.hpp"
#include "tests/outage/outage.hpp"
#include "tests/support/fake_redis.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace actionflows::test {
namespace {

// A driver that is connected to a server that turns bad.
class OutageReplies : public testing::Test {
 protected:
  OutageReplies() {
    InstanceOptions options(server.storage_options(), 500ms);
    options.redis.reconnect_max = 20ms;
    options.resilient.retry.first = 1ms;
    options.resilient.retry.longest = 1ms;
    options.resilient.breaker.consecutive_failures = 6;
    options.resilient.breaker.first_open = 60s;
    instance_ = std::make_unique<Instance>(options);
    static_cast<void>(error_of(driver().read(s, {})));
  }

  StorageDriver& driver() { return instance_->driver(); }
  bool is_open() { return instance_->log().find("the circuit is open") != std::string::npos; }

  // How many scripts come with this call.
  template <class Make>
  std::pair<std::optional<StorageError>, int> attempts_of(const Make& make) {
    const int before = server.commands()["EVALSHA"];
    const auto error = error_of(make());
    return {error, server.commands()["EVALSHA"] - before};
  }

  const SessionId s = session_named("s");
  const Activity activity{test_start, test_start};  // outlives the calls that are made with it
  FakeRedis server{{}};

 private:
  std::unique_ptr<Instance> instance_;
};

Task<CommitResult> commit_new(StorageDriver& driver, SessionId session) {
  Change change(session);
  change.create(ann).only_if(Precondition::fresh);
  co_return co_await driver.commit(change);
}

class OutageRetriedReplies : public OutageReplies,
                             public testing::WithParamInterface<const char*> {};

TEST_P(OutageRetriedReplies, AreTriedAgainAndOpenTheCircuit) {
  const char* const reply = GetParam();
  ASSERT_TRUE(redis::classify(reply).retryable);
  server.answer_all_by({.bytes = error_reply(reply)});
  const auto [error, attempts] = attempts_of([&] { return driver().touch(s, activity); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
  EXPECT_FALSE(error->retryable) << "the wrapper has tried it again: nobody else is to";
  const bool reconnects = redis::classify(reply).reconnect;
  if (!reconnects) {
    EXPECT_EQ(attempts, 3);
  }
  EXPECT_FALSE(is_open());
  // The failures of this one open the circuit, and it is taken by the fallback.
  const CommitResult meanwhile = run(commit_new(driver(), s));
  EXPECT_EQ(meanwhile.durability.level, DurabilityLevel::memory);
  EXPECT_TRUE(is_open());
  EXPECT_EQ(run(driver().read(s, {})).provenance.source, Source::fallback);
}

INSTANTIATE_TEST_SUITE_P(
    Outage, OutageRetriedReplies,
    testing::Values(
        "LOADING Redis is loading the dataset in memory",
        "READONLY You can't write against a read only replica.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down", "TRYAGAIN Multiple keys request during rehashing",
        "MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.",
        "NOREPLICAS Not enough good replicas to write.", "BUSY Redis is busy running a script.",
        "UNKILLABLE Sorry the script already executed write commands against the dataset.",
        "ERR max number of clients reached"));

// The backend is there, and has answered: neither repeated nor kept away from.
TEST_F(OutageReplies, WhatIsAnAnswerIsToldAndOpensNothing) {
  for (const char* const reply :
       {"OOM command not allowed when used memory > 'maxmemory'.",
        "WRONGTYPE Operation against a key holding the wrong kind", "CORRUPT meta",
        "ERR user_script:1: secret, on @user_script:1."}) {
    const redis::Fault fault = redis::classify(reply);
    server.answer_all_by({.bytes = error_reply(reply)});
    for (int i = 0; i < 10; ++i) {
      const auto [error, attempts] = attempts_of([&] { return commit_new(driver(), s); });
      ASSERT_TRUE(error) << reply;
      EXPECT_EQ(error->code(), fault.code) << reply;
      EXPECT_EQ(error->retryable, fault.retryable) << reply;
      EXPECT_EQ(attempts, 3) << reply;  // of two entries and the commit, once
    }
  }
  EXPECT_FALSE(is_open());
}

// A server that refuses for good is as good as away; but to ask it again is no use.
TEST_F(OutageReplies, WhatIsRefusedForGoodIsNotTriedAgainAndOpensTheCircuit) {
  const char* const replies[] = {
      "NOAUTH Authentication required.", "NOPERM this user has no permissions",
      "EXECABORT Transaction discarded because of previous errors.",
      "DENIED Redis is running in protected mode", "ERR unknown command 'EVALSHA'"};
  for (const char* const reply : replies) {
    server.answer_all_by({.bytes = error_reply(reply)});
    const auto [error, attempts] = attempts_of([&] { return driver().touch(s, activity); });
    ASSERT_TRUE(error) << reply;
    EXPECT_EQ(error->code(), ErrorCode::unavailable) << reply;
    EXPECT_FALSE(error->retryable) << reply;
    EXPECT_EQ(attempts, 1) << reply;
  }
  EXPECT_FALSE(is_open());
  server.answer_all_by({.bytes = error_reply("WRONGPASS invalid username-password pair")});
  EXPECT_EQ(run(commit_new(driver(), s)).durability.level, DurabilityLevel::memory);
  EXPECT_TRUE(is_open());
}

// To be asked for its health is no success of a primary that is away: it once counted as one, and
// the circuit stayed closed for as long as somebody looked often enough.
TEST_F(OutageReplies, LookingAtTheHealthDoesNotKeepTheCircuitClosed) {
  server.answer_all_by({.bytes = error_reply("NOPERM this user has no permissions")});
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(run(driver().health()).ok);
    EXPECT_FALSE(run(driver().health()).detail.empty());
    static_cast<void>(error_of(driver().touch(s, activity)));
  }
  EXPECT_TRUE(is_open());
}

}  // namespace
}  // namespace actionflows::test
