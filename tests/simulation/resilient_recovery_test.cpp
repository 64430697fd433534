// Back from an outage: replay, losses, what is set aside, processes that end in between.
#include "tests/simulation/resilient_fixture.hpp"

#include "actionflows/services/step_service.hpp"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows {
namespace {

// ---- and back -----------------------------------------------------------------------------------

TEST_F(ResilientStorageTest, ReplaysInOrderUnderTheOperationIdsOfThen) {
  Instance& a = start();
  commit(a, Change(s1).create(ann).put(chain(1)));
  lose(a);
  commit(a, Change(s1).operation("first").put(chain(1), 1));
  commit(a, Change(s1).operation("second").put(chain(1), 2).put(step(1, 1)));
  commit(a, Change(s2).operation("third").create(ann).only_if(Precondition::fresh));
  heal(a);
  EXPECT_EQ(record(*store, s1, chain(1))->version, 3u);
  EXPECT_TRUE(record(*store, s2, session_record));
  const auto events = run(store->read_events(s1, {})).events;
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].operation_id, "first");
  EXPECT_EQ(events[2].operation_id, "second");
  EXPECT_EQ(resilience(a).journal_entries, 0u);
  EXPECT_EQ(resilience(a).replayed, 3u);
  EXPECT_EQ(run(a.driver->read(s1, {})).provenance.source, Source::memory);
}

TEST_F(ResilientStorageTest, AWriteToADivertedSessionReplaysItFirst) {
  Instance& a = start();
  commit(a, Change(s1).create(ann).put(chain(1)));
  lose(a);
  commit(a, Change(s1).put(chain(1), 1));
  a.way = Way::up;
  // The breaker is closed by the probe; what the keeper would replay next, the write does itself.
  while (resilience(a).breaker != "closed") pass(50ms);
  commit(a, Change(s1).put(chain(1), 2));
  EXPECT_EQ(record(*store, s1, chain(1))->version, 3u);
}

TEST_F(ResilientStorageTest, AnAmbiguousCommitThatWasJournaledIsAppliedOnce) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  a.way = Way::loses_answers;
  Change append(s1);
  append.operation("once").repeat();
  for (int n = 0; n < 5; ++n) try {
      commit(a, append);
    } catch (const StorageError&) {
    }
  EXPECT_EQ(resilience(a).breaker, "open");
  commit(a, append);
  heal(a);
  EXPECT_EQ(operations(s1)["once"], 1);
}

TEST_F(ResilientStorageTest, ReplayIsNotDoneTwiceHoweverMuchHappenedSince) {
  auto journal = make_memory_journal();
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1).operation("once"));
  // What another instance's replay of the same entry has done, and 300 events since.
  Change same(s1);
  same.operation("once").at = clock.now();
  run(store->commit(same));
  Change many(s1);
  many.event_count(300).at = clock.now();
  run(store->commit(many));
  heal(a);
  EXPECT_EQ(operations(s1)["once"], 1);
}

// Where its caller may repeat it, an append that came after another's than it expected was taken
// for a change to be merged, and told as one by an event of its own.
TEST_F(ResilientStorageTest, AnAppendThatMeetsAnothersIsAppendedAndNotMerged) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1).operation("by itself"));
  commit(a, Change(s1).operation("under a key").repeat());
  // Whatever the replay asks for, somebody else writes right before it.
  a.link->hook = [this](Moment moment) -> Task<void> {
    const Change others(s1, clock.now());
    if (moment == Moment::before) co_await store->commit(others);
  };
  heal(a);
  EXPECT_EQ(operations(s1)["by itself"], 1);
  EXPECT_EQ(operations(s1)["under a key"], 1);
  EXPECT_EQ(resilience(a).journal_entries, 0u);
}

TEST_F(ResilientStorageTest, WhatCannotBeMergedIsSetAsideAndTheRestGoesOn) {
  Instance& a = start();
  commit(a, Change(s1).create(ann).put(chain(1)));
  lose(a);
  commit(a, Change(s1).operation("lost").put(chain(1), 1));
  commit(a, Change(s1).operation("kept"));
  Change elsewhere(s1);
  elsewhere.put(chain(1), 1).at = clock.now();
  run(store->commit(elsewhere));
  heal(a);
  EXPECT_EQ(operations(s1)["lost"], 0);
  EXPECT_EQ(operations(s1)["kept"], 1) << "an event alone has nothing to merge";
  EXPECT_EQ(resilience(a).poisoned, 1u);
  EXPECT_EQ(resilience(a).journal_entries, 0u);
}

TEST_F(ResilientStorageTest, ADeletedSessionDoesNotComeBack) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1));
  run(store->commit(Change(s1, clock.now()).end()));
  heal(a);
  EXPECT_FALSE(run(store->read(s1, {})).live);
  EXPECT_EQ(resilience(a).poisoned, 1u);
}

