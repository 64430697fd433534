// RedisStorage on one real server: what a server does to its clients, and what they must not
// notice.
#include "actionflows/storage/redis/keys.hpp"
#include "actionflows/storage/redis/scripts.hpp"
#include "actionflows/storage/redis/slots.hpp"
#include "tests/redis/redis_store.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/slack.hpp"
#include "tests/support/wait_until.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>

namespace actionflows::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Data = RedisServer::Data;

std::unique_ptr<StorageDriver> open(const RedisServer& server) {
  return make_redis_storage(server.storage_options());
}

SessionId live_session(StorageDriver& driver, const std::string& name = "s") {
  const SessionId session = session_named(name);
  run(driver.commit(Change(session).create(user_named("ann"))));
  return session;
}

std::uint64_t last_sequence(StorageDriver& driver, const SessionId& session) {
  return run(driver.read(session, {})).last_sequence;
}

// Everything that a session goes through, by one driver. Times are those of now, because the
// server's own clock expires keys.
void live_a_whole_life(StorageDriver& driver) {
  const Timestamp now = system_clock().now();
  const UserId ann = user_named("ann");
  const SessionId s = session_named("whole-life");
  const auto subscription = run(driver.subscribe(s));
  Change create(s, now);
  create.create(ann).put(chain(1)).put(step(1, 1)).put(credentials);
  run(driver.commit(create));
  EXPECT_FALSE(run(subscription->next(5s)).wakeups.empty());
  EXPECT_EQ(run(driver.commit(create.repeat())).last_sequence, 1u);
  EXPECT_TRUE(run(driver.touch(s, {now + 1s, now + 2h})));
  run(driver.commit(Change(s, now + 2s).put(chain(1), 1).move_to_archive(1).event_count(5)));
  run(driver.commit(Change(s, now + 3s).put(session_record, 1).list_as(user_named("bob"), "done")));

  ListQuery query;
  query.user = user_named("bob");
  EXPECT_EQ(run(driver.list_sessions(query)).items.size(), 1u);
  query.user = ann;
  EXPECT_THAT(run(driver.list_sessions(query)).items, IsEmpty());
  EXPECT_EQ(run(driver.list_archive(query)).items.size(), 1u);
  query.user.reset();
  EXPECT_EQ(run(driver.list_sessions(query)).items.size(), 1u);
  EXPECT_EQ(run(driver.read_events(s, {})).events.size(), 7u);
  EXPECT_EQ(run(driver.prune_events(s, 3)), 2u);
  EXPECT_TRUE(run(driver.health()).ok);

  run(driver.commit(Change(s, now + 4s).end()));
  const SessionId expiring = session_named("expiring");
  run(driver.commit(Change(expiring, now).create(ann)));
  SweepQuery sweep;
  sweep.now = now + 3h;
  EXPECT_EQ(run(driver.sweep(sweep)).expired.size(), 1u);
  run(driver.commit(Change(expiring, now + 3h).only_if(Precondition::expired).end()));
}

// ---- the server comes and goes ------------------------------------------------------------------

TEST(RedisServerGoesAway, WhatWasAcknowledgedIsThereAfterAKillAndTheDriverGoesOn) {
  NEEDS_REDIS();
  RedisServerOptions server_options;
  server_options.appendonly = true;
  RedisServer server(server_options);
  RedisOptions options = server.storage_options();
  options.limits.max_events = 1'000'000;
  const auto driver = make_redis_storage(options);
  Load load(*driver, 4);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(load.wait_for_more(20));
    server.restart(Data::kept);
  }
  ASSERT_TRUE(load.wait_for_more(20));
  load.stop();
  const Load::Total total = load.total("three times kill -9 of a server with an append-only file");
  EXPECT_EQ(total.lost, 0u);
  EXPECT_GT(total.errors, 0);
}

TEST(RedisServerGoesAway, CallsFailWhileItIsAwayAndSoonGoOn) {
  NEEDS_REDIS();
  RedisServerOptions keeping;
  keeping.appendonly = true;  // else it has lost its data afterwards, and says so
  RedisServer server(keeping);
  Log log;
  RedisOptions options = server.storage_options();
  options.log = log.sink();
  options.timeout = 1s;
  const auto driver = make_redis_storage(options);
  EXPECT_TRUE(run(driver->health()).ok);
  server.kill();
  for (const Outcome& outcome : outcomes_of(all_calls(*driver, session_named("s")))) {
    EXPECT_TRUE(outcome.error == ErrorCode::unavailable || outcome.error == ErrorCode::timeout)
        << outcome.call;
    EXPECT_LE(outcome.took, at_most(options.timeout)) << outcome.call;
  }
  EXPECT_THAT(run(driver->health()).detail, Not(IsEmpty()));
  EXPECT_THAT(log.text(), Not(IsEmpty()));
  server.restart(Data::kept);
  EXPECT_TRUE(wait_until([&] { return run(driver->health()).ok; }));
}

TEST(RedisServerGoesAway, ItMayComeLaterThanTheDriver) {
  NEEDS_REDIS();
  RedisServer server;
  server.kill();
  RedisOptions options = server.storage_options();
  options.timeout = 200ms;
  const auto driver = make_redis_storage(options);
  const auto error = error_of(driver->read(session_named("s"), {}));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);  // and no timeout: nothing was sent
  EXPECT_TRUE(error->retryable);
  server.restart(Data::kept);
  EXPECT_TRUE(wait_until([&] { return run(driver->health()).ok; }));
  live_session(*driver);
}

