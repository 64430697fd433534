// What `commit` promises: compare-and-set, all or nothing, preconditions, what it refuses.
#include "tests/conformance/conformance.hpp"

namespace actionflows::test {
namespace {

constexpr RecordKey kinds_of_record[] = {session_record, credentials, chain(1), step(1, 1)};

TEST_P(DriverConformance, CreatesASession) {
  const UserId ann = new_user();
  const SessionId s = new_session();
  const CommitResult result =
      commit(Change(s).create(ann).put(chain(1)).put(step(1, 1)).event_count(3));
  EXPECT_EQ(result.first_sequence, 1u);
  EXPECT_EQ(result.last_sequence, 3u);
  EXPECT_FALSE(result.repeated);
  const SessionView seen = view(s);
  EXPECT_TRUE(seen.live);
  EXPECT_EQ(seen.activity, (Activity{test_start, test_start + 1h}));
  EXPECT_EQ(seen.records.size(), 3u);
  EXPECT_EQ(seen.events.size(), 3u);
  EXPECT_EQ(view(ann).sessions.size(), 1u);
}

TEST_P(DriverConformance, NumbersEventsDenselyOverCommits) {
  const SessionId s = live_session(new_user());
  std::uint64_t last = 1;
  for (const std::size_t count : {1U, 3U, 1U, 2U}) {
    const CommitResult result = commit(Change(s).event_count(count));
    EXPECT_EQ(result.first_sequence, last + 1);
    EXPECT_EQ(result.last_sequence, last + count);
    last += count;
  }
  const EventPage page = events(s);
  ASSERT_EQ(page.events.size(), 8u);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(page.events[i].sequence, i + 1);
}

TEST_P(DriverConformance, KeepsEventsInTheirOrderWithTheirOperation) {
  const SessionId s = new_session();
  commit(Change(s).create(new_user()).operation("first").event("a:b", "1").event("a:b", "2"));
  commit(Change(s).operation("second").event("a:b", "3", "its own").event("a:b", "4"));
  std::string texts;
  std::vector<std::string> operations;
  for (const StoredEvent& event : events(s).events) {
    texts += event.bytes.view();
    operations.push_back(event.operation_id);
  }
  EXPECT_EQ(texts, "1234");
  EXPECT_EQ(operations, (std::vector<std::string>{"first", "first", "its own", "second"}));
}

TEST_P(DriverConformance, ReplacesOnlyTheExpectedVersion) {
  for (const RecordKey key : kinds_of_record) {
    SCOPED_TRACE(to_string(key));
    const SessionId s = live_session(new_user());
    if (key != session_record) commit(Change(s).put(key));
    commit(Change(s).put(key, 1));
    EXPECT_EQ(record(s, key)->version, 2u);
    EXPECT_EQ(record(s, key)->bytes, bytes_of(key, 2));
    for (const std::uint64_t wrong : {1U, 3U, 7U})
      expect_refused(Change(s).put(key, wrong), ErrorCode::conflict);
    Change creating(s);
    creating.put(key).active_until(test_start + 1h).list_as(new_user(), "active");
    expect_refused(creating, ErrorCode::conflict);
  }
}

TEST_P(DriverConformance, NeverCreatesWhatWasToBeReplaced) {
  const SessionId s = live_session(new_user());
  for (const RecordKey key : {credentials, chain(1), step(1, 1)})
    expect_refused(Change(s).put(key, 1), ErrorCode::conflict);
}

TEST_P(DriverConformance, TakesAnyGreaterVersion) {
  const SessionId s = live_session(new_user());
  Change change(s);
  change.puts.push_back({session_record, Bytes("late"), 1, 9});
  change.puts.push_back({chain(1), Bytes("begins late"), 0, std::uint64_t{1} << 53});
  commit(change);
  EXPECT_EQ(record(s, session_record)->version, 9u);
  EXPECT_EQ(record(s, chain(1))->version, std::uint64_t{1} << 53);
  expect_refused(Change(s).put(session_record, 2), ErrorCode::conflict);
  commit(Change(s).put(session_record, 9));
}

TEST_P(DriverConformance, ComparesWhatIsExpectedToStand) {
  const SessionId s = live_session(new_user(), 1);
  commit(Change(s).expect(session_record, 1).expect(chain(1), 1).expect(step(1, 3), 0));
  for (const RecordKey key : {session_record, chain(1), step(1, 2)}) {
    SCOPED_TRACE(to_string(key));
    for (const std::uint64_t wrong : {0U, 2U})
      expect_refused(Change(s).expect(key, wrong), ErrorCode::conflict);
  }
  expect_refused(Change(s).expect(credentials, 1), ErrorCode::conflict);
  expect_refused(Change(s).expect(step(4, 4), 1), ErrorCode::conflict);
}

TEST_P(DriverConformance, ErasesOnlyTheExpectedVersion) {
  const SessionId s = live_session(new_user(), 1);
  commit(Change(s).put(credentials));
  for (const RecordKey key : {credentials, step(1, 2), chain(1)}) {
    SCOPED_TRACE(to_string(key));
    for (const std::uint64_t wrong : {0U, 2U})
      expect_refused(Change(s).erase(key, wrong), ErrorCode::conflict);
    commit(Change(s).erase(key, 1));
    EXPECT_FALSE(record(s, key).has_value());
    expect_refused(Change(s).erase(key, 1), ErrorCode::conflict);
    commit(Change(s).put(key));
    EXPECT_EQ(record(s, key)->version, 1u);
  }
  expect_refused(Change(s).erase(chain(3), 1), ErrorCode::conflict);
}

TEST_P(DriverConformance, TellsTheVersionThatStands) {
  const SessionId s = live_session(new_user());
  commit(Change(s).put(session_record, 1));
  try {
    commit(Change(s).put(session_record, 1));
    FAIL() << "let through";
  } catch (const StorageError& error) {
    EXPECT_EQ(error.code(), ErrorCode::conflict);
    EXPECT_EQ(error.current_version.value_or(2), 2u);
    EXPECT_FALSE(error.message().empty());
  }
}

// Each of these is right but for its last part: nothing of it may be there.
TEST_P(DriverConformance, AppliesWholeOrNotAtAll) {
  open({.max_chains = 10});
  const UserId ann = new_user();
  const UserId bob = new_user();
  const SessionId s = live_session(ann, 2);
  commit(Change(s).put(chain(2), 1).move_to_archive(2));
  const auto good = [&] {
    Change change(s);
    change.put(session_record, 1).put(chain(1), 1).put(step(1, 1), 1).put(step(1, 3)).put(chain(4));
    change.erase(step(1, 2), 1).expect(chain(3), 0).move_to_archive(1).event_count(3);
    change.active_until(test_start + 5h).list_as(bob, "paused");
    return change;
  };
  expect_refused(good().put(credentials, 1), ErrorCode::conflict);
  expect_refused(good().expect(credentials, 1), ErrorCode::conflict);
  expect_refused(good().erase(credentials, 1), ErrorCode::conflict);
  expect_refused(good().erase(step(2, 1), 1), ErrorCode::conflict);
  expect_refused(good().put(step(2, 4)), ErrorCode::conflict);
  expect_refused(good().move_to_archive(3), ErrorCode::conflict);
  expect_refused(good().move_to_archive(2), ErrorCode::conflict);
  expect_refused(good().first_event(100), ErrorCode::conflict);
  expect_refused(good().after_event(100), ErrorCode::conflict);
  expect_refused(good().only_if(Precondition::fresh), ErrorCode::conflict);
  expect_refused(good().only_if(Precondition::expired), ErrorCode::conflict);
  expect_refused(good().put(chain(11)), ErrorCode::exhausted);
  expect_refused(good().put(chain(4)), ErrorCode::invalid);
  expect_refused(good().end().put(credentials, 1), ErrorCode::conflict);
  commit(good());
  EXPECT_EQ(view(s).events.size(), 5u);
  EXPECT_EQ(view(ann).sessions.size(), 0u);
  EXPECT_EQ(view(bob).sessions.size(), 1u);
}

TEST_P(DriverConformance, CreatesNothingByAnythingButTheSessionsOwnRecord) {
  const UserId ann = new_user();
  const SessionId s = new_session();
  const auto anything_but = [&] {
    return Change(s).active_until(test_start + 1h).list_as(ann, "active");
  };
  expect_refused(anything_but(), ErrorCode::conflict);
  expect_refused(anything_but().put(chain(1)).put(step(1, 1)), ErrorCode::conflict);
  expect_refused(anything_but().put(credentials), ErrorCode::conflict);
  expect_refused(anything_but().put(session_record, 1), ErrorCode::conflict);
  expect_refused(anything_but().end(), ErrorCode::conflict);
  expect_refused(anything_but().expect(session_record, 0), ErrorCode::conflict);
  EXPECT_FALSE(run(driver().erase_session(s)));
  commit(Change(s).create(ann));
  commit(Change(s).end());
  expect_refused(anything_but().put(session_record, 1), ErrorCode::conflict);
  expect_refused(anything_but().put(chain(1)), ErrorCode::conflict);
  expect_refused(anything_but(), ErrorCode::conflict);
}

TEST_P(DriverConformance, FreshMeansThatNothingStandsThere) {
  const UserId ann = new_user();
  const SessionId s = new_session();
  const auto fresh = [&] { return Change(s).create(ann).only_if(Precondition::fresh); };
  commit(fresh().put(chain(1)));
  expect_refused(fresh(), ErrorCode::conflict);
  expect_refused(Change(s).only_if(Precondition::fresh), ErrorCode::conflict);
  commit(Change(s).move_to_archive(1).end());
  expect_refused(fresh(), ErrorCode::conflict);
  EXPECT_TRUE(run(driver().erase_session(s)));
  commit(fresh());
  commit(Change(s).end());
  expect_refused(fresh(), ErrorCode::conflict);  // the log stands there
}

TEST_P(DriverConformance, ExpectsTheEndOfTheLog) {
  const UserId ann = new_user();
  const SessionId s = new_session();
  expect_refused(Change(s).create(ann).after_event(1), ErrorCode::conflict);
  commit(Change(s).create(ann).after_event(0));
  expect_refused(Change(s).after_event(0), ErrorCode::conflict);
  expect_refused(Change(s).after_event(2), ErrorCode::conflict);
  commit(Change(s).event_count(3).after_event(1));
  commit(Change(s).end().after_event(4));
  expect_refused(Change(s).create(ann).after_event(4), ErrorCode::conflict);
  commit(Change(s).create(ann).after_event(5));
  run(driver().prune_events(s, 6));
  commit(Change(s).after_event(6));
}

TEST_P(DriverConformance, ExpiredMeansAtOrPastTheDeadline) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann);
  const auto expired_at = [&](Timestamp at) {
    return Change(s, at).only_if(Precondition::expired).end();
  };
  expect_refused(expired_at(test_start), ErrorCode::conflict);
  expect_refused(expired_at(test_start + 1h - 1ms), ErrorCode::conflict);
  EXPECT_TRUE(touch(s, test_start + 1min, test_start + 2h));
  expect_refused(expired_at(test_start + 1h), ErrorCode::conflict);
  commit(expired_at(test_start + 2h));
  EXPECT_FALSE(view(s).live);
  expect_refused(expired_at(test_start + 3h), ErrorCode::conflict);
  expect_refused(Change(new_session()).create(ann).only_if(Precondition::expired),
                 ErrorCode::conflict);
}

