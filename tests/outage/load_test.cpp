// What an outage does to the load: few calls reach the primary, one probe at a time, and soon after
// it is back all is as before.
#include "actionflows/base/fake_clock.hpp"
#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/resilient/testing/link.hpp"
#include "tests/outage/outage.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/slack.hpp"
#include "tests/support/wait_until.hpp"

#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

namespace actionflows::test {
namespace {

// ---- on a clock of their own --------------------------------------------------------------------

// A thousand clients that ask once a second, around a primary that can be lost.
class OutageLoad : public testing::Test {
 protected:
  static constexpr std::size_t client_count = 1'000;

  void begin(ResilientOptions options) {
    options.executor = keeper_.get_executor();
    options.primary_timeout = 0ms;
    link_ = std::make_shared<Link>(make_memory_storage());
    link_->hook = [this](Moment moment) -> Task<void> {
      if (moment == Moment::after) co_return;
      attempts_.push_back(clock_.monotonic() - Clock::Monotonic());
      const bool refused = random_.below(100) < refused_percent_;
      if (refused) throw StorageError(ErrorCode::unavailable, "refused");
    };
    driver_ = make_resilient_storage(link_, make_memory_storage(), make_memory_journal(), options,
                                     clock_, random_);
    for (std::size_t n = 0; n < client_count; ++n)
      boost::asio::co_spawn(clients_, ask_on(n), boost::asio::detached);
  }

  Task<void> ask_on(std::size_t n) {
    const SessionId session = session_named("load-" + std::to_string(n));
    co_await clock_.sleep_for(std::chrono::milliseconds(n));
    for (bool created = false;; created = true) {
      Change change(session, clock_.now());
      if (!created) change.create(ann).only_if(Precondition::fresh);
      ++requests_;
      try {
        co_await driver_->commit(change);
        ++answered_;
      } catch (const StorageError&) {
        ++failed_;
      }
      co_await clock_.sleep_for(1s);
    }
  }

  void pass(std::chrono::milliseconds time) {
    for (auto passed = 0ms; passed < time; passed += 50ms) {
      clock_.advance(50ms);
      for (boost::asio::io_context* const context : {&clients_, &keeper_}) {
        context->restart();
        context->poll();
      }
    }
  }

  void forget_counts() {
    requests_ = answered_ = failed_ = 0;
    attempts_.clear();
  }

  [[nodiscard]] double attempts_per_request() const {
    return static_cast<double>(attempts_.size()) / static_cast<double>(requests_);
  }