TEST(RedisServerGoesAway, WhoWaitsIsAnsweredWhenTheDriverEnds) {
  NEEDS_REDIS();
  RedisServer server;
  RedisOptions options = server.storage_options();
  options.timeout = 60s;
  auto driver = make_redis_storage(options);
  const SessionId s = live_session(*driver);
  server.stop();
  StorageDriver& raw = *driver;
  std::thread ending([&] {
    std::this_thread::sleep_for(200ms);
    driver.reset();
  });
  const auto start = std::chrono::steady_clock::now();
  const auto error = error_of(raw.commit(Change(s)));
  ending.join();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

// ---- deadlines and queues -----------------------------------------------------------------------

void expect_in_time(StorageDriver& driver, std::chrono::milliseconds timeout) {
  for (const Outcome& outcome : outcomes_of(all_calls(driver, session_named("s")))) {
    EXPECT_TRUE(outcome.error == ErrorCode::timeout || outcome.error == ErrorCode::unavailable)
        << outcome.call;
    EXPECT_LE(outcome.took, at_most(timeout)) << outcome.call;
  }
}

TEST(RedisDeadlines, HoldWhileTheServerStandsStill) {
  NEEDS_REDIS();
  RedisServer server;
  RedisOptions options = server.storage_options();
  options.timeout = 1s;
  const auto driver = make_redis_storage(options);
  live_session(*driver);
  server.stop();
  for (int i = 0; i < 3; ++i) expect_in_time(*driver, options.timeout);
  server.go_on();
  EXPECT_TRUE(wait_until([&] { return run(driver->health()).ok; }));
}

TEST(RedisDeadlines, HoldWhileTheServerPauses) {
  NEEDS_REDIS();
  RedisServer server;
  RedisOptions options = server.storage_options();
  options.timeout = 1s;
  const auto driver = make_redis_storage(options);
  live_session(*driver);
  EXPECT_EQ(server.text({"CLIENT", "PAUSE", "5000", "ALL"}), "OK");
  for (int i = 0; i < 2; ++i) expect_in_time(*driver, options.timeout);
  EXPECT_TRUE(wait_until([&] { return run(driver->health()).ok; }));
}

TEST(RedisDeadlines, ACommitOfUnknownOutcomeIsATimeoutAndIsFoundByItsRepeat) {
  NEEDS_REDIS();
  RedisServer server;
  RedisOptions options = server.storage_options();
  options.timeout = 300ms;
  const auto driver = make_redis_storage(options);
  const SessionId s = live_session(*driver);
  const auto subscription = run(driver->subscribe(std::nullopt));
  Change change(s);
  change.put(chain(1));
  server.stop();
  const auto error = error_of(driver->commit(change));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::timeout);
  EXPECT_TRUE(error->retryable);
  EXPECT_TRUE(run(subscription->next(0ms)).missed);  // and finds nothing yet
  server.go_on();
  change.repeat();
  ASSERT_TRUE(wait_until([&] { return !error_of(driver->commit(change)); }));
  EXPECT_TRUE(run(driver->commit(change)).repeated);
  EXPECT_EQ(last_sequence(*driver, s), 2u);
  EXPECT_TRUE(run(subscription->next(5s)).missed);
  EXPECT_FALSE(run(subscription->next(0ms)).missed);  // of other repeats nobody is told
}

TEST(RedisDeadlines, AFullQueueRefusesAtOnce) {
  NEEDS_REDIS();
  RedisServer server;
  RedisOptions options = server.storage_options();
  options.timeout = 1s;
  options.max_waiting = 10;
  const auto driver = make_redis_storage(options);
  const SessionId s = live_session(*driver);
  server.stop();
  std::vector<std::pair<std::string, Task<void>>> calls;
  for (int i = 0; i < 10; ++i)
    for (auto& call : all_calls(*driver, s))
      if (call.first == "read") calls.push_back(std::move(call));
  for (int i = 0; i < 10; ++i)
    for (auto& call : all_calls(*driver, s))
      if (call.first == "commit") calls.push_back(std::move(call));
  int refused = 0;
  for (const Outcome& outcome : outcomes_of(std::move(calls))) {
    EXPECT_TRUE(outcome.error) << outcome.call;
    if (outcome.error == ErrorCode::unavailable && outcome.took < 500ms) ++refused;
  }
  EXPECT_GE(refused, 10);
  server.go_on();
  EXPECT_TRUE(wait_until([&] { return run(driver->health()).ok; }));
}

// ---- what is lost -------------------------------------------------------------------------------

// Whether health turns bad soon, and what is not found is not told as absent.
void expect_loss_noticed(StorageDriver& driver, const Log& log, const SessionId& session) {
  const auto start = std::chrono::steady_clock::now();
  const auto tells_loss = [&] {
    return run(driver.health()).detail.find("has lost its data") != std::string::npos;
  };
  EXPECT_TRUE(wait_until(tells_loss));
  EXPECT_LE(std::chrono::steady_clock::now() - start, 5s * slack());
  const auto error = error_of(driver.read(session, {}));
  ASSERT_TRUE(error) << "what is lost was told as absent";
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
  EXPECT_FALSE(run(driver.health()).ok);
  EXPECT_THAT(log.text(), HasSubstr("lost its data"));
}

TEST(RedisLoss, FlushAllIsNoticed) {
  NEEDS_REDIS();
  const RedisServer server;
  Log log;
  RedisOptions options = server.storage_options();
  options.log = log.sink();
  const auto driver = make_redis_storage(options);
  const SessionId s = live_session(*driver);
  EXPECT_TRUE(run(driver->health()).ok);
  EXPECT_EQ(server.text({"FLUSHALL"}), "OK");
  expect_loss_noticed(*driver, log, s);
}

TEST(RedisLoss, ARestartWithoutDataIsNoticed) {
  NEEDS_REDIS();
  RedisServer server;
  Log log;
  RedisOptions options = server.storage_options();
  options.log = log.sink();
  const auto driver = make_redis_storage(options);
  const SessionId s = live_session(*driver);
  server.restart(Data::dropped);
  expect_loss_noticed(*driver, log, s);
}

