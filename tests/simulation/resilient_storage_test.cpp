#include "tests/simulation/resilient_fixture.hpp"

#include <boost/asio/co_spawn.hpp>

#include <map>
#include <optional>
#include <vector>

namespace actionflows {
namespace {

// ---- the way to the primary ---------------------------------------------------------------------

TEST_F(ResilientStorageTest, IsThePrimaryAsLongAsThatAnswers) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  EXPECT_EQ(record(*a.driver, s1, session_record)->version, 1u);
  EXPECT_EQ(run(a.driver->read(s1, {})).provenance.source, Source::memory);
  EXPECT_EQ(resilience(a).breaker, "closed");
  EXPECT_TRUE(a.lines.empty());
}

TEST_F(ResilientStorageTest, AppliesOnceWhatItHadToRepeat) {
  ResilientOptions options = usual_options();
  options.retry.max_attempts = 3;
  options.retry.first = 1ms;
  options.retry.longest = 1ms;
  Instance& a = start(make_memory_journal(), options);
  commit(a, Change(s1).create(ann));
  int lost = 0;
  a.link->hook = [&](Moment moment) -> Task<void> {
    if (moment == Moment::after && lost++ == 0) throw StorageError(ErrorCode::timeout, "no answer");
    co_return;
  };
  std::optional<CommitResult> result;
  Change append(s1);
  append.at = clock.now();
  boost::asio::co_spawn(keepers, a.driver->commit(append),
                        [&](const std::exception_ptr& error, CommitResult value) {
                          if (!error) result = value;
                        });
  pass(100ms);
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->repeated) << "the caller has asked once";
  EXPECT_EQ(result->last_sequence, 2u);
  EXPECT_EQ(operations(s1)[append.operation_id], 1);
  EXPECT_EQ(resilience(a).retries, 1u);
}

TEST_F(ResilientStorageTest, AnswersAreNoFailures) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  for (int n = 0; n < 50; ++n) {
    EXPECT_CODE(commit(a, Change(s1).create(ann)), ErrorCode::conflict);
    EXPECT_CODE(commit(a, Change(s1).no_events()), ErrorCode::invalid);
  }
  EXPECT_EQ(resilience(a).breaker, "closed");
}

