#include "actionflows/services/chain_service.hpp"

#include "actionflows/services/session_service.hpp"
#include "actionflows/services/step_service.hpp"
#include "tests/support/typed_storage.hpp"

namespace actionflows {
namespace {

using namespace test;

class ChainLives : public TypedStorageTest {
 protected:
  const SessionId s = make_session().session_id;
  const ChainId c1{s, 1};
  ChainService chains{storage()};
  StepService steps{storage()};

  StepId step_of(std::uint32_t chain_number, std::uint32_t number) const {
    return {ChainId(s, chain_number), number};
  }
  void finish(const StepId& id) {
    run(steps.start(id));
    run(steps.complete(id));
  }
};

TEST_F(ChainLives, CancellingArchivesTheChainWhereItStands) {
  make_chain(s, {{}, {1}});
  run(steps.start(step_of(1, 1)));
  clock.advance(1s);
  const Chain cancelled = run(chains.cancel(c1));
  EXPECT_EQ(cancelled.status, ChainStatus::cancelled);
  EXPECT_EQ(cancelled.completed_at, clock.now());
  EXPECT_EQ(cancelled.archived_at, clock.now());
  EXPECT_EQ(cancelled.running_steps, 1u);
  EXPECT_EQ(get(c1), cancelled);
  EXPECT_EQ(get(step_of(1, 1))->status, StepStatus::in_progress);
  EXPECT_EQ(get(step_of(1, 2))->status, StepStatus::pending);
  EXPECT_EQ(event_types(s).back(), "chain:cancelled");
  EXPECT_EQ(error_of(chains.cancel(c1)).code(), ErrorCode::illegal_transition);
}

TEST_F(ChainLives, CancellingIsForOpenSessionsAndTheExpectedVersion) {
  make_chain(s);
  make_chain(s);
  EXPECT_EQ(error_of(chains.cancel(c1, expecting(2))).code(), ErrorCode::conflict);
  EXPECT_EQ(error_of(chains.cancel(ChainId(s, 3))).code(), ErrorCode::not_found);
  SessionService sessions(storage());
  run(sessions.pause(s));
  EXPECT_EQ(run(chains.cancel(c1)).status, ChainStatus::cancelled);
  run(sessions.complete(s));
  const StorageError error = error_of(chains.cancel(ChainId(s, 2)));
  EXPECT_EQ(error.code(), ErrorCode::illegal_transition);
  EXPECT_EQ(error.operation, "cancel_chain");
}

TEST_F(ChainLives, AChainHasStartedOnceAStepHas) {
  make_chain(s, {{}, {}});
  run(steps.skip(step_of(1, 1)));
  EXPECT_EQ(get(c1)->status, ChainStatus::in_progress);
  EXPECT_FALSE(get(c1)->started_at);
  run(steps.skip(step_of(1, 2)));
  EXPECT_TRUE(get(c1)->completed_at);
  EXPECT_FALSE(get(c1)->started_at);

  make_chain(s, {{}});
  EXPECT_FALSE(run(chains.cancel(ChainId(s, 2))).started_at);

  make_chain(s, {{}, {}});
  run(steps.skip(step_of(3, 1)));
  clock.advance(1s);
  const Timestamp start = clock.now();
  run(steps.start(step_of(3, 2)));
  clock.advance(1s);
  run(steps.complete(step_of(3, 2)));
  EXPECT_EQ(get(ChainId(s, 3))->started_at, start);
}

TEST_F(ChainLives, CompletingTheLastStepArchivesTheChainInTheSameCommit) {
  make_chain(s, {{}, {1}});
  finish(step_of(1, 1));
  EXPECT_FALSE(get(c1)->archived_at);
  run(steps.start(step_of(1, 2)));
  int commits = 0;
  driver().before = [&](Call call) -> Task<void> {
    commits += call == Call::commit ? 1 : 0;
    co_return;
  };
  clock.advance(1s);
  run(steps.complete(step_of(1, 2)));
  EXPECT_EQ(commits, 1);
  const Chain done = *get(c1);
  EXPECT_EQ(done.status, ChainStatus::completed);
  EXPECT_EQ(done.completed_steps, 2u);
  EXPECT_EQ(done.completed_at, clock.now());
  EXPECT_EQ(done.archived_at, clock.now());
  const std::vector<std::string> types = event_types(s);
  EXPECT_EQ(types[types.size() - 2], "step:completed");
  EXPECT_EQ(types.back(), "chain:completed");
}

TEST_F(ChainLives, AnArchivedChainAndItsStepsNeverChange) {
  make_chain(s, {{}});
  finish(step_of(1, 1));
  const Chain archived = *get(c1);
  const Step step = *get(step_of(1, 1));
  const std::size_t log = events(s).size();
  const auto refused = [&](auto call) {
    const StorageError error = error_of(std::move(call));
    EXPECT_EQ(error.code(), ErrorCode::illegal_transition) << error.message();
  };
  ChainUpdate title;
  title.set(&Chain::title, "late");
  StepUpdate learning;
  learning.set(&Step::learning, "late");
  refused(storage().update_chain(c1, title));
  refused(storage().delete_chain(c1));
  refused(storage().create_step(c1, step_data("late")));
  refused(storage().update_step(step.step_id, learning));
  refused(storage().delete_step(step.step_id));
  refused(chains.cancel(c1));
  for (const StepAction action : {StepAction::start, StepAction::complete, StepAction::fail,
                                  StepAction::skip, StepAction::retry})
    refused(steps.act(step.step_id, action));
  EXPECT_EQ(run(chains.archive(c1)), archived);  // is archived already: nothing happens
  EXPECT_EQ(get(c1), archived);
  EXPECT_EQ(get(step.step_id), step);
  EXPECT_EQ(events(s).size(), log);
}

TEST_F(ChainLives, AFailedChainStaysUntilItIsArchived) {
  make_chain(s, {{}});
  run(steps.start(step_of(1, 1)));
  run(steps.fail(step_of(1, 1)));
  EXPECT_EQ(get(c1)->status, ChainStatus::failed);
  EXPECT_FALSE(get(c1)->archived_at);
  EXPECT_EQ(run(chains.archive(c1)).archived_at, clock.now());
  EXPECT_EQ(event_types(s).back(), "chain:archived");
  EXPECT_EQ(error_of(steps.retry(step_of(1, 1))).code(), ErrorCode::illegal_transition);
}

TEST_F(ChainLives, AFailedChainIsReopenedByAStepThatCanRun) {
  make_chain(s, {{}});
  run(steps.start(step_of(1, 1)));
  run(steps.fail(step_of(1, 1)));
  run(storage().create_step(c1, step_data("waits in vain", {1})));
  EXPECT_EQ(get(c1)->status, ChainStatus::failed);
  run(storage().create_step(c1, step_data("another way")));
  EXPECT_EQ(get(c1)->status, ChainStatus::in_progress);
  EXPECT_FALSE(get(c1)->completed_at);
  EXPECT_EQ(event_types(s).back(), "chain:reopened");
}

TEST_F(ChainLives, DeletingTheLastOpenStepCompletesTheChain) {
  make_chain(s, {{}, {}});
  finish(step_of(1, 1));
  run(storage().delete_step(step_of(1, 2)));
  EXPECT_EQ(get(c1)->status, ChainStatus::completed);
  EXPECT_TRUE(get(c1)->archived_at);
  EXPECT_TRUE(get(step_of(1, 1)));
  EXPECT_EQ(get(step_of(1, 2)), std::nullopt);
}

TEST_F(ChainLives, TheModeFollowsWhatWaitsForWhat) {
  EXPECT_EQ(make_chain(s, {{}, {1}, {2}}).execution_mode, ExecutionMode::sequential);
  EXPECT_EQ(make_chain(s, {{}, {}, {}}).execution_mode, ExecutionMode::parallel);
  EXPECT_EQ(make_chain(s, {{}, {}, {1, 2}}).execution_mode, ExecutionMode::mixed);
  EXPECT_EQ(make_chain(s).execution_mode, ExecutionMode::sequential);
}

// ---- the archive

class Archive : public ChainLives {
 protected:
  std::vector<std::string> archive(std::optional<UserId> of, std::size_t limit) {
    std::vector<std::string> pages;
    PageQuery query;
    query.limit = limit;
    do {
      const Page<Chain> page = run(chains.list_archive(of, query));
      std::string text;
      for (const Chain& chain : page.items) text += chain.chain_id.str() + " ";
      pages.push_back(text);
      query.cursor = page.next_cursor;
    } while (query.cursor);
    return pages;
  }
};

TEST_F(Archive, IsListedByUserLatestFirstAndOutlivesItsSession) {
  make_session("t", "bob");
  for (int i = 0; i < 3; ++i) {
    run(chains.cancel(make_chain(s).chain_id));
    clock.advance(1s);
  }
  run(chains.cancel(make_chain(session_id("t")).chain_id));
  run(storage().delete_session(s));
  EXPECT_EQ(archive(user("ann"), 2), (std::vector<std::string>{"s.c3 s.c2 ", "s.c1 "}));
  EXPECT_EQ(archive({}, 10), std::vector<std::string>{"t.c1 s.c3 s.c2 s.c1 "});
  EXPECT_EQ(archive(user("eve"), 10), std::vector<std::string>{""});
  EXPECT_TRUE(get(c1));
  EXPECT_TRUE(run(storage().list_steps(c1)).items.empty());
}

TEST_F(Archive, RefusesTheCursorOfSessions) {
  for (int i = 0; i < 2; ++i) run(chains.cancel(make_chain(s).chain_id));
  PageQuery one;
  one.limit = 1;
  PageQuery query;
  query.cursor = run(chains.list_archive({}, one)).next_cursor;
  ASSERT_TRUE(query.cursor);
  EXPECT_EQ(error_of(storage().list_sessions({}, query)).code(), ErrorCode::invalid);
}

TEST_F(Archive, TellsWhatCannotBeReadAndServesTheRest) {
  make_chain(s);
  make_chain(s);
  plant(s, test::chain(2), "{}");
  Change archived(s, clock.now());
  archived.move_to_archive(2).no_events().event("test:planted", planted_event);
  run(driver().real().commit(archived));
  run(chains.cancel(c1));
  const Page<Chain> page = run(chains.list_archive({}));
  EXPECT_EQ(page.items.size(), 1u);
  ASSERT_EQ(page.corrupt.size(), 1u);
  EXPECT_EQ(page.corrupt[0].record, "s.c2");
}

}  // namespace
}  // namespace actionflows