TEST_F(ResilientStorageTest, TouchesMoveTheDeadlineAfterwards) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  const Timestamp later = clock.now() + 72h;
  EXPECT_TRUE(run(a.driver->touch(s1, {clock.now(), later})));
  heal(a);
  EXPECT_EQ(run(store->read(s1, {})).activity.expires, later);
}

TEST_F(ResilientStorageTest, ALostSessionIsUnavailableAtFirst) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  a.link->store = make_memory_storage();
  EXPECT_CODE(run(a.driver->read(s1, {})), ErrorCode::unavailable);
  EXPECT_EQ(a.lines.size(), 1u);
  EXPECT_FALSE(run(a.driver->read(s2, {})).live) << "of this one nothing was known";
  pass(31s);
  EXPECT_FALSE(run(a.driver->read(s1, {})).live);
}

TEST_F(ResilientStorageTest, ASecondLossIsHeldLikeTheFirst) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  a.link->store = make_memory_storage();
  EXPECT_CODE(run(a.driver->read(s1, {})), ErrorCode::unavailable);
  pass(60s);
  EXPECT_FALSE(run(a.driver->read(s1, {})).live);
  commit(a, Change(s1).create(ann));
  a.link->store = make_memory_storage();
  EXPECT_CODE(run(a.driver->read(s1, {})), ErrorCode::unavailable);
  EXPECT_EQ(a.lines.size(), 2u);
}

TEST_F(ResilientStorageTest, ALostSessionIsNotToldAsAbsentByOtherCallsEither) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  a.link->store = make_memory_storage();
  EXPECT_CODE(run(a.driver->read_events(s1, {})), ErrorCode::unavailable);
  EXPECT_CODE(run(a.driver->touch(s1, {clock.now(), clock.now() + 48h})), ErrorCode::unavailable);
  pass(31s);
  EXPECT_TRUE(run(a.driver->read_events(s1, {})).events.empty());
  EXPECT_FALSE(run(a.driver->touch(s1, {clock.now(), clock.now() + 48h})));
}

// It was rebased onto nothing and set aside as "ended" at once.
TEST_F(ResilientStorageTest, TheJournalOfALostSessionWaitsForIt) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1).operation("waits"));
  commit(a, Change(s2).operation("goes on").create(ann).only_if(Precondition::fresh));
  const auto lost = std::exchange(a.link->store, make_memory_storage());
  a.way = Way::up;
  pass(20s);
  EXPECT_TRUE(record(*a.link->store, s2, session_record)) << "others don't wait for it";
  EXPECT_EQ(resilience(a).poisoned, 0u);
  a.link->store = lost;  // it was another server that answered
  pass(1s);
  EXPECT_EQ(operations(s1)["waits"], 1);
}

TEST_F(ResilientStorageTest, WhatIsLostForGoodIsSetAsideAndToldSo) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1).operation("lost"));
  a.link->store = make_memory_storage();
  heal(a);
  EXPECT_EQ(resilience(a).poisoned, 1u);
  EXPECT_NE(a.lines.back().find("replayed"), std::string::npos);
  EXPECT_NE(a.lines[a.lines.size() - 2].find("has lost the session"), std::string::npos);
  EXPECT_FALSE(run(a.driver->read(s1, {})).live);
}

// ---- a primary that is full, crowded or older ---------------------------------------------------

// Redis at its memory limit answered each entry with an error that is none of the entry's, and all
// were set aside.
TEST_F(ResilientStorageTest, AFullPrimaryIsWaitedFor) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1).operation("waits"));
  fill(a);
  pass(61s);
  EXPECT_EQ(resilience(a).poisoned, 0u);
  EXPECT_EQ(resilience(a).journal_entries, 1u);
  a.link->refusal.reset();
  pass(1s);
  EXPECT_EQ(operations(s1)["waits"], 1);
  EXPECT_EQ(resilience(a).journal_entries, 0u);
}

// Readers were told that the primary's memory is full, because the replay they waited for had been.
TEST_F(ResilientStorageTest, WhoReadsIsNotToldThatThePrimaryIsFull) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1));
  fill(a);
  pass(61s);
  EXPECT_EQ(resilience(a).breaker, "closed");
  EXPECT_CODE(record(*a.driver, s1, chain(7)), ErrorCode::unavailable);
  EXPECT_CODE(commit(a, Change(s1)), ErrorCode::exhausted);
}

