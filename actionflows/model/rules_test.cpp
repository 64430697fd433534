#include "actionflows/model/rules.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows {
namespace {

Step step(std::uint32_t number, StepStatus status, std::vector<std::uint32_t> waits_for = {}) {
  Step made;
  made.number = number;
  made.status = status;
  made.waits_for = std::move(waits_for);
  return made;
}

ChainStatus status_of(std::vector<Step> steps) {
  Chain chain;
  chain.step_count = static_cast<std::uint32_t>(steps.size());
  summarize(chain, steps);
  return chain.status;
}

constexpr StepStatus pending = StepStatus::pending;
constexpr StepStatus running = StepStatus::in_progress;
constexpr StepStatus completed = StepStatus::completed;
constexpr StepStatus failed = StepStatus::failed;
constexpr StepStatus skipped = StepStatus::skipped;

TEST(ChainStatusRule, FollowsTheSteps) {
  EXPECT_EQ(status_of({}), ChainStatus::pending);
  EXPECT_EQ(status_of({step(1, pending)}), ChainStatus::pending);
  EXPECT_EQ(status_of({step(1, running), step(2, pending)}), ChainStatus::in_progress);
  EXPECT_EQ(status_of({step(1, completed), step(2, pending)}), ChainStatus::in_progress);
  EXPECT_EQ(status_of({step(1, completed), step(2, skipped)}), ChainStatus::completed);
  EXPECT_EQ(status_of({step(1, skipped)}), ChainStatus::completed);
}

TEST(ChainStatusRule, FailsWhenNothingCanRunWithoutTheFailedStep) {
  EXPECT_EQ(status_of({step(1, failed)}), ChainStatus::failed);
  EXPECT_EQ(status_of({step(1, failed), step(2, pending, {1})}), ChainStatus::failed);
  EXPECT_EQ(status_of({step(1, failed), step(2, pending, {1}), step(3, pending, {2})}),
            ChainStatus::failed);
  EXPECT_EQ(status_of({step(1, failed), step(2, pending)}), ChainStatus::in_progress);
  EXPECT_EQ(status_of({step(1, failed), step(2, running)}), ChainStatus::in_progress);
  EXPECT_EQ(status_of({step(1, failed), step(2, completed)}), ChainStatus::failed);
  EXPECT_EQ(status_of({step(1, failed), step(2, running), step(3, pending, {1, 2})}),
            ChainStatus::in_progress);
}

TEST(ChainStatusRule, LeavesACancelledChainCancelled) {
  Chain chain;
  chain.status = ChainStatus::cancelled;
  chain.step_count = 1;
  summarize(chain, std::vector{step(1, completed)});
  EXPECT_EQ(chain.status, ChainStatus::cancelled);
}

TEST(ChainStatusRule, DeletedStepsDoNotHoldItOpen) {
  Chain chain;
  chain.step_count = 2;
  chain.deleted_steps = 1;
  summarize(chain, std::vector{step(1, completed)});
  EXPECT_EQ(chain.status, ChainStatus::completed);
}

// The quick way and the thorough way must never disagree.
TEST(ChainStatusRule, AdvanceAgreesWithSummarize) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 2'000; ++round) {
    std::vector<Step> steps;
    const auto count = static_cast<std::uint32_t>(1 + random() % 6);
    for (std::uint32_t n = 1; n <= count; ++n) {
      steps.push_back(step(n, pending));
      for (std::uint32_t earlier = 1; earlier < n; ++earlier)
        if (random() % 3 == 0) steps.back().waits_for.push_back(earlier);
    }
    Chain quick;
    quick.step_count = count;
    for (int move = 0; move < 20; ++move) {
      Step& changed = steps[random() % count];
      const auto next = next_status(changed.status, static_cast<StepAction>(random() % 5));
      if (!next) continue;
      const StepStatus before = std::exchange(changed.status, *next);
      Chain thorough = quick;
      summarize(thorough, steps);
      if (!advance(quick, changed.number, before, *next)) quick = thorough;
      ASSERT_EQ(quick.status, thorough.status);
      ASSERT_EQ(quick.current_step, thorough.current_step);
      ASSERT_EQ(quick.running_steps, thorough.running_steps);
      ASSERT_EQ(quick.completed_steps, thorough.completed_steps);
      ASSERT_EQ(quick.failed_steps, thorough.failed_steps);
      ASSERT_EQ(quick.skipped_steps, thorough.skipped_steps);
    }
  }
}

TEST(StepTransitions, AreThoseOfTheTable) {
  const auto allowed = [](StepStatus from, StepAction action) { return next_status(from, action); };
  EXPECT_EQ(allowed(pending, StepAction::start), running);
  EXPECT_EQ(allowed(running, StepAction::complete), completed);
  EXPECT_EQ(allowed(running, StepAction::fail), failed);
  EXPECT_EQ(allowed(pending, StepAction::skip), skipped);
  EXPECT_EQ(allowed(failed, StepAction::skip), skipped);
  EXPECT_EQ(allowed(failed, StepAction::retry), pending);
  int count = 0;
  for (int from = 0; from < 5; ++from)
    for (int action = 0; action < 5; ++action)
      count += allowed(static_cast<StepStatus>(from), static_cast<StepAction>(action)).has_value();
  EXPECT_EQ(count, 6);
}

