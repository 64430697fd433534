// RedisStorage on a real cluster whose nodes fail, come back and pass slots to each other.
#include "tests/redis/redis_store.hpp"
#include "tests/support/redis_cluster.hpp"
#include "tests/support/slack.hpp"
#include "tests/support/wait_until.hpp"

#include "actionflows/storage/redis/slots.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <set>
#include <string>

namespace actionflows::test {
namespace {

using Data = RedisServer::Data;
using Replicas = RedisCluster::Replicas;

constexpr std::size_t writers = 12;  // so many that each master has some

std::unique_ptr<StorageDriver> open(const RedisCluster& cluster, int wait_replicas = 0) {
  RedisOptions options = cluster.storage_options();
  options.limits.max_events = 1'000'000;
  options.wait_replicas = wait_replicas;
  return make_redis_storage(options);
}

// The master of the first writer's session.
RedisServer& victim_of(const RedisCluster& cluster) {
  return cluster.master_of(redis::slot_of("load-0"));
}

TEST(RedisClusterFailover, AMasterThatIsKilledIsReplacedUnderLoad) {
  NEEDS_REDIS();
  const RedisCluster cluster;
  const auto driver = open(cluster);
  Load load(*driver, writers);
  ASSERT_TRUE(load.wait_for_more(50));
  RedisServer& victim = victim_of(cluster);
  victim.kill();
  ASSERT_TRUE(load.wait_for_more(50)) << "clients do not follow";
  victim.restart(Data::dropped);
  cluster.wait_until_well(Replicas::in_step);
  ASSERT_TRUE(load.wait_for_more(50));
  load.stop();
  const Load::Total total = load.total("a master killed");
  EXPECT_LT(total.longest_gap, 30s);
}

TEST(RedisClusterFailover, AMasterThatStandsStillIsReplacedUnderLoad) {
  NEEDS_REDIS();
  const RedisCluster cluster;
  const auto driver = open(cluster);
  Load load(*driver, writers);
  ASSERT_TRUE(load.wait_for_more(50));
  RedisServer& victim = victim_of(cluster);
  victim.stop();
  ASSERT_TRUE(load.wait_for_more(50)) << "clients do not follow";
  // It wakes up and takes itself for the master for a moment.
  victim.go_on();
  ASSERT_TRUE(load.wait_for_more(50));
  cluster.wait_until_well(Replicas::in_step);
  ASSERT_TRUE(load.wait_for_more(50));
  load.stop();
  const Load::Total total = load.total("a master stopped and let go");
  EXPECT_LT(total.longest_gap, 30s);
}

TEST(RedisClusterFailover, WhatAReplicaHasConfirmedIsNotLost) {
  NEEDS_REDIS();
  const RedisCluster cluster;
  const auto driver = open(cluster, 1);
  Load load(*driver, writers);
  ASSERT_TRUE(load.wait_for_more(20));
  victim_of(cluster).kill();
  ASSERT_TRUE(load.wait_for_more(5)) << "clients do not follow";
  load.stop();
  const Load::Total total = load.total("a master killed, each commit confirmed by its replica");
  EXPECT_EQ(total.lost, 0u);
}

// Its link to the replica that would take over is cut for good: nothing gets there any more.
void cut_off_replicas(const RedisCluster& cluster, const RedisServer& master) {
  for (const auto& node : cluster.nodes()) {
    const bool its = node->info("master_port") == std::to_string(master.address().port);
    if (its) node->text({"CONFIG", "SET", "masterauth", "not-the-password"});
  }
  master.text({"CLIENT", "KILL", "TYPE", "replica"});
  ASSERT_TRUE(wait_until([&] { return master.info("connected_slaves") == "0"; }));
}

// The worst that a failover does: a replica that has been behind takes over. What was told as
// replicated is there; all else that it had not got is lost, and was told so.
TEST(RedisClusterFailover, LosesWhatNoReplicaHasGotAndNothingThatOneHasConfirmed) {
  NEEDS_REDIS();
  const RedisCluster cluster;
  RedisOptions options = cluster.storage_options();
  options.wait_replicas = 1;
  options.wait_timeout = 200ms;
  const auto driver = make_redis_storage(options);
  const SessionId s = session_named("load-0");
  RedisServer& master = victim_of(cluster);
  std::set<std::string> confirmed;
  std::set<std::string> unconfirmed;
  const auto append = [&](Change change) {
    const CommitResult result = run(driver->commit(change));
    (result.durability.replicas > 0 ? confirmed : unconfirmed).insert(change.operation_id);
  };
  append(Change(s).create(user_named("ann")));
  for (int i = 0; i < 100; ++i) append(Change(s));
  EXPECT_EQ(unconfirmed.size(), 0u);
  cut_off_replicas(cluster, master);
  if (testing::Test::HasFatalFailure()) return;
  for (int i = 0; i < 10; ++i) append(Change(s));
  EXPECT_EQ(confirmed.size(), 101u) << "told as replicated, to nobody";
  master.kill();
  cluster.wait_until_well();

  std::set<std::string> found;
  ASSERT_TRUE(wait_until([&] { return !error_of(driver->read(s, {})); }));
  for (const StoredEvent& event : run(driver->read_events(s, {})).events)
    found.insert(event.operation_id);
  EXPECT_EQ(found, confirmed);
  std::cout << "a replica that was cut off took over: " << confirmed.size()
            << " commits confirmed by it, all there; " << unconfirmed.size()
            << " that it had not got, told as unconfirmed, all lost" << std::endl;
}

TEST(RedisClusterFailover, AnOrderlyOneLosesNothing) {
  NEEDS_REDIS();
  const RedisCluster cluster;
  const auto driver = open(cluster);
  Load load(*driver, writers);
  ASSERT_TRUE(load.wait_for_more(20));
  const RedisServer& master = victim_of(cluster);
  for (const auto& node : cluster.nodes()) {
    const std::string port = std::to_string(master.address().port);
    if (node->info("master_port") == port) {
      EXPECT_EQ(node->text({"CLUSTER", "FAILOVER"}), "OK");
    }
  }
  ASSERT_TRUE(wait_until([&] { return &victim_of(cluster) != &master; }));
  ASSERT_TRUE(load.wait_for_more(20));
  load.stop();
  EXPECT_EQ(load.total("CLUSTER FAILOVER").lost, 0u);
}

TEST(RedisClusterSlots, MoveUnderLoadAndLoseNothing) {
  NEEDS_REDIS();
  const RedisCluster cluster;
  const auto driver = open(cluster);
  Load load(*driver, writers);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(load.wait_for_more(10));
    for (std::size_t i = 0; i < writers; ++i) {
      const std::uint16_t slot = redis::slot_of("load-" + std::to_string(i));
      RedisServer& from = cluster.master_of(slot);
      const auto& nodes = cluster.nodes();
      const auto to = std::ranges::find_if(nodes, [&](const auto& node) {
        return node.get() != &from && node->info("role") == "master";
      });
      cluster.move_slot(slot, **to);
    }
  }
  ASSERT_TRUE(load.wait_for_more(10));
  load.stop();
  EXPECT_EQ(load.total("slots moved").lost, 0u);
}

// Some of a session's keys are on the old node still, the others on the new one: neither can answer
// until it is over.
TEST(RedisClusterSlots, ASessionHalfMovedIsWaitedFor) {
  NEEDS_REDIS();
  const RedisCluster cluster;
  const auto driver = open(cluster);
  const SessionId s = session_named("half");
  run(driver->commit(Change(s).create(user_named("ann"))));
  const std::uint16_t slot = redis::slot_of("half");
  RedisServer& from = cluster.master_of(slot);
  RedisServer* to = nullptr;
  for (const auto& node : cluster.nodes())
    if (node.get() != &from && node->info("role") == "master") to = node.get();
  ASSERT_NE(to, nullptr);
  const std::string number = std::to_string(slot);
  const std::string from_id = from.text({"CLUSTER", "MYID"});
  const std::string to_id = to->text({"CLUSTER", "MYID"});
  const std::string to_port = std::to_string(to->address().port);
  const auto migrate = [&](const std::string& key) {
    EXPECT_EQ(from.text({"MIGRATE", "127.0.0.1", to_port, key, "0", "5000"}), "OK");
  };
  to->text({"CLUSTER", "SETSLOT", number, "IMPORTING", from_id});
  from.text({"CLUSTER", "SETSLOT", number, "MIGRATING", to_id});
  migrate("af:{half}:log");
  const auto start = std::chrono::steady_clock::now();
  const auto error = error_of(driver->commit(Change(s)));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
  EXPECT_TRUE(error->retryable);
  EXPECT_LE(std::chrono::steady_clock::now() - start, at_most(2s));
  migrate("af:{half}");
  to->text({"CLUSTER", "SETSLOT", number, "NODE", to_id});
  from.text({"CLUSTER", "SETSLOT", number, "NODE", to_id});
  EXPECT_EQ(run(driver->commit(Change(s))).last_sequence, 2u);
}

TEST(RedisClusterLoss, OneMastersLossIsNoticed) {
  NEEDS_REDIS();
  const RedisCluster cluster;
  const auto driver = open(cluster);
  const SessionId s = session_named("load-0");
  run(driver->commit(Change(s).create(user_named("ann"))));
  EXPECT_TRUE(run(driver->health()).ok);
  EXPECT_EQ(victim_of(cluster).text({"FLUSHALL"}), "OK");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(wait_until([&] { return !run(driver->health()).ok; }));
  EXPECT_LE(std::chrono::steady_clock::now() - start, 5s * slack());
  const auto error = error_of(driver->read(s, {}));
  ASSERT_TRUE(error) << "what is lost was told as absent";
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
}

TEST(RedisClusterNodes, AreLearnedFromOne) {
  NEEDS_REDIS();
  const RedisCluster cluster;
  for (const auto& node : cluster.nodes()) {
    RedisOptions options = cluster.storage_options();
    options.servers = {{"127.0.0.1", 1}, node->address()};  // and one where nobody is
    const auto driver = make_redis_storage(options);
    const std::string name = "of-" + std::to_string(node->address().port);
    for (int i = 0; i < 8; ++i) {
      const SessionId s = session_named(name + "-" + std::to_string(i));
      EXPECT_EQ(run(driver->commit(Change(s).create(user_named("ann")))).last_sequence, 1u);
    }
  }
  ListQuery query;
  query.user = user_named("ann");
  EXPECT_EQ(run(open(cluster)->list_sessions(query)).items.size(), 8 * cluster.nodes().size());
}

// A cluster's own program would say MOVED to every other call; a server alone has no slots.
TEST(RedisClusterNodes, AnUrlOfTheWrongKindIsNamed) {
  NEEDS_REDIS();
  const RedisServer alone;
  RedisOptions options = alone.storage_options();
  options.cluster = true;
  options.timeout = 1s;
  const auto driver = make_redis_storage(options);
  const auto error = error_of(driver->read(session_named("s"), {}));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::unavailable);
  EXPECT_FALSE(run(driver->health()).ok);
}

}  // namespace
}  // namespace actionflows::test
