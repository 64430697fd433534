#include "actionflows/base/time.hpp"

#include <gtest/gtest.h>

namespace actionflows {
namespace {

std::string round_trip(std::string_view text) {
  const auto time = parse_rfc3339(text);
  return time ? format_rfc3339(*time) : "refused";
}

TEST(Rfc3339, ReadsAnyOffsetAndPrecision) {
  EXPECT_EQ(round_trip("2026-02-11T20:31:53.375Z"), "2026-02-11T20:31:53.375Z");
  EXPECT_EQ(round_trip("2026-02-11t20:31:53z"), "2026-02-11T20:31:53.000Z");
  EXPECT_EQ(round_trip("2026-02-11T20:31:53.1Z"), "2026-02-11T20:31:53.100Z");
  EXPECT_EQ(round_trip("2026-02-11T20:31:53.123456789Z"), "2026-02-11T20:31:53.123Z");
  EXPECT_EQ(round_trip("2026-02-11T20:31:53+05:30"), "2026-02-11T15:01:53.000Z");
  EXPECT_EQ(round_trip("2026-02-11T20:31:53-08:00"), "2026-02-12T04:31:53.000Z");
  EXPECT_EQ(round_trip("2024-02-29T00:00:00Z"), "2024-02-29T00:00:00.000Z");
  EXPECT_EQ(round_trip("2016-12-31T23:59:60Z"), "2017-01-01T00:00:00.000Z");
  EXPECT_EQ(round_trip("1969-12-31T23:59:59.999Z"), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(round_trip("9999-12-31T23:59:59.999Z"), "9999-12-31T23:59:59.999Z");
}

TEST(Rfc3339, RefusesEverythingElse) {
  for (const char* text :
       {"", "2026-02-11", "2026-02-11T20:31:53", "2026-02-11 20:31:53Z", "2026-02-11T20:31Z",
        "2026-13-11T20:31:53Z", "2026-02-30T20:31:53Z", "2025-02-29T20:31:53Z",
        "2026-02-11T24:00:00Z", "2026-02-11T20:60:53Z", "2026-02-11T20:31:61Z",
        "2026-02-11T20:31:53.Z", "2026-02-11T20:31:53+0530", "2026-02-11T20:31:53+24:00",
        "2026-02-11T20:31:53Zz", "+026-02-11T20:31:53Z", "2026-02-11T20:31:53.375Z ",
        "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"}) {
    EXPECT_EQ(round_trip(text), "refused") << text;
  }
}

TEST(Rfc3339, ClampsWhatFourYearDigitsCannotSay) {
  EXPECT_EQ(format_rfc3339(Timestamp::max()), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(format_rfc3339(Timestamp::min()), "0000-01-01T00:00:00.000Z");
}

}  // namespace
}  // namespace actionflows