TEST_P(DriverConformance, MovesDeadlineAndListingWithTheCommit) {
  const UserId ann = new_user();
  const UserId bob = new_user();
  const SessionId s = live_session(ann);
  const Timestamp later = test_start + 30min;
  commit(Change(s, later).put(session_record, 1).active_until(later + 1h).list_as(bob, "paused"));
  EXPECT_EQ(view(s).activity, (Activity{later, later + 1h}));
  EXPECT_TRUE(view(ann).sessions.empty());
  ASSERT_EQ(view(bob).sessions.size(), 1u);
  ListQuery paused = pages_of(bob);
  paused.state = "paused";
  EXPECT_EQ(all_sessions(driver(), paused).at(0).activity.expires, later + 1h);
  commit(Change(s, later + 5min).put(session_record, 2));  // says nothing of them
  EXPECT_EQ(view(s).activity, (Activity{later, later + 1h}));
  EXPECT_EQ(all_sessions(driver(), paused).at(0).record.version, 3u);
}

TEST_P(DriverConformance, NeverMovesADeadlineBack) {
  const SessionId s = live_session(new_user());
  const Activity first = view(s).activity;
  commit(Change(s, test_start - 1h).put(session_record, 1).active_until(test_start + 30min));
  EXPECT_EQ(view(s).activity, first);
  EXPECT_EQ(record(s, session_record)->version, 2u);
}

