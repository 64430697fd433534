// What the driver makes of each error reply and of each way to lose an answer, as a server that
// says it on purpose.
#include "actionflows/storage/redis/errors.hpp"
#include "actionflows/storage/redis/scripts.hpp"
#include "tests/redis/redis_store.hpp"
#include "tests/support/fake_redis.hpp"
#include "tests/support/slack.hpp"
#include "tests/support/wait_until.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>

namespace actionflows::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// A driver that is connected to a server that turns bad.
class RedisReplies : public testing::Test {
 protected:
  RedisReplies() {
    RedisOptions options = server.storage_options();
    options.timeout = 500ms;
    options.reconnect_max = 200ms;
    driver_ = make_redis_storage(options);
    static_cast<void>(error_of(driver_->read(s, {})));
  }

  StorageDriver& driver() { return *driver_; }

  StorageError error_of_read() {
    const auto error = error_of(driver().read(s, {}));
    return error ? *error : StorageError(ErrorCode::invalid, "was let through");
  }
  StorageError error_of_commit() {
    const auto error = error_of(driver().commit(Change(s)));
    return error ? *error : StorageError(ErrorCode::invalid, "was let through");
  }

  const SessionId s = session_named("s");
  FakeRedis server{{}};

 private:
  std::unique_ptr<StorageDriver> driver_;
};

TEST_F(RedisReplies, EachErrorIsToldAsTheTableSays) {
  const char* const replies[] = {
      "LOADING Redis is loading the dataset in memory",
      "READONLY You can't write against a read only replica.",
      "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
      "CLUSTERDOWN The cluster is down",
      "TRYAGAIN Multiple keys request during rehashing of slot",
      "OOM command not allowed when used memory > 'maxmemory'.",
      "MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk.",
      "NOREPLICAS Not enough good replicas to write.",
      "BUSY Redis is busy running a script.",
      "UNKILLABLE Sorry the script already executed write commands against the dataset.",
      "NOSCRIPT No matching script. Please use EVAL.",
      "EXECABORT Transaction discarded because of previous errors.",
      "NOAUTH Authentication required.",
      "WRONGPASS invalid username-password pair or user is disabled.",
      "NOPERM this user has no permissions to run the 'evalsha' command",
      "WRONGTYPE Operation against a key holding the wrong kind of value",
      "ERR unknown command 'EVALSHA'",
      "ERR user_script:1: secret script: 6b1bf486c81ceb7edf3c, on @user_script:1.",
  };
  for (const char* reply : replies) {
    const redis::Fault fault = redis::classify(reply);
    server.answer_all_by({.bytes = error_reply(reply)});
    for (const StorageError& error : {error_of_read(), error_of_commit()}) {
      EXPECT_EQ(error.code(), fault.code) << reply;
      EXPECT_EQ(error.retryable, fault.retryable) << reply;
      EXPECT_THAT(error.message(), Not(HasSubstr("secret")));
    }
    server.answer_by({});
    ASSERT_TRUE(wait_until([&] { return !error_of(driver().read(s, {})); })) << reply;
  }
}

TEST_F(RedisReplies, ReadOnlyMakesAnotherConnection) {
  const int before = server.connections();
  server.answer_all_by({.bytes = error_reply("READONLY You can't write against a replica.")});
  EXPECT_EQ(error_of_commit().code(), ErrorCode::unavailable);
  EXPECT_TRUE(wait_until([&] { return server.connections() > before; }));
}

TEST_F(RedisReplies, AConnectionThatIsCutIsUnavailable) {
  server.answer_all_by({.bytes = "", .cut = true});
  for (const StorageError& error : {error_of_read(), error_of_commit()}) {
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
    EXPECT_TRUE(error.retryable);
  }
}

TEST_F(RedisReplies, AnAnswerThatIsCutIsUnavailable) {
  server.answer_all_by({.bytes = "$100\r\nhalf of", .cut = true});
  for (const StorageError& error : {error_of_read(), error_of_commit()}) {
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
    EXPECT_TRUE(error.retryable);
  }
}

TEST_F(RedisReplies, SilenceIsATimeout) {
  server.answer_all_by({.bytes = ""});
  for (const StorageError& error : {error_of_read(), error_of_commit()}) {
    EXPECT_EQ(error.code(), ErrorCode::timeout);
    EXPECT_TRUE(error.retryable);
  }
}

