// Lists of sessions: their order, their filters, and pages that hold while sessions move.
#include "tests/conformance/conformance.hpp"

#include <algorithm>
#include <set>

namespace actionflows::test {
namespace {

std::vector<SessionId> ids_of(const std::vector<ListedSession>& sessions) {
  std::vector<SessionId> ids;
  for (const ListedSession& session : sessions) ids.push_back(session.id);
  return ids;
}

TEST_P(DriverConformance, ListsSessionsLatestDeadlineFirst) {
  const UserId ann = new_user();
  std::vector<SessionId> expected(5);
  for (const int minutes : {3, 1, 5, 2, 4}) {
    expected[5 - static_cast<std::size_t>(minutes)] = new_session();
    commit(Change(expected[5 - static_cast<std::size_t>(minutes)])
               .create(ann)
               .active_until(test_start + std::chrono::minutes(minutes)));
  }
  EXPECT_EQ(ids_of(all_sessions(driver(), pages_of(ann))), expected);
  for (const std::size_t limit : {1U, 2U, 4U, 5U, 6U, 1000U})
    EXPECT_EQ(ids_of(all_sessions(driver(), pages_of(ann, limit))), expected) << limit;
}

TEST_P(DriverConformance, ListsEqualDeadlinesByName) {
  const UserId ann = new_user();
  std::vector<SessionId> expected;
  for (int i = 0; i < 7; ++i) expected.push_back(live_session(ann));
  std::sort(expected.begin(), expected.end());
  for (const std::size_t limit : {1U, 3U, 7U, 50U})
    EXPECT_EQ(ids_of(all_sessions(driver(), pages_of(ann, limit))), expected) << limit;
}

TEST_P(DriverConformance, ListsASessionAsItIsRead) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann, 1);
  commit(Change(s).put(session_record, 1).active_until(test_start + 2h));
  const auto listed = all_sessions(driver(), pages_of(ann));
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0].id, s);
  EXPECT_EQ(listed[0].record.bytes, bytes_of(session_record, 2));
  EXPECT_EQ(listed[0].record.version, 2u);
  EXPECT_FALSE(listed[0].record.archived);
  EXPECT_EQ(listed[0].activity, (Activity{test_start, test_start + 2h}));
}

// A driver may give up a page before it is full, but not the list.
TEST_P(DriverConformance, ListsTheFewOfAStateThatAreFarApart) {
  const UserId ann = new_user();
  std::vector<SessionId> paused;
  for (int n = 0; n < 1'200; ++n) {
    const bool wanted = n == 0 || n == 599;  // the latest deadline is listed first
    const SessionId s = new_session();
    commit(Change(s)
               .create(ann, wanted ? "paused" : "active")
               .active_until(test_start + std::chrono::minutes(1 + n)));
    if (wanted) paused.insert(paused.begin(), s);
  }
  ListQuery query = pages_of(ann, 10);
  query.state = "paused";
  EXPECT_EQ(ids_of(all_sessions(driver(), query)), paused);
  query.user.reset();
  const std::vector<SessionId> of_all = ids_of(all_sessions(driver(), query));
  for (const SessionId& s : paused)
    EXPECT_EQ(std::count(of_all.begin(), of_all.end(), s), 1) << s.str();
}

TEST_P(DriverConformance, ListsByUser) {
  const UserId ann = new_user();
  const UserId ann_too = UserId::parse(ann.str() + "2").value();
  const SessionId a = live_session(ann);
  const SessionId b = live_session(ann_too);
  EXPECT_EQ(ids_of(all_sessions(driver(), pages_of(ann))), std::vector{a});
  EXPECT_EQ(ids_of(all_sessions(driver(), pages_of(ann_too))), std::vector{b});
  EXPECT_TRUE(all_sessions(driver(), pages_of(new_user())).empty());
  const UserId odd = UserId::parse(ann.str() + ":{x}*/..%'\"").value();
  const SessionId c = live_session(odd);
  EXPECT_EQ(ids_of(all_sessions(driver(), pages_of(odd))), std::vector{c});
}

TEST_P(DriverConformance, ListsByState) {
  const UserId ann = new_user();
  std::vector<SessionId> active;
  for (int i = 0; i < 9; ++i) {
    const SessionId s = new_session();
    commit(Change(s).create(ann, i % 3 == 0 ? "active" : "paused"));
    if (i % 3 == 0) active.push_back(s);
  }
  std::sort(active.begin(), active.end());
  for (const std::size_t limit : {1U, 2U, 3U, 50U}) {
    ListQuery query = pages_of(ann, limit);
    query.state = "active";
    EXPECT_EQ(ids_of(all_sessions(driver(), query)), active) << limit;
    query.state = "paused";
    EXPECT_EQ(all_sessions(driver(), query).size(), 6u) << limit;
    query.state = "act";
    EXPECT_TRUE(all_sessions(driver(), query).empty()) << limit;
  }
  commit(Change(active[0]).put(session_record, 1).list_as(ann, "paused"));
  ListQuery query = pages_of(ann);
  query.state = "active";
  EXPECT_EQ(ids_of(all_sessions(driver(), query)), (std::vector{active[1], active[2]}));
}

