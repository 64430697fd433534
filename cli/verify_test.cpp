#include "cli/verify.hpp"

#include "cli/testing/fake_backend.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace actionflows::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using enum Verification::Outcome;

class VerifyTest : public testing::Test {
 protected:
  VerifyReport verify(const std::optional<SessionId>& only = {}) {
    return verify_sessions(context_, backend_, only,
                           [&](const Advance& advance) { advanced_ = advance; });
  }

  boost::asio::io_context context_;
  FakeBackend backend_;
  Advance advanced_;
};

TEST_F(VerifyTest, EverySessionOfEveryPageIsLookedAt) {
  backend_.outcomes = {{"a", {equal}}, {"b", {equal}}, {"c", {equal}}};
  const VerifyReport report = verify();
  EXPECT_EQ(report.failed, 0U);
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(summary_of(report), "3 of 3 sessions rebuilt equal (6 records from 15 events)");
  EXPECT_EQ(advanced_.done, 3U);
  EXPECT_EQ(advanced_.total, 3U);
}

TEST_F(VerifyTest, DifferencesAreToldInOrderOfTheSessions) {
  backend_.workers = 4;
  backend_.outcomes = {{"a", {different}}, {"b", {equal}}, {"c", {different}}};
  backend_.corrupt = {"d"};
  const VerifyReport report = verify();
  EXPECT_EQ(report.failed, 3U);
  EXPECT_THAT(report.findings,
              ElementsAre("a: differs from its log in 1 record", "  a.c1: the log says {}",
                          "c: differs from its log in 1 record", "  c.c1: the log says {}",
                          "d: its record is corrupt"));
  EXPECT_EQ(summary_of(report), "1 of 4 sessions rebuilt equal (6 records from 15 events)");
}

TEST_F(VerifyTest, APrunedLogIsNoDifference) {
  backend_.outcomes = {{"a", {pruned}}, {"b", {equal}}};
  const VerifyReport report = verify();
  EXPECT_EQ(report.failed, 0U);
  EXPECT_THAT(report.findings,
              ElementsAre("a: can't be verified: the beginning of its log was pruned"));
  EXPECT_EQ(summary_of(report),
            "1 of 2 sessions rebuilt equal, 1 not verifiable (4 records from 10 events)");
}

TEST_F(VerifyTest, ABusySessionIsTriedAgain) {
  backend_.outcomes = {{"a", {busy, busy, equal}}};
  EXPECT_EQ(verify().equal, 1U);
  backend_.outcomes = {{"a", {busy}}};
  const VerifyReport report = verify();
  EXPECT_EQ(report.failed, 1U);
  EXPECT_THAT(report.findings, ElementsAre("a: could not be verified: it is changed all the time"));
}

TEST_F(VerifyTest, ATimeOutIsAFailureOfItsSessionAlone) {
  backend_.outcomes = {{"a", {equal}}, {"b", {equal}}, {"c", {equal}}};
  backend_.slow = {"b"};
  const VerifyReport report = verify();
  EXPECT_EQ(report.equal, 2U);
  EXPECT_EQ(report.failed, 1U);
  EXPECT_THAT(report.findings, ElementsAre("b: could not be verified: no answer in time"));
}

TEST_F(VerifyTest, ASessionThatWentAwayIsNoFailureUnlessItIsTheOneAskedFor) {
  backend_.outcomes = {{"a", {equal}}, {"b", {equal}}};
  backend_.erased = {"b"};
  const VerifyReport report = verify();
  EXPECT_EQ(report.sessions, 1U);
  EXPECT_EQ(report.failed, 0U);
  EXPECT_THROW(verify(SessionId::parse("b")), StorageError);
  EXPECT_EQ(verify(SessionId::parse("a")).equal, 1U);
}

}  // namespace
}  // namespace actionflows::cli