TEST(RedisLoss, IsTakenAsAFactInTheEnd) {
  NEEDS_REDIS();
  const RedisServer server;
  RedisOptions options = server.storage_options();
  options.loss_hold = 1s;
  const auto driver = make_redis_storage(options);
  const SessionId s = live_session(*driver);
  EXPECT_EQ(server.text({"FLUSHALL"}), "OK");
  EXPECT_TRUE(wait_until([&] { return !run(driver->health()).ok; }));
  EXPECT_TRUE(wait_until([&] { return run(driver->health()).ok; }));
  EXPECT_FALSE(run(driver->read(s, {})).live);
  live_session(*driver);
}

// At full memory no name can be given: the one that is there was not looked at.
TEST(RedisLoss, IsNoticedAtFullMemory) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto named = [&] { return server.text({"EXISTS", "af:store:{#0}"}) == "1"; };
  {
    const auto first = open(server);
    ASSERT_TRUE(wait_until(named));
  }
  EXPECT_EQ(server.text({"CONFIG", "RESETSTAT"}), "OK");
  EXPECT_EQ(server.text({"CONFIG", "SET", "maxmemory", "1"}), "OK");
  const auto driver = open(server);
  ASSERT_TRUE(wait_until([&] {
    return server.text({"INFO", "commandstats"}).find("cmdstat_get:") != std::string::npos;
  }));
  EXPECT_EQ(server.text({"FLUSHALL"}), "OK");
  const auto lost = [&] { return error_of(driver->read(session_named("s"), {})).has_value(); };
  const auto end = std::chrono::steady_clock::now() + 8s;
  while (!lost() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(20ms);
  EXPECT_TRUE(lost());
}

TEST(RedisLoss, AFirstStartIsNone) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto first = open(server);
  EXPECT_TRUE(run(first->health()).ok);
  EXPECT_FALSE(run(first->read(session_named("s"), {})).live);
  const auto second = open(server);
  EXPECT_TRUE(run(second->health()).ok);
}

TEST(RedisLoss, ScriptsAreLoadedAgain) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto driver = open(server);
  const SessionId s = live_session(*driver);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(server.text({"SCRIPT", "FLUSH"}), "OK");
    EXPECT_EQ(run(driver->commit(Change(s))).last_sequence, 2u + static_cast<unsigned>(i));
    EXPECT_EQ(server.text({"SCRIPT", "FLUSH"}), "OK");
    EXPECT_TRUE(run(driver->touch(s, {test_start + 1s, test_start + 2h + i * 1s})));
    EXPECT_EQ(server.text({"SCRIPT", "FLUSH"}), "OK");
    EXPECT_EQ(run(driver->read_events(s, {})).events.size(), 2u + static_cast<unsigned>(i));
  }
}

// ---- what stands there is not ours, or does not fit ---------------------------------------------

TEST(RedisData, AnotherProgramsKeyIsCorruptAndNotAbsent) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto driver = open(server);
  EXPECT_EQ(server.text({"SET", "af:{s}", "not ours"}), "OK");
  const SessionId s = session_named("s");
  EXPECT_EQ(error_of(driver->read(s, {})).value().code(), ErrorCode::corrupt);
  EXPECT_EQ(error_of(driver->read_events(s, {})).value().code(), ErrorCode::corrupt);
  const Change change = Change(s).create(user_named("ann"));
  EXPECT_EQ(error_of(driver->commit(change)).value().code(), ErrorCode::corrupt);
}

TEST(RedisData, WhatCantBeReadIsCorrupt) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto driver = open(server);
  const SessionId s = live_session(*driver);
  const std::vector<RecordKey> keys = {session_record};
  server.text({"HSET", "af:{s}", "session", "no version"});
  EXPECT_EQ(error_of(driver->read(s, keys)).value().code(), ErrorCode::corrupt);
  server.text({"LSET", "af:{s}:log", "0", "nonsense"});
  EXPECT_EQ(error_of(driver->read_events(s, {})).value().code(), ErrorCode::corrupt);
  server.text({"HSET", "af:{s}", "meta", "nonsense"});
  EXPECT_EQ(error_of(driver->read(s, keys)).value().code(), ErrorCode::corrupt);
  EXPECT_EQ(error_of(driver->read_events(s, {})).value().code(), ErrorCode::corrupt);
  EXPECT_EQ(error_of(driver->commit(Change(s))).value().code(), ErrorCode::corrupt);
}

// A page once failed as a whole where one of its records could not be read.
TEST(RedisData, ListsNameWhatCantBeReadAndServeTheRest) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto driver = open(server);
  const UserId ann = user_named("ann");
  for (const char* name : {"a", "b", "c", "d", "e"})
    run(driver->commit(Change(session_named(name)).create(ann).put(chain(1)).put(chain(2))));
  for (const char* name : {"d", "e"}) {
    run(driver->commit(Change(session_named(name)).move_to_archive(1).move_to_archive(2)));
  }
  server.text({"HSET", "af:{a}", "session", "no version"});
  server.text({"HSET", "af:{b}", "meta", "nonsense"});
  EXPECT_EQ(server.text({"DEL", "af:{c}"}), "1");
  EXPECT_EQ(server.text({"SET", "af:{c}", "not ours"}), "OK");
  server.text({"HSET", "af:{e}:archive", "c1", "no version"});
  for (const bool of_all : {false, true}) {
    ListQuery query;
    if (!of_all) query.user = ann;
    const SessionPage page = run(driver->list_sessions(query));
    EXPECT_EQ(page.items.size(), 2u);
    ASSERT_EQ(page.corrupt.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(page.corrupt[i].code(), ErrorCode::corrupt);
      EXPECT_EQ(page.corrupt[i].record, std::string(1, static_cast<char>('a' + i)));
    }
    const ArchivePage archive = run(driver->list_archive(query));
    EXPECT_EQ(archive.items.size(), 3u);
    ASSERT_EQ(archive.corrupt.size(), 1u);
    EXPECT_EQ(archive.corrupt[0].record, "e.c1");
  }
}

