#include "server/sweep_plan.hpp"

#include "actionflows/base/error.hpp"

#include <gtest/gtest.h>

namespace actionflows {
namespace {

Upkeep failing(const std::vector<std::string>& sessions, bool more = true) {
  Upkeep done;
  done.more = more;
  for (const std::string& session : sessions)
    done.failed.push_back(failure(ErrorCode::exhausted, "stuck", "sweep", session));
  return done;
}

TEST(SweepPlan, GoesOnAtOnceOnlyWhereItGetsOn) {
  SweepPlan plan(10);
  EXPECT_FALSE(plan.at_once());
  Upkeep done;
  done.more = true;
  plan.take(done);
  EXPECT_FALSE(plan.at_once()) << "it would spin";
  for (const auto member :
       {&Upkeep::sessions_expired, &Upkeep::logs_removed, &Upkeep::chains_removed}) {
    Upkeep some;
    some.*member = 1;
    plan.take(some);
    EXPECT_FALSE(plan.at_once()) << "there is no more";
    some.more = true;
    plan.take(some);
    EXPECT_TRUE(plan.at_once());
  }
}

TEST(SweepPlan, ReachesBeyondWhatCannotBeEnded) {
  SweepPlan plan(2);
  EXPECT_EQ(plan.limit(), 2u);
  plan.take(failing({"a", "b"}));
  EXPECT_EQ(plan.limit(), 4u);
  plan.take(failing({"a", "b", "c"}));
  EXPECT_EQ(plan.limit(), 5u);
  plan.take(failing({"c"}));
  EXPECT_EQ(plan.limit(), 3u);
  plan.take({});
  EXPECT_EQ(plan.limit(), 2u);
}

TEST(SweepPlan, TellsOfAFailureOnce) {
  SweepPlan plan(2);
  EXPECT_EQ(plan.take(failing({"a"})).size(), 1u);
  const std::vector<StorageError> news = plan.take(failing({"a", "b"}));
  ASSERT_EQ(news.size(), 1u);
  EXPECT_EQ(news[0].record, "b");
  EXPECT_TRUE(plan.take(failing({"a", "b"})).empty());
  plan.take({});
  EXPECT_EQ(plan.take(failing({"a"})).size(), 1u);
}

}  // namespace
}  // namespace actionflows
