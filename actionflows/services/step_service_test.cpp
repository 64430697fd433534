#include "actionflows/services/step_service.hpp"

#include "actionflows/services/chain_service.hpp"
#include "actionflows/services/session_service.hpp"
#include "tests/support/typed_storage.hpp"

namespace actionflows {
namespace {

using namespace test;

constexpr StepAction all_actions[] = {StepAction::start, StepAction::complete, StepAction::fail,
                                      StepAction::skip, StepAction::retry};

class Steps : public TypedStorageTest {
 protected:
  const SessionId s = make_session().session_id;
  const ChainId c1{s, 1};
  StepService steps{storage()};

  StepId id(std::uint32_t number) const { return {c1, number}; }

  // Brings a pending step to this status; a chain of one step would end with it.
  void bring(const StepId& step, StepStatus status) {
    if (status == StepStatus::pending) return;
    if (status == StepStatus::skipped) {
      run(steps.skip(step));
      return;
    }
    run(steps.start(step));
    if (status == StepStatus::completed) run(steps.complete(step));
    if (status == StepStatus::failed) run(steps.fail(step));
  }
};

TEST_F(Steps, RunFromStartToCompletion) {
  make_chain(s, {{}, {1}});
  Step step = run(steps.start(id(1)));
  EXPECT_EQ(step.status, StepStatus::in_progress);
  EXPECT_EQ(step.attempt, 1u);
  EXPECT_EQ(step.started_at, clock.now());
  EXPECT_EQ(step.version, 2u);
  EXPECT_EQ(get(c1)->status, ChainStatus::in_progress);
  EXPECT_EQ(get(c1)->current_step, 1u);
  EXPECT_EQ(get(c1)->started_at, clock.now());

  clock.advance(1'234ms);
  StepReport report;
  report.result = json::Raw::parse(R"({"rows":  [1, 2]})");
  report.learning = "index first";
  step = run(steps.complete(id(1), report));
  EXPECT_EQ(step.status, StepStatus::completed);
  EXPECT_EQ(step.completed_at, clock.now());
  EXPECT_EQ(step.duration_ms, 1'234u);
  EXPECT_EQ(step.result->view(), R"({"rows":  [1, 2]})");
  EXPECT_EQ(step.learning, "index first");
  EXPECT_EQ(get(id(1)), step);
  EXPECT_EQ(get(c1)->completed_steps, 1u);
  EXPECT_EQ(get(c1)->current_step, std::nullopt);
  EXPECT_EQ(event_types(s),
            (std::vector<std::string>{"session:created", "chain:compiled", "session:updated",
                                      "step:started", "chain:started", "step:completed",
                                      "chain:progressed"}));
}

// Every status and every action: what the table of rules.hpp does not allow is refused by name.
TEST_F(Steps, MoveOnlyAsTheRulesAllow) {
  std::uint32_t chains = 0;
  for (const StepStatus status : {StepStatus::pending, StepStatus::in_progress,
                                  StepStatus::completed, StepStatus::failed, StepStatus::skipped})
    for (const StepAction action : all_actions) {
      make_chain(s, {{}, {}});  // the second step keeps the chain open
      const StepId step(ChainId(s, ++chains), 1);
      bring(step, status);
      const Step before = *get(step);
      const std::size_t log = events(s).size();
      const std::string what =
          std::string(to_string(action)) + " from " + std::string(to_string(status));
      if (const auto next = next_status(status, action)) {
        EXPECT_EQ(run(steps.act(step, action)).status, *next) << what;
        EXPECT_EQ(events(s).size(), log + 2) << what;
      } else {
        const StorageError error = error_of(steps.act(step, action));
        EXPECT_EQ(error.code(), ErrorCode::illegal_transition) << what;
        EXPECT_EQ(error.operation, std::string(to_string(action)) + "_step");
        EXPECT_EQ(error.record, step.str());
        EXPECT_NE(error.message().find(to_string(status)), std::string::npos) << error.message();
        EXPECT_EQ(get(step), before) << what;
        EXPECT_EQ(events(s).size(), log) << what;
      }
    }
}

TEST_F(Steps, StartOnlyWhenAllTheyWaitForHaveEndedWell) {
  make_chain(s, {{}, {}, {}, {}, {1, 2, 3, 4}});
  bring(id(1), StepStatus::completed);
  bring(id(2), StepStatus::skipped);
  bring(id(3), StepStatus::failed);
  bring(id(4), StepStatus::in_progress);
  StorageError error = error_of(steps.start(id(5)));
  EXPECT_EQ(error.code(), ErrorCode::illegal_transition);
  EXPECT_EQ(error.message(), "step s.c1.s5 waits for step 3 (failed), step 4 (in_progress)");
  run(steps.complete(id(4)));
  error = error_of(steps.start(id(5)));
  EXPECT_EQ(error.message(), "step s.c1.s5 waits for step 3 (failed)");
  run(steps.retry(id(3)));
  EXPECT_EQ(error_of(steps.start(id(5))).message(), "step s.c1.s5 waits for step 3 (pending)");
  bring(id(3), StepStatus::completed);
  EXPECT_EQ(run(steps.start(id(5))).status, StepStatus::in_progress);
}

// What a step waits for is undone between its reading and the commit of its start.
TEST_F(Steps, DoNotStartOnWhatIsUndoneMeanwhile) {
  make_chain(s, {{}, {1}, {}});
  bring(id(1), StepStatus::failed);
  run(steps.skip(id(1)));
  const auto undo = [&]() -> Task<void> {
    Change change(s, clock.now());
    const RecordKey key = test::step(1, 1);
    const ReadResult read = co_await driver().real().read(s, std::span(&key, 1));
    std::string bytes(read.records[0]->bytes.view());
    bytes.replace(bytes.find("skipped"), 7, "pending");
    change.put(key, read.records[0]->version, Bytes(bytes));
    co_await driver().real().commit(change);
  };
  meanwhile(undo);
  EXPECT_EQ(error_of(steps.start(id(2))).code(), ErrorCode::illegal_transition);
}

TEST_F(Steps, DoNotStartInAPausedSessionButGoOn) {
  make_chain(s, {{}, {}, {}, {}, {}});
  bring(id(1), StepStatus::in_progress);
  bring(id(2), StepStatus::in_progress);
  bring(id(3), StepStatus::failed);
  SessionService sessions(storage());
  run(sessions.pause(s));
  const StorageError error = error_of(steps.start(id(4)));
  EXPECT_EQ(error.code(), ErrorCode::illegal_transition);
  EXPECT_NE(error.message().find("paused"), std::string::npos) << error.message();
  run(steps.complete(id(1)));
  run(steps.fail(id(2)));
  run(steps.retry(id(3)));
  run(steps.skip(id(4)));
  run(sessions.resume(s));
  run(steps.start(id(3)));
}

TEST_F(Steps, DoNothingInACompletedSession) {
  make_chain(s, {{}, {}, {}});
  bring(id(1), StepStatus::in_progress);
  run(SessionService(storage()).complete(s));
  for (const StepAction action : all_actions)
    EXPECT_EQ(error_of(steps.act(id(1), action)).code(), ErrorCode::illegal_transition);
  EXPECT_EQ(error_of(steps.start(id(2))).code(), ErrorCode::illegal_transition);
}

TEST_F(Steps, ThatAreRetriedBeginAnewAndReopenTheirChain) {
  make_chain(s, {{}, {1}});
  run(steps.start(id(1)));
  clock.advance(1s);
  StepReport report;
  report.result = json::Raw::parse("[]");
  report.error = "no route";
  report.learning = "ask first";
  const Step failed = run(steps.fail(id(1), report));
  EXPECT_EQ(failed.error, "no route");
  EXPECT_EQ(failed.duration_ms, 1'000u);
  EXPECT_EQ(get(c1)->status, ChainStatus::failed);
  EXPECT_EQ(get(c1)->completed_at, clock.now());

  clock.advance(1s);
  Step step = run(steps.retry(id(1)));
  EXPECT_EQ(step.status, StepStatus::pending);
  EXPECT_EQ(step.attempt, 1u);
  EXPECT_FALSE(step.started_at || step.completed_at || step.duration_ms);
  EXPECT_FALSE(step.result || step.error);
  EXPECT_EQ(step.learning, "ask first");
  EXPECT_EQ(get(c1)->status, ChainStatus::pending);
  EXPECT_FALSE(get(c1)->completed_at);
  EXPECT_EQ(event_types(s).back(), "chain:reopened");

  step = run(steps.start(id(1)));
  EXPECT_EQ(step.attempt, 2u);
  run(steps.complete(id(1)));
  run(steps.start(id(2)));
  run(steps.complete(id(2)));
  EXPECT_EQ(get(c1)->status, ChainStatus::completed);
}

TEST_F(Steps, ThatAreSkippedAfterFailingKeepTheirDuration) {
  make_chain(s, {{}, {1}});
  run(steps.start(id(1)));
  clock.advance(2s);
  run(steps.fail(id(1)));
  clock.advance(1h);
  StepReport report;
  report.error = "not needed";
  const Step skipped = run(steps.skip(id(1), report));
  EXPECT_EQ(skipped.duration_ms, 2'000u);
  EXPECT_EQ(skipped.completed_at, clock.now());
  EXPECT_EQ(skipped.error, "not needed");
  EXPECT_EQ(get(c1)->status, ChainStatus::in_progress);
  run(steps.start(id(2)));
}

TEST_F(Steps, ThatNeverRanHaveNoDuration) {
  make_chain(s, {{}, {}});
  const Step skipped = run(steps.skip(id(1)));
  EXPECT_FALSE(skipped.duration_ms);
  EXPECT_FALSE(skipped.started_at);
  EXPECT_EQ(skipped.completed_at, clock.now());
}

TEST_F(Steps, TakeOnlyTheReportOfTheirAction) {
  make_chain(s, {{}, {}});
  StepReport everything;
  everything.result = json::Raw::parse("1");
  everything.error = "e";
  everything.learning = "l";
  const auto refused = [&](StepAction action) {
    const StorageError error = error_of(steps.act(id(1), action, everything));
    EXPECT_EQ(error.code(), ErrorCode::invalid);
    return paths_of(error);
  };
  EXPECT_EQ(refused(StepAction::start), (std::vector<std::string>{"result", "error", "learning"}));
  EXPECT_EQ(refused(StepAction::retry), (std::vector<std::string>{"result", "error", "learning"}));
  EXPECT_EQ(refused(StepAction::complete), std::vector<std::string>{"error"});
  EXPECT_EQ(refused(StepAction::skip), std::vector<std::string>{"result"});
  StepReport bad;
  bad.error = std::string(1 << 20, 'x') + "x";
  bad.learning = "\xFF";
  EXPECT_EQ(paths_of(error_of(steps.fail(id(1), bad))),
            (std::vector<std::string>{"error", "learning"}));
  EXPECT_EQ(get(id(1))->version, 1u);
}

TEST_F(Steps, WithANullResultHaveNone) {
  make_chain(s, {{}, {}});
  run(steps.start(id(1)));
  StepReport report;
  report.result = json::Raw();
  EXPECT_FALSE(run(steps.complete(id(1), report)).result);
  EXPECT_FALSE(get(id(1))->result);
}

TEST_F(Steps, AreComparedByVersionAndMustExist) {
  make_chain(s, {{}});
  EXPECT_EQ(error_of(steps.start(id(1), expecting(2))).code(), ErrorCode::conflict);
  EXPECT_EQ(error_of(steps.start(id(2))).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(steps.start(StepId(ChainId(s, 2), 1))).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(steps.start(StepId())).code(), ErrorCode::not_found);
  EXPECT_EQ(run(steps.start(id(1), expecting(1))).version, 2u);
}

TEST_F(Steps, OfTwoThatStartTheSameStepOneIsRefused) {
  make_chain(s, {{}});
  const auto other = [&]() -> Task<void> { co_await steps.start(id(1)); };
  meanwhile(other);
  EXPECT_EQ(error_of(steps.start(id(1))).code(), ErrorCode::illegal_transition);
  EXPECT_EQ(get(id(1))->attempt, 1u);
}

TEST_F(Steps, OfTwoThatCompleteTheLastStepsTheChainCompletesOnce) {
  make_chain(s, {{}, {}});
  bring(id(1), StepStatus::in_progress);
  bring(id(2), StepStatus::in_progress);
  EXPECT_EQ(get(c1)->running_steps, 2u);
  const auto other = [&]() -> Task<void> { co_await steps.complete(id(1)); };
  meanwhile(other);
  run(steps.complete(id(2)));
  EXPECT_EQ(get(c1)->status, ChainStatus::completed);
  const std::vector<std::string> types = event_types(s);
  EXPECT_EQ(std::count(types.begin(), types.end(), "chain:completed"), 1);
}

}  // namespace
}  // namespace actionflows