// A sweep once failed as a whole where one of what was due could not be read.
TEST(RedisData, SweepsPassOverWhatCantBeRead) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto driver = open(server);
  const Timestamp now = system_clock().now();
  const UserId ann = user_named("ann");
  for (const char* name : {"a", "b", "c", "d", "e"})
    run(driver->commit(Change(session_named(name), now).create(ann).put(chain(1))));
  for (const char* name : {"d", "e"})
    run(driver->commit(Change(session_named(name), now).move_to_archive(1).end()));
  server.text({"HSET", "af:{a}", "meta", "nonsense"});
  for (const char* key : {"af:{b}", "af:{d}"}) {
    EXPECT_EQ(server.text({"DEL", key}), "1");
    EXPECT_EQ(server.text({"SET", key, "not ours"}), "OK");
  }
  SweepQuery query;
  query.now = now + 24h * 40;
  const SweepResult result = run(driver->sweep(query));
  EXPECT_EQ(result.expired, std::vector{session_named("c")});
  EXPECT_EQ(result.logs_removed, 1u);
  EXPECT_EQ(result.chains_removed, 1u);
  EXPECT_FALSE(result.more);
}

// What expires could not be named once, and no log was removed any more.
TEST(RedisSweeps, AreDoneInPartWhereAPartFails) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto driver = open(server);
  const Timestamp now = system_clock().now();
  const SessionId live = session_named("a");
  run(driver->commit(Change(live, now).create(user_named("ann"))));
  const SessionId ended = session_named("b");
  run(driver->commit(Change(ended, now).create(user_named("ann"))));
  run(driver->commit(Change(ended, now).end()));
  const redis::Keys keys("af");
  EXPECT_EQ(server.text({"SET", keys.claims(redis::shard_of(live)), "not ours"}), "OK");
  SweepQuery query;
  query.now = now + 24h * 8;
  EXPECT_EQ(run(driver->sweep(query)).logs_removed, 1u);
  EXPECT_EQ(error_of(driver->sweep(query)).value().code(), ErrorCode::corrupt);
}

TEST(RedisSweeps, CorrectAnEntryThatIsTooEarly) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto driver = open(server);
  const Timestamp now = system_clock().now();
  const SessionId s = session_named("s");
  run(driver->commit(Change(s, now).create(user_named("ann")).put(chain(1))));
  run(driver->commit(Change(s, now).move_to_archive(1)));
  const std::string index = redis::Keys("af").archived(redis::shard_of(s));
  EXPECT_EQ(server.text({"ZADD", index, "-1000", "s.c1"}), "0");
  SweepQuery query;
  query.now = now;
  EXPECT_EQ(run(driver->sweep(query)).chains_removed, 0u);
  EXPECT_EQ(server.text({"ZSCORE", index, "s.c1"}), std::to_string(-to_unix_milliseconds(now)));
}

// Once all were dropped together, also those of whom another instance was just told.
TEST(RedisSweeps, KeepClaimsOfOthersUntilTheirTime) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto first = open(server);
  const auto second = open(server);
  const SessionId s = live_session(*first);
  SweepQuery query;
  query.now = test_start + 2h;
  query.limit = 1;
  EXPECT_EQ(run(first->sweep(query)).expired, std::vector{s});
  const std::string claims = redis::Keys("af").claims(redis::shard_of(s));
  for (int i = 0; i < 200; ++i) server.text({"HSET", claims, "x" + std::to_string(i), "1 another"});
  EXPECT_THAT(run(second->sweep(query)).expired, IsEmpty());
  EXPECT_EQ(server.text({"HLEN", claims}), "1");
  EXPECT_THAT(run(second->sweep(query)).expired, IsEmpty());
}

// Each of the expired sessions is named to one of four instances, which end it.
TEST(RedisSweeps, OfSeveralInstancesDoNothingTwice) {
  NEEDS_REDIS();
  const RedisServer server;
  std::vector<std::unique_ptr<StorageDriver>> drivers;
  for (int i = 0; i < 4; ++i) drivers.push_back(open(server));
  const Timestamp now = system_clock().now();
  const std::size_t sessions = 400;
  for (std::size_t i = 0; i < sessions; ++i) {
    const SessionId id = session_named("s" + std::to_string(i));
    run(drivers[i % 4]->commit(Change(id, now).create(user_named("ann"))));
  }
  std::mutex mutex;
  std::vector<SessionId> named;
  std::vector<int> ended_by(4, 0);
  const auto work = [&](std::size_t i) -> Task<void> {
    SweepQuery query;
    query.now = now + 2h;
    query.limit = 20;
    SweepResult result;
    do {
      result = co_await drivers[i]->sweep(query);
      for (const SessionId& id : result.expired) {
        Change end(id, query.now);
        end.only_if(Precondition::expired).end();
        co_await drivers[i]->commit(end);  // throws where another has ended it
        const std::lock_guard lock(mutex);
        named.push_back(id);
        ++ended_by[i];
      }
    } while (result.more);
  };
  std::vector<Task<void>> tasks;
  for (std::size_t i = 0; i < 4; ++i) tasks.push_back(work(i));
  run_together(std::move(tasks), 4);
  EXPECT_EQ(named.size(), sessions);
  std::ranges::sort(named);
  EXPECT_EQ(std::ranges::adjacent_find(named), named.end());
  EXPECT_GT(std::ranges::count_if(ended_by, [](int count) { return count > 0; }), 1);
  for (const SessionId& id : named) EXPECT_EQ(last_sequence(*drivers[0], id), 2u);
}