// What was shown of the session silently became absent.
TEST_F(ResilientStorageTest, APrimaryThatGoesBackToAnOlderStateIsNoticed) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  commit(a, Change(s1).put(chain(1)));
  const std::shared_ptr<StorageDriver> older = make_memory_storage();
  run(older->commit(Change(s1, clock.now()).create(ann)));
  a.link->store = older;
  clock.advance(1s);
  EXPECT_CODE(record(*a.driver, s1, chain(1)), ErrorCode::unavailable);
  ASSERT_EQ(a.lines.size(), 1u);
  EXPECT_NE(a.lines[0].find("has lost what was there"), std::string::npos);
  EXPECT_CODE(run(a.driver->read_events(s1, {})), ErrorCode::unavailable);
  pass(31s);
  EXPECT_FALSE(record(*a.driver, s1, chain(1)));
  EXPECT_EQ(run(a.driver->read_events(s1, {})).events.size(), 1u);
}

// All that was written in the outage was set aside, for one event that was lost before it. And who
// follows was sent back to the outage's events only: those before had got other numbers, too.
TEST_F(ResilientStorageTest, WhatFollowsAnOlderStateIsRebasedOntoIt) {
  Instance& a = start();
  const Change creation = Change(s1).create(ann);
  commit(a, creation);
  commit(a, Change(s1).operation("lost"));
  const auto before = store;
  const auto subscription = run(a.driver->subscribe(s1));
  lose(a);
  commit(a, Change(s1).operation("kept").put(chain(1)));
  const std::shared_ptr<StorageDriver> older = make_memory_storage();
  Change again = creation;
  again.at = clock.now();
  again.activity = Activity{clock.now(), clock.now() + 24h};
  run(older->commit(again));
  store = a.link->store = older;
  heal(a);
  EXPECT_EQ(resilience(a).poisoned, 0u);
  EXPECT_TRUE(record(*store, s1, chain(1)));
  EXPECT_EQ(operations(s1)["kept"], 1);
  EXPECT_EQ(operations(s1)["lost"], 0);
  EXPECT_EQ(next_rewind(*subscription), 1u);
}

// ---- who follows meanwhile ----------------------------------------------------------------------

// The one's event took the number under which another's had been shown, and was never shown itself.
TEST_F(ResilientStorageTest, WhoFollowsIsToldWhereEventsHaveGotOtherNumbers) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  const auto subscription = run(a.driver->subscribe(s1));
  lose(a);
  commit(a, Change(s1).operation("here"));
  Change elsewhere(s1);
  elsewhere.operation("elsewhere").at = clock.now();
  run(store->commit(elsewhere));
  heal(a);
  EXPECT_EQ(next_rewind(*subscription), 1u);
  EXPECT_EQ(run(a.driver->read_events(s1, {})).events.back().operation_id, "here");
}

TEST_F(ResilientStorageTest, WhoFollowsIsNotSentBackWhereAllStandsAsItWasTold) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  const auto subscription = run(a.driver->subscribe(s1));
  lose(a);
  commit(a, Change(s1));
  commit(a, Change(s1).put(chain(1)));
  heal(a);
  EXPECT_EQ(next_rewind(*subscription), std::nullopt);
}

TEST_F(ResilientStorageTest, AListIsPartialUntilAllIsReplayed) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s2).create(ann).only_if(Precondition::fresh));
  fill(a);
  pass(61s);
  EXPECT_TRUE(run(a.driver->list_sessions({})).provenance.partial);
  a.link->refusal.reset();
  pass(1s);
  EXPECT_FALSE(run(a.driver->list_sessions({})).provenance.partial);
}

// Another instance may have moved it.
TEST_F(ResilientStorageTest, ADeadlineThatPassesInAnOutageIsNoEnd) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  clock.advance(25h);
  EXPECT_CODE(run(a.driver->read(s1, {})), ErrorCode::unavailable);
  EXPECT_CODE(commit(a, Change(s1)), ErrorCode::unavailable);
}

// A touch told a session as not found whose deadline had passed only here.
TEST_F(ResilientStorageTest, ADeadlineThatPassesInAnOutageIsNoEndForATouch) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1));
  clock.advance(25h);
  EXPECT_CODE(run(a.driver->touch(s1, {clock.now(), clock.now() + 1h})), ErrorCode::unavailable);
}

// No driver takes a commit behind the deadline: the replay was tried again and again, and held up
// all that came after it.
TEST_F(ResilientStorageTest, WhatComesBehindTheDeadlineIsSetAside) {
  Instance& a = start();
  commit(a, Change(s1).create(ann).active_until(clock.now() + 1h));
  Activity moved{clock.now(), clock.now() + 72h};
  EXPECT_TRUE(run(a.driver->touch(s1, moved)));
  EXPECT_TRUE(run(a.driver->read(s1, {})).live);
  lose(a);
  clock.advance(48h);
  commit(a, Change(s1).operation("late"));
  const std::shared_ptr<StorageDriver> older = make_memory_storage();
  Change creation = Change(s1, clock.now() - 48h).create(ann);
  creation.operation_id = run(store->read_events(s1, {})).events.front().operation_id;
  run(older->commit(creation));
  store = a.link->store = older;
  heal(a);
  EXPECT_EQ(resilience(a).journal_entries, 0u);
  EXPECT_EQ(resilience(a).poisoned, 1u);
}

