#include "actionflows/json/writer.hpp"

#include "actionflows/json/raw.hpp"
#include "actionflows/json/reader.hpp"
#include "actionflows/json/testing/random_json.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace actionflows::json {
namespace {

std::string written(std::string_view text) {
  std::string out;
  append_string(out, text);
  return out;
}

std::string read_back(const std::string& json) {
  simdjson::dom::parser parser;
  std::string_view text;
  EXPECT_EQ(parser.parse(json).get(text), simdjson::SUCCESS) << json;
  return std::string(text);
}

TEST(Writer, EscapesWhatMustBeAndNothingElse) {
  EXPECT_EQ(written(""), R"("")");
  EXPECT_EQ(written("plain text of some length"), R"("plain text of some length")");
  EXPECT_EQ(written("a\"b\\c/d"), R"("a\"b\\c/d")");
  EXPECT_EQ(written("\b\f\n\r\t"), R"("\b\f\n\r\t")");
  EXPECT_EQ(written(std::string_view("\0\x01\x1F\x7F", 4)), "\"\\u0000\\u0001\\u001f\x7F\"");
  EXPECT_EQ(written("é\xE2\x80\xA8😀"), "\"é\xE2\x80\xA8😀\"");
}

// Each byte at each place of the words that are looked at together.
TEST(Writer, FindsWhatMustBeEscapedAtEveryPlace) {
  for (std::size_t length = 1; length <= 20; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      for (int byte = 0; byte < 0x80; ++byte) {
        std::string text(length, 'x');
        text[at] = static_cast<char>(byte);
        ASSERT_EQ(read_back(written(text)), text);
      }
    }
  }
}

TEST(Writer, WritesTextsLongerThanItsBuffer) {
  for (const std::size_t length : {159U, 160U, 161U, 2047U, 2048U, 2049U, 100'000U}) {
    for (const std::string_view piece : {"x", "\n", "\x01", "é", "ab\"cdefgh"}) {
      std::string text;
      while (text.size() < length) text += piece;
      EXPECT_EQ(read_back(written(text)), text) << length << piece;
    }
  }
}

TEST(Writer, JoinsPiecesOfAnySize) {
  SeededRandom random(test::test_seed());
  for (int run = 0; run < 200; ++run) {
    std::string out = "before";
    std::string expected = out;
    {
      Writer writer(out);
      for (int i = 0; i < 100; ++i) {
        const std::string piece(random.below(random.below(4) == 0 ? 5000 : 60), 'a');
        switch (random.below(5)) {
          case 0: writer.raw(piece), expected += piece; break;
          case 1: writer.raw(','), expected += ','; break;
          case 2: writer.string(piece), expected += '"' + piece + '"'; break;
          case 3: writer.number(std::uint64_t{12345}), expected += "12345"; break;
          default: writer.raw_bytes<7>("1234567"), expected += "1234567"; break;
        }
      }
    }
    ASSERT_EQ(out, expected);
  }
}

TEST(Writer, WritesNumbersAndTimes) {
  std::string out;
  append_number(out, std::uint64_t{0});
  append_number(out, std::numeric_limits<std::uint64_t>::max());
  append_number(out, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(out, "018446744073709551615-9223372036854775808");
  out.clear();
  append_timestamp(out, Timestamp());
  EXPECT_EQ(out, R"("1970-01-01T00:00:00.000Z")");
}

}  // namespace
}  // namespace actionflows::json