TEST_P(DriverConformance, TellsTheActivityThatHoldsFromNowOn) {
  const SessionId s = new_session();
  Change create(s);
  create.create(new_user()).repeat();
  EXPECT_EQ(commit(create).activity, (Activity{test_start, test_start + 1h}));
  EXPECT_EQ(commit(Change(s, test_start + 1min)).activity, (Activity{test_start, test_start + 1h}));
  const Activity later{test_start + 2min, test_start + 2h};
  EXPECT_EQ(commit(Change(s, later.last_active).active_until(later.expires)).activity, later);
  EXPECT_EQ(commit(create).activity, later);
}

TEST_P(DriverConformance, ChangesNothingPastTheDeadlineButTheEnd) {
  const SessionId s = live_session(new_user());
  const auto late = [&](Timestamp at) { return Change(s, at).active_until(at + 1h); };
  expect_refused(late(test_start + 1h), ErrorCode::conflict);
  expect_refused(late(test_start + 2h).put(session_record, 1), ErrorCode::conflict);
  expect_refused(late(test_start + 2h).put(chain(1)), ErrorCode::conflict);
  expect_refused(late(test_start + 2h).only_if(Precondition::expired), ErrorCode::conflict);
  commit(late(test_start + 1h - 1ms).put(session_record, 1));
  commit(late(test_start + 9h).put(session_record, 2).end());
  EXPECT_FALSE(view(s).live);
}

