#include "actionflows/schema/kinds.hpp"

#include "actionflows/schema/object.hpp"
#include "actionflows/schema/testing/issues.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::schema {
namespace {

using testing::Lines;
using testing::lines;

template <class Member>
struct Holder {
  Member it{};
};

// The issues of `text` where a field holds `kind`; then, if there are none, of the C++ value read,
// so that both ways keep the same rules.
template <class Member, class Kind>
Lines issues(const Kind& kind, std::string_view text, Member* out = nullptr) {
  const auto schema = object<Holder<Member>>("Holder", "", field("it", &Holder<Member>::it, kind));
  Holder<Member> holder;
  Issues found;
  const std::string json = "{\"it\":" + std::string(text) + "}";
  const bool valid = schema.decode(json, Form::full, holder, found);
  EXPECT_EQ(valid, found.empty());
  if (found.empty()) {
    EXPECT_TRUE(schema.validate(holder, Form::full, found));
    std::string encoded;
    schema.encode(holder, Form::full, encoded);
    Holder<Member> again;
    EXPECT_TRUE(schema.decode(encoded, Form::full, again, found)) << encoded;
    EXPECT_EQ(again.it, holder.it);
  }
  if (out != nullptr) *out = holder.it;
  return lines(found);
}

// The issues of a value made in C++.
template <class Member, class Kind>
Lines issues_of_value(const Kind& kind, const Member& value) {
  const auto schema = object<Holder<Member>>("Holder", "", field("it", &Holder<Member>::it, kind));
  Issues found;
  const bool valid = schema.validate({value}, Form::full, found);
  EXPECT_EQ(valid, found.empty());
  return lines(found);
}

template <class Member, class Kind>
Member value(const Kind& kind, std::string_view text) {
  Member out{};
  EXPECT_EQ(issues<Member>(kind, text, &out), Lines());
  return out;
}

const std::string nul(1, '\0');

TEST(Text, IsAnyStringByDefault) {
  EXPECT_EQ(value<std::string>(text(), R"("")"), "");
  EXPECT_EQ(value<std::string>(text(), R"("a\u0000\u001f\n\"\\\/\u00e9\ud83d\ude00")"),
            "a" + nul + "\x1F\n\"\\/é😀");
  const std::string big(100'000, 'x');
  EXPECT_EQ(value<std::string>(text(), '"' + big + '"'), big);
}

TEST(Text, RefusesOtherTypes) {
  const auto refused = [](std::string_view received) {
    const std::string type(received.substr(received.find(' ') + 1));
    return Lines{"invalid_type at it: must be a string, not " + std::string(received) +
                 " (string, " + type + ")"};
  };
  EXPECT_EQ(issues<std::string>(text(), "1"), refused("a number"));
  EXPECT_EQ(issues<std::string>(text(), "-1.5e3"), refused("a number"));
  EXPECT_EQ(issues<std::string>(text(), "true"), refused("a boolean"));
  EXPECT_EQ(issues<std::string>(text(), "null"), refused("null"));
  EXPECT_EQ(issues<std::string>(text(), "[\"a\"]"), refused("an array"));
  EXPECT_EQ(issues<std::string>(text(), "{\"a\":[]}"), refused("an object"));
}

TEST(Text, CountsCodePoints) {
  const auto kind = text().min(2).max(4);
  EXPECT_EQ(issues<std::string>(kind, R"("éé")"), Lines());
  EXPECT_EQ(issues<std::string>(kind, R"("😀😀😀😀")"), Lines());
  EXPECT_EQ(issues<std::string>(kind, R"("\ud83d\ude00abc")"), Lines());
  EXPECT_EQ(issues<std::string>(kind, R"("😀😀😀😀x")"),
            Lines{"too_big at it: must be at most 4 characters (at most 4 characters, 5 "
                  "characters)"});
  EXPECT_EQ(issues<std::string>(kind, R"("é")"),
            Lines{"too_small at it: must be at least 2 characters (at least 2 characters, 1 "
                  "character)"});
  EXPECT_EQ(issues<std::string>(text().min(1), R"("")"),
            Lines{"too_small at it: must be at least 1 character (at least 1 character, 0 "
                  "characters)"});
  EXPECT_EQ(issues<std::string>(text().max(0), R"("")"), Lines());
}

TEST(Text, CountsBytesWhereAsked) {
  const auto kind = text().max_bytes(4);
  EXPECT_EQ(issues<std::string>(kind, R"("éé")"), Lines());
  EXPECT_EQ(issues<std::string>(kind, R"("éé1")"),
            Lines{"too_big at it: must be at most 4 bytes (at most 4 bytes, 5 bytes)"});
  EXPECT_EQ(issues<std::string>(kind, R"("12345")"),
            Lines{"too_big at it: must be at most 4 characters (at most 4 characters, 5 "
                  "characters)"});
}

TEST(Text, RefusesNulWhereAsked) {
  const Lines refused = {"invalid_string at it: must not contain the character U+0000"};
  EXPECT_EQ(issues<std::string>(text().no_nul(), R"("a\u0000")"), refused);
  EXPECT_EQ(issues<std::string>(text().no_nul(), R"("a\\u0000")"), Lines());
  EXPECT_EQ(issues_of_value(text().no_nul(), "a" + nul), refused);
}

TEST(Text, OfCppIsValidUtf8) {
  EXPECT_EQ(issues_of_value(text(), std::string("é😀")), Lines());
  EXPECT_EQ(issues_of_value(text(), std::string("a\xFF")),
            Lines{"invalid_string at it: must be valid UTF-8 (UTF-8, other bytes)"});
}

template <class Member>
std::string integer_issue(const Integer& kind, std::string_view text) {
  const Lines found = issues<Member>(kind, text);
  return found.size() == 1 ? found[0] : std::to_string(found.size()) + " issues";
}

TEST(Integer, HasTheRangeOfItsTypeAndOfJavaScript) {
  EXPECT_EQ(value<std::uint32_t>(integer(), "4294967295"), 4294967295U);
  EXPECT_EQ(value<std::uint64_t>(integer(), "9007199254740991"), 9007199254740991U);
  EXPECT_EQ(value<std::int64_t>(integer(), "-9007199254740991"), -9007199254740991);
  EXPECT_EQ(value<std::int16_t>(integer(), "-32768"), -32768);
  EXPECT_EQ(value<std::uint64_t>(integer(), "0"), 0U);
  EXPECT_EQ(value<std::uint64_t>(integer(), "-0"), 0U);
  EXPECT_EQ(integer_issue<std::uint32_t>(integer(), "4294967296"),
            "too_big at it: must be at most 4294967295 (at most 4294967295, 4294967296)");
  EXPECT_EQ(integer_issue<std::uint64_t>(integer(), "9007199254740992"),
            "too_big at it: must be at most 9007199254740991 (at most 9007199254740991, "
            "9007199254740992)");
  EXPECT_EQ(integer_issue<std::uint64_t>(integer(), "-1"),
            "too_small at it: must be at least 0 (at least 0, -1)");
  EXPECT_EQ(integer_issue<std::int16_t>(integer(), "-32769"),
            "too_small at it: must be at least -32768 (at least -32768, -32769)");
  for (const std::string_view huge :
       {"18446744073709551615", "18446744073709551616", "18446744073709551617",
        "9223372036854775808", "1000000000000000000", "99999999999999999999999"}) {
    EXPECT_TRUE(integer_issue<std::uint64_t>(integer(), huge).starts_with("too_big")) << huge;
    EXPECT_TRUE(
        integer_issue<std::int64_t>(integer(), "-" + std::string(huge)).starts_with("too_small"))
        << huge;
  }
  const std::string endless(100'000, '9');
  EXPECT_LT(integer_issue<std::uint64_t>(integer(), endless).size(), 200U);
}

TEST(Integer, KeepsItsBounds) {
  const auto kind = integer().min(1).max(10);
  EXPECT_EQ(value<std::uint32_t>(kind, "1"), 1U);
  EXPECT_EQ(value<std::uint32_t>(kind, "10"), 10U);
  EXPECT_EQ(integer_issue<std::uint32_t>(kind, "0"),
            "too_small at it: must be at least 1 (at least 1, 0)");
  EXPECT_EQ(integer_issue<std::uint32_t>(kind, "11"),
            "too_big at it: must be at most 10 (at most 10, 11)");
  EXPECT_EQ(issues_of_value<std::uint32_t>(kind, 0).size(), 1U);
  EXPECT_EQ(issues_of_value(integer(), std::numeric_limits<std::uint64_t>::max()).size(), 1U);
  EXPECT_EQ(issues_of_value(integer(), std::numeric_limits<std::int64_t>::min()).size(), 1U);
}

TEST(Integer, RefusesFractionsAndExponents) {
  for (const std::string_view number : {"1.5", "1.0", "1e3", "1E0", "-1.5", "1e400", "0.0"}) {
    EXPECT_EQ(integer_issue<std::int64_t>(integer(), number),
              "invalid_type at it: must be an integer, written without fraction or exponent "
              "(integer, " +
                  std::string(number) + ")");
  }
  EXPECT_EQ(integer_issue<std::int64_t>(integer(), "\"1\""),
            "invalid_type at it: must be an integer, not a string (integer, string)");
}

TEST(Boolean, IsTrueOrFalse) {
  EXPECT_TRUE(value<bool>(boolean(), "true"));
  EXPECT_FALSE(value<bool>(boolean(), "false"));
  EXPECT_EQ(issues<bool>(boolean(), "0"),
            Lines{"invalid_type at it: must be a boolean, not a number (boolean, number)"});
}

TEST(Time, IsRfc3339) {
  const auto time = value<Timestamp>(timestamp(), R"("2026-02-11T21:31:53.375+01:00")");
  EXPECT_EQ(time, value<Timestamp>(timestamp(), R"("2026-02-11T20:31:53.375Z")"));
  EXPECT_EQ(time, value<Timestamp>(timestamp(), R"("2026-02-11T20:31:\u0035\u0033.375Z")"));
  EXPECT_EQ(issues<Timestamp>(timestamp(), R"("yesterday")"),
            Lines{"invalid_string at it: must be an RFC 3339 date and time such as "
                  "2026-02-11T20:31:53.375Z (RFC 3339 date-time, \"yesterday\")"});
  EXPECT_EQ(issues<Timestamp>(timestamp(), "1770841913").size(), 1U);
  EXPECT_EQ(issues_of_value(timestamp(), Timestamp::max()),
            Lines{"custom at it: must be in the years 0000 to 9999 (years 0000 to 9999, )"});
  EXPECT_EQ(issues_of_value(timestamp(), Timestamp()), Lines());
}

TEST(Time, QuotesLittleOfWhatItRefuses) {
  const std::string endless(100'000, 'x');
  EXPECT_LT(issues<Timestamp>(timestamp(), '"' + endless + '"')[0].size(), 300U);
}

struct Word {
  static constexpr std::string_view rule = "lower-case letters";
  static std::optional<Word> parse(std::string_view text) {
    if (text.empty()) return std::nullopt;
    for (const char c : text)
      if (c < 'a' || c > 'z') return std::nullopt;
    return Word{std::string(text)};
  }
  [[nodiscard]] const std::string& str() const { return text; }
  friend bool operator==(const Word&, const Word&) = default;

  std::string text;
};

TEST(Identifier, FollowsItsTypesRule) {
  EXPECT_EQ(value<Word>(identifier(), R"("abc")").text, "abc");
  EXPECT_EQ(value<Word>(identifier(), R"("\u0061bc")").text, "abc");
  EXPECT_EQ(issues<Word>(identifier(), R"("a\u0000")"),
            Lines{R"(invalid_string at it: must be lower-case letters (lower-case letters, )"
                  R"("a\u0000"))"});
  EXPECT_EQ(issues<Word>(identifier(), R"("")").size(), 1U);
  EXPECT_EQ(issues<Word>(identifier(), "7"),
            Lines{"invalid_type at it: must be a string, not a number (string, number)"});
  EXPECT_EQ(issues_of_value(identifier(), Word{"A"}).size(), 1U);
  EXPECT_EQ(issues_of_value(identifier(), Word{"\xFF"}),
            Lines{"invalid_string at it: must be lower-case letters (lower-case letters, invalid "
                  "UTF-8)"});
}

enum class Colour { red, green };

TEST(Enumeration, TakesItsNamesOnly) {
  const auto kind = enumeration<Colour>({{"red", Colour::red}, {"green", Colour::green}});
  EXPECT_EQ(value<Colour>(kind, R"("green")"), Colour::green);
  EXPECT_EQ(value<Colour>(kind, R"("r\u0065d")"), Colour::red);
  EXPECT_EQ(issues<Colour>(kind, R"("Red")"),
            Lines{"invalid_enum_value at it: must be one of red, green (one of red, green, "
                  "\"Red\")"});
  EXPECT_EQ(issues<Colour>(kind, "0").size(), 1U);
  EXPECT_EQ(issues_of_value(kind, Colour{7}),
            Lines{"invalid_enum_value at it: must be one of red, green (one of red, green, another "
                  "value)"});
}

TEST(FreeObject, KeepsTheBytesOfAnObject) {
  const std::string_view text = R"({"b" : [1.50, {}],"a":12345678901234567890})";
  EXPECT_EQ(value<json::Raw>(free_object(), text).view(), text);
  EXPECT_EQ(value<json::Raw>(free_object(), "{ } ").view(), "{ }");
  EXPECT_EQ(issues<json::Raw>(free_object(), "[]"),
            Lines{"invalid_type at it: must be an object, not an array (object, array)"});
  EXPECT_EQ(issues_of_value(free_object(), json::Raw::parse("1")).size(), 1U);
  EXPECT_EQ(issues<json::Raw>(free_object(), R"({"x":{"k":1,"k":2}})"),
            Lines{"duplicate_key at it.x.k: appears more than once"});
}

TEST(FreeAny, KeepsTheBytesOfAnything) {
  for (const std::string_view text : {"{\"a\": 1}", "[ ]", R"("\u0061")", "-0.0", "true", "null"}) {
    EXPECT_EQ(value<json::Raw>(free_any(), text).view(), text);
    EXPECT_EQ(value<json::Raw>(free_any(), std::string(text) + " \n").view(), text);
  }
}

TEST(FreeAny, TakesNullForNoneWhereItMayBeAbsent) {
  using Optional = std::optional<json::Raw>;
  EXPECT_EQ(value<Optional>(free_any(), "null"), std::nullopt);
  EXPECT_EQ(value<Optional>(free_any(), "0")->view(), "0");
  EXPECT_EQ(issues_of_value<Optional>(free_any(), json::Raw()),
            Lines{"invalid_type at it: must not be null: leave the field out instead (any JSON, "
                  "null)"});
}

TEST(Nullable, TakesNullForNoneWhateverTheKind) {
  EXPECT_EQ(value<std::optional<std::string>>(nullable(text()), "null"), std::nullopt);
  EXPECT_EQ(value<std::optional<std::uint8_t>>(nullable(integer()), "null"), std::nullopt);
  EXPECT_EQ(value<std::optional<std::uint8_t>>(nullable(integer()), "255"), 255);
  EXPECT_EQ(issues<std::optional<std::uint8_t>>(nullable(integer()), "256").size(), 1U);
}

TEST(Array, KeepsOrderAndPlaces) {
  using Numbers = std::vector<std::uint32_t>;
  const auto kind = array(integer().min(1)).max(3);
  EXPECT_EQ(value<Numbers>(kind, "[3, 1,2]"), (Numbers{3, 1, 2}));
  EXPECT_EQ(value<Numbers>(kind, "[ ]"), Numbers());
  EXPECT_EQ(issues<Numbers>(kind, "[1,0,\"x\"]"),
            (Lines{"too_small at it[1]: must be at least 1 (at least 1, 0)",
                   "invalid_type at it[2]: must be an integer, not a string (integer, string)"}));
  EXPECT_EQ(issues<Numbers>(kind, "[1,2,3,4,\"not looked at\"]"),
            Lines{"too_big at it: must have at most 3 items (at most 3 items, 5 items)"});
  EXPECT_EQ(issues<Numbers>(kind, "{}"),
            Lines{"invalid_type at it: must be an array, not an object (array, object)"});
  EXPECT_EQ(issues<Numbers>(kind, "[4294967296]").size(), 1U);
  EXPECT_EQ(issues_of_value<Numbers>(kind, {1, 0, 1, 0}),
            (Lines{"too_small at it[1]: must be at least 1 (at least 1, 0)",
                   "too_small at it[3]: must be at least 1 (at least 1, 0)",
                   "too_big at it: must have at most 3 items (at most 3 items, 4 items)"}));
}

TEST(Distinct, NamesEachElementThatStoodThereBefore) {
  using Numbers = std::vector<std::uint32_t>;
  const auto kind = distinct(array(integer().min(1)).max(5));
  const auto twice = [](std::size_t index) {
    return "custom at it[" + std::to_string(index) + "]: stands there twice (distinct items, )";
  };
  EXPECT_EQ(value<Numbers>(kind, "[3, 1,2]"), (Numbers{3, 1, 2}));
  EXPECT_EQ(issues<Numbers>(kind, "[7,1,7,1,7]"), (Lines{twice(2), twice(3), twice(4)}));
  EXPECT_EQ(issues_of_value<Numbers>(kind, {2, 2, 1}), Lines{twice(1)});
  // What does not fit is not taken for a repetition.
  EXPECT_EQ(
      issues<Numbers>(kind, R"([5,"x",null,5])"),
      (Lines{"invalid_type at it[1]: must be an integer, not a string (integer, string)",
             "invalid_type at it[2]: must be an integer, not null (integer, null)", twice(3)}));
  EXPECT_TRUE(kind.json_schema("Some.", false).starts_with(R"({"uniqueItems":true,"type":"array")"))
      << kind.json_schema("Some.", false);
}

TEST(Array, ChecksWhatItNoLongerKeeps) {
  using Numbers = std::vector<std::uint32_t>;
  EXPECT_TRUE(issues<Numbers>(array(integer()).max(1), "[1,2,tru]")[0].starts_with(
      "custom at it[2]: malformed JSON at line 1, column 12"));
}

TEST(Kinds, MalformedValuesAreNotWrongTypes) {
  for (const std::string_view text :
       {"tru", "nul", "n", "01", "1.", "-", R"("\x")", "[1", "{\"a\"}", "}", ",", ":", ""}) {
    for (const Lines& found :
         {issues<std::string>(schema::text(), text), issues<int>(integer(), text),
          issues<bool>(boolean(), text), issues<Timestamp>(timestamp(), text),
          issues<json::Raw>(free_any(), text), issues<json::Raw>(free_object(), text),
          issues<std::optional<std::string>>(schema::text(), text),
          issues<std::vector<int>>(array(integer()), text)}) {
      ASSERT_EQ(found.size(), 1U) << text;
      EXPECT_NE(found[0].find("malformed JSON at line 1, column "), std::string::npos) << found[0];
    }
  }
}

}  // namespace
}  // namespace actionflows::schema