// RedisStorage once took this name for none.
TEST_P(DriverConformance, AUserIsCalledAsItLikes) {
  const SessionId s = live_session(UserId::parse("-").value());
  const UserId ann = new_user();
  commit(Change(s).put(session_record, 1).list_as(ann, "active"));
  EXPECT_EQ(ids_of(all_sessions(driver(), pages_of(ann))), std::vector{s});
}

TEST_P(DriverConformance, ListsSessionsOfAllUsers) {
  std::vector<SessionId> expected;
  for (int i = 0; i < 6; ++i) {
    expected.push_back(new_session());
    commit(Change(expected.back())
               .create(new_user(), i % 2 == 0 ? "active" : "paused")
               .active_until(test_start + std::chrono::hours(10 - i)));
  }
  const auto ours = [&](const ListQuery& query) {
    std::vector<SessionId> ids = ids_of(all_sessions(driver(), query));
    std::erase_if(ids, [&](const SessionId& id) {
      return std::find(expected.begin(), expected.end(), id) == expected.end();
    });
    return ids;
  };
  for (const std::size_t limit : {2U, 6U, 50U})
    EXPECT_EQ(ours(pages_of(std::nullopt, limit)), expected) << limit;
  ListQuery active = pages_of(std::nullopt, 2);
  active.state = "active";
  EXPECT_EQ(ours(active), (std::vector{expected[0], expected[2], expected[4]}));
}

TEST_P(DriverConformance, ListsOnlyTheLive) {
  const UserId ann = new_user();
  const SessionId a = live_session(ann);
  const SessionId b = live_session(ann);
  const SessionId c = live_session(ann);
  commit(Change(a).end());
  EXPECT_TRUE(run(driver().erase_session(b)));
  EXPECT_EQ(ids_of(all_sessions(driver(), pages_of(ann))), std::vector{c});
  commit(Change(a).create(ann));
  EXPECT_EQ(all_sessions(driver(), pages_of(ann)).size(), 2u);
}

TEST_P(DriverConformance, BeginsAPageAfterAnyPosition) {
  const UserId ann = new_user();
  std::vector<SessionId> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(live_session(ann));
  std::sort(ids.begin(), ids.end());
  const Timestamp expires = test_start + 1h;
  const auto after = [&](Timestamp time, std::string name) {
    ListQuery query = pages_of(ann, 2);
    query.after = ListPosition{time, std::move(name)};
    return ids_of(all_sessions(driver(), query));
  };
  EXPECT_EQ(after(expires, ids[1].str()), (std::vector{ids[2], ids[3]}));
  EXPECT_EQ(after(expires, ids[1].str() + "-"), (std::vector{ids[2], ids[3]}));  // nobody's
  EXPECT_EQ(after(expires, ""), ids);
  EXPECT_EQ(after(expires + 1ms, "~"), ids);
  EXPECT_TRUE(after(expires - 1ms, "").empty());
  EXPECT_TRUE(after(expires, ids[3].str()).empty());
}

// Sessions that don't move are seen exactly once, whatever happens around them.
TEST_P(DriverConformance, PagesHoldWhileSessionsComeGoAndMove) {
  const UserId ann = new_user();
  std::set<SessionId> still;
  std::vector<SessionId> restless;
  for (int i = 0; i < 24; ++i) {
    const SessionId s = new_session();
    commit(Change(s).create(ann).active_until(test_start + std::chrono::minutes(i / 3 * 10 + 10)));
    if (i % 2 == 0) {
      still.insert(s);
    } else {
      restless.push_back(s);
    }
  }
  ListQuery query = pages_of(ann, 3);
  std::vector<SessionId> seen;
  do {
    const SessionPage page = run(driver().list_sessions(query));
    for (const ListedSession& item : page.items)
      if (still.contains(item.id)) seen.push_back(item.id);
    query.after = page.next;
    if (restless.size() < 3) continue;
    commit(Change(restless.back()).end());  // what the position named may be gone
    restless.pop_back();
    touch(restless.back(), test_start, test_start + 10h);
    restless.pop_back();
    live_session(ann);
  } while (query.after);
  EXPECT_EQ(seen.size(), still.size());
  EXPECT_EQ(std::set<SessionId>(seen.begin(), seen.end()), still);
}

