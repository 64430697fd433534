#include "actionflows/storage/redis/slots.hpp"

#include "actionflows/model/ids.hpp"
#include "tests/support/seed.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace actionflows::redis {

// For the messages of failed tests.
void PrintTo(const Decision& decision, std::ostream* out) {
  *out << "action " << static_cast<int>(decision.action) << " to " << decision.to.host << ":"
       << decision.to.port << (decision.refresh ? ", refresh" : "");
}

namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = Redirect::Kind;
using Action = Decision::Action;

std::string random_session_id(Random& random) {
  constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:@-";
  std::string id(1 + random.below(max_id_length), ' ');
  for (char& c : id) c = alphabet[random.below(alphabet.size())];
  return id;
}

TEST(Slots, AreTheCrc16OfTheKey) {
  EXPECT_EQ(slot_of("123456789"), 0x31C3 % slot_count);  // the vector in the specification
  EXPECT_EQ(slot_of(""), 0);
  EXPECT_EQ(slot_of("foo"), 12182);  // CLUSTER KEYSLOT of a Redis 7.0
  EXPECT_EQ(slot_of("bar"), 5061);
  EXPECT_EQ(slot_of("hello"), 866);
  EXPECT_EQ(slot_of(std::string("\0\xff", 2)), 7920);
}

TEST(Slots, AHashTagStandsForTheKey) {
  EXPECT_EQ(slot_of("{user1000}.following"), slot_of("user1000"));
  EXPECT_EQ(slot_of("{user1000}.followers"), slot_of("user1000"));
  EXPECT_EQ(slot_of("foo{bar}{zap}"), slot_of("bar"));   // the first pair
  EXPECT_EQ(slot_of("foo{{bar}}zap"), slot_of("{bar"));  // from the first { to the first }
  EXPECT_EQ(slot_of("}foo{bar}"), slot_of("bar"));       // a } before counts for nothing
  // An empty tag and an open one are none: the whole key counts.
  EXPECT_NE(slot_of("foo{}{bar}"), slot_of("bar"));
  EXPECT_EQ(slot_of("foo{}{bar}"), 8363);  // CLUSTER KEYSLOT of a Redis 7.0
  EXPECT_NE(slot_of("{bar"), slot_of("bar"));
}

TEST(Slots, AnySessionsKeysHaveItsOwnSlot) {
  SeededRandom random(test::test_seed());
  for (int i = 0; i < 10'000; ++i) {
    const std::string id = random_session_id(random);
    ASSERT_TRUE(SessionId::parse(id)) << id;
    std::string key = "af:{";
    key.append(id).append("}");
    ASSERT_EQ(slot_of(key), slot_of(id)) << id;
    ASSERT_EQ(slot_of(key + ":log"), slot_of(id)) << id;
  }
}

TEST(Redirects, NameASlotAndItsNode) {
  EXPECT_EQ(parse_redirect("MOVED 3999 10.0.0.1:6381"),
            (Redirect{Kind::moved, 3999, {"10.0.0.1", 6381}}));
  EXPECT_EQ(parse_redirect("ASK 0 node-1.example.net:7000"),
            (Redirect{Kind::ask, 0, {"node-1.example.net", 7000}}));
  EXPECT_EQ(parse_redirect("MOVED 16383 2001:db8::1:6379"),
            (Redirect{Kind::moved, 16383, {"2001:db8::1", 6379}}));
  EXPECT_EQ(parse_redirect("MOVED 1 [::1]:6379"), (Redirect{Kind::moved, 1, {"::1", 6379}}));
  EXPECT_EQ(parse_redirect("MOVED 1 :6380"), (Redirect{Kind::moved, 1, {"", 6380}}));
  EXPECT_EQ(parse_redirect("MOVED 1 a:1 and more"), (Redirect{Kind::moved, 1, {"a", 1}}));
}

TEST(Redirects, WhatNamesNobodyIsNone) {
  for (const char* reply : {"", "MOVED", "MOVED ", "MOVED 1", "MOVED 1 ", "MOVED 16384 a:1",
                            "MOVED -1 a:1", "MOVED x a:1", "MOVED 1 a", "MOVED 1 a:", "MOVED 1 a:0",
                            "MOVED 1 a:65536", "MOVED 1 a:b", "MOVED  1 a:1", "MOVED 1 ?:6379",
                            "moved 1 a:1", "MOVEDX 1 a:1", "ASKING 1 a:1", "ERR MOVED 1 a:1"}) {
    EXPECT_FALSE(parse_redirect(reply)) << reply;
  }
}

TEST(SlotMap, KnowsNobodyAtFirst) {
  const SlotMap map;
  EXPECT_FALSE(map.owner(0));
  EXPECT_FALSE(map.owner(slot_count - 1));
  EXPECT_FALSE(map.covers_all());
  EXPECT_THAT(map.masters(), IsEmpty());
}

