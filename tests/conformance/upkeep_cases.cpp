// Sweeping and erasing. These tests happen a century before the others, so that sweeping at their
// time leaves the others' sessions alone.
#include "tests/conformance/conformance.hpp"

#include <algorithm>
#include <set>

namespace actionflows::test {
namespace {

const Timestamp early = *parse_rfc3339("2100-01-01T00:00:00Z");

SweepResult sweep_all(StorageDriver& driver, Timestamp now) {
  SweepQuery query;
  query.now = now;
  query.limit = 1'000;
  return run(driver.sweep(query));
}

bool names(const SweepResult& result, const SessionId& session) {
  return std::count(result.expired.begin(), result.expired.end(), session) == 1;
}

TEST_P(DriverConformance, SweepNamesTheExpiredAndLeavesThem) {
  const UserId ann = new_user();
  const SessionId s = new_session();
  commit(Change(s, early).create(ann).put(chain(1)));
  const SessionView before = view(s);
  EXPECT_FALSE(names(sweep_all(driver(), early + 1h - 1ms), s));
  EXPECT_TRUE(names(sweep_all(driver(), early + 1h), s));
  EXPECT_TRUE(names(sweep_all(driver(), early + 24h * 365), s));
  EXPECT_EQ(view(s), before);
  EXPECT_EQ(view(ann).sessions.size(), 1u);
  touch(s, early + 59min, early + 2h);
  EXPECT_FALSE(names(sweep_all(driver(), early + 1h), s));
  commit(Change(s, early + 2h).only_if(Precondition::expired).end());
  EXPECT_FALSE(names(sweep_all(driver(), early + 3h), s));
}

// RedisStorage once kept the refused commit's deadline where its user was another.
TEST_P(DriverConformance, SweepGoesByTheSessionWhateverWasRefusedBefore) {
  const SessionId s = new_session();
  Change late(s, early);
  late.active_until(early + 3h).list_as(new_user(), "active");
  EXPECT_THROW(commit(late), StorageError);
  commit(Change(s, early).create(new_user()));
  EXPECT_TRUE(names(sweep_all(driver(), early + 1h), s));
}

TEST_P(DriverConformance, SweepIsBounded) {
  const UserId ann = new_user();
  std::set<SessionId> expired;
  for (int i = 0; i < 5; ++i) {
    const SessionId s = new_session();
    commit(Change(s, early).create(ann));
    expired.insert(s);
  }
  SweepQuery query;
  query.now = early + 1h;
  query.limit = 2;
  std::set<SessionId> named;
  SweepResult result;
  do {
    result = run(driver().sweep(query));
    EXPECT_LE(result.expired.size(), 2u);
    for (const SessionId& session : result.expired) {
      EXPECT_TRUE(named.insert(session).second);
      commit(Change(session, query.now).only_if(Precondition::expired).end());
    }
  } while (result.more && named.size() < 1'000);
  for (const SessionId& session : expired) EXPECT_TRUE(named.contains(session));
}

TEST_P(DriverConformance, SweepRemovesLogsPastTheirRetention) {
  open({.log_retention = 1h});
  const UserId ann = new_user();
  const SessionId s = live_session(ann);
  commit(Change(s, early).end());
  sweep_all(driver(), early + 1h - 1ms);
  EXPECT_EQ(events(s).last_sequence, 2u);
  EXPECT_GE(sweep_all(driver(), early + 1h).logs_removed, 1u);
  EXPECT_EQ(events(s).last_sequence, 0u);
  EXPECT_EQ(read(s).last_sequence, 0u);
  EXPECT_FALSE(run(driver().erase_session(s)));
  EXPECT_EQ(commit(Change(s, early).create(ann).only_if(Precondition::fresh)).first_sequence, 1u);
}

TEST_P(DriverConformance, SweepKeepsTheLogOfWhoIsLive) {
  open({.log_retention = 1h, .archive_retention = 100h});
  const UserId ann = new_user();
  const SessionId expired = new_session();
  commit(Change(expired, early).create(ann));
  const SessionId again = new_session();
  commit(Change(again, early).create(ann).put(chain(1)));
  commit(Change(again, early).move_to_archive(1).end());
  commit(Change(again, early).create(ann));
  sweep_all(driver(), early + 50h);
  EXPECT_EQ(events(expired).last_sequence, 1u);
  EXPECT_EQ(events(again).last_sequence, 3u);
}

TEST_P(DriverConformance, TellsWhoseItIsForAsLongAsAnythingStands) {
  open({.log_retention = 1h, .archive_retention = 2h});
  const UserId ann = new_user();
  const UserId bob = new_user();
  const SessionId s = new_session();
  const auto owner = [&] { return read(s).owner; };
  EXPECT_EQ(owner(), std::nullopt);
  commit(Change(s, early).create(ann).put(chain(1)));
  EXPECT_EQ(owner(), ann);
  commit(Change(s, early).move_to_archive(1));
  commit(Change(s, early).list_as(bob, "active"));
  EXPECT_EQ(owner(), bob);
  commit(Change(s, early).end());
  EXPECT_EQ(owner(), bob);
  sweep_all(driver(), early + 1h);
  ASSERT_EQ(read(s).last_sequence, 0u);
  EXPECT_EQ(owner(), bob);
  sweep_all(driver(), early + 2h);
  EXPECT_EQ(owner(), std::nullopt);
  commit(Change(s, early).create(ann));
  EXPECT_EQ(owner(), ann);
  EXPECT_TRUE(run(driver().erase_session(s)));
  EXPECT_EQ(owner(), std::nullopt);
}

TEST_P(DriverConformance, SweepRemovesLogAndArchiveEachInItsTime) {
  open({.log_retention = 1h, .archive_retention = 2h});
  const UserId ann = new_user();
  const SessionId s = new_session();
  commit(Change(s, early).create(ann).put(chain(1)).put(step(1, 1)).put(chain(2)));
  commit(Change(s, early).move_to_archive(1));
  commit(Change(s, early + 30min).move_to_archive(2).end());
  sweep_all(driver(), early + 90min);
  EXPECT_EQ(events(s).last_sequence, 0u);
  EXPECT_EQ(view(s).records.size(), 3u);
  EXPECT_EQ(view(ann).archive.size(), 2u);
  sweep_all(driver(), early + 2h - 1ms);
  EXPECT_EQ(view(s).records.size(), 3u);
  EXPECT_GE(sweep_all(driver(), early + 2h).chains_removed, 1u);
  EXPECT_FALSE(record(s, chain(1)).has_value());
  EXPECT_FALSE(record(s, step(1, 1)).has_value());
  EXPECT_TRUE(record(s, chain(2)).has_value());
  EXPECT_EQ(read(s).last_archived, 2u);
  EXPECT_EQ(view(ann).archive.size(), 1u);
  EXPECT_GE(sweep_all(driver(), early + 150min).chains_removed, 1u);
  EXPECT_EQ(read(s).last_archived, 0u);
  EXPECT_TRUE(view(ann).archive.empty());
  EXPECT_FALSE(run(driver().erase_session(s)));  // nothing is left of it
}

TEST_P(DriverConformance, SweepRemovesTheOldArchiveOfWhoIsLive) {
  open({.archive_retention = 2h});
  const UserId ann = new_user();
  const SessionId s = new_session();
  commit(Change(s, early).create(ann).active_until(early + 9h).put(chain(1)).put(chain(2)));
  commit(Change(s, early).move_to_archive(1));
  sweep_all(driver(), early + 2h);
  const SessionView seen = view(s);
  EXPECT_TRUE(seen.live);
  EXPECT_FALSE(seen.records.contains(chain(1)));
  EXPECT_FALSE(seen.records.at(chain(2)).archived);
  EXPECT_EQ(seen.events.size(), 2u);
  EXPECT_EQ(seen.last_archived, 0u);
}

TEST_P(DriverConformance, SweepRemovesBoundedBatches) {
  open({.log_retention = 1h, .archive_retention = 1h});
  const UserId ann = new_user();
  std::vector<SessionId> ended;
  for (int i = 0; i < 5; ++i) {
    ended.push_back(new_session());
    commit(Change(ended.back(), early).create(ann).put(chain(1)).move_to_archive(1));
    commit(Change(ended.back(), early).end());
  }
  SweepQuery query;
  query.now = early + 1h;
  query.limit = 2;
  std::size_t logs = 0;
  std::size_t chains = 0;
  SweepResult result;
  do {
    result = run(driver().sweep(query));
    EXPECT_LE(result.logs_removed, 2u);
    EXPECT_LE(result.chains_removed, 2u);
    logs += result.logs_removed;
    chains += result.chains_removed;
  } while (result.more && logs + chains < 10'000);
  EXPECT_GE(logs, 5u);
  EXPECT_GE(chains, 5u);
  for (const SessionId& s : ended) EXPECT_FALSE(run(driver().erase_session(s)));
}

TEST_P(DriverConformance, SweepOfNothingIsDone) {
  const SweepResult result = sweep_all(driver(), early - 24h * 365);
  EXPECT_TRUE(result.expired.empty());
  EXPECT_FALSE(result.more);
}

TEST_P(DriverConformance, ErasesEveryTrace) {
  const UserId ann = new_user();
  const SessionId live = live_session(ann, 2);
  commit(Change(live).put(credentials).move_to_archive(1));
  const SessionId ended = live_session(ann, 1);
  commit(Change(ended).move_to_archive(1).end());
  const SessionId bare = live_session(ann);
  commit(Change(bare).end());
  for (const SessionId& s : {live, ended, bare}) {
    EXPECT_TRUE(run(driver().erase_session(s)));
    EXPECT_EQ(view(s), SessionView());
    EXPECT_FALSE(touch(s, test_start, test_start + 1h));
    EXPECT_FALSE(run(driver().erase_session(s)));
  }
  EXPECT_EQ(view(ann), UserView());
  EXPECT_EQ(commit(Change(live).create(ann).put(chain(1))).first_sequence, 1u);
}

TEST_P(DriverConformance, ErasesNothingElse) {
  const UserId ann = new_user();
  const SessionId a = live_session(ann, 1);
  const SessionId b = live_session(ann, 1);
  commit(Change(b).move_to_archive(1));
  const SessionView before = view(b);
  EXPECT_TRUE(run(driver().erase_session(a)));
  EXPECT_EQ(view(b), before);
  EXPECT_EQ(view(ann).sessions.size(), 1u);
  EXPECT_EQ(view(ann).archive.size(), 1u);
  EXPECT_FALSE(run(driver().erase_session(new_session())));
}

}  // namespace
}  // namespace actionflows::test