TEST(RedisData, FullMemoryIsExhaustedAndASessionCanStillBeEnded) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto driver = open(server);
  const SessionId s = live_session(*driver);
  EXPECT_EQ(server.text({"CONFIG", "SET", "maxmemory", "1"}), "OK");
  const auto error = error_of(driver->commit(Change(s)));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::exhausted);
  EXPECT_TRUE(error->retryable);
  EXPECT_TRUE(run(driver->read(s, {})).live);
  EXPECT_EQ(last_sequence(*driver, s), 1u);
  SweepQuery query;
  query.now = test_start + 2h;
  EXPECT_EQ(run(driver->sweep(query)).expired, std::vector{s});
  const auto refused = error_of(driver->commit(Change(s).end()));
  EXPECT_FALSE(refused) << refused->message();
  EXPECT_EQ(server.text({"CONFIG", "SET", "maxmemory", "0"}), "OK");
  EXPECT_FALSE(run(driver->read(s, {})).live);
}

TEST(RedisData, EveryKeyExpiresByItself) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto driver = open(server);
  live_a_whole_life(*driver);
  live_session(*driver, "still-alive");
  run(driver->erase_session(session_named("expiring")));
  const std::vector<RedisReply> keys = server.call({"KEYS", "*"}).items;
  EXPECT_GT(keys.size(), 5u);
  for (const RedisReply& key : keys) {
    EXPECT_GT(std::stoll(server.text({"PTTL", key.text})), 0) << key.text;
    EXPECT_THAT(key.text, testing::StartsWith("af:"));
  }
}

// A log without a session that says so once made every later read of it fail.
TEST(RedisData, ALogExpiresWithItsSessionAndGoesOnWhereItIsGone) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto driver = open(server);
  const Timestamp now = system_clock().now();
  const SessionId s = session_named("s");
  run(driver->commit(Change(s, now).create(user_named("ann")).put(chain(1))));
  run(driver->commit(Change(s, now).move_to_archive(1)));
  run(driver->commit(Change(s, now).end()));
  const auto lasts = [&](const char* key) { return std::stoll(server.text({"PTTL", key})); };
  EXPECT_NEAR(static_cast<double>(lasts("af:{s}")), static_cast<double>(lasts("af:{s}:log")), 1000);

  const SessionId other = live_session(*driver, "other");
  EXPECT_EQ(server.text({"DEL", "af:{other}:log"}), "1");
  EXPECT_EQ(run(driver->commit(Change(other).event_count(2))).first_sequence, 2u);
  const EventPage page = run(driver->read_events(other, {}));
  EXPECT_EQ(page.first_sequence, 2u);
  EXPECT_EQ(page.last_sequence, 3u);
  EXPECT_EQ(page.events.size(), 2u);
  EXPECT_GT(lasts("af:{other}:log"), 0);
}

// What was removed because a look at it found nothing could be of a life that had just begun.
// What only appends has no version that refuses a late attempt: it was looked for in the log by
// every attempt once, the first ones, too, and that took longer than all else.
TEST(RedisData, AnAttemptThatArrivesAfterItsRepeatIsNotApplied) {
  const RedisServer server;
  const auto driver = open(server);
  const SessionId s = live_session(*driver);
  Change repeat = Change(s).operation("appended").repeat();
  repeat.supersedes = true;
  const Change late = Change(s).operation("appended");
  const CommitResult applied = run(driver->commit(repeat));
  EXPECT_FALSE(applied.repeated);
  const CommitResult found = run(driver->commit(late));
  EXPECT_TRUE(found.repeated);
  EXPECT_EQ(found.last_sequence, applied.last_sequence);
  EXPECT_EQ(last_sequence(*driver, s), applied.last_sequence);

  const Change another = Change(s).operation("append");
  EXPECT_FALSE(run(driver->commit(another)).repeated);
  Change many = Change(s).operation("many").event_count(300);
  run(driver->commit(many));  // beyond where the log is looked at
  EXPECT_EQ(error_of(driver->commit(late))->code(), ErrorCode::conflict);
  EXPECT_EQ(last_sequence(*driver, s), applied.last_sequence + 301);

  for (int n = 0; n < 300; ++n) {
    repeat.operation("repeat " + std::to_string(n));
    run(driver->commit(repeat));
  }
  const auto kept = server.text({"HGET", "af:{s}", "fences"});
  EXPECT_LT(kept.size(), 256 * 30u) << "the oldest are forgotten";
  EXPECT_NE(kept.find("repeat 299"), kept.npos);
}

TEST(RedisData, OnlyTheEntryThatWasSeenIsRemoved) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto driver = open(server);
  const SessionId s = live_session(*driver);
  const redis::Keys keys("af");
  const std::string index = keys.sessions(redis::shard_of(s));
  const std::string until = server.text({"ZSCORE", index, "s"});
  const auto leave = [&](const std::string& low, const std::string& high) {
    return server.text(
        {"EVAL", redis::scripts().index_remove.source(), "1", index, "s", low, high});
  };
  const std::string later = std::to_string(std::stoll(until) - 1);
  const std::string earlier = std::to_string(std::stoll(until) + 1);
  EXPECT_EQ(leave(later, later), "0");
  EXPECT_EQ(leave(earlier, earlier), "0");
  EXPECT_EQ(leave(earlier, ""), "0");
  EXPECT_EQ(leave(until, until), "1");
  EXPECT_EQ(leave(until, until), "0");
}

TEST(RedisData, PrefixesAndDatabasesShareNothing) {
  NEEDS_REDIS();
  const RedisServer server;
  RedisOptions options = server.storage_options();
  const auto first = make_redis_storage(options);
  options.prefix = "other";
  const auto other_prefix = make_redis_storage(options);
  options.prefix = "af";
  options.database = 3;
  const auto other_database = make_redis_storage(options);
  const SessionId s = live_session(*first);
  for (StorageDriver* const other : {other_prefix.get(), other_database.get()}) {
    const auto subscription = run(other->subscribe(std::nullopt));
    EXPECT_FALSE(run(other->read(s, {})).live);
    EXPECT_THAT(run(other->list_sessions({})).items, IsEmpty());
    run(first->commit(Change(s)));
    EXPECT_THAT(run(subscription->next(300ms)).wakeups, IsEmpty());
    EXPECT_EQ(run(other->commit(Change(s).create(user_named("bob")))).last_sequence, 1u);
  }
  EXPECT_EQ(run(first->list_sessions({})).items.size(), 1u);
  EXPECT_EQ(last_sequence(*first, s), 3u);
}

