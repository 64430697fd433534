// Subscriptions: whatever is committed wakes, and a reader that is too slow is told so.
#include "tests/conformance/conformance.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <atomic>
#include <map>
#include <thread>

namespace actionflows::test {
namespace {

using Clock = std::chrono::steady_clock;

// Long enough for any backend; reached only when a test fails.
constexpr auto patience = 10s;

// The newest sequence told of each session, until `session` is seen at `sequence`.
std::map<std::string, std::uint64_t> follow(Subscription& subscription, const SessionId& session,
                                            std::uint64_t sequence) {
  std::map<std::string, std::uint64_t> newest;
  const auto end = Clock::now() + patience;
  while (newest[session.str()] < sequence && Clock::now() < end) {
    for (const Wakeup& wakeup : run(subscription.next(100ms)).wakeups) {
      std::uint64_t& last = newest[wakeup.session.str()];
      EXPECT_LE(last, wakeup.sequence) << "out of order";
      last = wakeup.sequence;
    }
  }
  return newest;
}

TEST_P(DriverConformance, WakesWithWhatHappened) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann);
  const auto subscription = run(driver().subscribe(s));
  commit(Change(s).event("step:started").event("step:completed"));
  const Subscription::Batch batch = run(subscription->next(patience));
  ASSERT_EQ(batch.wakeups.size(), 1u);
  EXPECT_FALSE(batch.missed);
  EXPECT_EQ(batch.wakeups[0].session, s);
  EXPECT_EQ(batch.wakeups[0].user, ann);
  EXPECT_EQ(batch.wakeups[0].sequence, 3u);
  EXPECT_EQ(batch.wakeups[0].type, "step:started");
}

TEST_P(DriverConformance, WakesByCreationAndEnd) {
  const UserId ann = new_user();
  const SessionId s = new_session();
  const auto subscription = run(driver().subscribe(s));
  commit(Change(s).create(ann));
  EXPECT_EQ(run(subscription->next(patience)).wakeups.at(0).sequence, 1u);
  commit(Change(s).end().event("session:ended"));
  const Subscription::Batch batch = run(subscription->next(patience));
  EXPECT_EQ(batch.wakeups.at(0).sequence, 2u);
  EXPECT_EQ(batch.wakeups.at(0).user, ann);
  EXPECT_EQ(batch.wakeups.at(0).type, "session:ended");
}

TEST_P(DriverConformance, WakesOnlyWhoFollowsTheSession) {
  const UserId ann = new_user();
  const SessionId a = live_session(ann);
  const SessionId b = live_session(ann);
  const auto of_a = run(driver().subscribe(a));
  const auto of_all = run(driver().subscribe(std::nullopt));
  commit(Change(b));
  commit(Change(a));
  const Subscription::Batch batch = run(of_a->next(patience));
  ASSERT_EQ(batch.wakeups.size(), 1u);
  EXPECT_EQ(batch.wakeups[0].session, a);
  follow(*of_all, a, 2);
}

TEST_P(DriverConformance, WakesWhoFollowsAllByEachSession) {
  const UserId ann = new_user();
  const auto subscription = run(driver().subscribe(std::nullopt));
  const SessionId a = live_session(ann);
  const SessionId b = live_session(ann);
  commit(Change(a));
  commit(Change(b).event_count(2));
  std::map<std::string, std::uint64_t> newest;
  for (int i = 0; i < 100 && (newest[a.str()] < 2 || newest[b.str()] < 3); ++i)
    for (const Wakeup& wakeup : run(subscription->next(100ms)).wakeups)
      newest[wakeup.session.str()] = wakeup.sequence;
  EXPECT_EQ(newest[a.str()], 2u);
  EXPECT_EQ(newest[b.str()], 3u);
}

TEST_P(DriverConformance, WakesEverySubscription) {
  const SessionId s = live_session(new_user());
  std::vector<std::unique_ptr<Subscription>> subscriptions;
  for (int i = 0; i < 10; ++i) subscriptions.push_back(run(driver().subscribe(s)));
  subscriptions.erase(subscriptions.begin() + 3);
  commit(Change(s));
  for (const auto& subscription : subscriptions)
    EXPECT_EQ(run(subscription->next(patience)).wakeups.at(0).sequence, 2u);
}

TEST_P(DriverConformance, TellsNothingOfBefore) {
  const SessionId s = live_session(new_user());
  const auto subscription = run(driver().subscribe(s));
  const Subscription::Batch batch = run(subscription->next(0ms));
  EXPECT_TRUE(batch.wakeups.empty());
  EXPECT_FALSE(batch.missed);
}