  FakeClock clock_;
  SeededRandom random_{1};
  std::uint64_t refused_percent_ = 0;
  std::size_t requests_ = 0;
  std::size_t answered_ = 0;
  std::size_t failed_ = 0;
  std::vector<std::chrono::nanoseconds> attempts_;  // when each reached the primary
  std::shared_ptr<Link> link_;
  std::unique_ptr<StorageDriver> driver_;
  boost::asio::io_context clients_;
  boost::asio::io_context keeper_;
};

TEST_F(OutageLoad, OfAMinuteReachesThePrimaryByOneProbePerInterval) {
  begin({});
  pass(3s);
  EXPECT_EQ(failed_, 0u);
  forget_counts();
  refused_percent_ = 100;
  const auto lost = clock_.monotonic() - Clock::Monotonic();
  pass(60s);
  std::cout << "an outage of 60 s, 1,000 clients: " << requests_ << " requests, "
            << attempts_.size() << " attempts at the primary, " << failed_ << " calls failed"
            << std::endl;
  EXPECT_GE(requests_, 59'000u);
  EXPECT_LE(attempts_per_request(), 1.2);
  // The failures that open the circuit; then a probe after 5 s, and one each 8 s.
  std::vector<std::int64_t> probes;
  for (const auto at : attempts_)
    if (at > lost + 1s)
      probes.push_back(std::chrono::round<std::chrono::seconds>(at - lost).count());
  EXPECT_EQ(probes, (std::vector<std::int64_t>{5, 13, 21, 29, 37, 45, 53}));
  EXPECT_LE(attempts_.size(), 50u);
  EXPECT_LE(failed_, 50u);

  refused_percent_ = 0;
  forget_counts();
  pass(10s);
  EXPECT_EQ(run(driver_->health()).resilience->breaker, "closed");
  pass(10s);
  EXPECT_EQ(run(driver_->health()).resilience->journal_entries, 0u);
  // Each request of the outage is replayed once, and each log is looked at before.
  EXPECT_LE(attempts_.size(), 75'000u + 2 * client_count + 6'000u);
}

class OutageBudget : public OutageLoad, public testing::WithParamInterface<int> {};

// With a circuit that never opens, the budget of retries alone has to hold.
TEST_P(OutageBudget, BoundsTheAttemptsByItself) {
  ResilientOptions options;
  options.breaker.consecutive_failures = 1'000'000;
  options.breaker.min_calls = 1'000'000;
  begin(options);
  pass(3s);
  forget_counts();
  refused_percent_ = static_cast<std::uint64_t>(GetParam());
  pass(60s);
  std::cout << GetParam() << " % refused for 60 s, no circuit breaker: " << requests_
            << " requests, " << attempts_.size() << " attempts" << std::endl;
  EXPECT_GE(requests_, 50'000u);
  // What was saved up before adds a hundred retries at the most.
  EXPECT_LE(attempts_.size(), requests_ * 12 / 10 + 100);
  // Each of them is told of; it once was only those that were no call's first.
  refused_percent_ = 0;
  EXPECT_GE(run(driver_->health()).resilience->attempts, attempts_.size());
}

INSTANTIATE_TEST_SUITE_P(Outage, OutageBudget, testing::Values(100, 50));

// ---- live ---------------------------------------------------------------------------------------

// Acknowledgements per second over so long.
double rate_over(const Clients& clients, std::chrono::milliseconds time) {
  const std::size_t before = clients.acknowledged();
  const SteadyTime begin = steady_now();
  std::this_thread::sleep_for(time);
  return static_cast<double>(clients.acknowledged() - before) / seconds_since(begin);
}

TEST(OutageRecovery, SoonAllIsAsBefore) {
  NEEDS_REDIS();
  RedisServerOptions keeping;
  keeping.appendonly = true;
  RedisServer server(keeping);
  InstanceOptions options(server.storage_options());
  Instance instance(options);
  Clients clients(instance.driver(), 200, "load");
  clients.create();
  clients.start(sanitized ? 1s : 200ms);
  std::this_thread::sleep_for(500ms);
  const double before = rate_over(clients, 2s);
  server.kill();
  std::this_thread::sleep_for(2s);
  const double meanwhile = rate_over(clients, 4s);
  server.restart(RedisServer::Data::kept);
  const SteadyTime back = steady_now();
  double after = 0;
  double reached = 0;
  double replayed = 0;
  while (seconds_since(back) < 60 && (reached == 0 || replayed == 0)) {
    after = rate_over(clients, 500ms);
    const Resilience now = instance.resilience();
    if (now.breaker != "closed") continue;
    if (now.journal_entries == 0) replayed = seconds_since(back);
    if (after >= 0.9 * before) reached = seconds_since(back);
  }
  clients.stop();
  const std::size_t acknowledged = clients.acknowledged();
  std::cout << "200 clients, 6 s without a server: " << before << " commits/s before, " << meanwhile
            << " meanwhile, " << after << " after; as before " << reached << " s and replayed "
            << replayed << " s after it was back (0: not in a minute); " << acknowledged
            << " acknowledged, " << clients.errors() << " calls failed" << std::endl;
  EXPECT_GT(reached, 0) << "not in a minute";
  EXPECT_LE(reached, 10 * slack());
  ASSERT_TRUE(instance.wait_until_replayed());
  EXPECT_EQ(instance.resilience().poisoned, 0u);
  RedisOptions direct = server.storage_options();
  clients.expect_in(*make_redis_storage(direct));
}

// How long the server stays away: so short for a quick run, a minute where it is asked for.
std::chrono::seconds outage_length() {
  const char* const asked = std::getenv("ACTIONFLOWS_OUTAGE_SECONDS");
  return std::chrono::seconds(asked == nullptr ? 8 : std::stoi(asked));
}

// A thousand clients that ask once a second, on the settings that the program runs with. Under a
// sanitizer that is all a core can do, so that nothing would be left for a replay: every four
// seconds there.
class OutageThousand : public testing::Test {
 protected:
  static constexpr std::size_t client_count = 1'000;
  static constexpr std::chrono::seconds pause = sanitized ? 4s : 1s;

  void begin() {
    RedisServerOptions keeping;
    keeping.appendonly = true;
    server_ = std::make_unique<RedisServer>(keeping);
    InstanceOptions options(server_->storage_options(), 2s);
    options.resilient.breaker = breaker_;
    options.journal = folder_.path("journal.db");
    instance_ = std::make_unique<Instance>(options);
    clients_ = std::make_unique<Clients>(instance_->driver(), client_count, "load");
    clients_->create();
    clients_->start(pause);
    std::this_thread::sleep_for(2 * pause);
  }

  [[nodiscard]] std::uint64_t attempts() const { return instance_->resilience().attempts; }
  [[nodiscard]] std::size_t requests() const {
    return clients_->acknowledged() + static_cast<std::size_t>(clients_->errors());
  }

  // When, after `lost`, each attempt came that is made while the circuit is open, until `end`.
  std::vector<double> watch_probes(SteadyTime lost, std::chrono::seconds end) {
    EXPECT_TRUE(wait_until([&] { return instance_->resilience().breaker != "closed"; }));
    std::vector<double> probes;
    std::uint64_t known = attempts();
    while (seconds_since(lost) < static_cast<double>(end.count())) {
      std::this_thread::sleep_for(20ms);
      const std::uint64_t now = attempts();
      EXPECT_LE(now, known + 1) << "one probe at a time";
      if (now != known) probes.push_back(seconds_since(lost));
      known = now;
    }
    return probes;
  }

  // No earlier than the circuit has been open for so long.
  void expect_one_per_interval(const std::vector<double>& probes) const {
    const auto seconds = [](auto time) { return std::chrono::duration<double>(time).count(); };
    double interval = seconds(breaker_.first_open);
    double last = 0;
    for (const double probe : probes) {
      EXPECT_GE(probe - last, interval - 0.1) << "probes at " << testing::PrintToString(probes);
      last = probe;
      interval = std::min(2 * interval, seconds(breaker_.longest_open));
    }
    EXPECT_FALSE(probes.empty());
  }

  struct Recovery {
    double reached = 0;   // seconds until 90 % of `before` are answered by the server again
    double replayed = 0;  // and until nothing waits in the journal any more
    double rate = 0;
  };
  [[nodiscard]] Recovery watch_recovery(double before, SteadyTime back) {
    Recovery seen;
    while (seconds_since(back) < 60 && (seen.reached == 0 || seen.replayed == 0)) {
      const double rate = rate_over(*clients_, 1s);
      const Resilience now = instance_->resilience();
      if (now.breaker != "closed") continue;
      if (seen.replayed == 0 && now.journal_entries == 0) seen.replayed = seconds_since(back);
      if (seen.reached > 0 || rate < 0.9 * before) continue;
      seen.reached = seconds_since(back);
      seen.rate = rate;
    }
    return seen;
  }

  const BreakerOptions breaker_;
  const Folder folder_;
  std::unique_ptr<RedisServer> server_;
  std::unique_ptr<Instance> instance_;
  std::unique_ptr<Clients> clients_;
};

TEST_F(OutageThousand, ClientsReachThePrimaryByOneProbePerIntervalAndSoonAllIsAsBefore) {
  NEEDS_REDIS();
  begin();
  const std::chrono::seconds away = outage_length();
  const double before = rate_over(*clients_, 4s);
  const std::uint64_t attempts_before = attempts();
  const std::size_t requests_before = requests();
  server_->kill();
  const std::vector<double> probes = watch_probes(steady_now(), away);
  const std::uint64_t attempted = attempts() - attempts_before;
  const std::size_t requested = requests() - requests_before;
  const std::uint64_t waiting = instance_->resilience().journal_entries;
  server_->restart(RedisServer::Data::kept);
  const Recovery seen = watch_recovery(before, steady_now());
  const std::uint64_t attempted_in_all = attempts() - attempts_before;
  const std::size_t requested_in_all = requests() - requests_before;
  clients_->stop();
  std::cout << "an outage of " << away.count() << " s, 1,000 clients, live: " << before
            << " commits/s before; " << requested << " requests, " << attempted
            << " attempts at the primary, probes at " << testing::PrintToString(probes) << " s, "
            << waiting << " changes in the journal; after it was back 90 % reached in "
            << seen.reached << " s (" << seen.rate << " commits/s), all replayed in "
            << seen.replayed << " s; until then " << requested_in_all << " requests, "
            << attempted_in_all << " attempts; " << clients_->errors() << " calls failed"
            << std::endl;
  EXPECT_LE(static_cast<double>(attempted), 1.2 * static_cast<double>(requested));
  // Before what waits for a session is replayed, its log is looked at: twice at the most.
  EXPECT_LE(static_cast<double>(attempted_in_all),
            1.2 * static_cast<double>(requested_in_all) + 2 * client_count);
  expect_one_per_interval(probes);
  EXPECT_GT(seen.reached, 0) << "not in a minute";
  EXPECT_LE(seen.reached, 10 * slack());
  ASSERT_TRUE(instance_->wait_until_replayed());
  EXPECT_EQ(instance_->resilience().poisoned, 0u);
  clients_->expect_in(*open_store(*server_));
}

}  // namespace
}  // namespace actionflows::test