// ---- what a commit that was set aside has left --------------------------------------------------

// The other's chain stood in just the version that the later commit expected of this one's.
TEST_F(ResilientStorageTest, AnothersRecordIsNotTakenForOneThatWasSetAside) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1).operation("made").put(chain(1)));
  commit(a, Change(s1).operation("changed").put(chain(1), 1, Bytes("{}")));
  commit(a, Change(s1).operation("erased").erase(chain(1), 2));
  commit(a, Change(s1).operation("noted"));
  Change elsewhere(s1);
  elsewhere.put(chain(1)).at = clock.now();
  run(store->commit(elsewhere));
  heal(a);
  EXPECT_EQ(record(*store, s1, chain(1))->version, 1u);
  EXPECT_EQ(operations(s1)["made"] + operations(s1)["changed"] + operations(s1)["erased"], 0);
  EXPECT_EQ(operations(s1)["noted"], 1);
  EXPECT_EQ(resilience(a).poisoned, 3u);
}

TEST_F(ResilientStorageTest, AnothersSessionGetsNothingOfOneThatWasSetAside) {
  Instance& a = start();
  lose(a);
  commit(a, Change(s1).create(ann).only_if(Precondition::fresh));
  commit(a, Change(s1).operation("noted"));
  run(store->commit(Change(s1, clock.now()).create(*UserId::parse("bob"))));
  heal(a);
  EXPECT_EQ(operations(s1)["noted"], 0);
  EXPECT_EQ(resilience(a).poisoned, 2u);
}

// The answer was lost, the outage began, the client asked again: what was made then differed from
// what stood there, in the same version, and was written over it.
TEST_F(ResilientStorageTest, WhatWasReadInTheOutageIsNotTakenForWhatWasFoundAfterIt) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  Change first(s1);
  first.operation("made").put(chain(1), 0, Bytes("theirs")).at = clock.now();
  run(store->commit(first));
  commit(a, Change(s1).operation("made").put(chain(1), 0, Bytes("ours")));
  Change from_ours(s1);
  from_ours.put(chain(1), 1, Bytes("ours, changed")).at = clock.now();
  a.way = Way::up;
  while (resilience(a).breaker != "closed") pass(50ms);
  EXPECT_CODE(run(a.driver->commit(from_ours)), ErrorCode::conflict);
  EXPECT_EQ(record(*store, s1, chain(1))->bytes.view(), "theirs");
}

// The fallback was made of the first outage's base, refused the second's commit, and so this was
// taken for one that had never been acknowledged.
TEST_F(ResilientStorageTest, AProcessEndsInTheOutageAfterOneThatLeftSomethingSetAside) {
  const test::Folder folder = test::Folder::in_memory();
  const std::string path = folder.path("journal.db");
  Instance& a = start(open_journal(path));
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1).operation("aside").put(chain(1)));
  Change elsewhere(s1);
  elsewhere.put(chain(1)).at = clock.now();
  run(store->commit(elsewhere));
  heal(a);
  commit(a, Change(s1).put(chain(2)));
  run(a.driver->read(s1, std::vector{session_record, chain(2)}));
  lose(a);
  commit(a, Change(s1).operation("kept").put(chain(2), 1));
  Instance& b = start(open_journal(path));
  b.way = Way::down;
  EXPECT_EQ(record(*b.driver, s1, chain(2))->version, 2u);
  heal(b);
  EXPECT_EQ(operations(s1)["kept"], 1);
  EXPECT_EQ(record(*store, s1, chain(2))->version, 2u);
}

// They were taken for a commit of the last moment that had not been acknowledged, and removed.
TEST_F(ResilientStorageTest, WhatIsRetriedWhileNoProcessRunsIsKept) {
  const test::Folder folder = test::Folder::in_memory();
  const std::string path = folder.path("journal.db");
  Instance& a = start(open_journal(path));
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1).operation("applied").put(chain(1)));
  commit(a, Change(s1).operation("aside").put(chain(1), 1, Bytes("no object")));
  Change elsewhere(s1);
  elsewhere.put(chain(1)).at = clock.now();
  run(store->commit(elsewhere));
  heal(a);
  ASSERT_EQ(resilience(a).poisoned, 2u);
  std::vector<std::uint64_t> aside;
  const auto journal = open_journal(path);
  for (const JournalEntry& entry : journal->entries())
    if (!entry.poison.empty()) aside.push_back(entry.id);
  run(journal->remove(std::span(aside).first(1)));
  ASSERT_TRUE(journal->retry(aside.back()));
  Instance& b = start(open_journal(path));
  pass(2s);
  EXPECT_EQ(resilience(b).poisoned, 1u) << "it still can't be applied, and is not forgotten";
  EXPECT_EQ(record(*store, s1, chain(1))->version, 1u) << "nor taken for the other's record";
}