TEST_F(ResilientStorageTest, EndsACallToAHangingPrimaryInTime) {
  ResilientOptions options = usual_options();
  options.primary_timeout.reset();
  Instance& a = start(make_memory_journal(), options);
  commit(a, Change(s1).create(ann));
  a.way = Way::hangs;
  std::optional<ErrorCode> told;
  const Activity later{clock.now(), clock.now() + 48h};
  boost::asio::co_spawn(keepers, a.driver->touch(s1, later),
                        [&](const std::exception_ptr& error, bool) {
                          try {
                            if (error) std::rethrow_exception(error);
                          } catch (const StorageError& failed) {
                            told = failed.code();
                          }
                        });
  pass(1'950ms);
  EXPECT_FALSE(told);
  pass(100ms);
  EXPECT_EQ(told, ErrorCode::timeout);
}

TEST_F(ResilientStorageTest, TellsEachChangeOfStateOnce) {
  Instance& a = start();
  lose(a);
  pass(4s);
  EXPECT_EQ(a.lines.size(), 1u);
  heal(a);
  ASSERT_EQ(a.lines.size(), 2u);
  EXPECT_NE(a.lines[0].find("away"), std::string::npos);
  EXPECT_NE(a.lines[1].find("answers again"), std::string::npos);
}

TEST_F(ResilientStorageTest, ProbesOncePerInterval) {
  Instance& a = start();
  lose(a);
  a.calls = 0;
  pass(4'900ms);
  EXPECT_EQ(a.calls, 0);
  pass(200ms);
  EXPECT_EQ(a.calls, 1);
  pass(7'700ms);
  EXPECT_EQ(a.calls, 1);
  pass(300ms);
  EXPECT_EQ(a.calls, 2);
}

// ---- while the primary is away ------------------------------------------------------------------

TEST_F(ResilientStorageTest, WhatIsNotKnownIsUnavailableAndNeverAbsent) {
  Instance& a = start();
  commit(a, Change(s1).create(ann).put(chain(1)).put(step(1, 1)));
  lose(a);
  EXPECT_CODE(run(a.driver->read(s2, {})), ErrorCode::unavailable);
  EXPECT_CODE(record(*a.driver, s1, chain(2)), ErrorCode::unavailable);
  EXPECT_CODE(record(*a.driver, s1, step(1, 2)), ErrorCode::unavailable);
  EXPECT_CODE(run(a.driver->read_events(s2, {})), ErrorCode::unavailable);
  EXPECT_CODE(commit(a, Change(s2)), ErrorCode::unavailable);
  EXPECT_CODE(run(a.driver->touch(s2, {clock.now(), clock.now() + 1h})), ErrorCode::unavailable);
  EXPECT_CODE(run(a.driver->sweep({clock.now(), 10})), ErrorCode::unavailable);
  EXPECT_CODE(run(a.driver->erase_session(s1)), ErrorCode::unavailable);
}

TEST_F(ResilientStorageTest, ServesWhatItHasSeenAndSaysHowOldItIs) {
  Instance& a = start();
  commit(a, Change(s1).create(ann).put(chain(1)));
  lose(a);
  pass(2s);
  const ReadResult read = run(a.driver->read(s1, std::vector{session_record, chain(1)}));
  EXPECT_EQ(read.records[1]->version, 1u);
  EXPECT_EQ(read.owner, ann);
  EXPECT_EQ(read.provenance.source, Source::fallback);
  EXPECT_EQ(read.provenance.age, 2s);
  const EventPage page = run(a.driver->read_events(s1, {}));
  EXPECT_EQ(page.events.size(), 1u);
  EXPECT_EQ(page.provenance.source, Source::fallback);
  ListQuery query;
  query.user = ann;
  const SessionPage list = run(a.driver->list_sessions(query));
  ASSERT_EQ(list.items.size(), 1u);
  EXPECT_EQ(list.items[0].id, s1);
  EXPECT_EQ(list.provenance.source, Source::fallback);
  EXPECT_GE(list.provenance.age, 2s);
}

TEST_F(ResilientStorageTest, WhatWasDeletedIsAbsentAlsoThen) {
  Instance& a = start();
  commit(a, Change(s1).create(ann).put(chain(1)).put(chain(2)));
  commit(a, Change(s1).erase(chain(1), 1));
  lose(a);
  EXPECT_FALSE(record(*a.driver, s1, chain(1)));
}

// Chain 1 was made elsewhere after this instance had looked for it; chain 2 was taken for the proof
// that it had been deleted.
TEST_F(ResilientStorageTest, WhatWasAbsentBeforeItsNumberWasGivenIsNotSurelyAbsent) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  EXPECT_FALSE(record(*a.driver, s1, chain(1)));
  run(store->commit(Change(s1, clock.now()).put(chain(1)).put(chain(2))));
  EXPECT_TRUE(record(*a.driver, s1, chain(2)));
  lose(a);
  EXPECT_CODE(record(*a.driver, s1, chain(1)), ErrorCode::unavailable);
}

TEST_F(ResilientStorageTest, FailsClosedForCredentials) {
  Instance& a = start();
  commit(a, Change(s1).create(ann).put(credentials));
  lose(a);
  EXPECT_CODE(record(*a.driver, s1, credentials), ErrorCode::unavailable);
  EXPECT_CODE(commit(a, Change(s1).put(credentials, 1)), ErrorCode::unavailable);
  EXPECT_CODE(commit(a, Change(s1).erase(credentials, 1)), ErrorCode::unavailable);
  commit(a, Change(s1));
  EXPECT_CODE(record(*a.driver, s1, credentials), ErrorCode::unavailable);
}

TEST_F(ResilientStorageTest, CommitsAreCheckedAndNamedByWhatTheyAreWorth) {
  Instance& a = start();
  commit(a, Change(s1).create(ann).put(chain(1)));
  lose(a);
  const CommitResult result = commit(a, Change(s1).put(chain(1), 1));
  EXPECT_EQ(result.last_sequence, 2u);
  EXPECT_EQ(to_string(result.durability), "memory");
  EXPECT_CODE(commit(a, Change(s1).put(chain(1), 1)), ErrorCode::conflict);
  EXPECT_EQ(record(*a.driver, s1, chain(1))->version, 2u);
  EXPECT_EQ(resilience(a).journal_entries, 1u);
  EXPECT_EQ(record(*store, s1, chain(1))->version, 1u);
}

TEST_F(ResilientStorageTest, AFullJournalRefuses) {
  ResilientOptions options = usual_options();
  options.max_journal = 2;
  Instance& a = start(make_memory_journal(), options);
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1));
  commit(a, Change(s1));
  EXPECT_CODE(commit(a, Change(s1)), ErrorCode::exhausted);
}

TEST_F(ResilientStorageTest, WakesWhoFollowsByWhatHappensMeanwhile) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  const auto subscription = run(a.driver->subscribe(s1));
  lose(a);
  commit(a, Change(s1).event("run:noted"));
  const Subscription::Batch batch = run(subscription->next(10s));
  ASSERT_EQ(batch.wakeups.size(), 1u);
  EXPECT_EQ(batch.wakeups[0].sequence, 2u);
  EXPECT_EQ(batch.wakeups[0].type, "run:noted");
  heal(a);
  EXPECT_TRUE(run(subscription->next(10s)).missed);
}

}  // namespace
}  // namespace actionflows
