#include "actionflows/storage/wakeup_hub.hpp"

#include "tests/support/change.hpp"
#include "tests/support/run.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <thread>

namespace actionflows {
namespace {

using namespace test;

class Hub : public testing::Test {
 protected:
  std::unique_ptr<Subscription> follow(const char* session = nullptr) {
    std::optional<SessionId> id;
    if (session != nullptr) id = SessionId::parse(session);
    return hub->subscribe(std::move(id));
  }
  void publish(const char* session, std::uint64_t sequence, const char* type = "test:made") {
    hub->publish({*SessionId::parse(session), *UserId::parse("ann"), sequence, type});
  }
  // What arrived, as "a1 b2 missed".
  static std::string next(Subscription& subscription, std::chrono::milliseconds timeout = 0ms) {
    const Subscription::Batch batch = run(subscription.next(timeout));
    std::string text;
    for (const Wakeup& wakeup : batch.wakeups)
      text += wakeup.session.str() + std::to_string(wakeup.sequence) + " ";
    return text + (batch.missed ? "missed" : "");
  }

  std::unique_ptr<WakeupHub> hub = std::make_unique<WakeupHub>(3);
};

TEST_F(Hub, WakesThoseWhoFollowTheSessionOrAll) {
  const auto of_a = follow("a");
  const auto of_b = follow("b");
  const auto of_all = follow();
  publish("a", 1);
  publish("b", 2);
  EXPECT_EQ(next(*of_a), "a1 ");
  EXPECT_EQ(next(*of_b), "b2 ");
  EXPECT_EQ(next(*of_all), "a1 b2 ");
  EXPECT_EQ(next(*of_all), "");
}

TEST_F(Hub, SendsBackWhoFollowsASessionAndTellsTheOthersToLook) {
  const auto of_a = follow("a");
  const auto of_b = follow("b");
  const auto of_all = follow();
  hub->rewind(*SessionId::parse("a"), 7);
  hub->rewind(*SessionId::parse("a"), 5);
  hub->rewind(*SessionId::parse("a"), 6);
  EXPECT_EQ(run(of_a->next(10s)).rewind, 5u) << "the farthest back";
  EXPECT_TRUE(run(of_a->next(0ms)).empty());
  EXPECT_TRUE(run(of_b->next(0ms)).empty());
  EXPECT_EQ(next(*of_all), "missed");
}

TEST_F(Hub, TellsOfWhomAndWhat) {
  const auto subscription = follow();
  publish("a", 7, "step:completed");
  const Subscription::Batch batch = run(subscription->next(0ms));
  ASSERT_EQ(batch.wakeups.size(), 1u);
  EXPECT_EQ(batch.wakeups[0].user.str(), "ann");
  EXPECT_EQ(batch.wakeups[0].type, "step:completed");
}

TEST_F(Hub, KeepsOneWakeupForEachSession) {
  const auto subscription = follow();
  for (std::uint64_t n = 1; n <= 100; ++n) publish(n % 2 == 0 ? "a" : "b", n);
  EXPECT_EQ(next(*subscription), "b99 a100 ");
}

TEST_F(Hub, SaysWhenItDroppedSome) {
  const auto subscription = follow();
  for (const char* session : {"a", "b", "c", "d"}) publish(session, 1);
  publish("a", 2);
  EXPECT_EQ(next(*subscription), "a2 b1 c1 missed");
  publish("d", 2);
  EXPECT_EQ(next(*subscription), "d2 ");
}

TEST_F(Hub, IsIdleWithoutFollowers) {
  EXPECT_TRUE(hub->idle());
  {
    const auto first = follow();
    const auto second = follow("a");
    const auto third = follow("a");
    EXPECT_FALSE(hub->idle());
  }
  EXPECT_TRUE(hub->idle());
  publish("a", 1);
}

TEST_F(Hub, ReturnsAtTheTimeout) {
  const auto subscription = follow();
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(next(*subscription, 30ms), "");
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 30ms);
  EXPECT_EQ(next(*subscription, -5ms), "");
}

TEST_F(Hub, LetsSubscriptionsOutliveIt) {
  const auto subscription = follow("a");
  hub.reset();
  EXPECT_EQ(next(*subscription, 1ms), "");
}

TEST_F(Hub, WakesFromOtherThreadsWithoutLosingAny) {
  constexpr std::uint64_t last = 2'000;
  const auto subscription = follow("a");
  std::thread publisher([this] {
    for (std::uint64_t n = 1; n <= last; ++n) publish("a", n);
  });
  std::uint64_t seen = 0;
  while (seen < last) {
    const Subscription::Batch batch = run(subscription->next(10s));
    ASSERT_EQ(batch.wakeups.size(), 1u);
    EXPECT_GT(batch.wakeups[0].sequence, seen);
    seen = batch.wakeups[0].sequence;
  }
  publisher.join();
}

// What a server does when its client goes away while it waits.
TEST_F(Hub, LetsAWaitBeCancelled) {
  const auto subscription = follow();
  boost::asio::cancellation_signal signal;
  bool ended = false;
  boost::asio::io_context context;
  boost::asio::co_spawn(
      context, subscription->next(60s),
      boost::asio::bind_cancellation_slot(
          signal.slot(), [&](const std::exception_ptr&, const auto&) { ended = true; }));
  context.poll();
  EXPECT_FALSE(ended);
  signal.emit(boost::asio::cancellation_type::terminal);
  while (!ended) {
    run_context().restart();
    run_context().poll();
    context.restart();
    context.poll();
  }
  publish("a", 1);
  EXPECT_EQ(next(*subscription), "a1 ");
}

}  // namespace
}  // namespace actionflows