TEST_F(RedisReplies, WhatIsNoReplyIsUnavailableAndTheConnectionIsGivenUp) {
  for (const char* nonsense : {"nonsense\r\n", "$abc\r\n", "*99999999999\r\n", "%-7\r\n", "\r\n",
                               "HTTP/1.1 400 Bad Request\r\n\r\n"}) {
    const int before = server.connections();
    server.answer_all_by({.bytes = nonsense});
    for (const StorageError& error : {error_of_read(), error_of_commit()}) {
      EXPECT_TRUE(error.code() == ErrorCode::unavailable || error.code() == ErrorCode::timeout)
          << nonsense << to_string(error.code());
      EXPECT_TRUE(error.retryable);
    }
    EXPECT_TRUE(wait_until([&] { return server.connections() > before; })) << nonsense;
    server.answer_by({});
    ASSERT_TRUE(wait_until([&] { return !error_of(driver().read(s, {})); })) << nonsense;
  }
}

TEST_F(RedisReplies, AReplyOfAnotherKindIsAnErrorAndNoCrash) {
  for (const char* reply :
       {":7\r\n", "+OK\r\n", "*0\r\n", "*2\r\n*0\r\n:1\r\n", "%1\r\n+a\r\n+b\r\n", "#t\r\n",
        "$0\r\n\r\n", "$9\r\nok 1 2 3 \r\n", "$2\r\nok\r\n", "*3\r\n$-1\r\n$1\r\nx\r\n:5\r\n"}) {
    server.answer_all_by({.bytes = reply});
    for (auto& [name, call] : all_calls(driver(), s)) {
      // What it answers, if anything, is no matter: that it ends is.
      static_cast<void>(error_of(std::move(call)));
    }
    const StorageError error = error_of_commit();
    EXPECT_TRUE(error.code() == ErrorCode::unavailable || error.code() == ErrorCode::corrupt)
        << reply << to_string(error.code());
  }
}

// A read that finds nothing asks once more, lists ask for the records of what they name: all of it
// within the time of one call.
TEST_F(RedisReplies, ACallOfSeveralStepsHasOneDeadline) {
  server.answer_by([](const FakeRedis::Command& command) -> std::optional<FakeRedis::Answer> {
    if (is_of_connection(command)) return std::nullopt;
    return FakeRedis::Answer{.bytes = "_\r\n", .delay = 400ms};  // two of them are too long
  });
  for (auto& [name, call] : all_calls(driver(), s)) {
    const auto start = std::chrono::steady_clock::now();
    static_cast<void>(error_of(std::move(call)));
    EXPECT_LE(std::chrono::steady_clock::now() - start, at_most(500ms)) << name;
  }
}

// The reply to a script that is known by its digest.
FakeRedis::Handler to_scripts(
    std::function<std::optional<std::string>(const std::string& digest)> reply) {
  return [=](const FakeRedis::Command& command) -> std::optional<FakeRedis::Answer> {
    if (command[0] != "EVALSHA") return std::nullopt;
    const auto bytes = reply(command.at(1));
    if (!bytes) return std::nullopt;
    return FakeRedis::Answer{.bytes = *bytes};
  };
}

// An entry that could not be written was once taken for one that was new.
TEST_F(RedisReplies, AnEntryThatWasRefusedIsPutAgain) {
  std::atomic<int> entries = 0;
  server.answer_by(to_scripts([&](const std::string& digest) -> std::optional<std::string> {
    if (digest == redis::scripts().commit.sha()) return bulk_reply("ok 1 1 0 7200000 0 1  ann");
    if (digest != redis::scripts().index_put.sha()) return std::nullopt;
    return ++entries <= 2 ? error_reply("MISCONF can't persist") : ":1\r\n";
  }));
  run(driver().commit(Change(s).create(user_named("ann"))));
  EXPECT_EQ(entries, 4);
  run(driver().commit(Change(session_named("new")).create(user_named("ann"))));
  EXPECT_EQ(entries, 6);
  server.answer_by({});
}

// A cluster of one node that asks to wait as long as it is told to.
class RedisClusterReplies : public testing::Test {
 protected:
  RedisClusterReplies() {
    const std::string port = std::to_string(server.address().port);
    const std::string layout =
        "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:" + port + "\r\n";
    server.answer_by([=, this](const FakeRedis::Command& command) {
      std::optional<FakeRedis::Answer> answer;
      if (command[0] == "CLUSTER") answer = FakeRedis::Answer{.bytes = layout};
      if (command[0] == "HMGET") {
        answer = FakeRedis::Answer{.bytes = "*1\r\n_\r\n"};
        if (waits) answer->bytes = error_reply("TRYAGAIN Multiple keys request");
      }
      return answer;
    });
    options = server.storage_options();
    options.cluster = true;
  }

