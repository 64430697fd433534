#include "actionflows/model/ids.hpp"

#include <gtest/gtest.h>

#include <string>

namespace actionflows {
namespace {

TEST(SessionId, TakesItsAlphabetAndNothingElse) {
  EXPECT_TRUE(SessionId::parse("a"));
  EXPECT_TRUE(SessionId::parse("Az09._:@-"));
  EXPECT_TRUE(SessionId::parse(std::string(200, 'x')));
  for (const std::string& bad :
       {std::string(), std::string(201, 'x'), std::string("a b"), std::string("a/b"),
        std::string("{a}"), std::string("a\0b", 3), std::string("a\n"), std::string("\xc3\xa9")}) {
    EXPECT_FALSE(SessionId::parse(bad)) << bad;
  }
}

TEST(SessionId, MintsUuidsThatCarryTheirTime) {
  SeededRandom random(7);
  const Timestamp now = *parse_rfc3339("2026-02-11T20:31:53.375Z");
  const SessionId a = SessionId::mint(now, random);
  const SessionId b = SessionId::mint(now, random);
  EXPECT_NE(a, b);
  ASSERT_EQ(a.str().size(), 36u);
  EXPECT_EQ(a.str()[14], '7');
  EXPECT_NE(std::string("89ab").find(a.str()[19]), std::string::npos);
  const std::string time = a.str().substr(0, 8) + a.str().substr(9, 4);
  EXPECT_EQ(std::stoull(time, nullptr, 16),
            static_cast<unsigned long long>(now.time_since_epoch().count()));
  EXPECT_TRUE(SessionId::parse(a.str()));
}

TEST(ChainId, NamesItsSessionAndNumber) {
  const SessionId session = *SessionId::parse("x.c1");  // a session may look like a chain
  const ChainId chain(session, 12);
  EXPECT_EQ(chain.str(), "x.c1.c12");
  const auto parsed = ChainId::parse(chain.str());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->session(), session);
  EXPECT_EQ(parsed->number(), 12u);
}

TEST(ChainId, HasOneSpelling) {
  for (const char* bad : {"", "x", "x.c", "x.c0", "x.c01", "x.c-1", "x.c+1", "x.c1 ", "x.s1", ".c1",
                          "x.c4294967296", "x.C1", "x c.c1"}) {
    EXPECT_FALSE(ChainId::parse(bad)) << bad;
  }
}

TEST(StepId, NamesItsChainAndNumber) {
  const StepId step(ChainId(*SessionId::parse("run-7"), 3), 4);
  EXPECT_EQ(step.str(), "run-7.c3.s4");
  const auto parsed = StepId::parse(step.str());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->chain().str(), "run-7.c3");
  EXPECT_EQ(parsed->session().str(), "run-7");
  EXPECT_EQ(parsed->number(), 4u);
  for (const char* bad : {"run-7.c3", "run-7.s4", "run-7.c3.s0", "run-7.c0.s1", ".c3.s4"})
    EXPECT_FALSE(StepId::parse(bad)) << bad;
}

TEST(UserId, TakesWhatIdentityProvidersGive) {
  for (const char* good :
       {"ada", "auth0|5f7c8ec7c33c6c004bbafe82", "ada+test@example.org", "[a=b]"})
    EXPECT_TRUE(UserId::parse(good)) << good;
  for (const char* bad : {"", "a b", "a\tb", "\xc3\xa9"}) EXPECT_FALSE(UserId::parse(bad)) << bad;
}

TEST(Ids, ThatAreEmptyHaveEmptyParents) {
  EXPECT_TRUE(StepId().chain().empty());
  EXPECT_TRUE(StepId().session().empty());
  EXPECT_TRUE(ChainId().session().empty());
}

}  // namespace
}  // namespace actionflows
