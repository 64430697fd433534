// The event log: read by sequence, pruned from its old end, never renumbered.
#include "tests/conformance/conformance.hpp"

#include <limits>

namespace actionflows::test {
namespace {

std::vector<std::uint64_t> sequences_of(const EventPage& page) {
  std::vector<std::uint64_t> sequences;
  for (const StoredEvent& event : page.events) sequences.push_back(event.sequence);
  return sequences;
}

using Sequences = std::vector<std::uint64_t>;

TEST_P(DriverConformance, ReadsEventsAfterASequence) {
  const SessionId s = live_session(new_user());
  commit(Change(s).event_count(4));
  const auto after = [&](std::uint64_t sequence) {
    EventQuery query;
    query.after = sequence;
    const EventPage page = events(s, query);
    EXPECT_EQ(page.first_sequence, 1u);
    EXPECT_EQ(page.last_sequence, 5u);
    return sequences_of(page);
  };
  EXPECT_EQ(after(0), (Sequences{1, 2, 3, 4, 5}));
  EXPECT_EQ(after(1), (Sequences{2, 3, 4, 5}));
  EXPECT_EQ(after(4), Sequences{5});
  EXPECT_EQ(after(5), Sequences{});
  EXPECT_EQ(after(6), Sequences{});
  EXPECT_EQ(after(std::numeric_limits<std::uint64_t>::max()), Sequences{});
}

TEST_P(DriverConformance, ReadsNoEventsOfAnUnknownSession) {
  const EventPage page = events(new_session());
  EXPECT_TRUE(page.events.empty());
  EXPECT_EQ(page.first_sequence, 0u);
  EXPECT_EQ(page.last_sequence, 0u);
}

TEST_P(DriverConformance, ReadsAtMostSoManyEvents) {
  const SessionId s = live_session(new_user());
  commit(Change(s).event_count(9));
  for (const std::size_t limit : {1U, 3U, 9U, 10U, 11U}) {
    EventQuery query;
    query.limit = limit;
    Sequences seen;
    while (true) {
      const EventPage page = events(s, query);
      EXPECT_LE(page.events.size(), limit);
      if (page.events.empty()) break;
      for (const std::uint64_t sequence : sequences_of(page)) seen.push_back(sequence);
      query.after = seen.back();
    }
    EXPECT_EQ(seen, (Sequences{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})) << limit;
  }
}

TEST_P(DriverConformance, EndsAPageOfEventsBeforeItIsTooLong) {
  const SessionId s = new_session();
  Change change(s);
  change.create(new_user()).no_events();
  for (int i = 0; i < 5; ++i)
    change.events.push_back({Bytes(std::string(1'000, 'x')), "test:long", ""});
  commit(change);
  const auto count = [&](std::size_t max_bytes) {
    EventQuery query;
    query.max_bytes = max_bytes;
    return events(s, query).events.size();
  };
  EXPECT_EQ(count(1), 1u);  // at least one
  EXPECT_EQ(count(999), 1u);
  EXPECT_EQ(count(1'999), 1u);
  EXPECT_EQ(count(2'500), 2u);
  EXPECT_EQ(count(4'500), 4u);
  EXPECT_EQ(count(1'000'000), 5u);
}

TEST_P(DriverConformance, KeepsTheLogBeyondTheEnd) {
  const SessionId s = live_session(new_user());
  commit(Change(s).event_count(2).end());
  EXPECT_EQ(sequences_of(events(s)), (Sequences{1, 2, 3}));
}

TEST_P(DriverConformance, PrunesTheOldAndGoesOnCounting) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann, 1);
  commit(Change(s).event_count(5));
  const SessionView before = view(s);
  EXPECT_EQ(run(driver().prune_events(s, 4)), 3u);
  const EventPage page = events(s);
  EXPECT_EQ(page.first_sequence, 4u);  // after 0 asked for: a gap, said aloud
  EXPECT_EQ(page.last_sequence, 6u);
  EXPECT_EQ(sequences_of(page), (Sequences{4, 5, 6}));
  EXPECT_EQ(page.events[0].bytes, before.events[3].bytes);
  EXPECT_EQ(view(s).records.size(), before.records.size());
  EXPECT_EQ(commit(Change(s)).first_sequence, 7u);
  EventQuery after_5;
  after_5.after = 5;
  EXPECT_EQ(sequences_of(events(s, after_5)), (Sequences{6, 7}));
}

TEST_P(DriverConformance, PruneKeepsTheNewestEvent) {
  const SessionId s = live_session(new_user());
  commit(Change(s).event_count(4));
  EXPECT_EQ(run(driver().prune_events(s, std::numeric_limits<std::uint64_t>::max())), 4u);
  EXPECT_EQ(sequences_of(events(s)), Sequences{5});
  EXPECT_EQ(run(driver().prune_events(s, 6)), 0u);
  EXPECT_EQ(read(s).last_sequence, 5u);
  EXPECT_EQ(commit(Change(s)).first_sequence, 6u);
  EXPECT_EQ(run(driver().prune_events(s, 6)), 1u);
}

TEST_P(DriverConformance, PrunesNothingThatIsNotThere) {
  const SessionId s = live_session(new_user());
  commit(Change(s).event_count(4));
  EXPECT_EQ(run(driver().prune_events(s, 0)), 0u);
  EXPECT_EQ(run(driver().prune_events(s, 1)), 0u);
  EXPECT_EQ(run(driver().prune_events(s, 3)), 2u);
  EXPECT_EQ(run(driver().prune_events(s, 2)), 0u);
  EXPECT_EQ(run(driver().prune_events(s, 3)), 0u);
  EXPECT_EQ(sequences_of(events(s)), (Sequences{3, 4, 5}));
  EXPECT_EQ(run(driver().prune_events(new_session(), 10)), 0u);
}

TEST_P(DriverConformance, PrunesTheLogOfAnEndedSession) {
  const SessionId s = live_session(new_user());
  commit(Change(s).event_count(4).end());
  EXPECT_EQ(run(driver().prune_events(s, 4)), 3u);
  EXPECT_EQ(sequences_of(events(s)), (Sequences{4, 5}));
}

TEST_P(DriverConformance, RemembersOperationsThatWereNotPruned) {
  const SessionId s = live_session(new_user());
  const Change old = Change(s).operation("old").repeat();
  const Change kept = Change(s).operation("kept").repeat();
  commit(old);
  commit(kept);
  EXPECT_EQ(run(driver().prune_events(s, 3)), 2u);
  EXPECT_TRUE(commit(kept).repeated);
  EXPECT_EQ(commit(kept).first_sequence, 3u);
  EXPECT_FALSE(commit(old).repeated);
}

}  // namespace
}  // namespace actionflows::test
