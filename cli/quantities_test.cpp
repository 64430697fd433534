#include "cli/quantities.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace actionflows::cli {
namespace {

using namespace std::chrono_literals;

TEST(Quantities, CountsAreGroupedByThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'000), "1,000");
  EXPECT_EQ(grouped(12'345'678), "12,345,678");
  EXPECT_EQ(counted(1, "line"), "1 line");
  EXPECT_EQ(counted(0, "line"), "0 lines");
  EXPECT_EQ(counted(6'690, "step"), "6,690 steps");
}

TEST(Quantities, SizesHaveThreeDigitsAndAUnit) {
  EXPECT_EQ(size_text(0), "0 B");
  EXPECT_EQ(size_text(999), "999 B");
  EXPECT_EQ(size_text(1'000), "1.00 kB");
  EXPECT_EQ(size_text(9'999), "10.0 kB");
  EXPECT_EQ(size_text(12'940'000), "12.9 MB");
  EXPECT_EQ(size_text(999'400), "999 kB");
  EXPECT_EQ(size_text(999'600), "1.00 MB");
}

TEST(Quantities, DurationsAreToldByTheirTwoLargestUnits) {
  EXPECT_EQ(duration_text(0ns), "0 ms");
  EXPECT_EQ(duration_text(35'400us), "35 ms");
  EXPECT_EQ(duration_text(999'900us), "1.0 s");
  EXPECT_EQ(duration_text(1'900ms), "1.9 s");
  EXPECT_EQ(duration_text(9'990ms), "10 s");
  EXPECT_EQ(duration_text(59'700ms), "1 min 0 s");
  EXPECT_EQ(duration_text(123s), "2 min 3 s");
  EXPECT_EQ(duration_text(4h + 12min + 40s), "4 h 12 min");
}

TEST(Quantities, WhatIsPrintedHasNoControlCharacters) {
  EXPECT_EQ(printable("plain \xE6\x97\xA5 text"), "plain \xE6\x97\xA5 text");
  EXPECT_EQ(printable("\x1B[31mred\n"), "\\u001b[31mred\\u000a");
  EXPECT_EQ(printable("\xC2\x9B"
                      "1m"),
            "\\u009b1m");
  EXPECT_EQ(printable("\xC2\xA9"), "\xC2\xA9");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\u0000b");
}

TEST(Quantities, SettingsOfTimeNeedAUnit) {
  EXPECT_EQ(Duration::parse("24h"), Duration{24h});
  EXPECT_EQ(Duration::parse("250ms"), Duration{250ms});
  EXPECT_EQ(Duration::parse("7d"), Duration{7 * 24h});
  EXPECT_EQ(Duration::parse("10min"), Duration{10min});
  EXPECT_EQ(Duration::parse("0"), Duration{});
  EXPECT_EQ(Duration::parse("36500d"), Duration{36'500 * 24h}) << "a century";
  for (const char* wrong : {"", "24", "h", "24 h", "-1s", "1.5h", "1hh", "99999999999999999999s",
                            "9223372036854775807d", "106751991167d", "36501d", "876001h"})
    EXPECT_EQ(Duration::parse(wrong), std::nullopt) << wrong;
}

TEST(Quantities, SettingsOfSizeTakeBothKindsOfUnits) {
  EXPECT_EQ(Size::parse("4096"), Size{4'096});
  EXPECT_EQ(Size::parse("5MiB"), Size{5 << 20});
  EXPECT_EQ(Size::parse("5MB"), Size{5'000'000});
  EXPECT_EQ(Size::parse("4GiB"), Size{std::uint64_t{4} << 30});
  for (const char* wrong : {"", "MiB", "-1", "5 MiB", "5mib", "99999999999GiB"})
    EXPECT_EQ(Size::parse(wrong), std::nullopt) << wrong;
}

TEST(Quantities, SettingsOfNumberAreDigitsOnly) {
  EXPECT_EQ(Count::parse("0"), Count{0});
  EXPECT_EQ(Count::parse("1000000"), Count{1'000'000});
  for (const char* wrong :
       {"", "-1", "+1", " 1", "1 ", "1.0", "1e6", "0x10", "99999999999999999999"})
    EXPECT_EQ(Count::parse(wrong), std::nullopt) << wrong;
}

template <class Quantity>
std::string written(const Quantity& quantity) {
  std::ostringstream out;
  out << quantity;
  return out.str();
}

TEST(Quantities, WhatIsShownCanBeGiven) {
  for (const char* text : {"0", "250ms", "90s", "10min", "36h", "7d"})
    EXPECT_EQ(written(Duration::parse(text).value()), text);
  for (const char* text : {"0", "1000", "64KiB", "5MiB", "4GiB"})
    EXPECT_EQ(written(Size::parse(text).value()), text);
}

TEST(Quantities, AStreamFailsOnAnythingElse) {
  Duration duration;
  std::istringstream wrong("soon");
  wrong >> duration;
  EXPECT_TRUE(wrong.fail());
  std::istringstream right("2h");
  right >> duration;
  EXPECT_FALSE(right.fail());
  EXPECT_EQ(duration, Duration{2h});
}

}  // namespace
}  // namespace actionflows::cli
