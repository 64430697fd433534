// A commit that may have been applied already is recognised by its operation id.
#include "tests/conformance/conformance.hpp"

namespace actionflows::test {
namespace {

void expect_repeat_of(const CommitResult& first, const CommitResult& second) {
  EXPECT_FALSE(first.repeated);
  EXPECT_TRUE(second.repeated);
  EXPECT_EQ(second.first_sequence, first.first_sequence);
  EXPECT_EQ(second.last_sequence, first.last_sequence);
}

TEST_P(DriverConformance, AppliesARepeatOnce) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann, 1);
  Change change(s);
  change.put(chain(1), 1).put(step(1, 3)).erase(step(1, 2), 1).event_count(3).repeat();
  const CommitResult first = commit(change);
  const SessionView before = view(s);
  expect_repeat_of(first, commit(change));
  EXPECT_EQ(view(s), before);
  commit(Change(s).put(chain(1), 2));
  expect_repeat_of(first, commit(change));
  EXPECT_EQ(record(s, chain(1))->version, 3u);
}

TEST_P(DriverConformance, LooksForARepeatBeforeItChecksAnythingElse) {
  const UserId ann = new_user();
  const SessionId s = new_session();
  Change create(s);
  create.create(ann).only_if(Precondition::fresh).first_event(5).repeat();
  const CommitResult created = commit(create);
  expect_repeat_of(created, commit(create));
  Change other(s);  // is refused by every check there is
  other.operation(create.operation_id).put(chain(1), 7).expect(session_record, 9).repeat();
  other.only_if(Precondition::expired).first_event(5);
  expect_repeat_of(created, commit(other));
}

TEST_P(DriverConformance, RecognisesARepeatedEnd) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann, 1);
  Change end(s);
  end.move_to_archive(1).end().repeat();
  const CommitResult ended = commit(end);
  expect_repeat_of(ended, commit(end));
  EXPECT_FALSE(view(s).live);
  commit(Change(s).create(ann));
  expect_repeat_of(ended, commit(end));
  EXPECT_TRUE(view(s).live);
}

TEST_P(DriverConformance, RecognisesARepeatedCreationAfterTheEnd) {
  const UserId ann = new_user();
  const SessionId s = new_session();
  Change create(s);
  create.create(ann).repeat();
  const CommitResult created = commit(create);
  commit(Change(s).end());
  expect_repeat_of(created, commit(create));
  EXPECT_FALSE(view(s).live);
  EXPECT_TRUE(view(ann).sessions.empty());
}

TEST_P(DriverConformance, WakesNobodyByARepeat) {
  const SessionId s = live_session(new_user());
  Change change(s);
  change.repeat();
  commit(change);
  const auto subscription = run(driver().subscribe(s));
  commit(change);
  EXPECT_TRUE(run(subscription->next(0ms)).wakeups.empty());
}

TEST_P(DriverConformance, RemembersOperationsForTheLast256Events) {
  const SessionId s = live_session(new_user());
  Change change(s);
  change.put(session_record, 1).repeat();
  const CommitResult first = commit(change);
  commit(Change(s).event_count(operation_memory - 1));
  expect_repeat_of(first, commit(change));
  commit(Change(s));
  expect_refused(change, ErrorCode::conflict);  // a stale version now, and nothing else
}

TEST_P(DriverConformance, TellsAllEventsOfARepeatAtTheEdgeOfItsMemory) {
  const SessionId s = live_session(new_user());
  Change change(s);
  change.event_count(10).repeat();
  const CommitResult first = commit(change);
  commit(Change(s).event_count(operation_memory - 1));
  expect_repeat_of(first, commit(change));
}

TEST_P(DriverConformance, RemembersWhatIsLongerThanItsMemory) {
  const SessionId s = live_session(new_user());
  Change change(s);
  change.event_count(operation_memory + 44).repeat();
  const CommitResult first = commit(change);
  expect_repeat_of(first, commit(change));
}

TEST_P(DriverConformance, RecognisesEventsByTheirOwnOperation) {
  const SessionId s = new_session();
  Change restore(s);
  restore.create(new_user()).operation("restore");
  restore.event("a:b", "1", "op-x").event("a:b", "2", "op-x").event("a:b", "3", "op-y");
  commit(restore);
  const auto repeat = [&](const char* operation) {
    return commit(Change(s).operation(operation).repeat());
  };
  EXPECT_TRUE(repeat("op-x").repeated);
  EXPECT_EQ(repeat("op-x").first_sequence, 1u);
  EXPECT_EQ(repeat("op-x").last_sequence, 2u);
  EXPECT_EQ(repeat("op-y").first_sequence, 3u);
  EXPECT_FALSE(repeat("restore").repeated);  // no event bears it
  EXPECT_EQ(events(s).last_sequence, 4u);
}

TEST_P(DriverConformance, TakesOperationIdsAsTheyAre) {
  const SessionId s = live_session(new_user());
  const std::string binary("\0{}*\n\xff ", 7);
  const CommitResult first = commit(Change(s).operation(binary));
  for (const std::string& other : {binary.substr(0, 6), binary + "x", std::string("\0", 1)})
    EXPECT_FALSE(commit(Change(s).operation(other).repeat()).repeated);
  expect_repeat_of(first, commit(Change(s).operation(binary).repeat()));
}

TEST_P(DriverConformance, SearchesOnlyWhenAsked) {
  if (GetParam().searches_appends) GTEST_SKIP() << "see DriverUnderTest::searches_appends";
  const SessionId s = live_session(new_user());
  const Change change = Change(s).operation("twice");
  EXPECT_EQ(commit(change).last_sequence, 2u);
  EXPECT_EQ(commit(change).last_sequence, 3u);
}

TEST_P(DriverConformance, SearchesOnlyItsOwnSession) {
  const UserId ann = new_user();
  const SessionId a = live_session(ann);
  const SessionId b = live_session(ann);
  commit(Change(a).operation("same"));
  EXPECT_FALSE(commit(Change(b).operation("same").repeat()).repeated);
}

TEST_P(DriverConformance, ForgetsOperationsWithTheLog) {
  const UserId ann = new_user();
  const SessionId s = new_session();
  Change change(s);
  change.create(ann).repeat();
  commit(change);
  EXPECT_TRUE(run(driver().erase_session(s)));
  const CommitResult again = commit(change);
  EXPECT_FALSE(again.repeated);
  EXPECT_EQ(again.first_sequence, 1u);
  EXPECT_TRUE(view(s).live);
}

}  // namespace
}  // namespace actionflows::test
