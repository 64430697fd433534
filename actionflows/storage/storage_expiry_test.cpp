// Sessions that are past their deadline, the sweep that ends them, and what comes after.
#include "tests/support/typed_storage.hpp"

namespace actionflows {
namespace {

using namespace test;

class Expiry : public TypedStorageTest {
 protected:
  const SessionId s = make_session().session_id;

  // A failed chain, as its records would say: written below the storage, because the rules of
  // steps are the services'.
  Chain fail_chain() {
    const Chain made = make_chain(s, {{}});
    run(storage().transact(s, "test", Context::none(), [&](Transaction& tx) -> Task<void> {
      const Chain before = co_await tx.chain(made.chain_id);
      const std::vector<Step> steps = co_await tx.steps(before);
      Step step = steps[0];
      step.status = StepStatus::failed;
      tx.update(steps[0], step, "step:failed");
      Chain after = before;
      after.status = ChainStatus::failed;
      after.failed_steps = 1;
      tx.update(before, after, "chain:failed");
    }));
    return *get(made.chain_id);
  }
  void sweep_all() {
    while (run(storage().sweep()).more) continue;
  }
};

TEST_F(Expiry, MakesASessionAbsentBeforeItIsSwept) {
  const Chain chain = make_chain(s, {{}});
  clock.advance(24h - 1ms);
  EXPECT_TRUE(get(s));
  EXPECT_FALSE(run(storage().expire_session(s)));
  clock.advance(1ms);
  EXPECT_EQ(get(s), std::nullopt);
  EXPECT_EQ(get(chain.chain_id), std::nullopt);
  EXPECT_EQ(get(StepId(chain.chain_id, 1)), std::nullopt);
  EXPECT_TRUE(run(storage().list_sessions({})).items.empty());
  EXPECT_EQ(error_of(storage().list_chains(s)).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(storage().list_steps(chain.chain_id)).code(), ErrorCode::not_found);
  EXPECT_EQ(events(s).size(), 3u);
}

TEST_F(Expiry, IsNotUndoneByAnyWrite) {
  const Chain chain = make_chain(s, {{}});
  clock.advance(24h);
  const StepId step(chain.chain_id, 1);
  const auto refused = [&](auto call) {
    EXPECT_EQ(error_of(std::move(call)).code(), ErrorCode::not_found);
  };
  SessionUpdate title;
  title.set(&Session::title, "late");
  refused(storage().update_session(s, title));
  refused(storage().update_session(s, {}));
  refused(storage().touch_session(s));
  refused(storage().delete_session(s));
  refused(storage().create_chain(s, chain_data()));
  refused(storage().update_chain(chain.chain_id, {}));
  refused(storage().delete_chain(chain.chain_id));
  refused(storage().archive_chain(chain.chain_id));
  refused(storage().create_step(chain.chain_id, step_data("late")));
  refused(storage().update_step(step, {}));
  refused(storage().delete_step(step));
  refused(storage().append_event(s, event_data("note:late")));
  EXPECT_EQ(events(s).size(), 3u);
}

// It expires between the reading and the commit.
TEST_F(Expiry, OvertakesAnUpdateThatHasBegun) {
  driver().before = [&](Call call) -> Task<void> {
    if (call == Call::commit) clock.advance(24h);
    co_return;
  };
  SessionUpdate update;
  update.set(&Session::title, "late");
  run(storage().update_session(s, update));  // it began in time, and its commit says when
  EXPECT_EQ(get(s), std::nullopt);
}

TEST_F(Expiry, IsMovedByEveryChangeAndTouch) {
  clock.advance(23h);
  run(storage().append_event(s, event_data("note:made")));
  clock.advance(23h);
  run(storage().touch_session(s));
  clock.advance(23h);
  EXPECT_TRUE(get(s));
  make_chain(s);
  clock.advance(23h);
  EXPECT_TRUE(get(s));
  clock.advance(1h);
  EXPECT_EQ(get(s), std::nullopt);
}

TEST_F(Expiry, IsSweptWithAnEventThatTellsOfIt) {
  const Chain failed = fail_chain();
  const Chain pending = make_chain(s, {{}});
  make_session("young");
  clock.advance(12h);
  run(storage().touch_session(session_id("young")));
  clock.advance(12h);
  const Upkeep upkeep = run(storage().sweep());
  EXPECT_EQ(upkeep.sessions_expired, 1u);
  EXPECT_FALSE(upkeep.more);
  EXPECT_TRUE(get(session_id("young")));
  const std::vector<std::string> types = event_types(s);
  EXPECT_EQ(types[types.size() - 2], "chain:archived");
  EXPECT_EQ(types.back(), "session:expired");

  const Chain archived = *get(failed.chain_id);
  EXPECT_EQ(archived.archived_at, clock.now());
  EXPECT_EQ(archived.status, ChainStatus::failed);
  EXPECT_TRUE(get(StepId(failed.chain_id, 1)));
  EXPECT_EQ(get(pending.chain_id), std::nullopt);
  EXPECT_EQ(run(storage().list_archive(user("ann"))).items.size(), 1u);
  EXPECT_EQ(run(storage().sweep()).sessions_expired, 0u);
}

TEST_F(Expiry, IsSweptInBoundedBatches) {
  for (int i = 0; i < 25; ++i) make_session("x" + std::to_string(i));
  clock.advance(24h);
  std::size_t expired = 0;
  int calls = 0;
  for (bool more = true; more; ++calls) {
    const Upkeep upkeep = run(storage().sweep(10));
    EXPECT_LE(upkeep.sessions_expired, 10u);
    expired += upkeep.sessions_expired;
    more = upkeep.more;
  }
  EXPECT_EQ(expired, 26u);
  EXPECT_GE(calls, 3);
}

TEST_F(Expiry, OfARecordThatCannotBeReadHoldsUpNothing) {
  make_chain(s);
  make_chain(s);
  make_session("broken");
  const Chain chain = make_chain(session_id("broken"), {{}});
  plant(s, session_record, "{}");
  plant(session_id("broken"), test::chain(1), "{}");
  make_session("whole");
  clock.advance(24h);
  const Upkeep upkeep = run(storage().sweep());
  EXPECT_EQ(upkeep.sessions_expired, 3u);
  EXPECT_TRUE(upkeep.failed.empty());
  EXPECT_EQ(get(session_id("broken")), std::nullopt);
  EXPECT_EQ(get(chain.chain_id), std::nullopt);
  make_session();
  EXPECT_EQ(make_chain(s).chain_id.number(), 3u);
}

// The backend has moved it to the archive, which its record does not say.
TEST_F(Expiry, OfAChainThatContradictsItselfHoldsUpNothing) {
  const Chain chain = fail_chain();
  const Chain whole = fail_chain();
  Change move(s, clock.now());
  move.move_to_archive(1).no_events().event("test:planted", planted_event);
  run(driver().real().commit(move));
  clock.advance(24h);
  const Upkeep upkeep = run(storage().sweep());
  EXPECT_EQ(upkeep.sessions_expired, 1u);
  EXPECT_TRUE(upkeep.failed.empty());
  EXPECT_TRUE(get(whole.chain_id)->archived_at);
}

TEST_F(Expiry, OfASessionThatCannotBeEndedLeavesTheOthersToEnd) {
  make_session("t");
  clock.advance(24h);
  break_next(Call::commit, ErrorCode::exhausted);
  const Upkeep upkeep = run(storage().sweep());
  EXPECT_EQ(upkeep.sessions_expired, 1u);
  ASSERT_EQ(upkeep.failed.size(), 1u);
  EXPECT_EQ(upkeep.failed[0].code(), ErrorCode::exhausted);
  EXPECT_TRUE(upkeep.failed[0].record == "s" || upkeep.failed[0].record == "t");
  EXPECT_EQ(run(storage().sweep()).sessions_expired, 1u);
}

TEST_F(Expiry, IsNotSweptOverABackendThatIsAway) {
  clock.advance(24h);
  break_next(Call::commit, ErrorCode::unavailable);
  EXPECT_EQ(error_of(storage().sweep()).code(), ErrorCode::unavailable);
}

TEST_F(Expiry, SparesASessionThatWasTouchedMeanwhile) {
  clock.advance(24h - 1ms);
  const auto touch = [&]() -> Task<void> {
    const Activity activity{clock.now() - 1ms, clock.now() + 24h};
    co_await driver().real().touch(s, activity);
  };
  meanwhile(touch);
  clock.advance(1ms);
  EXPECT_FALSE(run(storage().expire_session(s)));
  EXPECT_TRUE(get(s));
}

TEST_F(Expiry, OfTheRetentionsRemovesLogAndArchive) {
  const Chain failed = fail_chain();
  run(storage().archive_chain(failed.chain_id));
  run(storage().delete_session(s));
  clock.advance(24h * 7);
  Upkeep upkeep = run(storage().sweep());
  EXPECT_EQ(upkeep.logs_removed, 1u);
  EXPECT_EQ(upkeep.chains_removed, 0u);
  EXPECT_TRUE(events(s).empty());
  EXPECT_TRUE(get(failed.chain_id));
  clock.advance(24h * 23);
  upkeep = run(storage().sweep());
  EXPECT_EQ(upkeep.chains_removed, 1u);
  EXPECT_EQ(get(failed.chain_id), std::nullopt);
  EXPECT_TRUE(run(storage().list_archive({})).items.empty());
}

// ---- what belongs to an earlier session of the same id

TEST_F(Expiry, AnEarlierSessionsVersionsAreNotMetAgain) {
  SessionUpdate title;
  for (const char* text : {"one", "two"}) {
    title.set(&Session::title, text);
    run(storage().update_session(s, title));
  }
  const Session before = *get(s);
  run(storage().delete_session(s));
  const Session again = make_session();
  EXPECT_GT(again.version, before.version);
  EXPECT_EQ(get(s)->version, again.version);
  for (std::uint64_t version = 1; version <= before.version; ++version) {
    Context stale;
    stale.expected_version = version;
    EXPECT_EQ(error_of(storage().update_session(s, title, stale)).code(), ErrorCode::conflict);
  }
}

// ---- chain numbers are never given twice

TEST_F(Expiry, ANewSessionGoesOnFromTheNumbersOfADeletedOne) {
  make_chain(s);
  make_chain(s);
  run(storage().delete_chain(ChainId(s, 2)));
  run(storage().delete_session(s));
  const Session again = make_session();
  EXPECT_EQ(again.chain_count, 2u);
  EXPECT_EQ(make_chain(s).chain_id.number(), 3u);
  run(storage().delete_session(s));
  EXPECT_EQ(make_session().chain_count, 3u);
}

TEST_F(Expiry, ANewSessionGoesOnFromTheNumbersOfAnExpiredOneSweptOrNot) {
  make_chain(s);
  clock.advance(24h);
  EXPECT_EQ(make_session().chain_count, 1u);
  make_chain(s);
  clock.advance(24h);
  sweep_all();
  EXPECT_EQ(make_session().chain_count, 2u);
}

TEST_F(Expiry, ANewSessionGoesOnFromTheNumbersInTheArchive) {
  fail_chain();
  const Chain last = fail_chain();
  run(storage().archive_chain(last.chain_id));
  run(storage().delete_session(s));
  clock.advance(24h * 7);
  sweep_all();
  ASSERT_TRUE(events(s).empty());
  const Session again = make_session();
  EXPECT_EQ(again.chain_count, 2u);
  EXPECT_EQ(make_chain(s).chain_id.number(), 3u);
  EXPECT_TRUE(get(last.chain_id));
}

TEST_F(Expiry, ANewSessionGoesOnFromTheNumbersAfterPruning) {
  make_chain(s);
  make_chain(s);
  run(storage().prune_events(s, 1'000));
  run(storage().delete_session(s));
  run(storage().prune_events(s, 1'000));
  ASSERT_EQ(events(s).size(), 1u);
  EXPECT_EQ(make_session().chain_count, 2u);
}

TEST_F(Expiry, ANewSessionWaitsForTheEndOfTheLastOneToBeReadable) {
  make_chain(s);
  run(storage().delete_session(s));
  const std::uint64_t last = run(storage().read_events(s)).last_sequence;
  run(driver().real().erase_session(s));
  Change planted(s, clock.now());
  planted.create(user("ann")).no_events().event("session:created", "{}").first_event(last);
  run(driver().real().commit(planted));
  run(driver().real().commit(Change(s, clock.now()).end().event("session:deleted", "{}")));
  EXPECT_EQ(error_of(storage().create_session(user("ann"), {}, s)).code(), ErrorCode::corrupt);
}

}  // namespace
}  // namespace actionflows