TEST_P(DriverConformance, EndsASession) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann, 2);
  commit(Change(s).put(credentials));
  commit(Change(s).put(chain(2), 1).put(session_record, 1).end().event("session:ended", "bye"));
  const SessionView seen = view(s);
  EXPECT_FALSE(seen.live);
  EXPECT_TRUE(seen.records.empty());
  EXPECT_EQ(seen.last_archived, 0u);
  ASSERT_EQ(seen.events.size(), 3u);
  EXPECT_EQ(seen.events.back().bytes.view(), "bye");
  EXPECT_TRUE(view(ann).sessions.empty());
  expect_refused(Change(s).end(), ErrorCode::conflict);
}

TEST_P(DriverConformance, StartsAgainAfterTheEndWithTheOldLog) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann, 3);
  commit(Change(s).move_to_archive(2).end().event_count(2));
  expect_refused(Change(s).create(ann).first_event(1), ErrorCode::conflict);
  const CommitResult again = commit(Change(s).create(ann).put(chain(3)));
  EXPECT_EQ(again.first_sequence, 4u);
  const SessionView seen = view(s);
  EXPECT_TRUE(seen.live);
  EXPECT_EQ(seen.events.size(), 4u);
  EXPECT_EQ(seen.last_archived, 2u);
  EXPECT_EQ(seen.records.at(session_record).version, 1u);
  EXPECT_FALSE(seen.records.at(chain(3)).archived);
  EXPECT_TRUE(seen.records.at(chain(2)).archived);
  EXPECT_FALSE(seen.records.contains(chain(1)));
  expect_refused(Change(s).put(chain(2)), ErrorCode::conflict);
}