// Whose session stands there is not known, and an event fits into any.
TEST_F(ResilientStorageTest, AnothersSessionGetsNothingOfOneWhoseMakingWasDropped) {
  const test::Folder folder = test::Folder::in_memory();
  const std::string path = folder.path("journal.db");
  Instance& a = start(open_journal(path));
  lose(a);
  commit(a, Change(s1).create(ann).only_if(Precondition::fresh));
  commit(a, Change(s1).operation("noted"));
  run(store->commit(Change(s1, clock.now()).create(*UserId::parse("bob"))));
  heal(a);
  ASSERT_EQ(resilience(a).poisoned, 2u);
  const auto journal = open_journal(path, JournalUse::beside_its_server);
  const std::vector<JournalEntry> entries = journal->entries();
  run(journal->remove(std::span(&entries.front().id, 1)));
  ASSERT_TRUE(journal->retry(entries.back().id));
  pass(2s);
  EXPECT_EQ(operations(s1)["noted"], 0);
  EXPECT_EQ(resilience(a).poisoned, 1u);
}

// A commit was taken to be known since it was made, not since it was answered: so a read that began
// in between, and came before it, told a loss on a primary that was well.
TEST_F(ResilientStorageTest, AReadThatACommitOvertakesIsNoLoss) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  Change between(s1, clock.now());
  clock.advance(1s);
  bool done = false;
  a.link->hook = [&](Moment moment) -> Task<void> {
    if (moment != Moment::after || std::exchange(done, true)) co_return;
    co_await a.driver->commit(between);
  };
  EXPECT_EQ(run(a.driver->read(s1, {})).last_sequence, 1u);
  EXPECT_EQ(run(a.driver->read(s1, {})).last_sequence, 2u);
  EXPECT_TRUE(a.lines.empty()) << a.lines.front();
}

// It moved the deadline in the fallback only: what that let in then it refused when it was rebuilt,
// and so a change was lost that had been acknowledged.
TEST_F(ResilientStorageTest, ATouchThatIsNotJournaledMovesNoDeadline) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  const auto touch = [&](std::chrono::hours until) {
    const Activity activity{clock.now(), clock.now() + until};
    EXPECT_TRUE(run(a.driver->touch(s1, activity)));
    return activity.expires;
  };
  const auto expires = [&] { return run(a.driver->read(s1, {})).activity.expires; };
  const Timestamp first = touch(25h);
  EXPECT_EQ(expires(), first);
  clock.advance(30s);
  touch(26h);
  EXPECT_EQ(expires(), first);
  clock.advance(31s);
  const Timestamp last = touch(27h);
  EXPECT_EQ(expires(), last);
}

TEST_F(ResilientStorageTest, TellsWhatEndsWithTheProcess) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1));
  a.driver.reset();
  EXPECT_EQ(a.lines.back(),
            "1 acknowledged changes end with this process: they were only in memory");
}

// ---- a journal that fails -----------------------------------------------------------------------

TEST_F(ResilientStorageTest, WhatTheFallbackRefusesIsNotReplayed) {
  const test::Folder folder = test::Folder::in_memory();
  const std::string path = folder.path("journal.db");
  Instance& a = start(open_journal(path));
  commit(a, Change(s1).create(ann).put(chain(1)));
  lose(a);
  EXPECT_CODE(commit(a, Change(s1).operation("refused").put(chain(1), 7)), ErrorCode::conflict);
  journals_remove = false;
  EXPECT_CODE(commit(a, Change(s1).operation("refused, too").put(chain(1), 7)),
              ErrorCode::conflict);
  EXPECT_CODE(commit(a, Change(s1).operation("behind it")), ErrorCode::unavailable);
  journals_remove = true;
  commit(a, Change(s1).operation("kept"));
  std::vector<std::string> kept;
  for (const JournalEntry& entry : open_journal(path)->entries())
    if (entry.kind == JournalKind::change) kept.push_back(entry.commit->operation_id);
  EXPECT_EQ(kept, std::vector<std::string>{"kept"});
  heal(a);
  EXPECT_EQ(operations(s1)["kept"], 1);
  EXPECT_EQ(operations(s1)["refused"] + operations(s1)["refused, too"], 0);
}

