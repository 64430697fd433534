// What the conformance suite can't ask of every driver: files, processes, groups, slices.
#include "actionflows/storage/sqlite/testing/faulty_disk.hpp"
#include "actionflows/storage/sqlite/testing/store.hpp"

#include <gmock/gmock.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <fstream>

namespace actionflows::test {
namespace {

using testing::HasSubstr;

// ---- what is kept -------------------------------------------------------------------------------

TEST_F(SqliteStore, KeepsEverythingWhenItIsOpenedAgain) {
  const SessionId s = live_session("s");
  commit(Change(s).put(chain(1)).put(step(1, 1)).put(credentials).event_count(3));
  commit(Change(s).move_to_archive(1));
  const SessionId ended = live_session("ended");
  commit(Change(ended).end());
  close();

  const std::array keys = {session_record, credentials, chain(1), step(1, 1)};
  const ReadResult read = run(driver().read(s, keys));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ASSERT_TRUE(read.records[i].has_value()) << i;
    EXPECT_EQ(read.records[i]->bytes, bytes_of(keys[i], 1));
    EXPECT_EQ(read.records[i]->archived, i >= 2);
  }
  EXPECT_TRUE(read.live);
  EXPECT_EQ(read.last_archived, 1u);
  EXPECT_EQ(events(s).events.size(), 5u);
  EXPECT_EQ(last_sequence(ended), 2u);
  EXPECT_EQ(run(driver().health()).sessions, 1u);
  EXPECT_EQ(commit(Change(s)).first_sequence, 6u);
}

TEST_F(SqliteStore, TellsWhereAnswersComeFromAndWhatWritesAreWorth) {
  const SessionId s = live_session("s");
  EXPECT_EQ(commit(Change(s)).durability.level, DurabilityLevel::fsynced);
  EXPECT_EQ(commit(Change(s).operation("x")).durability.level, DurabilityLevel::fsynced);
  EXPECT_EQ(commit(Change(s).operation("x").repeat()).durability.level, DurabilityLevel::fsynced);
  EXPECT_EQ(run(driver().read(s, {})).provenance.source, Source::sqlite);
  EXPECT_EQ(events(s).provenance.source, Source::sqlite);
  EXPECT_EQ(run(driver().list_sessions({})).provenance.source, Source::sqlite);
  EXPECT_EQ(run(driver().list_archive({})).provenance.source, Source::sqlite);
}

TEST_F(SqliteStore, APathIsAPathWhateverItLooksLike) {
  for (const char* name : {":memory:", "file:x?mode=memory", "a b'c\".db"}) {
    options.path = folder.path(name);
    const SessionId s = live_session("s");
    close();
    EXPECT_EQ(last_sequence(s), 1u) << name;
    close();
  }
}

// A deadline at the end of time is before nothing, but it is listed.
TEST_F(SqliteStore, ListsDeadlinesAtBothEndsOfTime) {
  for (const Timestamp expires : {Timestamp::max(), Timestamp::min()}) {
    Change change(session_named(expires == Timestamp::max() ? "last" : "first"));
    commit(change.create(user_named("ann")).active_until(expires));
  }
  const SessionPage page = run(driver().list_sessions({}));
  ASSERT_EQ(page.items.size(), 2u);
  EXPECT_EQ(page.items[0].id.str(), "last");
  EXPECT_EQ(page.items[1].id.str(), "first");
}

// ---- groups -------------------------------------------------------------------------------------

Task<void> commit_many(StorageDriver& driver, SessionId session, int count) {
  for (int i = 0; i < count; ++i) {
    const Change change(session);
    static_cast<void>(co_await driver.commit(change));
  }
}

TEST_F(SqliteStore, CommitsThatWaitShareOneFsync) {
  FaultyDisk disk;
  std::vector<Task<void>> tasks;
  for (int i = 0; i < 64; ++i)
    tasks.push_back(commit_many(driver(), live_session("s" + std::to_string(i)), 20));
  const std::uint64_t before = disk.syncs;
  run_together(std::move(tasks), 2);
  EXPECT_LT(disk.syncs - before, 64u * 20u / 4u);
  for (int i = 0; i < 64; ++i)
    EXPECT_EQ(last_sequence(session_named("s" + std::to_string(i))), 21u);
  close();
}

TEST_F(SqliteStore, EveryCommitAloneIsSynced) {
  FaultyDisk disk;
  const SessionId s = live_session("s");
  for (int i = 0; i < 10; ++i) {
    const std::uint64_t before = disk.syncs;
    commit(Change(s));
    EXPECT_GT(disk.syncs, before);
  }
  close();
}

Task<void> commit_one(StorageDriver& driver, Commit commit, std::atomic<int>& applied,
                      std::atomic<int>& refused) {
  try {
    static_cast<void>(co_await driver.commit(commit));
    ++applied;
  } catch (const StorageError& error) {
    if (error.code() != ErrorCode::conflict) throw;
    ++refused;
  }
}

TEST_F(SqliteStore, ARefusedCommitHarmsNoOtherInItsGroup) {
  const SessionId s = live_session("s");
  std::atomic<int> applied{0};
  std::atomic<int> refused{0};
  std::vector<Task<void>> tasks;
  for (std::uint32_t i = 1; i <= 40; ++i) {
    Change change(s);
    change.put(chain(i));
    if (i % 2 == 0) change.expect(chain(900), 7);
    tasks.push_back(commit_one(driver(), std::move(change), applied, refused));
  }
  run_together(std::move(tasks), 2);
  EXPECT_EQ(applied, 20);
  EXPECT_EQ(refused, 20);
  EXPECT_EQ(events(s).events.size(), 21u);
  for (std::uint32_t i = 1; i <= 40; ++i) {
    const std::array keys = {chain(i)};
    EXPECT_EQ(run(driver().read(s, keys)).records[0].has_value(), i % 2 == 1) << i;
  }
}

// ---- bounds -------------------------------------------------------------------------------------

TEST_F(SqliteStore, AFullStoreRefusesAndGoesOnOnceThereIsRoom) {
  options.max_bytes = 1 << 20;
  const SessionId s = live_session("s");
  const SessionId other = live_session("other");
  const Bytes large(std::string(100'000, 'x'));
  std::uint32_t stored = 0;
  const StorageError error = error_of([&] {
    for (; stored < 100; ++stored) commit(Change(s).put(chain(stored + 1), 0, large));
  });
  EXPECT_EQ(error.code(), ErrorCode::exhausted);
  EXPECT_GT(stored, 5u);
  EXPECT_LT(stored, 11u);
  EXPECT_EQ(last_sequence(s), stored + 1);
  const std::array keys = {chain(stored + 1)};
  EXPECT_FALSE(run(driver().read(s, keys)).records[0].has_value());
  EXPECT_TRUE(run(driver().health()).ok);
  commit(Change(other));  // what finds room is let through
  commit(Change(s).end());
  commit(Change(other).put(chain(1), 0, large));
}

TEST_F(SqliteStore, TooManyCallsAtOnceAreRefused) {
  options.max_waiting = 4;
  const SessionId s = live_session("s");
  std::atomic<int> refused{0};
  const auto attempt = [](StorageDriver& driver, SessionId id,
                          std::atomic<int>& count) -> Task<void> {
    try {
      co_await commit_many(driver, id, 50);
    } catch (const StorageError& error) {
      if (error.code() != ErrorCode::unavailable || !error.retryable) throw;
      ++count;
    }
  };
  std::vector<Task<void>> tasks;
  for (int i = 0; i < 32; ++i) tasks.push_back(attempt(driver(), s, refused));
  run_together(std::move(tasks), 2);
  EXPECT_GT(refused, 0);
  commit(Change(s));
}

// ---- upkeep -------------------------------------------------------------------------------------

Task<void> remove_all(StorageDriver& driver, std::atomic<bool>& done) {
  SweepQuery query;
  query.now = test_start + 24h * 365;
  const SweepResult result = co_await driver.sweep(query);
  EXPECT_EQ(result.logs_removed, 4u);
  done = true;
}

Task<void> commit_until(StorageDriver& driver, SessionId session, const std::atomic<bool>& done,
                        int& count) {
  for (; !done; ++count) {
    const Change change(session, test_start);
    static_cast<void>(co_await driver.commit(change));
  }
}

TEST_F(SqliteStore, CommitsComeInBetweenTheSlicesOfASweep) {
  for (int i = 0; i < 4; ++i) {
    const SessionId s = live_session("old" + std::to_string(i));
    commit(Change(s).event_count(9'000));
    commit(Change(s).end());
  }
  const SessionId s = session_named("busy");
  commit(Change(s).create(user_named("ann")).active_until(Timestamp::max()));
  std::atomic<bool> done{false};
  int count = 0;
  std::vector<Task<void>> tasks;
  tasks.push_back(remove_all(driver(), done));
  tasks.push_back(commit_until(driver(), s, done, count));
  run_together(std::move(tasks), 1);
  EXPECT_GE(count, 4);
}

TEST_F(SqliteStore, GivesUnusedSpaceBack) {
  const SessionId s = live_session("s");
  const Bytes large(std::string(1'000'000, 'x'));
  for (std::uint32_t i = 1; i <= 20; ++i) commit(Change(s).put(chain(i), 0, large));
  const std::uint64_t full = run(driver().health()).bytes;
  EXPECT_GT(full, 20'000'000u);
  EXPECT_TRUE(run(driver().erase_session(s)));
  SweepQuery query;
  query.now = test_start;
  run(driver().sweep(query));
  close();
  EXPECT_LT(run(driver().health()).bytes, full / 4);
}

// ---- the ends of things -------------------------------------------------------------------------

TEST_F(SqliteStore, FinishesWhatItHasAccepted) {
  const SessionId s = live_session("s");
  boost::asio::io_context context;
  int answered = 0;
  for (int i = 0; i < 50; ++i)
    boost::asio::co_spawn(context, commit_many(driver(), s, 1),
                          [&](const std::exception_ptr& error) {
                            EXPECT_FALSE(error);
                            ++answered;
                          });
  context.poll();  // all have asked
  close();
  context.restart();
  context.run();
  EXPECT_EQ(answered, 50);
  EXPECT_EQ(last_sequence(s), 51u);
}

TEST_F(SqliteStore, AContextMayGoWhileCallsWait) {
  const SessionId s = live_session("s");
  {
    boost::asio::io_context context;
    for (int i = 0; i < 50; ++i)
      boost::asio::co_spawn(context, commit_many(driver(), s, 1),
                            [](const std::exception_ptr&) { ADD_FAILURE() << "nobody runs this"; });
    context.poll_one();
    for (int i = 0; i < 20; ++i) context.poll_one();
  }
  EXPECT_GE(last_sequence(s), 2u);
}

// ---- several on one file ------------------------------------------------------------------------

TEST_F(SqliteStore, TwoOnOneFileSeeEachOthersCommits) {
  const SessionId s = live_session("s");
  const auto second = open_sqlite_storage(options);
  const auto subscription = run(driver().subscribe(s));
  const auto of_all = run(driver().subscribe(std::nullopt));
  for (std::uint64_t i = 0; i < 5; ++i) {
    EXPECT_EQ(
        run(second->commit(Change(s).event("step:started").event("step:completed"))).first_sequence,
        2 + 3 * i);
    const Subscription::Batch batch = run(subscription->next(1s));
    ASSERT_EQ(batch.wakeups.size(), 1u);
    EXPECT_EQ(batch.wakeups[0].sequence, 3 + 3 * i);
    EXPECT_EQ(batch.wakeups[0].user.str(), "ann");
    EXPECT_EQ(batch.wakeups[0].type, "step:started");
    EXPECT_EQ(run(of_all->next(1s)).wakeups.size(), 1u);
    EXPECT_EQ(commit(Change(s)).first_sequence, 4 + 3 * i);
    EXPECT_EQ(run(subscription->next(1s)).wakeups.at(0).sequence, 4 + 3 * i);
    EXPECT_EQ(run(of_all->next(1s)).wakeups.size(), 1u);
  }
  EXPECT_EQ(run(second->health()).sessions, 1u);
}

TEST_F(SqliteStore, WhoFallsFarBehindIsToldSo) {
  const SessionId s = live_session("s");
  const auto second = open_sqlite_storage(options);
  options.poll_interval = 10min;
  close();
  const auto subscription = run(driver().subscribe(s));
  std::vector<Task<void>> tasks;
  for (int i = 0; i < 90; ++i) tasks.push_back(commit_many(*second, s, 50));
  run_together(std::move(tasks), 2);
  commit(Change(s));
  EXPECT_TRUE(run(subscription->next(1s)).missed);
}

TEST_F(SqliteStore, AnotherProcessWakesFollowers) {
  int go[2];
  ASSERT_EQ(::pipe(go), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char ready = 0;
    if (::read(go[0], &ready, 1) != 1) ::_exit(1);
    try {
      const auto driver = open_sqlite_storage(options);
      const Change change(session_named("s"));
      static_cast<void>(run(driver->commit(change)));
    } catch (const std::exception&) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  const SessionId s = live_session("s");
  const auto subscription = run(driver().subscribe(s));
  ASSERT_EQ(::write(go[1], "x", 1), 1);
  const Subscription::Batch batch = run(subscription->next(10s));
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  ASSERT_EQ(batch.wakeups.size(), 1u);
  EXPECT_EQ(batch.wakeups[0].sequence, 2u);
  ::close(go[0]);
  ::close(go[1]);
}

// Both change the same counter by compare-and-set; every change of either counts.
TEST_F(SqliteStore, TwoOnOneFileLoseNoUpdate) {
  options.busy_timeout = 5s;
  const SessionId s = live_session("s");
  const auto second = open_sqlite_storage(options);
  const auto add = [](StorageDriver& driver, SessionId id) -> Task<void> {
    for (int done = 0; done < 100;) {
      const std::array keys = {session_record};
      const ReadResult read = co_await driver.read(id, keys);
      Change change(id);
      change.put(session_record, read.records[0]->version);
      try {
        static_cast<void>(co_await driver.commit(change));
        ++done;
      } catch (const StorageError& error) {
        if (error.code() != ErrorCode::conflict) throw;
      }
    }
  };
  std::vector<Task<void>> tasks;
  tasks.push_back(add(driver(), s));
  tasks.push_back(add(*second, s));
  run_together(std::move(tasks), 2);
  const std::array keys = {session_record};
  EXPECT_EQ(run(driver().read(s, keys)).records[0]->version, 201u);
  EXPECT_EQ(run(driver().read(s, keys)).last_sequence, 201u);
}

}  // namespace
}  // namespace actionflows::test