TEST_P(DriverConformance, RestoresALogThatBeginsLate) {
  const UserId ann = new_user();
  const SessionId s = new_session();
  const CommitResult restored = commit(Change(s).create(ann).first_event(41).event_count(2));
  EXPECT_EQ(restored.first_sequence, 41u);
  EXPECT_EQ(restored.last_sequence, 42u);
  EXPECT_EQ(commit(Change(s)).first_sequence, 43u);
  const EventPage page = events(s);
  EXPECT_EQ(page.first_sequence, 41u);
  EXPECT_EQ(page.last_sequence, 43u);
  ASSERT_EQ(page.events.size(), 3u);
  EXPECT_EQ(page.events.front().sequence, 41u);
  expect_refused(Change(s).first_event(44), ErrorCode::conflict);
}

TEST_P(DriverConformance, RefusesWhatContradictsItself) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann, 2);
  const auto refused = [&](const char* why, const Change& change) {
    SCOPED_TRACE(why);
    expect_refused(change, ErrorCode::invalid);
  };
  refused("no events", Change(s).put(chain(3)).no_events());
  refused("no operation id", Change(s).operation(""));
  refused("a long operation id", Change(s).operation(std::string(201, 'x')));
  refused("an event's long operation id", Change(s).event("a:b", "x", std::string(201, 'x')));
  refused("put twice", Change(s).put(chain(1), 1).put(chain(1), 1));
  refused("made twice", Change(s).put(chain(3)).put(chain(3)));
  refused("erased twice", Change(s).erase(chain(1), 1).erase(chain(1), 1));
  refused("put and erased", Change(s).put(chain(1), 1).erase(chain(1), 1));
  refused("no record of a session", Change(s).put(step(0, 2)));
  refused("the session erased but not ended", Change(s).erase(session_record, 1));
  for (const std::uint64_t version : {0U, 1U}) {
    Change change(s);
    change.puts.push_back({session_record, Bytes("x"), 1, version});
    refused("a version that does not grow", change);
  }
  Change zero(s);
  zero.puts.push_back({chain(3), Bytes("x"), 0, 0});
  refused("a version of zero", zero);
}

TEST_P(DriverConformance, RefusesANewSessionWithoutDeadlineOrUser) {
  const UserId ann = new_user();
  const SessionId s = new_session();
  const auto incomplete = [&] { return Change(s).put(session_record); };
  expect_refused(incomplete(), ErrorCode::invalid);
  expect_refused(incomplete().active_until(test_start + 1h), ErrorCode::invalid);
  expect_refused(incomplete().list_as(ann, "active"), ErrorCode::invalid);
  expect_refused(Change(s).create(ann).end(), ErrorCode::invalid);
  EXPECT_STORAGE_ERROR(commit(Change(SessionId()).create(ann)), ErrorCode::invalid);
}

TEST_P(DriverConformance, KeepsItsLimits) {
  open({.max_events = 4, .max_chains = 2, .max_steps = 3});
  const UserId ann = new_user();
  expect_refused(Change(new_session()).create(ann).event_count(5), ErrorCode::exhausted);
  expect_refused(Change(new_session()).create(ann).put(chain(3)), ErrorCode::exhausted);
  const SessionId s = live_session(ann, 2);
  commit(Change(s).put(step(2, 3)));
  expect_refused(Change(s).put(chain(3)), ErrorCode::exhausted);
  expect_refused(Change(s).put(step(2, 4)), ErrorCode::exhausted);
  expect_refused(Change(s).event_count(3), ErrorCode::exhausted);
  commit(Change(s).event_count(2));
  expect_refused(Change(s), ErrorCode::exhausted);
  EXPECT_EQ(run(driver().prune_events(s, 3)), 2u);
  commit(Change(s).event_count(2));
  expect_refused(Change(s), ErrorCode::exhausted);
  commit(Change(s).end().event_count(3));  // what makes room is let through
  EXPECT_EQ(events(s).last_sequence, 9u);
  expect_refused(Change(s).create(ann), ErrorCode::exhausted);
}

TEST_P(DriverConformance, TellsWhatADurableWriteIsWorth) {
  const CommitResult result = commit(Change(new_session()).create(new_user()));
  EXPECT_FALSE(to_string(result.durability).empty());
  EXPECT_EQ(result.durability.level, run(driver().health()).durability.level);
}

}  // namespace
}  // namespace actionflows::test