// Sessions that were wholly replayed stayed diverted, and their writes failed.
TEST_F(ResilientStorageTest, AJournalThatCannotForgetHoldsNobodyUp) {
  Instance& a = start();
  commit(a, Change(s1).create(ann));
  lose(a);
  commit(a, Change(s1).operation("meanwhile"));
  journals_remove = false;
  heal(a);
  EXPECT_EQ(operations(s1)["meanwhile"], 1);
  EXPECT_EQ(run(a.driver->read(s1, {})).provenance.source, Source::memory);
  commit(a, Change(s1).operation("afterwards"));
  EXPECT_EQ(operations(s1)["afterwards"], 1);
  EXPECT_NE(a.lines.at(a.lines.size() - 2).find("can't forget"), std::string::npos);
}

int lines_with(const Instance& instance, std::string_view part) {
  return static_cast<int>(std::ranges::count_if(instance.lines, [&](const std::string& line) {
    return line.find(part) != std::string::npos;
  }));
}

// There was a line for each: 16,878 of them, after a FLUSHALL.
TEST_F(ResilientStorageTest, ManyThatAreSetAsideAreToldInFewLines) {
  Instance& a = start();
  lose(a);
  for (int n = 0; n < 40; ++n) {
    const SessionId id = *SessionId::parse("s-" + std::to_string(n));
    commit(a, Change(id).create(ann).only_if(Precondition::fresh));
    run(store->commit(Change(id, clock.now()).create(*UserId::parse("bob"))));
  }
  heal(a);
  EXPECT_EQ(resilience(a).poisoned, 40u);
  EXPECT_EQ(lines_with(a, "can't be replayed and is set aside"), 10);
  EXPECT_EQ(lines_with(a, "30 more journal entries are set aside"), 1);
}

TEST_F(ResilientStorageTest, LostSessionsAreToldInFewLines) {
  Instance& a = start();
  for (int n = 0; n < 40; ++n)
    commit(a, Change(*SessionId::parse("s-" + std::to_string(n))).create(ann));
  lose(a);
  for (int n = 0; n < 40; ++n) {
    const SessionId id = *SessionId::parse("s-" + std::to_string(n));
    commit(a, Change(id).operation("meanwhile"));
    run(store->erase_session(id));
  }
  heal(a);
  EXPECT_EQ(lines_with(a, "has lost session"), 10);
  EXPECT_EQ(lines_with(a, "30 more sessions that have changes to replay are lost"), 1);
}

TEST_F(ResilientStorageTest, AJournalThatCannotForgetIsToldOnceInTenSeconds) {
  Instance& a = start();
  for (int n = 0; n < 40; ++n)
    commit(a, Change(*SessionId::parse("s-" + std::to_string(n))).create(ann));
  lose(a);
  for (int n = 0; n < 40; ++n)
    commit(a, Change(*SessionId::parse("s-" + std::to_string(n))).operation("meanwhile"));
  journals_remove = false;
  heal(a);
  EXPECT_EQ(lines_with(a, "can't forget"), 1);
  EXPECT_EQ(lines_with(a, "39 more times the journal could not forget"), 1);
}

// ---- a process that ends in between -------------------------------------------------------------

TEST_F(ResilientStorageTest, GoesOnFromTheJournalOfTheProcessBefore) {
  const test::Folder folder = test::Folder::in_memory();
  const std::string path = folder.path("journal.db");
  Instance& a = start(open_journal(path));
  commit(a, Change(s1).create(ann).put(chain(1)));
  lose(a);
  EXPECT_EQ(to_string(commit(a, Change(s1).operation("one").put(chain(1), 1)).durability),
            "journal");
  commit(a, Change(s2).operation("two").create(ann).only_if(Precondition::fresh));
  Instance& b = start(open_journal(path));
  b.way = Way::down;
  EXPECT_EQ(record(*b.driver, s1, chain(1))->version, 2u);
  EXPECT_EQ(record(*b.driver, s2, session_record)->version, 1u);
  lose(b);
  commit(b, Change(s1).operation("three").put(chain(1), 2));
  heal(b);
  EXPECT_EQ(record(*store, s1, chain(1))->version, 3u);
  EXPECT_EQ(operations(s1)["one"] + operations(s1)["three"] + operations(s2)["two"], 3);
}

TEST_F(ResilientStorageTest, GoesOnWithAReplayThatWasCutOffAnywhere) {
  for (int cut = 0; cut < 8; ++cut) {
    store = make_memory_storage();
    const test::Folder folder = test::Folder::in_memory();
    const std::string path = folder.path("journal.db");
    Instance& a = start(open_journal(path));
    commit(a, Change(s1).create(ann));
    lose(a);
    for (int n = 0; n < 6; ++n) commit(a, Change(s1).operation("op" + std::to_string(n)));
    // From some moment of the replay on nothing of this process reaches anything.
    int left = 2 * cut + 3;
    a.link->hook = [&](Moment) -> Task<void> {
      if (--left < 0) throw StorageError(ErrorCode::unavailable, "cut off");
      co_return;
    };
    pass(6s);
    Instance& b = start(open_journal(path));
    heal(b);
    for (const auto& [operation, count] : operations(s1)) EXPECT_EQ(count, 1) << operation;
    EXPECT_EQ(operations(s1).size(), 7u);
  }
}