// ---- any id -------------------------------------------------------------------------------------

std::string random_session_id(Random& random) {
  constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@-";
  // Short ones are likely to be each other's beginnings.
  std::string id(1 + random.below(random.below(2) == 0 ? 6 : max_id_length), ' ');
  for (char& c : id) c = alphabet[random.below(alphabet.size())];
  return id;
}

Task<void> write_and_read(StorageDriver& driver, std::vector<std::string> ids) {
  const std::vector<RecordKey> keys = {session_record};
  for (const std::string& id : ids) {
    Change change(session_named(id));
    change.put(session_record, 0, Bytes(id)).active_until(test_start + 1h);
    change.list_as(user_named(id), "active").event("test:made", id);
    co_await driver.commit(change);
  }
  for (const std::string& id : ids) {
    const SessionId session = session_named(id);
    const ReadResult read = co_await driver.read(session, keys);
    EXPECT_TRUE(read.records.at(0) && read.records[0]->bytes.view() == id) << id;
    EXPECT_TRUE(read.owner == user_named(id)) << id;
    EXPECT_EQ(read.last_sequence, 1u) << id;
    const EventQuery query;
    const EventPage page = co_await driver.read_events(session, query);
    EXPECT_TRUE(page.events.size() == 1 && page.events[0].bytes.view() == id) << id;
  }
}

// What a cluster chooses the slot of a key by: between the first { and the first } after it, where
// that is something; written down here once more, so that a mistake in one is found by the other.
std::string hash_tag_of(const std::string& key) {
  const std::size_t open = key.find('{');
  const std::size_t close = open == key.npos ? key.npos : key.find('}', open + 1);
  return close == key.npos || close == open + 1 ? key : key.substr(open + 1, close - open - 1);
}

// All other keys: by no tag, or by one that is no session's.
void expect_indexes_apart(const RedisServer& server) {
  std::size_t tagged = 0;
  for (const RedisReply& key : server.call({"KEYS", "af:[^{]*"}).items) {
    const std::string tag = hash_tag_of(key.text);
    if (tag == key.text) continue;
    EXPECT_EQ(tag.front(), '#') << key.text;
    EXPECT_FALSE(SessionId::parse(tag)) << key.text;
    ++tagged;
  }
  EXPECT_GE(tagged, redis::shards);
}

TEST(RedisData, TenThousandIdsRoundTrip) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto driver = open(server);
  SeededRandom random(test_seed());
  std::set<std::string> ids;
  while (ids.size() < 10'000) ids.insert(random_session_id(random));
  constexpr std::size_t clients = 32;
  std::vector<std::vector<std::string>> shares(clients);
  std::size_t next = 0;
  for (const std::string& id : ids) shares[next++ % clients].push_back(id);
  std::vector<Task<void>> tasks;
  for (auto& share : shares) tasks.push_back(write_and_read(*driver, std::move(share)));
  run_together(std::move(tasks), 1);
  // A hash and a log of each, and nobody else's.
  const RedisReply kept = server.call({"KEYS", "af:{[^#]*"});
  EXPECT_EQ(kept.items.size(), 2 * ids.size());
  for (const RedisReply& key : kept.items) {
    const std::string tag = hash_tag_of(key.text);
    EXPECT_TRUE(ids.contains(tag)) << key.text;
    EXPECT_EQ(redis::slot_of(key.text), redis::slot_of(tag)) << key.text;
  }
  expect_indexes_apart(server);
}

// The same of all names that a session's keys can have, whether anything stands there or not; and
// of some, as a real node of a cluster sees it.
TEST(RedisData, NoIdReachesTheSlotOfAnother) {
  NEEDS_REDIS();
  RedisServerOptions of_node;
  of_node.cluster = true;
  const RedisServer node(of_node);
  const redis::Keys keys("af");
  SeededRandom random(test_seed());
  std::map<std::string, std::string> owners;  // by key
  for (int i = 0; i < 10'000; ++i) {
    const std::string id = random_session_id(random);
    const SessionId session = session_named(id);
    const std::uint16_t slot = redis::slot_of(id);
    for (const std::string& key :
         {keys.session(session), keys.log(session), keys.archive(session)}) {
      EXPECT_EQ(hash_tag_of(key), id) << key;
      EXPECT_EQ(redis::slot_of(key), slot) << key;
      EXPECT_EQ(owners.emplace(key, id).first->second, id) << key;
      if (i < 200) {
        EXPECT_EQ(node.text({"CLUSTER", "KEYSLOT", key}), std::to_string(slot)) << key;
      }
    }
  }
}

// ---- who may ------------------------------------------------------------------------------------

RedisOptions as_user(const RedisServer& server, const std::string& user,
                     const std::string& password) {
  RedisOptions options = server.storage_options();
  options.user = user;
  options.password = password;
  options.timeout = 1s;
  return options;
}

// May do what RedisStorage needs, on its own prefix: see the README.
const std::string limited_user =
    "user actionflows on >sesame ~af:* &af:* +@all -@dangerous -@admin +info -keys -scan";

