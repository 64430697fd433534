#include "actionflows/storage/resilient/resilient_storage.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/base/fake_clock.hpp"
#include "actionflows/services/event_log.hpp"
#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/resilient/testing/link.hpp"
#include "actionflows/storage/storage.hpp"
#include "tests/support/change.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <map>

namespace actionflows {
namespace {

using namespace std::chrono_literals;
using test::chain;
using test::Change;
using test::credentials;
using test::Link;
using test::Moment;
using test::run;
using test::session_record;
using test::step;

const UserId ann = *UserId::parse("ann");
const SessionId s1 = *SessionId::parse("s-1");
const SessionId s2 = *SessionId::parse("s-2");

// How the way to the store is.
enum class Way { up, down, loses_answers, hangs };

#define EXPECT_CODE(call, error_code)                                             \
  try {                                                                           \
    static_cast<void>(call);                                                      \
    ADD_FAILURE() << #call " was let through";                                    \
  } catch (const StorageError& error) {                                           \
    EXPECT_EQ(to_string(error.code()), to_string(error_code)) << error.message(); \
  }

// One process's driver, and its way to the store.
struct Instance {
  std::shared_ptr<Link> link;
  Way way = Way::up;
  int calls = 0;
  std::vector<std::string> lines;
  std::unique_ptr<StorageDriver> driver;
};

// A journal of which is known how many calls wait for its thread.
class CountedJournal final : public Journal {
 public:
  CountedJournal(std::unique_ptr<Journal> real, int& waiting)
      : real_(std::move(real)), waiting_(waiting) {}

  Task<std::uint64_t> append(JournalKind kind, std::shared_ptr<const Commit> commit,
                             Timestamp at) override {
    const Count count(waiting_);
    co_return co_await real_->append(kind, commit, at);
  }
  Task<void> remove(std::span<const std::uint64_t> ids) override {
    const Count count(waiting_);
    co_await real_->remove(ids);
  }
  Task<void> poison(std::uint64_t id, std::string_view reason) override {
    const Count count(waiting_);
    co_await real_->poison(id, reason);
  }
  Task<bool> changed_by_others() override {
    const Count count(waiting_);
    co_return co_await real_->changed_by_others();
  }
  bool retry(std::uint64_t id) override { return real_->retry(id); }
  std::vector<JournalEntry> entries() override { return real_->entries(); }
  [[nodiscard]] const std::string& damage() const override { return real_->damage(); }
  [[nodiscard]] bool durable() const override { return real_->durable(); }

 private:
  struct Count {
    explicit Count(int& of) : count(of) { ++count; }
    ~Count() { --count; }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    int& count;
  };

  const std::unique_ptr<Journal> real_;
  int& waiting_;
};

class ResilientStorageTest : public testing::Test {
 protected:
  ~ResilientStorageTest() override { test::run_context().restart(); }

  static ResilientOptions usual_options() {
    ResilientOptions options;
    options.retry.max_attempts = 1;
    options.primary_timeout = 0ms;
    return options;
  }

  Task<void> travel(Instance& instance, Moment moment) {
    ++instance.calls;
    if (moment == Moment::before && instance.way == Way::down)
      throw StorageError(ErrorCode::unavailable, "connection refused");
    if (moment == Moment::after && instance.way == Way::loses_answers)
      throw StorageError(ErrorCode::timeout, "no answer");
    if (moment == Moment::before && instance.way == Way::hangs) co_await clock.sleep_for(24h);
  }

  Instance& start(std::unique_ptr<Journal> journal = make_memory_journal(),
                  ResilientOptions options = usual_options()) {
    Instance& instance = *instances.emplace_back(std::make_unique<Instance>());
    instance.link = std::make_shared<Link>(store);
    instance.link->hook = [this, &instance](Moment moment) { return travel(instance, moment); };
    options.executor = keepers.get_executor();
    options.log = [&instance](std::string_view line) { instance.lines.emplace_back(line); };
    instance.driver = make_resilient_storage(
        instance.link, make_memory_storage(),
        std::make_unique<CountedJournal>(std::move(journal), waiting_for_journals), options, clock,
        random);
    return instance;
  }

  // The primary goes away, and the breaker notices.
  void lose(Instance& instance) {
    instance.way = Way::down;
    for (int n = 0; n < 5; ++n) {
      try {
        run(instance.driver->list_sessions({}));
        EXPECT_EQ(n, 4) << "the fifth failure opens the circuit, and the fallback answers";
      } catch (const StorageError& error) {
        EXPECT_EQ(error.code(), ErrorCode::unavailable);
      }
    }
    EXPECT_EQ(resilience(instance).breaker, "open");
  }

  // Time passes, and the keepers do what is due.
  void pass(std::chrono::milliseconds time) {
    for (auto passed = 0ms; passed < time; passed += 50ms) {
      clock.advance(50ms);
      keepers.restart();
      for (keepers.poll(); waiting_for_journals != 0; keepers.poll()) keepers.run_one();
    }
  }

  void heal(Instance& instance) {
    instance.way = Way::up;
    pass(61s);
    EXPECT_EQ(resilience(instance).breaker, "closed");
  }

  static Resilience resilience(Instance& instance) {
    return *run(instance.driver->health()).resilience;
  }

  CommitResult commit(Instance& instance, Change change) {
    change.at = clock.now();
    if (change.activity) change.activity = Activity{clock.now(), clock.now() + 24h};
    return run(instance.driver->commit(change));
  }
  std::optional<StoredRecord> record(StorageDriver& driver, const SessionId& id, RecordKey key) {
    return run(driver.read(id, std::span(&key, 1))).records.at(0);
  }
  // How often each operation stands in the log.
  std::map<std::string, int> operations(const SessionId& id) {
    std::map<std::string, int> count;
    for (const StoredEvent& event : run(store->read_events(id, {})).events)
      ++count[event.operation_id];
    return count;
  }

  int waiting_for_journals = 0;
  FakeClock clock;
  SeededRandom random{1};
  std::shared_ptr<StorageDriver> store = make_memory_storage();
  std::vector<std::unique_ptr<Instance>> instances;
  boost::asio::io_context keepers;
};

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
  pass(9s);
  EXPECT_EQ(a.calls, 1);
  pass(2s);
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

class TwoInstancesTest : public ResilientStorageTest {
 protected:
  struct User {
    Instance* instance;
    std::unique_ptr<Storage> storage;
  };

  User user() {
    Instance& instance = start();
    auto shown = std::make_unique<Link>(
        std::shared_ptr<StorageDriver>(instance.driver.get(), [](StorageDriver*) {}));
    return {&instance,
            std::make_unique<Storage>(std::move(shown), StorageOptions{}, clock, random)};
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

}  // namespace
}  // namespace actionflows