// ---- two that were away at the same time, with real records -------------------------------------

// Moves by itself: who pauses finds it later.
class MovingClock final : public Clock {
 public:
  explicit MovingClock(FakeClock& real) : real_(real) {}
  Timestamp now() const override { return real_.now(); }
  Monotonic monotonic() const override { return real_.monotonic(); }
  Task<void> sleep_for(std::chrono::nanoseconds duration) override {
    real_.advance(duration + 1ms);
    co_return;
  }

 private:
  FakeClock& real_;
};

class TwoInstancesTest : public ResilientStorageTest {
 protected:
  struct User {
    Instance* instance;
    std::unique_ptr<Storage> storage;
  };

  User user(std::unique_ptr<Journal> journal = make_memory_journal()) {
    Instance& instance = start(std::move(journal));
    return {&instance, storage_of(instance, clock)};
  }

  std::unique_ptr<Storage> storage_of(Instance& instance, Clock& of_it) {
    auto shown = std::make_unique<Link>(
        std::shared_ptr<StorageDriver>(instance.driver.get(), [](StorageDriver*) {}));
    return std::make_unique<Storage>(std::move(shown), StorageOptions{}, of_it, random);
  }

  // It knows the chain and its two steps from now on.
  static void see(User& user, const ChainId& chain_id) {
    run(user.storage->get_session(chain_id.session()));
    run(user.storage->get_chain(chain_id));
    for (const std::uint32_t n : {1U, 2U}) run(user.storage->get_step(StepId(chain_id, n)));
  }

  void verify(Storage& storage) {
    EventLog log(storage);
    const Verification found = run(log.verify(s1));
    EXPECT_EQ(found.outcome, Verification::Outcome::equal)
        << (found.differences.empty() ? "" : found.differences.front());
  }

  ChainData two_steps() {
    ChainData data;
    data.title = "both";
    data.steps.resize(2);
    data.steps[0].action = "one";
    data.steps[1].action = "two";
    return data;
  }
};

TEST_F(TwoInstancesTest, ConvergeAndTellOfEachConflict) {
  User a = user();
  User b = user();
  run(a.storage->create_session(ann, {}, s1));
  run(b.storage->get_session(s1));
  lose(*a.instance);
  lose(*b.instance);
  run(a.storage->update_session(s1, SessionUpdate().set(&Session::title, "from a")));
  run(a.storage->update_session(s1, SessionUpdate().set(&Session::cwd, "/a")));
  run(b.storage->update_session(s1, SessionUpdate().set(&Session::title, "from b")));
  run(b.storage->update_session(s1, SessionUpdate().set(&Session::hostname, "b")));
  heal(*a.instance);
  heal(*b.instance);
  const Session seen_by_a = run(a.storage->get_session(s1)).value();
  const Session seen_by_b = run(b.storage->get_session(s1)).value();
  EXPECT_EQ(seen_by_a, seen_by_b);
  EXPECT_EQ(seen_by_a.cwd, "/a");
  EXPECT_EQ(seen_by_a.hostname, "b");
  const EventList events = run(a.storage->read_events(s1));
  EXPECT_EQ(events.items.size(), 5u + 2u);
  std::string conflicts;
  for (const Event& event : events.items)
    if (event.type.str() == "session:reconciled") conflicts += event.data->view();
  EXPECT_NE(conflicts.find(R"("applied":{"title":"from b"})"), std::string::npos) << conflicts;
  EXPECT_NE(conflicts.find(R"("replaced":{"title":"from a"})"), std::string::npos) << conflicts;
  EXPECT_EQ(resilience(*b.instance).conflicts, 1u);
  verify(*a.storage);
}

TEST_F(TwoInstancesTest, EndedStatesStayEnded) {
  User a = user();
  User b = user();
  run(a.storage->create_session(ann, {}, s1));
  run(b.storage->get_session(s1));
  lose(*b.instance);
  run(b.storage->update_session(s1, SessionUpdate().set(&Session::state, SessionState::paused)));
  run(a.storage->update_session(s1, SessionUpdate().set(&Session::state, SessionState::completed)));
  heal(*b.instance);
  EXPECT_EQ(run(a.storage->get_session(s1))->state, SessionState::completed);
  verify(*a.storage);
}