TEST_P(DriverConformance, TouchMovesTheDeadlineAndTheListing) {
  const UserId ann = new_user();
  const SessionId a = live_session(ann);
  const SessionId b = live_session(ann);
  for (const SessionId& s : {a, b, a}) {
    const Timestamp expires = view(s).activity.expires;
    EXPECT_TRUE(touch(s, expires - 30min, expires + 1h + (s == a ? 1min : 2min)));
    EXPECT_EQ(ids_of(all_sessions(driver(), pages_of(ann))).at(0), s);
  }
  EXPECT_EQ(view(a).activity.expires, test_start + 3h + 2min);
  EXPECT_EQ(view(a).activity.last_active, test_start + 1h + 31min);
  EXPECT_EQ(events(a).last_sequence, 1u);  // no event
  EXPECT_EQ(record(a, session_record)->version, 1u);
}

// As it is once a time to live was made shorter: tokens count on when a session was last active.
TEST_P(DriverConformance, WhatIsUsedIsActiveThoughItsDeadlineIsFartherOff) {
  open({.touch_interval = 1min});
  const UserId ann = new_user();
  const SessionId s = live_session(ann);  // until test_start + 1h
  EXPECT_TRUE(touch(s, test_start + 1min - 1ms, test_start + 10min));
  EXPECT_EQ(view(s).activity, (Activity{test_start, test_start + 1h}));
  EXPECT_TRUE(touch(s, test_start + 1min, test_start + 10min));
  EXPECT_EQ(view(s).activity, (Activity{test_start + 1min, test_start + 1h}));
  const Activity moved{test_start + 5min, test_start + 1h};
  EXPECT_EQ(commit(Change(s, test_start + 5min).active_until(test_start + 15min)).activity, moved);
  EXPECT_EQ(all_sessions(driver(), pages_of(ann)).at(0).activity, moved);
}

TEST_P(DriverConformance, TouchNeverMovesTheDeadlineBack) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann);
  EXPECT_TRUE(touch(s, test_start + 50min, test_start + 2h));
  EXPECT_TRUE(touch(s, test_start + 30min, test_start + 90min));
  EXPECT_EQ(view(s).activity, (Activity{test_start + 50min, test_start + 2h}));
  EXPECT_EQ(all_sessions(driver(), pages_of(ann)).at(0).activity.expires, test_start + 2h);
}

TEST_P(DriverConformance, TouchNeverCreates) {
  const UserId ann = new_user();
  const SessionId unknown = new_session();
  EXPECT_FALSE(touch(unknown, test_start, test_start + 1h));
  EXPECT_FALSE(run(driver().erase_session(unknown)));
  const SessionId ended = live_session(ann, 1);
  commit(Change(ended).move_to_archive(1).end());
  const SessionView before = view(ended);
  EXPECT_FALSE(touch(ended, test_start + 1h, test_start + 2h));
  EXPECT_EQ(view(ended), before);
  EXPECT_TRUE(view(ann).sessions.empty());
}

TEST_P(DriverConformance, TouchRevivesNobody) {
  const SessionId s = live_session(new_user());
  const SessionView before = view(s);
  EXPECT_FALSE(touch(s, test_start + 1h, test_start + 3h));
  EXPECT_FALSE(touch(s, test_start + 2h, test_start + 3h));
  EXPECT_EQ(view(s), before);
  EXPECT_TRUE(touch(s, test_start + 1h - 1ms, test_start + 3h));
}

TEST_P(DriverConformance, MovesADeadlineByTheTouchIntervalOrMore) {
  open({.touch_interval = 1min});
  const UserId ann = new_user();
  const SessionId s = live_session(ann);
  const Activity first = view(s).activity;
  const auto update = [&](Timestamp at, Timestamp expires) {
    return commit(Change(s, at).active_until(expires)).activity;
  };
  EXPECT_TRUE(touch(s, test_start + 1s, first.expires + 1min - 1ms));
  EXPECT_EQ(update(test_start + 2s, first.expires + 1min - 1ms), first);
  EXPECT_EQ(view(s).activity, first);
  const Activity moved{test_start + 3s, first.expires + 1min};
  EXPECT_EQ(update(moved.last_active, moved.expires), moved);
  EXPECT_EQ(view(s).activity, moved);
  EXPECT_TRUE(touch(s, test_start + 4s, moved.expires + 1min));
  EXPECT_EQ(all_sessions(driver(), pages_of(ann)).at(0).activity,
            (Activity{test_start + 4s, moved.expires + 1min}));
}

}  // namespace
}  // namespace actionflows::test