TEST(SessionTransitions, CompletedIsTheEnd) {
  EXPECT_TRUE(may_follow(SessionState::active, SessionState::paused));
  EXPECT_TRUE(may_follow(SessionState::paused, SessionState::active));
  EXPECT_TRUE(may_follow(SessionState::paused, SessionState::completed));
  EXPECT_FALSE(may_follow(SessionState::completed, SessionState::active));
  EXPECT_FALSE(may_follow(SessionState::active, SessionState::active));
}

TEST(ExecutionModeRule, IsDerivedFromWhatWaitsForWhat) {
  const auto mode = [](std::vector<std::vector<std::uint32_t>> chain) {
    ExecutionMode made = ExecutionMode::sequential;
    for (std::uint32_t n = 1; n <= chain.size(); ++n) made = mode_with(made, n, chain[n - 1]);
    return made;
  };
  EXPECT_EQ(mode({{}}), ExecutionMode::sequential);
  EXPECT_EQ(mode({{}, {1}, {2}}), ExecutionMode::sequential);
  EXPECT_EQ(mode({{}, {}, {}}), ExecutionMode::parallel);
  EXPECT_EQ(mode({{}, {1}, {1}}), ExecutionMode::mixed);
  EXPECT_EQ(mode({{}, {}, {1, 2}}), ExecutionMode::mixed);
}

// Step by step, or from all of them at once: the mode is the same while none was deleted.
TEST(ExecutionModeRule, IsTheSameOverAllStepsAtOnce) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 2'000; ++round) {
    std::vector<Step> steps;
    ExecutionMode mode = ExecutionMode::sequential;
    const auto count = static_cast<std::uint32_t>(random() % 5);
    for (std::uint32_t n = 1; n <= count; ++n) {
      steps.push_back(step(n, pending));
      for (std::uint32_t earlier = 1; earlier < n; ++earlier)
        if (random() % 2 == 0) steps.back().waits_for.push_back(earlier);
      mode = mode_with(mode, n, steps.back().waits_for);
    }
    ASSERT_EQ(mode_of(steps), mode);
  }
}

TEST(ExecutionModeRule, LooksPastDeletedSteps) {
  EXPECT_EQ(mode_of(std::vector{step(2, pending), step(5, pending, {2})}),
            ExecutionMode::sequential);
  EXPECT_EQ(mode_of(std::vector{step(2, pending), step(5, pending, {2}), step(9, pending, {2})}),
            ExecutionMode::mixed);
}

TEST(WaitsFor, MayNameEarlierStepsOnly) {
  Issues issues;
  json::Report report(issues);
  check_waits_among(std::vector{step(1, pending), step(2, pending, {1, 2}), step(3, pending, {9})},
                    report);
  ASSERT_EQ(issues.size(), 2u);
  EXPECT_EQ(to_string(issues[0].path), "steps[1].waitsFor[1]");
  EXPECT_EQ(issues[0].message, "step 2 can only wait for earlier steps");
  EXPECT_EQ(to_string(issues[1].path), "steps[2].waitsFor[0]");
}

// The paths of what is wrong with a request for a chain.
std::vector<std::string> refused(std::string_view request) {
  std::vector<std::string> paths;
  ChainData chain;
  Issues issues;
  schema::schema_of<ChainData>().decode(request, schema::Form::create, chain, issues);
  for (const Issue& issue : issues) paths.push_back(to_string(issue.path));
  return paths;
}

TEST(WaitsFor, IsCheckedWhateverElseIsWrong) {
  EXPECT_EQ(refused(R"({"title":"","steps":[{"action":"a","waitsFor":[5]},
                        {"action":"","waitsFor":["x",0,1,1,2]}]})"),
            (std::vector<std::string>{"title", "steps[1].action", "steps[1].waitsFor[0]",
                                      "steps[1].waitsFor[1]", "steps[1].waitsFor[3]",
                                      "steps[0].waitsFor[0]", "steps[1].waitsFor[4]"}));
}

// 10 KB were answered with 1.5 MB.
TEST(WaitsFor, HasABoundOfIssuesHoweverMuchIsWrong) {
  for (const std::string_view step :
       {R"({"action":"a","waitsFor":[9000,9001]},)", R"({"action":"a","waitsFor":[1,1,1,1,1]},)"}) {
    std::string request = R"({"title":"t","steps":[)";
    for (int i = 0; i < 1'000; ++i) request += step;
    request.back() = ']';
    EXPECT_EQ(refused(request + "}").size(), json::max_issues + 1) << step;
  }
}

}  // namespace
}  // namespace actionflows