// The log told of the deletion twice, and could not be replayed any more.
TEST_F(TwoInstancesTest, WhatBothDeleteIsDeletedOnce) {
  User a = user();
  User b = user();
  run(a.storage->create_session(ann, {}, s1));
  const ChainId first = run(a.storage->create_chain(s1, two_steps())).chain_id;
  const ChainId second = run(a.storage->create_chain(s1, two_steps())).chain_id;
  for (const ChainId& chain_id : {first, second}) see(b, chain_id);
  lose(*b.instance);
  for (const User* each : {&b, &a}) {
    run(each->storage->delete_step(StepId(first, 1)));
    run(each->storage->delete_chain(second));
  }
  heal(*b.instance);
  EXPECT_EQ(resilience(*b.instance).poisoned, 0u);
  EXPECT_EQ(run(a.storage->get_chain(first))->deleted_steps, 1u);
  EXPECT_FALSE(run(b.storage->get_chain(second)));
  verify(*a.storage);
}

// The step that the other had added stayed without its chain.
TEST_F(TwoInstancesTest, ADeletedChainTakesTheStepsAlongThatOthersHaveAdded) {
  User a = user();
  User b = user();
  run(a.storage->create_session(ann, {}, s1));
  const ChainId chain_id = run(a.storage->create_chain(s1, two_steps())).chain_id;
  see(b, chain_id);
  lose(*b.instance);
  run(b.storage->delete_chain(chain_id));
  run(a.storage->create_step(chain_id, two_steps().steps[0]));
  heal(*b.instance);
  EXPECT_FALSE(run(a.storage->get_chain(chain_id)));
  EXPECT_FALSE(run(a.storage->get_step(StepId(chain_id, 3))));
  verify(*a.storage);
}

// Its chain was set aside while the update waited, the other's stood in the expected version, and
// was changed.
TEST_F(TwoInstancesTest, AnExpectedVersionIsNotLookedForInAnothersRecord) {
  User a = user();
  User b = user();
  run(a.storage->create_session(ann, {}, s1));
  run(b.storage->get_session(s1));
  lose(*b.instance);
  const ChainId ours = run(b.storage->create_chain(s1, two_steps())).chain_id;
  const ChainId theirs = run(a.storage->create_chain(s1, two_steps())).chain_id;
  ASSERT_EQ(ours, theirs);
  fill(*b.instance);
  pass(61s);
  b.instance->link->refusal.reset();
  Context context;
  context.expected_version = 1;
  const ChainUpdate update = ChainUpdate().set(&Chain::summary, "ours");
  MovingClock moving(clock);
  const auto alone = storage_of(*b.instance, moving);
  EXPECT_CODE(run(alone->update_chain(ours, update, context)), ErrorCode::conflict);
  EXPECT_FALSE(run(a.storage->get_chain(theirs))->summary);
}

// Without the entry that had made it, the step that stood there was taken for the one of then, and
// completed.
TEST_F(TwoInstancesTest, AnothersRecordIsNotTakenForOneWhoseMakingWasDropped) {
  const test::Folder folder = test::Folder::in_memory();
  const std::string path = folder.path("journal.db");
  User a = user(open_journal(path));
  User b = user();
  const auto retry_all = [&] {
    const auto journal = open_journal(path, JournalUse::beside_its_server);
    for (const JournalEntry& entry : journal->entries()) journal->retry(entry.id);
  };
  run(a.storage->create_session(ann, {}, s1));
  run(b.storage->get_session(s1));
  lose(*a.instance);
  ChainData lint;
  lint.title = "lint";
  lint.steps.resize(1);
  lint.steps[0].action = "lint";
  const StepId id(run(a.storage->create_chain(s1, lint)).chain_id, 1);
  StepService steps(*a.storage);
  run(steps.start(id));
  run(steps.complete(id));
  ChainData deploy = lint;
  deploy.steps[0].action = "deploy";
  ASSERT_EQ(run(b.storage->create_chain(s1, deploy)).chain_id, id.chain());
  heal(*a.instance);
  ASSERT_EQ(resilience(*a.instance).poisoned, 3u);
  {
    const auto journal = open_journal(path, JournalUse::beside_its_server);
    const std::vector<JournalEntry> entries = journal->entries();
    const auto made = std::ranges::find_if(
        entries, [](const JournalEntry& entry) { return !entry.poison.empty(); });
    run(journal->remove(std::span(&made->id, 1)));
  }
  for (int n = 0; n < 3; ++n) {
    retry_all();
    pass(2s);
    EXPECT_EQ(resilience(*a.instance).poisoned, 2u);
    EXPECT_EQ(run(b.storage->get_step(id))->status, StepStatus::pending);
  }
}

}  // namespace
}  // namespace actionflows