TEST_P(DriverConformance, WaitsAsLongAsItWasTold) {
  const auto subscription = run(driver().subscribe(new_session()));
  const auto begin = Clock::now();
  EXPECT_TRUE(run(subscription->next(50ms)).wakeups.empty());
  EXPECT_GE(Clock::now() - begin, 50ms);
  EXPECT_LT(Clock::now() - begin, patience);
}

TEST_P(DriverConformance, WakesFromAnotherThread) {
  const SessionId s = live_session(new_user());
  const auto subscription = run(driver().subscribe(s));
  std::thread committer([&] {
    std::this_thread::sleep_for(20ms);
    commit(Change(s));
  });
  const Subscription::Batch batch = run(subscription->next(patience));
  committer.join();
  ASSERT_EQ(batch.wakeups.size(), 1u);
  EXPECT_EQ(batch.wakeups[0].sequence, 2u);
}

Task<void> take_one(Subscription& subscription, Subscription::Batch& batch) {
  batch = co_await subscription.next(patience);
}

// One caller at a time, but any thread: the one who subscribed may be long gone.
TEST_P(DriverConformance, IsFollowedFromAnyThread) {
  const SessionId s = live_session(new_user());
  const auto subscription = run(driver().subscribe(s));
  Subscription::Batch batch;
  std::thread follower([&] {
    boost::asio::io_context& context = run_context();
    bool done = false;
    boost::asio::co_spawn(context, take_one(*subscription, batch),
                          [&](const std::exception_ptr&) { done = true; });
    context.run_for(2s);
    EXPECT_TRUE(done) << "waits for the thread that subscribed";
  });
  std::this_thread::sleep_for(20ms);
  commit(Change(s));
  follower.join();
  ASSERT_EQ(batch.wakeups.size(), 1u);
  EXPECT_EQ(batch.wakeups[0].sequence, 2u);
}

TEST_P(DriverConformance, OutlivesTheThreadsThatFollowed) {
  const SessionId s = live_session(new_user());
  const auto subscription = run(driver().subscribe(s));
  std::thread([&] { run(subscription->next(1ms)); }).join();  // timed out
  commit(Change(s));
  EXPECT_EQ(run(subscription->next(patience)).wakeups.at(0).sequence, 2u);

  Subscription::Batch batch;
  std::thread([&] {  // gave up waiting
    boost::asio::co_spawn(run_context(), take_one(*subscription, batch), boost::asio::detached);
    run_context().run_for(5ms);
  })
      .join();
  commit(Change(s));
  EXPECT_EQ(run(subscription->next(patience)).wakeups.at(0).sequence, 3u);
}

TEST_P(DriverConformance, MergesOrDropsAloudWhatIsNotRead) {
  const std::size_t bound = GetParam().max_wakeups;
  const UserId ann = new_user();
  const auto subscription = run(driver().subscribe(std::nullopt));
  std::map<std::string, std::uint64_t> committed;
  for (std::size_t i = 0; i < 3 * bound; ++i) committed[live_session(ann).str()] = 1;
  const SessionId busy = live_session(ann);
  for (int i = 0; i < 20; ++i) commit(Change(busy));
  committed[busy.str()] = 21;

  bool missed = false;
  Subscription::Batch batch = run(subscription->next(patience));
  while (!batch.wakeups.empty() || batch.missed) {
    EXPECT_LE(batch.wakeups.size(), bound);
    missed = missed || batch.missed;
    for (const Wakeup& wakeup : batch.wakeups) {
      const auto found = committed.find(wakeup.session.str());
      if (found != committed.end() && found->second == wakeup.sequence) committed.erase(found);
    }
    batch = run(subscription->next(50ms));
  }
  EXPECT_FALSE(committed.empty());
  EXPECT_TRUE(missed);

  // Having said so, it goes on as before.
  commit(Change(busy));
  batch = run(subscription->next(patience));
  ASSERT_EQ(batch.wakeups.size(), 1u);
  EXPECT_EQ(batch.wakeups[0].sequence, 22u);
  EXPECT_FALSE(batch.missed);
}

TEST_P(DriverConformance, EndsASubscriptionByDestroyingIt) {
  const SessionId s = live_session(new_user());
  const auto kept = run(driver().subscribe(s));
  std::atomic<bool> stop{false};
  std::thread committer([&] {
    for (int i = 0; i < 5'000 && !stop; ++i) commit(Change(s));
  });
  for (int i = 0; i < 100; ++i) {
    const auto of_one = run(driver().subscribe(s));
    const auto of_all = run(driver().subscribe(std::nullopt));
    if (i % 2 == 0) run(of_one->next(10ms));
  }
  stop = true;
  committer.join();
  const std::uint64_t last = read(s).last_sequence;
  EXPECT_EQ(follow(*kept, s, last)[s.str()], last);
}

}  // namespace
}  // namespace actionflows::test
