// ResilientStorage over a real server that is killed, hangs, or comes back empty.
#include "tests/outage/outage.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/slack.hpp"
#include "tests/support/wait_until.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

namespace actionflows::test {
namespace {

using testing::HasSubstr;
using Data = RedisServer::Data;

RedisServerOptions keeping() {
  RedisServerOptions options;
  options.appendonly = true;
  options.config = {"enable-debug-command yes"};
  return options;
}

// ---- killed -------------------------------------------------------------------------------------

struct Keeping {
  std::string name;
  bool durable = false;
};

class Killed : public testing::TestWithParam<Keeping> {};

// A server is killed and comes back: calls are answered at once meanwhile, and afterwards all that
// was acknowledged is there, once.
TEST_P(Killed, NothingIsLostOrDoubledAndTheJournalDrains) {
  NEEDS_REDIS();
  RedisServer server(keeping());
  const Folder folder = Folder::in_memory();
  InstanceOptions options(server.storage_options());
  if (GetParam().durable) {
    options.journal = folder.path("journal.db");
    options.fallback = folder.path("fallback.db");
  }
  Instance instance(options);
  Clients clients(instance.driver(), 20, "killed");
  clients.create();
  clients.write(10);
  server.kill();
  ASSERT_TRUE(instance.wait_until_open());
  static_cast<void>(clients.take_times());
  clients.write(sanitized ? 50 : 250);
  clients.read_once();
  const double p99 = percentile_ms(clients.take_times(), 99);
  EXPECT_LE(p99, 50 * slack());
  const std::uint64_t waiting = instance.resilience().journal_entries;
  EXPECT_EQ(waiting, sanitized ? 1'000u : 5'000u);

  server.restart(Data::kept);
  const SteadyTime back = steady_now();
  ASSERT_TRUE(
      wait_until([&] { return instance.log().find("circuit is closed") != std::string::npos; }));
  const double noticed = seconds_since(back);
  const SteadyTime closed = steady_now();
  ASSERT_TRUE(instance.wait_until_replayed());
  const double rate = static_cast<double>(waiting) / seconds_since(closed);
  std::cout << "killed, " << GetParam().name << ": p99 of calls meanwhile " << p99
            << " ms; noticed " << noticed << " s after it was back; replayed " << waiting
            << " entries at " << rate << "/s" << std::endl;
  // Several times as many are usual: replay_into_redis measures it.
  EXPECT_GE(rate, sanitized ? 20 : 2'000 / slack());
  EXPECT_EQ(instance.resilience().poisoned, 0u);
  clients.expect_in(*open_store(server));
}

INSTANTIATE_TEST_SUITE_P(Outage, Killed,
                         testing::Values(Keeping{"in memory", false}, Keeping{"durably", true}),
                         [](const auto& test) {
                           return test.param.durable ? "Durable" : "Memory";
                         });

// The connection is tried again after pauses that grow up to 20 s. A probe once found the server
// away because of such a pause, long after it was back, and the circuit stayed open for longer
// still.
TEST(OutageKilled, AProbeDoesNotWaitForThePauseOfTheConnection) {
  NEEDS_REDIS();
  RedisServer server(keeping());
  InstanceOptions options(server.storage_options());
  options.redis.reconnect_min = 20s;
  Instance instance(options);
  Clients clients(instance.driver(), 1, "probe");
  clients.create();
  for (int i = 0; i < 3; ++i) {  // the pause is a random part of that
    // What was replayed has to be seen again, before it can be written without the primary.
    clients.read_once();
    server.kill();
    ASSERT_TRUE(instance.wait_until_open());
    clients.write(5);
    server.restart(Data::kept);
    const SteadyTime back = steady_now();
    ASSERT_TRUE(instance.wait_until_replayed());
    EXPECT_LE(seconds_since(back), 5 * slack());
  }
  clients.expect_in(*open_store(server));
}

// ---- hanging ------------------------------------------------------------------------------------

// Makes a server hang for longer than the calls of the test take, and ends that.
struct Hang {
  std::string name;
  void (*begin)(RedisServer&, std::thread&);
  void (*end)(RedisServer&, std::thread&);
};

const Hang stopped{"SIGSTOP", [](RedisServer& server, std::thread&) { server.stop(); },
                   [](RedisServer& server, std::thread&) { server.go_on(); }};

const Hang paused{"CLIENT PAUSE",
                  [](RedisServer& server, std::thread&) {
                    server.text({"CLIENT", "PAUSE", sanitized ? "8000" : "4000", "ALL"});
                  },
                  [](RedisServer&, std::thread&) {}};

const Hang asleep{
    "DEBUG SLEEP",
    [](RedisServer& server, std::thread& asks) {
      asks = std::thread([&server] { server.text({"DEBUG", "SLEEP", sanitized ? "8" : "4"}); });
      std::this_thread::sleep_for(100ms);
    },
    [](RedisServer&, std::thread& asks) { asks.join(); }};

class Hanging : public testing::TestWithParam<Hang> {};

// A read whose first attempt timed out once began its time anew, and took 40 % more than it may.
Task<void> subscribe(StorageDriver& driver) { co_await driver.subscribe(std::nullopt); }

TEST_P(Hanging, NoCallTakesLongerThanItMay) {
  NEEDS_REDIS();
  RedisServer server(keeping());
  InstanceOptions options(server.storage_options(), 400ms);
  options.resilient.call_timeout = 1s;
  // The circuit stays closed: it is the deadlines that have to hold.
  options.resilient.breaker.consecutive_failures = 1'000;
  options.resilient.breaker.min_calls = 1'000;
  Instance instance(options);
  Clients clients(instance.driver(), 1, "hanging");
  clients.create();
  std::thread asks;
  GetParam().begin(server, asks);
  std::vector<std::chrono::nanoseconds> times;
  for (int i = 0; i < 2; ++i) {
    auto calls = all_calls(instance.driver(), session_named("hanging-0"));
    calls.emplace_back("subscribe", subscribe(instance.driver()));
    for (const Outcome& outcome : outcomes_of(std::move(calls))) {
      EXPECT_LE(outcome.took, at_most(options.resilient.call_timeout)) << outcome.call;
      times.push_back(outcome.took);
    }
  }
  GetParam().end(server, asks);
  std::cout << GetParam().name << ": of calls that may take 1000 ms the longest took "
            << percentile_ms(times, 100) << " ms" << std::endl;
  EXPECT_TRUE(wait_until([&] { return run(instance.driver().health()).ok; }));
}

INSTANTIATE_TEST_SUITE_P(Outage, Hanging, testing::Values(stopped, paused, asleep),
                         [](const auto& test) {
                           std::string name = test.param.name;
                           std::erase(name, ' ');
                           return name;
                         });

// The server stands still again and again: whatever timed out is repeated under its operation id,
// partly while the circuit is open, and applied once.
TEST(OutageHanging, TenThousandWritesAreAppliedOnce) {
  NEEDS_REDIS();
  RedisServer server(keeping());
  InstanceOptions options(server.storage_options(), 100ms);
  options.resilient.breaker.first_open = 100ms;
  options.resilient.breaker.longest_open = 200ms;
  Instance instance(options);
  Clients clients(instance.driver(), 50, "once");
  clients.create();
  clients.start(20ms);
  const std::size_t wanted = sanitized ? 3'000 : 10'000;
  const SteadyTime begin = steady_now();
  int hangs = 0;
  while (clients.acknowledged() < wanted && seconds_since(begin) < 60) {
    server.stop();
    std::this_thread::sleep_for(hangs % 2 == 0 ? 60ms : 350ms);
    server.go_on();
    std::this_thread::sleep_for(200ms);
    ++hangs;
  }
  clients.stop();
  ASSERT_TRUE(instance.wait_until_replayed());
  const Resilience end = instance.resilience();
  std::cout << "hanging " << hangs << " times: " << clients.acknowledged() << " writes, "
            << clients.errors() << " calls failed, " << end.replayed << " replayed, "
            << end.conflicts << " conflicts" << std::endl;
  EXPECT_GE(clients.acknowledged(), wanted);
  EXPECT_GT(end.replayed, 0u);
  EXPECT_EQ(end.poisoned, 0u);
  clients.expect_in(*open_store(server));
}

// ---- readable -----------------------------------------------------------------------------------

// A server that answers reads and takes no writes, here for want of replicas: the reads in between
// kept the circuit closed, a probe that only read closed it again, and each write failed.
TEST(OutageReadable, AServerThatTakesNoWritesIsAwayUntilItDoes) {
  NEEDS_REDIS();
  const RedisServer server;
  Instance instance(InstanceOptions(server.storage_options()));
  Clients clients(instance.driver(), 3, "readable");
  clients.create();
  server.text({"CONFIG", "SET", "min-replicas-to-write", "1"});
  for (int n = 0; n < 5; ++n) {
    clients.read_once();
    clients.write(1);
  }
  const std::uint64_t probed = instance.resilience().attempts + 3;
  EXPECT_TRUE(wait_until([&] { return instance.resilience().attempts >= probed; }));
  EXPECT_THAT(instance.log(), testing::Not(HasSubstr("the circuit is closed")));
  EXPECT_GT(instance.resilience().journal_entries, 0u);
  server.text({"CONFIG", "SET", "min-replicas-to-write", "0"});
  ASSERT_TRUE(instance.wait_until_replayed());
  EXPECT_EQ(instance.resilience().poisoned, 0u);
  clients.expect_in(*open_store(server));
}

// ---- empty --------------------------------------------------------------------------------------

// A server that comes back without its data is told of, and nothing that is known here is absent:
// not in a read, not in a list, which was silently empty once.
TEST(OutageEmpty, IsReportedAndNothingKnownIsTakenForAbsent) {
  NEEDS_REDIS();
  RedisServer server;
  InstanceOptions options(server.storage_options());
  Instance instance(options);
  Clients clients(instance.driver(), 3, "empty");
  clients.create();
  clients.write(3);
  server.restart(Data::dropped);
  const SteadyTime begin = steady_now();
  int unavailable = 0;
  int served = 0;
  const std::vector<RecordKey> keys = {session_record};
  ListQuery query;
  query.user = ann;
  while (seconds_since(begin) < 4) {
    for (const auto& client : clients.all()) {
      const auto read_it = [&] {
        const ReadResult read = run(instance.driver().read(client->session(), keys));
        EXPECT_TRUE(read.live && read.records[0]) << "a known session was told as absent";
        const EventPage page = run(instance.driver().read_events(client->session(), {}));
        EXPECT_EQ(page.last_sequence, client->acknowledged().size());
        const SessionPage list = run(instance.driver().list_sessions(query));
        EXPECT_EQ(list.items.size(), clients.all().size()) << "a list without what is known";
        EXPECT_EQ(read.provenance.source, Source::fallback);
      };
      try {
        read_it();
        ++served;
      } catch (const StorageError& error) {
        EXPECT_TRUE(error.code() == ErrorCode::unavailable || error.code() == ErrorCode::timeout)
            << error.message();
        ++unavailable;
      }
    }
  }
  std::cout << "empty: " << served << " reads served, " << unavailable << " unavailable"
            << std::endl;
  EXPECT_GT(served + unavailable, 0);
  EXPECT_THAT(instance.log(), HasSubstr("lost"));
  EXPECT_THAT(instance.log(), HasSubstr("the circuit is open"));
  EXPECT_NE(instance.resilience().breaker, "closed");
}

// In the end the loss is a fact: what was journaled meanwhile and has nothing to go to is set aside
// and told of, and the store goes on.
TEST(OutageEmpty, IsTakenAsAFactInTheEndAndWhatWaitedIsSetAside) {
  NEEDS_REDIS();
  RedisServer server;
  InstanceOptions options(server.storage_options());
  options.redis.loss_hold = 2s;
  options.resilient.loss_hold = 2s;
  Instance instance(options);
  Clients clients(instance.driver(), 2, "fact");
  clients.create();
  server.kill();
  ASSERT_TRUE(instance.wait_until_open());
  clients.write(2);
  Clients made_meanwhile(instance.driver(), 2, "meanwhile");
  made_meanwhile.create();
  made_meanwhile.write(2);
  server.restart(Data::dropped);
  ASSERT_TRUE(
      wait_until([&] { return instance.log().find("lost its data") != std::string::npos; }));
  ASSERT_TRUE(instance.wait_until_replayed());
  EXPECT_EQ(instance.resilience().poisoned, 4u);
  EXPECT_THAT(instance.log(), HasSubstr("is set aside"));
  made_meanwhile.expect_in(*open_store(server));
  Clients later(instance.driver(), 1, "later");
  later.create();
  later.write(2);
  later.expect_in(*open_store(server));
}

}  // namespace
}  // namespace actionflows::test