  std::atomic<bool> waits = true;
  FakeRedis server{{}};
  RedisOptions options;
};

// It was sent 16 times, within half a second, whatever time the call had.
TEST_F(RedisClusterReplies, ACallWaitsUntilItsTimeIsOver) {
  options.timeout = 5s;
  const auto driver = make_redis_storage(options);
  std::thread ending([&] {
    std::this_thread::sleep_for(1s);
    waits = false;
  });
  const auto error = error_of(driver->read(session_named("s"), {}));
  ending.join();
  EXPECT_FALSE(error) << error->message();
  EXPECT_LE(server.commands()["HMGET"], 15);  // the pauses grow
}

TEST_F(RedisClusterReplies, AndIsToldThenWhatItWaitedFor) {
  options.timeout = 600ms;
  const auto driver = make_redis_storage(options);
  const auto error = error_of(driver->read(session_named("s"), {}));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);  // and no timeout: nothing was done
  EXPECT_TRUE(error->retryable);
  EXPECT_THAT(error->message(), HasSubstr("TRYAGAIN"));
}

// ---- connecting ---------------------------------------------------------------------------------

TEST(RedisConnecting, IsTriedAgainWithPausesThatGrow) {
  FakeRedis server([](const FakeRedis::Command&) -> std::optional<FakeRedis::Answer> {
    return FakeRedis::Answer{.bytes = "", .cut = true};
  });
  RedisOptions options = server.storage_options();
  options.timeout = 100ms;
  const auto driver = make_redis_storage(options);
  std::this_thread::sleep_for(2s);
  // Of full jitter from 50 ms on and doubling, some ten in two seconds; a storm would be thousands.
  EXPECT_GE(server.connections(), 2);
  EXPECT_LE(server.connections(), 40);
}

TEST(RedisConnecting, AServerThatRefusesToSayHelloIsUnavailable) {
  for (const char* reply :
       {"LOADING Redis is loading the dataset in memory", "ERR max number of clients reached",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "NOPROTO unsupported protocol version", "ERR unknown command 'HELLO'",
        "DENIED Redis is running in protected mode"}) {
    FakeRedis server([&](const FakeRedis::Command&) -> std::optional<FakeRedis::Answer> {
      return FakeRedis::Answer{.bytes = error_reply(reply)};
    });
    RedisOptions options = server.storage_options();
    options.timeout = 300ms;
    const auto driver = make_redis_storage(options);
    const auto error = error_of(driver->read(session_named("s"), {}));
    ASSERT_TRUE(error) << reply;
    EXPECT_EQ(error->code(), ErrorCode::unavailable) << reply;
    const Health health = run(driver->health());
    EXPECT_FALSE(health.ok) << reply;
    EXPECT_THAT(health.detail, Not(testing::IsEmpty())) << reply;
  }
}

TEST(RedisConnecting, ASilentServerIsGivenUpAndTriedAgain) {
  FakeRedis server([](const FakeRedis::Command&) -> std::optional<FakeRedis::Answer> {
    return FakeRedis::Answer{.bytes = ""};
  });
  RedisOptions options = server.storage_options();
  options.timeout = 300ms;
  options.health_interval = 300ms;
  const auto driver = make_redis_storage(options);
  const auto error = error_of(driver->read(session_named("s"), {}));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);  // the call itself was never sent
  EXPECT_TRUE(wait_until([&] { return server.connections() > 1; }));
}

// "A connection that carries nothing is asked for a sign of life".
TEST(RedisConnecting, OneThatOwesASignOfLifeIsGivenUp) {
  FakeRedis server({});
  RedisOptions options = server.storage_options();
  options.health_interval = 200ms;
  options.timeout = 300ms;
  const auto driver = make_redis_storage(options);
  static_cast<void>(error_of(driver->read(session_named("s"), {})));
  const int before = server.connections();
  server.answer_by([](const FakeRedis::Command& command) -> std::optional<FakeRedis::Answer> {
    if (command[0] == "HELLO" || command[0] == "AUTH" || command[0] == "CLIENT")
      return std::nullopt;
    return FakeRedis::Answer{.bytes = ""};
  });
  EXPECT_TRUE(wait_until([&] { return server.connections() > before; }));
  EXPECT_GT(server.commands()["PING"], 0);
}

}  // namespace
}  // namespace actionflows::test
