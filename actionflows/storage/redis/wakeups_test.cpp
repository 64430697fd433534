#include "actionflows/storage/redis/wakeups.hpp"

#include "tests/support/run.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace actionflows::redis {
namespace {

using Sequences = std::vector<std::uint64_t>;

const SessionId followed_id = SessionId::parse("s").value();

Wakeup at(std::uint64_t sequence) {
  return {followed_id, UserId::parse("ann").value(), sequence, {}};
}

Sequences told(Subscription& subscription) {
  const Subscription::Batch batch = test::run(subscription.next(std::chrono::milliseconds(0)));
  Sequences sequences;
  for (const Wakeup& wakeup : batch.wakeups) sequences.push_back(wakeup.sequence);
  return sequences;
}

void look(Wakeups& wakeups, std::uint64_t found) {
  for (const auto& [followed, before] : wakeups.followed()) wakeups.looked(at(found), before);
}

TEST(Wakeups, ALookTellsWhatWasLostAndNothingTwice) {
  Wakeups wakeups(10);
  const auto subscription = wakeups.subscribe(followed_id);
  look(wakeups, 3);  // it is not known yet from where on it is news
  wakeups.remember(followed_id, 3);
  look(wakeups, 3);
  EXPECT_EQ(told(*subscription), Sequences());
  look(wakeups, 5);
  EXPECT_EQ(told(*subscription), Sequences{5});
  wakeups.publish(at(6));
  look(wakeups, 6);
  EXPECT_EQ(told(*subscription), Sequences{6});
}

// What was committed between a look at the log and the subscription was told to nobody.
TEST(Wakeups, WhatComesDuringTheFirstLookIsTold) {
  Wakeups wakeups(10);
  const auto subscription = wakeups.subscribe(followed_id);
  wakeups.publish(at(5));
  wakeups.remember(followed_id, 4);
  look(wakeups, 5);
  EXPECT_EQ(told(*subscription), Sequences{5});
}

// A session that was erased begins again by 1, which was taken for old.
TEST(Wakeups, ALookTellsOfANewLife) {
  Wakeups wakeups(10);
  const auto subscription = wakeups.subscribe(followed_id);
  wakeups.remember(followed_id, 7);
  look(wakeups, 1);
  EXPECT_EQ(told(*subscription), Sequences{1});
}

TEST(Wakeups, ALookThatIsLateTellsNothing) {
  Wakeups wakeups(10);
  const auto subscription = wakeups.subscribe(followed_id);
  wakeups.remember(followed_id, 3);
  const auto before = wakeups.followed();
  wakeups.publish(at(4));
  wakeups.looked(at(3), before.at(0).told);
  EXPECT_EQ(told(*subscription), Sequences{4});
}

TEST(Wakeups, WhoFollowsAnewBeginsAnew) {
  Wakeups wakeups(10);
  auto subscription = wakeups.subscribe(followed_id);
  wakeups.remember(followed_id, 3);
  subscription = nullptr;
  subscription = wakeups.subscribe(followed_id);
  wakeups.remember(followed_id, 5);
  look(wakeups, 5);
  EXPECT_EQ(told(*subscription), Sequences());
}

}  // namespace
}  // namespace actionflows::redis