TEST(SlotMap, KeepsWhoOwnsWhat) {
  const RedisAddress a{"a", 1};
  const RedisAddress b{"b", 2};
  const RedisAddress c{"c", 3};
  SlotMap map;
  map.set(0, 5460, b);
  map.set(5461, 10922, c);
  EXPECT_FALSE(map.covers_all());
  map.set(10923, 16383, a);
  EXPECT_TRUE(map.covers_all());
  EXPECT_EQ(map.owner(0), b);
  EXPECT_EQ(map.owner(5460), b);
  EXPECT_EQ(map.owner(5461), c);
  EXPECT_EQ(map.owner(16383), a);
  EXPECT_FALSE(map.owner(slot_count));
  EXPECT_THAT(map.masters(), ElementsAre(a, b, c));

  map.move(100, c);
  EXPECT_EQ(map.owner(99), b);
  EXPECT_EQ(map.owner(100), c);
  EXPECT_EQ(map.owner(101), b);
}

TEST(SlotMap, WhoOwnsNothingAnyMoreIsNoMaster) {
  SlotMap map;
  map.set(0, 16383, {"old", 1});
  map.set(0, 16383, {"new", 1});
  EXPECT_THAT(map.masters(), ElementsAre(RedisAddress{"new", 1}));
  map.move(7, {"old", 1});
  EXPECT_THAT(map.masters(), ElementsAre(RedisAddress{"new", 1}, RedisAddress{"old", 1}));
}

TEST(SlotMap, SlotsThatAreNoneAreLeftOut) {
  SlotMap map;
  map.set(16380, 65535, {"a", 1});
  EXPECT_TRUE(map.owner(16383));
  map.set(10, 9, {"b", 1});
  EXPECT_FALSE(map.owner(9));
  EXPECT_FALSE(map.owner(10));
}

const RedisAddress from{"10.0.0.9", 7000};

TEST(Redirection, AMovedSlotIsFollowedAndTheMapRefreshed) {
  EXPECT_EQ(decide("MOVED 3999 10.0.0.1:6381", 1, from),
            (Decision{Action::resend, {"10.0.0.1", 6381}, true}));
}

TEST(Redirection, ASlotOnItsWayIsAskedForOnceOnly) {
  EXPECT_EQ(decide("ASK 3999 10.0.0.1:6381", 1, from),
            (Decision{Action::resend_asking, {"10.0.0.1", 6381}, false}));
}

TEST(Redirection, WithoutAHostItIsThatOfWhoAnswered) {
  EXPECT_EQ(decide("MOVED 1 :6381", 1, from), (Decision{Action::resend, {"10.0.0.9", 6381}, true}));
  EXPECT_EQ(decide("ASK 1 :6381", 1, from),
            (Decision{Action::resend_asking, {"10.0.0.9", 6381}, false}));
}

TEST(Redirection, OneThatNamesNobodyIsWaitedFor) {
  EXPECT_EQ(decide("MOVED 1 ?:6381", 1, from), (Decision{Action::wait_and_resend, {}, true}));
  EXPECT_EQ(decide("ASK 1", 1, from), (Decision{Action::wait_and_resend, {}, true}));
}

TEST(Redirection, ATroubledClusterIsWaitedFor) {
  EXPECT_EQ(decide("TRYAGAIN Multiple keys request during rehashing of slot", 1, from),
            (Decision{Action::wait_and_resend, {}, false}));
  for (const char* reply : {"CLUSTERDOWN The cluster is down", "CLUSTERDOWN Hash slot not served",
                            "READONLY You can't write against a read only replica.",
                            "MASTERDOWN Link with MASTER is down"}) {
    EXPECT_EQ(decide(reply, 1, from), (Decision{Action::wait_and_resend, {}, true})) << reply;
  }
}

TEST(Redirection, OtherErrorsAreTheCallers) {
  for (const char* reply :
       {"ERR unknown command", "WRONGTYPE Operation", "LOADING Redis is loading",
        "OOM command not allowed", "NOSCRIPT No matching script", "", "MOVEDX"})
    EXPECT_EQ(decide(reply, 1, from), Decision()) << reply;
}

TEST(Redirection, EndsAfterItsTries) {
  EXPECT_EQ(decide("MOVED 1 a:1", max_tries - 1, from).action, Action::resend);
  EXPECT_EQ(decide("MOVED 1 a:1", max_tries, from), (Decision{Action::answer, {}, true}));
  EXPECT_EQ(decide("ASK 1 a:1", max_tries, from), Decision());
  EXPECT_EQ(decide("MOVED 1 a:1", 3, from, 3), (Decision{Action::answer, {}, true}));
}

TEST(Redirection, PausesHaveNoEnd) {
  EXPECT_EQ(decide("TRYAGAIN x", max_tries + 1, from).action, Action::wait_and_resend);
  EXPECT_EQ(decide("CLUSTERDOWN x", max_tries + 1, from).action, Action::wait_and_resend);
}

}  // namespace
}  // namespace actionflows::redis