TEST(RedisOptionsAreChecked, AndWhatContradictsItselfIsInvalid) {
  RedisOptions options;
  options.servers = {{"127.0.0.1", 1}};
  const auto refused = [](const RedisOptions& wrong) {
    try {
      make_redis_storage(wrong);
    } catch (const StorageError& error) {
      return error.code() == ErrorCode::invalid;
    }
    return false;
  };
  EXPECT_FALSE(refused(options));
  RedisOptions wrong = options;
  wrong.user = "ann";
  EXPECT_TRUE(refused(wrong));
  options.wait_replicas = 1;
  EXPECT_FALSE(refused(options));
  for (const auto wait : {0ms, 2'000ms}) {
    wrong = options;
    wrong.wait_timeout = wait;
    EXPECT_TRUE(refused(wrong));
  }
  wrong = options;
  wrong.health_interval = 250ms;
  EXPECT_TRUE(refused(wrong));
}

TEST(RedisUsers, AUserLimitedToThePrefixIsEnough) {
  NEEDS_REDIS();
  RedisServerOptions server_options;
  server_options.config = {limited_user};
  const RedisServer server(server_options);
  const auto driver = make_redis_storage(as_user(server, "actionflows", "sesame"));
  live_a_whole_life(*driver);
  EXPECT_THAT(server.call({"ACL", "LOG"}).items, IsEmpty()) << "tried what is forbidden";
}

TEST(RedisUsers, WhatIsForbiddenIsUnavailableForGood) {
  NEEDS_REDIS();
  RedisServerOptions server_options;
  server_options.config = {limited_user};
  const RedisServer server(server_options);
  RedisOptions options = as_user(server, "actionflows", "sesame");
  options.prefix = "other";
  const auto driver = make_redis_storage(options);
  const auto error = error_of(driver->read(session_named("s"), {}));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
  EXPECT_FALSE(run(driver->health()).ok);
}

// Who may not listen was once told after a time-out that nobody answers.
TEST(RedisUsers, WhoMayNotListenIsToldSo) {
  NEEDS_REDIS();
  RedisServerOptions server_options;
  server_options.config = {"user deaf on >sesame ~af:* resetchannels +@all"};
  const RedisServer server(server_options);
  Log log;
  RedisOptions options = as_user(server, "deaf", "sesame");
  options.log = log.sink();
  const auto driver = make_redis_storage(options);
  const auto error = error_of(driver->subscribe(std::nullopt));
  ASSERT_TRUE(error);
  EXPECT_THAT(error->message(), HasSubstr("NOPERM"));
  const Health health = run(driver->health());
  EXPECT_TRUE(health.ok);
  EXPECT_THAT(health.detail, HasSubstr("wake-ups are not heard"));
  // What it commits is applied all the same, and said to be.
  const SessionId s = live_session(*driver);
  run(driver->commit(Change(s)));
  EXPECT_EQ(last_sequence(*driver, s), 2u);
  const std::string line = "wake-ups can't be published";
  const std::size_t told = log.text().find(line);
  ASSERT_NE(told, std::string::npos);
  EXPECT_EQ(log.text().find(line, told + 1), std::string::npos);
}

TEST(RedisUsers, WrongPasswordsAreNamedWithoutBeingShown) {
  NEEDS_REDIS();
  RedisServerOptions server_options;
  server_options.config = {limited_user};
  const RedisServer server(server_options);
  server.text({"CONFIG", "SET", "requirepass", "swordfish"});
  Log log;
  for (const auto& [user, password] :
       {std::pair("actionflows", "hocuspocus"), std::pair("", "hocuspocus"),
        std::pair("nobody", "hocuspocus"), std::pair("", "")}) {
    RedisOptions options = as_user(server, user, password);
    options.log = log.sink();
    const auto driver = make_redis_storage(options);
    const auto error = error_of(driver->read(session_named("s"), {}));
    ASSERT_TRUE(error) << user;
    EXPECT_EQ(error->code(), ErrorCode::unavailable);
    EXPECT_THAT(error->message(), Not(HasSubstr("hocuspocus")));
    const Health health = run(driver->health());
    EXPECT_FALSE(health.ok);
    EXPECT_THAT(health.detail, HasSubstr("are user and password right"));
    EXPECT_THAT(health.detail, Not(HasSubstr("hocuspocus")));
  }
  EXPECT_THAT(log.text(), HasSubstr("refused by 127.0.0.1"));
  EXPECT_THAT(log.text(), Not(HasSubstr("hocuspocus")));
  const auto driver = make_redis_storage(as_user(server, "", "swordfish"));
  EXPECT_TRUE(run(driver->health()).ok);
}

// ---- TLS ----------------------------------------------------------------------------------------

TEST(RedisTls, IsSpokenWithWhomTheAuthorityVouchesFor) {
  NEEDS_REDIS();
  RedisServerOptions server_options;
  server_options.tls = true;
  const RedisServer server(server_options);
  const auto driver = open(server);
  live_a_whole_life(*driver);
  RedisOptions by_url = parse_redis_url(server.url());
  by_url.servers.at(0).host = "localhost";
  EXPECT_TRUE(run(make_redis_storage(by_url)->health()).ok);
}

void expect_no_connection(RedisOptions options) {
  options.timeout = 700ms;
  const auto driver = make_redis_storage(options);
  const auto error = error_of(driver->read(session_named("s"), {}));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
  EXPECT_FALSE(run(driver->health()).ok);
}

TEST(RedisTls, AnotherAuthorityIsNotTrusted) {
  NEEDS_REDIS();
  RedisServerOptions server_options;
  server_options.tls = true;
  const RedisServer server(server_options);
  const Folder folder;
  RedisOptions options = server.storage_options();
  options.ca_file = make_certificates(folder, "IP:127.0.0.1").ca;
  expect_no_connection(options);
  options.ca_file = "";  // the system's authorities
  expect_no_connection(options);
}

TEST(RedisTls, ACertificateForAnotherNameIsNotTrusted) {
  NEEDS_REDIS();
  RedisServerOptions server_options;
  server_options.tls = true;
  server_options.certificate_names = "DNS:another.example,IP:127.0.0.2";
  const RedisServer server(server_options);
  expect_no_connection(server.storage_options());
}

TEST(RedisTls, WithoutItATlsServerIsNotSpokenTo) {
  NEEDS_REDIS();
  RedisServerOptions server_options;
  server_options.tls = true;
  const RedisServer server(server_options);
  RedisOptions options = server.storage_options();
  options.tls = false;
  options.ca_file = "";
  expect_no_connection(options);
  const RedisServer plain;
  options = plain.storage_options();
  options.tls = true;
  expect_no_connection(options);
}

TEST(RedisTls, AnAuthorityThatCantBeReadIsRefusedAtOnce) {
  RedisOptions options;
  options.servers = {{"127.0.0.1", 1}};
  options.tls = true;
  options.ca_file = "/nowhere/ca.pem";
  try {
    make_redis_storage(options);
    ADD_FAILURE() << "was let through";
  } catch (const StorageError& error) {
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
  }
}

// An attempt that could not be begun was once the last one.
TEST(RedisTls, AnAuthorityThatCantBeReadForATimeIsReadAgain) {
  NEEDS_REDIS();
  RedisServerOptions server_options;
  server_options.tls = true;
  server_options.appendonly = true;
  RedisServer server(server_options);
  const Folder folder;
  Log log;
  RedisOptions options = server.storage_options();
  const std::string kept = options.ca_file;
  options.ca_file = folder.path("ca.pem");
  std::filesystem::copy_file(kept, options.ca_file);
  options.log = log.sink();
  options.reconnect_max = 200ms;
  const auto driver = make_redis_storage(options);
  EXPECT_FALSE(error_of(driver->subscribe(std::nullopt)));
  std::filesystem::remove(options.ca_file);
  server.restart(Data::kept);
  EXPECT_TRUE(wait_until([&] {
    return log.text().find("the certificates to trust can't be read") != std::string::npos;
  }));
  std::this_thread::sleep_for(300ms);  // for the subscriber to have tried, too
  std::filesystem::copy_file(kept, options.ca_file);
  EXPECT_TRUE(wait_until([&] { return !error_of(driver->read(session_named("s"), {})); }));
  EXPECT_TRUE(wait_until([&] { return !error_of(driver->subscribe(std::nullopt)); }));
}

// ---- replicas -----------------------------------------------------------------------------------

// Whether it has a replica whose confirmations count already.
bool is_followed(const RedisServer& server) {
  return server.info("slave0").find("state=online") != std::string::npos;
}

TEST(RedisReplicas, AreWaitedForAndCounted) {
  NEEDS_REDIS();
  const RedisServer server;
  RedisServerOptions of_replica;
  of_replica.config = {"replicaof 127.0.0.1 " + std::to_string(server.address().port)};
  RedisServer replica(of_replica);
  ASSERT_TRUE(wait_until([&] { return is_followed(server); }));
  RedisOptions options = server.storage_options();
  options.wait_replicas = 1;
  options.wait_timeout = 500ms;
  const auto driver = make_redis_storage(options);
  const SessionId s = session_named("s");
  const CommitResult confirmed = run(driver->commit(Change(s).create(user_named("ann"))));
  EXPECT_EQ(to_string(confirmed.durability), "redis-replicated(1)");
  EXPECT_EQ(to_string(run(open(server)->commit(Change(s))).durability), "redis");

  // A repeat has nothing to write, and waits for what its first run has written.
  Change repeated(s);
  run(driver->commit(repeated));
  EXPECT_EQ(server.text({"CONFIG", "RESETSTAT"}), "OK");
  EXPECT_TRUE(run(driver->commit(repeated.repeat())).repeated);
  EXPECT_THAT(server.text({"INFO", "commandstats"}), HasSubstr("cmdstat_pexpire:"));

  replica.stop();
  const auto start = std::chrono::steady_clock::now();
  const CommitResult alone = run(driver->commit(Change(s)));
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(to_string(alone.durability), "redis");
  EXPECT_GE(took, 400ms);
  EXPECT_LE(took, options.wait_timeout + 1s * slack());
  EXPECT_EQ(last_sequence(*driver, s), 4u);
}

TEST(RedisReplicas, OneThatIsTakenForTheMasterTakesNoWrites) {
  NEEDS_REDIS();
  const RedisServer server;
  RedisServerOptions of_replica;
  of_replica.config = {"replicaof 127.0.0.1 " + std::to_string(server.address().port)};
  const RedisServer replica(of_replica);
  ASSERT_TRUE(wait_until([&] { return is_followed(server); }));
  const auto through_master = open(server);
  live_session(*through_master);
  ASSERT_TRUE(wait_until([&] { return replica.text({"EXISTS", "af:{s}"}) == "1"; }));
  RedisOptions options = replica.storage_options();
  options.timeout = 1s;
  const auto driver = make_redis_storage(options);
  const auto error = error_of(driver->commit(Change(session_named("s"))));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
  EXPECT_TRUE(error->retryable);
  // It becomes the master: a driver that has it by its name goes on.
  EXPECT_EQ(replica.text({"REPLICAOF", "NO", "ONE"}), "OK");
  std::optional<StorageError> last;
  EXPECT_TRUE(wait_until([&] {
    last = error_of(driver->commit(Change(session_named("s"))));
    return !last;
  })) << last->message();
}

// ---- health -------------------------------------------------------------------------------------

TEST(RedisHealth, TellsWhatTheServerHolds) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto driver = open(server);
  live_session(*driver, "a");
  live_session(*driver, "b");
  const Health health = run(driver->health());
  EXPECT_TRUE(health.ok) << health.detail;
  EXPECT_EQ(health.driver, "redis");
  EXPECT_EQ(to_string(health.durability), "redis");
  EXPECT_EQ(health.sessions, 2u);
}

}  // namespace
}  // namespace actionflows::test
