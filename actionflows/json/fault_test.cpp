#include "actionflows/json/fault.hpp"

#include "actionflows/json/reader.hpp"
#include "actionflows/json/report.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace actionflows::json {
namespace {

// Every sequence of two bytes, and every lead byte before the bounds of what may follow, against
// simdjson's validation.
TEST(Fault, KnowsUtf8) {
  const auto agrees = [](const std::string& text) {
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t length = utf8_length(rest);
      if (length == 0) break;
      rest.remove_prefix(length);
    }
    return rest.empty() == simdjson::validate_utf8(text);
  };
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string two = {static_cast<char>(a), static_cast<char>(b)};
      for (const std::string_view tail : {"", "\x80", "\x80\x80", "\xBF\xBF", "a", "\x80z"}) {
        ASSERT_TRUE(agrees(two + std::string(tail))) << a << ' ' << b;
      }
    }
  }
}

TEST(Fault, PointsAtTheFirstByteThatIsWrong) {
  const auto offset = [](std::string_view text) {
    const auto fault = lexical_fault(text);
    return fault ? static_cast<int>(fault->offset) : -1;
  };
  EXPECT_EQ(offset(R"({"a\"b":"\\"})"), -1);
  EXPECT_EQ(offset("[\"ab"), 1);
  EXPECT_EQ(offset(R"("\\" "\")"), 5);
  EXPECT_EQ(offset("\"a\x01\""), 2);
  EXPECT_EQ(offset("\x01\"a\""), -1);  // not in a string: another's business
  EXPECT_EQ(offset("\"\\\n\""), 2);
  EXPECT_EQ(offset("\"é\xC3\""), 3);
  EXPECT_EQ(offset("\"\\\xFF\""), 2);
}

TEST(Fault, CountsLinesAndCharacters) {
  const auto message = [](std::string_view text, std::size_t at) {
    return malformed(text, {at, "x"}, {}).message;
  };
  EXPECT_EQ(message("", 0), "malformed JSON at line 1, column 1: x");
  EXPECT_EQ(message("ab", 2), "malformed JSON at line 1, column 3: x");
  EXPECT_EQ(message("a\n\nb", 3), "malformed JSON at line 3, column 1: x");
  EXPECT_EQ(message("é😀x", 6), "malformed JSON at line 1, column 3: x");
}

TEST(Report, CutsAtTheEndOfACharacter) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("abcd", 3), "abc...");
  EXPECT_EQ(shortened("aéé", 4), "aé...");
  EXPECT_EQ(shortened("😀😀", 5), "😀...");
}

}  // namespace
}  // namespace actionflows::json
