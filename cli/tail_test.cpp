#include "cli/tail.hpp"

#include "actionflows/base/fake_clock.hpp"

#include <gtest/gtest.h>

namespace actionflows::cli {
namespace {

using namespace std::chrono_literals;

std::string event_json(std::uint64_t sequence) {
  return R"({"sequence":)" + std::to_string(sequence) +
         R"(,"sessionId":"s1","type":"step:started","at":"2026-02-11T20:31:53.375Z",)"
         R"("stepId":"s1.c2.s3","chainId":"s1.c2","actor":"ann"})";
}

SseEvent event(std::uint64_t sequence) {
  return {.type = "step:started", .data = event_json(sequence), .id = std::to_string(sequence)};
}

class TailViewTest : public testing::Test {
 protected:
  TailView view(std::optional<std::uint64_t> after, bool raw = false) {
    return {{.session = SessionId::parse("s1"), .after = after, .raw = raw}, clock_};
  }
  FakeClock clock_{*parse_rfc3339("2026-03-01T00:00:00Z")};
};

TEST_F(TailViewTest, AnEventIsALine) {
  EXPECT_EQ(view(6).take(event(7)).line,
            "2026-02-11T20:31:53.375Z      7  step:started       s1.c2.s3  by ann");
  EXPECT_EQ(view(6, true).take(event(7)).line, event_json(7));
}

TEST_F(TailViewTest, WhatIsSentAgainIsNotShownAgain) {
  TailView seen = view(6);
  EXPECT_NE(seen.take(event(7)).line, "");
  EXPECT_EQ(seen.take(event(7)).line, "");
  EXPECT_EQ(seen.take(event(3)).line, "");
  EXPECT_EQ(seen.position(), 7U);
  EXPECT_NE(seen.take(event(8)).line, "");
}

TEST_F(TailViewTest, WhatDoesNotComeIsSaidToBeMissing) {
  TailView seen = view(6);
  EXPECT_EQ(seen.take(event(9)).note, "gap: events 7 to 8 did not come");
  EXPECT_EQ(seen.take(event(10)).note, "");
  EXPECT_EQ(seen.take(event(12)).note, "gap: event 11 did not come");
}

TEST_F(TailViewTest, AGapIsPassedOnAndPassedOver) {
  TailView seen = view(2);
  const auto shown = seen.take({.type = "gap", .data = R"({"from":3,"to":7})", .id = "7"});
  EXPECT_EQ(shown.note, "gap: events 3 to 7 were pruned before they could be read");
  EXPECT_EQ(shown.line, "");
  EXPECT_EQ(seen.take(event(8)).note, "");
}

TEST_F(TailViewTest, ALogThatBeganAnewIsFollowedFromWhereItIs) {
  TailView seen = view(100);
  const auto shown = seen.take({.type = "gap", .data = R"({"from":6,"to":100})", .id = "5"});
  EXPECT_EQ(shown.note,
            "gap: events 6 to 100 are not in the log (any more), which goes on behind 5");
  EXPECT_NE(seen.take(event(6)).line, "");
}

TEST_F(TailViewTest, TheEndIsTheEnd) {
  const auto shown =
      view(1).take({.type = "end", .data = R"({"reason":"session_ended"})", .id = "1"});
  EXPECT_TRUE(shown.over);
  EXPECT_EQ(shown.note, "the session has ended");
  EXPECT_THROW(view(1).take({.type = "end", .data = R"({"reason":"unauthenticated"})", .id = "1"}),
               Failure);
}

TEST_F(TailViewTest, AnEventThatCantBeReadIsSaidSo) {
  const auto shown = view(1).take({.type = "corrupt", .data = R"({"id":"s1#2"})", .id = "1"});
  EXPECT_EQ(shown.note, R"(an event can't be read: {"id":"s1#2"})");
  EXPECT_EQ(shown.line, "");
}

TEST_F(TailViewTest, AnEventWithoutANumberIsNotTaken) {
  EXPECT_THROW(view(1).take({.type = "step:started", .data = event_json(2), .id = ""}), Failure);
  EXPECT_THROW(view(1).take({.type = "step:started", .data = event_json(2), .id = "x"}), Failure);
}

TEST_F(TailViewTest, ANoticeIsALineOfNow) {
  TailView notices({.session = std::nullopt, .after = std::nullopt, .raw = false}, clock_);
  const SseEvent notice{.type = "notice",
                        .data = R"({"sessionId":"s1","sequence":7,"type":"chain:created"})",
                        .id = ""};
  EXPECT_EQ(notices.take(notice).line, "2026-03-01T00:00:00.000Z      7  chain:created      s1");
  EXPECT_NE(notices.take(notice).line, "");
  EXPECT_EQ(notices.take({.type = "gap", .data = "{}", .id = ""}).note,
            "gap: notices were lost, this client was too slow");
}

TEST(ReconnectPause, DoublesUpToItsLimit) {
  const std::vector<std::chrono::milliseconds> most = {250ms, 500ms, 1s, 2s, 4s, 5s, 5s};
  for (std::size_t i = 0; i < most.size(); ++i) {
    const int attempt = static_cast<int>(i) + 1;
    EXPECT_EQ(reconnect_pause(attempt, {}, 0), most[i]);
    for (std::uint64_t random = 0; random < 10'000; random += 7) {
      EXPECT_LE(reconnect_pause(attempt, {}, random), most[i]);
      EXPECT_GE(reconnect_pause(attempt, {}, random), most[i] / 2);
    }
  }
  EXPECT_EQ(reconnect_pause(1'000'000, {}, 0), 5s);
}

TEST(ReconnectPause, TheServersWishCountsFromTheSecondTimeOnAndWithinReason) {
  EXPECT_EQ(reconnect_pause(1, 2s, 0), 250ms);
  EXPECT_EQ(reconnect_pause(2, 2s, 0), 2s);
  EXPECT_EQ(reconnect_pause(2, 1h, 0), 1min);
  EXPECT_EQ(reconnect_pause(6, 1ms, 0), 5s);
}

}  // namespace
}  // namespace actionflows::cli
