#include "actionflows/storage/resilient/shadow.hpp"

#include "tests/support/change.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace actionflows {
namespace {

using namespace std::chrono_literals;
using test::chain;
using test::Change;
using test::session_record;
using test::step;
using test::test_start;

class ShadowTest : public testing::Test {
 protected:
  const SessionId session = *SessionId::parse("s-1");
  const UserId ann = *UserId::parse("ann");

  // The answer to `change`, which has become event `sequence`.
  void note(const Change& change, std::uint64_t sequence, Timestamp answered = test_start + 1s) {
    CommitResult result;
    result.first_sequence = result.last_sequence = sequence;
    result.activity = change.activity.value_or(Activity{test_start, test_start + 1h});
    shadow.note_commit(change, result, answered);
  }
  // The session, as it was when `sequence` was the newest event.
  [[nodiscard]] ReadResult read_at(std::uint64_t sequence) const {
    ReadResult read;
    read.live = true;
    read.owner = ann;
    read.activity = {test_start, test_start + 1h};
    read.last_sequence = sequence;
    return read;
  }
  [[nodiscard]] SessionShadow known() const { return *shadow.find(session); }
  [[nodiscard]] std::uint64_t version_of(RecordKey key) const {
    return known().records.at(key).value().version;
  }

  Shadow shadow{ShadowOptions{}};
};

// What an overtaken answer had told was dropped: in an outage the record was served, and changed,
// as it had been before, though its change had been acknowledged.
TEST_F(ShadowTest, AnAnswerThatWasOvertakenTellsWhatItChanged) {
  note(Change(session).create(ann).put(chain(1)), 1);
  const Change first = Change(session).put(step(1, 1));
  const Change second = Change(session).put(step(1, 2));
  note(second, 3);
  EXPECT_EQ(known().tail.size(), 1u) << "event 2 is not known yet";
  note(first, 2);
  EXPECT_EQ(version_of(step(1, 1)), 1u);
  EXPECT_EQ(version_of(step(1, 2)), 1u);
  EXPECT_EQ(known().last_sequence, 3u);
  ASSERT_EQ(known().tail.size(), 3u);
  EXPECT_EQ(known().tail.front().sequence, 1u);
}

TEST_F(ShadowTest, AnAnswerThatWasOvertakenBringsNothingOldBack) {
  note(Change(session).create(ann).put(chain(1)).put(step(1, 1)), 1);
  note(Change(session).put(chain(1), 2).erase(step(1, 1), 1), 3);
  note(Change(session).put(chain(1), 1).put(step(1, 1), 1), 2);
  EXPECT_EQ(version_of(chain(1)), 3u);
  EXPECT_EQ(known().records.at(step(1, 1)), std::nullopt);
  EXPECT_TRUE(known().live);
}

TEST_F(ShadowTest, TheSessionOfAnOvertakenCreationIsKnown) {
  note(Change(session), 2);
  note(Change(session).create(ann), 1);
  EXPECT_EQ(known().owner, ann);
  EXPECT_EQ(known().state, "active");
  EXPECT_EQ(version_of(session_record), 1u);
}

// That was forgotten as a whole, and then an empty log was told: a session that exists was absent.
TEST_F(ShadowTest, AnotherSessionUnderTheSameIdTakesItsPlace) {
  note(Change(session).create(ann).put(chain(1)), 7);
  note(Change(session, test_start + 2s).create(ann), 1, test_start + 3s);
  EXPECT_EQ(known().last_sequence, 1u);
  EXPECT_EQ(known().tail.size(), 1u);
  EXPECT_FALSE(known().records.contains(chain(1)));
  EXPECT_EQ(known().owner, ann);
}

// One read amid answers that are still on their way made all events before unknown.
TEST_F(ShadowTest, AReadThatIsAheadOfAnAnswerTakesNoEventsAway) {
  note(Change(session).create(ann), 1);
  const ReadResult read = read_at(2);
  EXPECT_TRUE(shadow.note_read(session, {}, read, test_start + 1s, test_start + 1s, false));
  EXPECT_TRUE(known().tail.empty()) << "event 2 is not known yet";
  note(Change(session), 2);
  EXPECT_EQ(known().tail.size(), 2u);
}

TEST_F(ShadowTest, AReadThatWasOvertakenIsNoLoss) {
  note(Change(session).create(ann), 1);
  note(Change(session), 2, test_start + 5s);
  const ReadResult read = read_at(1);
  EXPECT_TRUE(shadow.note_read(session, {}, read, test_start + 4s, test_start + 6s, false));
  EXPECT_FALSE(shadow.note_read(session, {}, read, test_start + 6s, test_start + 6s, false));
  EXPECT_EQ(known().last_sequence, 2u);
}

}  // namespace
}  // namespace actionflows
