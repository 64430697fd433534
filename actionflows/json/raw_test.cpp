#include "actionflows/json/raw.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/json/reader.hpp"
#include "actionflows/json/testing/random_json.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace actionflows::json {
namespace {

Issues issues_of(std::string_view text, const Limits& limits = {}) {
  try {
    (void)Raw::parse(text, limits);
    return {};
  } catch (const StorageError& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid);
    EXPECT_FALSE(error.issues.empty());
    return error.issues;
  }
}

bool accepted(std::string_view text) { return issues_of(text).empty(); }

// "path: message" of the only issue.
std::string issue_of(std::string_view text, const Limits& limits = {}) {
  const Issues issues = issues_of(text, limits);
  if (issues.size() != 1) return std::to_string(issues.size()) + " issues";
  const std::string path = to_string(issues[0].path);
  return (path.empty() ? "" : path + ": ") + issues[0].message;
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(Raw, KeepsTheTextByteForByteAndDropsTheWhitespaceAround) {
  for (const std::string_view text :
       {R"({"b" : 1,  "a":[1.50, 12345678901234567890123, -0, 1e400, 1E+2 ]})", "{}", "[]",
        R"("\u0000 \ud83d\ude00 \/ ")", "null", "true", "false", "0", "-0.0e-0",
        "\"\xE2\x80\xA8\xE2\x80\xA9\x7F\"", "[[[\n{ }\t]]]", "[[],{}]", R"({"":{"":[]}})"}) {
    EXPECT_EQ(Raw::parse(text).view(), text);
    EXPECT_EQ(Raw::parse(" \t\r\n" + std::string(text) + "\n ").view(), text);
  }
}

TEST(Raw, ComparesBytes) {
  EXPECT_EQ(Raw::parse(" {\"a\":1}"), Raw::parse("{\"a\":1} "));
  EXPECT_FALSE(Raw::parse("{\"a\":1}") == Raw::parse("{\"a\": 1}"));
  EXPECT_EQ(Raw(), Raw::parse("null"));
  EXPECT_TRUE(Raw().is_null());
  EXPECT_FALSE(Raw::parse("[1]").is_object());
  EXPECT_TRUE(Raw::parse("{}").is_object());
}

// What is not JSON, between tildes.
constexpr std::string_view not_json =
    R"(~ ~nul~nulls~null null~True~tru~truee~true1~NaN~Infinity~-Infinity~undefined~'a'~a)"
    R"(~{~}~[~]~[1~[1,~[1,]~[,1]~[,]~[1 2]~[1:2]~[1}~[[]~[]]~[]}~[:]~[{]}~:~,~1 2~{} {}~{}])"
    R"(~{"a":1]~{,}~{"a"}~{"a":}~{"a" 1}~{"a":1,}~{,"a":1}~{a:1}~{'a':1}~{1:1}~{[]}~{{}})"
    R"(~{"a":1 "b":2}~{"a":1,,"b":2}~{"a":"b":1}~{"a"::1}~{"a":1}{"a":1}~{"a":1}}~{"a":{]})"
    R"(~{"a":[1}~{"a":[1}]}~"a" "b"~"a"b~"a":1~["a":1]~["a"1]~"a~"a\"~["\~\~\u0041~["\u)"
    R"(~"\x41"~"\u12"~"\u12G4"~"\U0041"~"\"~"\ "~{"\q":1}~1 // c~/**/1~[1,/*c*/2]~#1)";

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

TEST(Raw, RefusesWhatIsNotJson) {
  const std::vector<std::string> texts = split(not_json, '~');
  EXPECT_EQ(texts.size(), 80U);
  for (const std::string& text : texts) {
    EXPECT_FALSE(accepted(text)) << text;
    EXPECT_FALSE(accepted("[" + text + ", 1")) << text;
  }
}

TEST(Raw, RefusesControlCharactersAndByteOrderMarks) {
  using namespace std::string_view_literals;
  for (const std::string_view text : {"\n\n"sv,
                                      "// c\n1"sv,
                                      "#\n1"sv,
                                      "[\"\n\"]"sv,
                                      "[\"\t\"]"sv,
                                      "{\"a\nb\":1}"sv,
                                      "\0"sv,
                                      "{}\0"sv,
                                      "\0{}"sv,
                                      "[1\0]"sv,
                                      "\"\0\""sv,
                                      "1\0"sv,
                                      "true\0"sv,
                                      "[true\0]"sv,
                                      "{\"a\0\":1}"sv,
                                      "\v1"sv,
                                      "\f1"sv,
                                      "1\xC2\xA0"sv,
                                      "\xEF\xBB\xBF{}"sv,
                                      "\xEF\xBB\xBF"sv,
                                      "\xFE\xFF"sv,
                                      "{}\xEF\xBB\xBF"sv}) {
    EXPECT_FALSE(accepted(text)) << ::testing::PrintToString(text);
  }
}

TEST(Raw, ReadsNumbersByTheGrammarWhateverTheirSize) {
  const std::string huge(5000, '9');
  for (const std::string& number :
       {std::string("0"), std::string("-0"), std::string("0.0"), std::string("1e5"),
        std::string("1E-5"), std::string("1e+5"), std::string("9007199254740993"),
        std::string("18446744073709551616"), std::string("-9223372036854775809"),
        std::string("1e400"), std::string("-1e-400"), std::string("0e0"), std::string("0.1e1"),
        huge, "-" + huge, "0." + huge, "1e" + huge}) {
    EXPECT_EQ(Raw::parse(number).view(), number);
    EXPECT_EQ(Raw::parse("[" + number + "]").view(), "[" + number + "]");
    EXPECT_EQ(Raw::parse("{\"a\":" + number + " }").view(), "{\"a\":" + number + " }");
  }
  for (const std::string_view number :
       {"01",   "-01",   "00",  "-",        "+1",  ".5",    "5.",    "1.e5",
        "1e",   "1e+",   "1e-", "e5",       "-e5", "1.2.3", "1e5e5", "1e5.5",
        "0x10", "1_000", "--1", "1-",       "1+1", "-.5",   "1.-5",  "12a",
        "1e5a", "0b1",   "1,",  "\xD9\xA1", "-a",  "-true", "-\"1\""}) {
    EXPECT_FALSE(accepted(number)) << number;
    EXPECT_FALSE(accepted("[" + std::string(number) + "]")) << number;
    EXPECT_FALSE(accepted("{\"a\":" + std::string(number) + "}")) << number;
  }
}

TEST(Raw, RefusesHalfASurrogatePair) {
  for (const std::string_view text :
       {R"("\ud800")", R"("\udc00")", R"("\udbff")", R"("\udfff")", R"("\ud800\ud800")",
        R"("\udc00\ud800")", R"("\ud800x")", R"("\ud800\n")", R"("\ud800A")", R"("x\udc00y")",
        R"("\ud83d\ude00\ud83d")", R"("\ud800\udbff")", R"("\uD800\u")"}) {
    EXPECT_FALSE(accepted(text)) << text;
    EXPECT_FALSE(accepted("{\"a\":[" + std::string(text) + "]}")) << text;
    EXPECT_FALSE(accepted("{" + std::string(text) + ":1}")) << text;
  }
  for (const std::string_view text :
       {R"("\ud800\udc00")", R"("\udbff\udfff")", R"("\uD83D\uDE00\ud83d\ude00")", R"("\ud7ff")",
        R"("\ue000")", R"("\uffff")", R"("\\ud800")"}) {
    EXPECT_TRUE(accepted(text)) << text;
    EXPECT_TRUE(accepted("{" + std::string(text) + ":[" + std::string(text) + "]}")) << text;
  }
}

// Each class of invalid sequence, at every place where a text can hold one.
TEST(Raw, RefusesInvalidUtf8WhereverItStands) {
  for (const std::string_view bytes :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x80\x80", "\xE0\x9F\xBF",
        "\xE2\x80", "\xE2(\xA8", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x80\x80\x80",
        "\xF0\x8F\xBF\xBF", "\xF0\x9F\x98", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE",
        "\xFF"}) {
    const std::string bad(bytes);
    for (const std::string& text :
         {bad, "\"" + bad + "\"", "\"a" + bad + "\"", "\"" + bad + "z\"", "[\"" + bad + "\"]",
          "{\"" + bad + "\":1}", R"({"a":")" + bad + "\"}", "{}" + bad, bad + "{}",
          "[1" + bad + "]", R"({"a":{"b":[")" + bad + "\"]}}",
          "\"" + std::string(100, 'x') + bad + "\""}) {
      EXPECT_FALSE(accepted(text)) << ::testing::PrintToString(text);
    }
  }
}

TEST(Raw, ReportsDuplicateKeysAtAnyDepth) {
  EXPECT_EQ(issue_of(R"({"a":1,"a":2})"), "a: appears more than once");
  EXPECT_EQ(issue_of(R"({"a":1,"b":{"x":[0,{"k":1,"l":2,"k":3}]}})"),
            "b.x[1].k: appears more than once");
  EXPECT_EQ(issue_of(R"({"a":1,"\u0061":2})"), "a: appears more than once");
  EXPECT_EQ(issue_of(R"({"\u00e9":1,"é":2})"), "é: appears more than once");
  EXPECT_EQ(issues_of(R"({"":1,"":2})")[0].path, Path{""});
  EXPECT_EQ(issue_of(R"({"a":1,"a":2,"a":3})"), "a: appears more than once");
  EXPECT_EQ(issues_of(R"({"a":1,"a":{"b":1,"b":1},"c":1,"c":1})").size(), 3U);
  EXPECT_EQ(issues_of(R"([{"a":1,"a":2}])")[0].code, IssueCode::duplicate_key);
  EXPECT_TRUE(accepted(R"({"a":{"a":{"a":1}},"b":{"a":1},"A":1,"a ":2})"));
}

TEST(Raw, FindsDuplicatesAmongManyKeys) {
  for (const std::size_t size : {12U, 13U, 14U, 1000U}) {
    std::string text = "{";
    for (std::size_t i = 0; i < size; ++i) text += "\"key" + std::to_string(i) + "\":1,";
    EXPECT_TRUE(accepted(text + "\"other\":1}")) << size;
    EXPECT_EQ(issue_of(text + "\"key7\":1}"), "key7: appears more than once") << size;
    EXPECT_EQ(issues_of(text + "\"key7\":1,\"key3\":1,\"key7\":1}").size(), 2U) << size;
  }
}

TEST(Raw, BoundsDepth) {
  const auto too_deep = [](std::size_t depth, const Limits& limits = {}) {
    return issue_of(nested(depth), limits).ends_with("nested too deep: at most 64 levels");
  };
  EXPECT_TRUE(accepted(nested(64)));
  EXPECT_TRUE(too_deep(65));
  EXPECT_TRUE(too_deep(10'000));
  EXPECT_TRUE(too_deep(1'000'000));
  EXPECT_TRUE(issue_of(std::string(10'000, '[')).starts_with("malformed JSON"));
  std::string objects;
  for (std::size_t i = 0; i < 65; ++i) objects += "{\"a\":";
  EXPECT_TRUE(issue_of(objects + "1" + std::string(65, '}')).ends_with("at most 64 levels"));
  EXPECT_TRUE(issue_of("[1,[2]]", {.max_depth = 1}).starts_with("[1]: nested too deep"));
  EXPECT_EQ(issue_of("[]", {.max_depth = 0}), "nested too deep: at most 0 levels");
  EXPECT_EQ(Raw::parse("1", {.max_depth = 0}).view(), "1");
  EXPECT_EQ(Raw::parse(nested(500), {.max_depth = 500}).view(), nested(500));
}

TEST(Raw, BoundsBytes) {
  EXPECT_EQ(issue_of("[1,2]", {.max_bytes = 4}), "must be at most 4 bytes");
  EXPECT_EQ(issues_of("[1,2]", {.max_bytes = 4})[0].code, IssueCode::too_big);
  EXPECT_EQ(issues_of("[1,2]", {.max_bytes = 4})[0].received, "5 bytes");
  EXPECT_TRUE(issues_of("[1,2]", {.max_bytes = 5}).empty());
  const std::size_t limit = Limits().max_bytes;
  EXPECT_TRUE(accepted('"' + std::string(limit - 2, 'x') + '"'));
  EXPECT_FALSE(accepted('"' + std::string(limit - 1, 'x') + '"'));
}

TEST(Raw, TellsLineAndColumn) {
  EXPECT_EQ(issue_of("{\n  \"a\": 1,\n  \"b\": tru\n}"),
            "b: malformed JSON at line 3, column 8: unexpected text");
  EXPECT_EQ(issue_of("{\"é\": \"é\", \"b\" 1}"),
            "malformed JSON at line 1, column 16: unexpected text");
  EXPECT_EQ(issue_of("[1,\n2,,3]"), "[2]: malformed JSON at line 2, column 3: unexpected text");
  EXPECT_EQ(issue_of("[01]"), "[0]: malformed JSON at line 1, column 2: this is not a number");
  EXPECT_EQ(issue_of("{\"a\": [1, 2}"), "a: malformed JSON at line 1, column 12: unexpected text");
  EXPECT_EQ(issue_of("[1, 2"), "malformed JSON at line 1, column 6: the text ends too early");
  EXPECT_EQ(issue_of("[1]\n [2]"),
            "malformed JSON at line 2, column 2: unexpected text after the end of the value");
  EXPECT_EQ(issue_of("1 2"),
            "malformed JSON at line 1, column 3: unexpected text after the end of the value");
  EXPECT_EQ(issue_of("[1}"),
            "malformed JSON at line 1, column 3: this bracket closes one of the other kind");
  EXPECT_EQ(issue_of("[\"a\n\"]"),
            "malformed JSON at line 1, column 4: a control character inside a string must be "
            "escaped");
  EXPECT_EQ(issue_of("[1,\n \"abc]"), "malformed JSON at line 2, column 2: this string never ends");
  EXPECT_EQ(issue_of("[\"\xFF\"]"), "malformed JSON at line 1, column 3: invalid UTF-8");
  EXPECT_EQ(issue_of("[1,\"\\ud800\"]"),
            "[1]: malformed JSON at line 1, column 4: this string has an escape that means nothing "
            "or half a surrogate pair");
  EXPECT_EQ(issue_of(""), "malformed JSON at line 1, column 1: the text is empty");
  EXPECT_EQ(issue_of("  \n "), "malformed JSON at line 2, column 2: the text is empty");
  EXPECT_EQ(issue_of("\xEF\xBB\xBF{}"),
            "malformed JSON at line 1, column 1: a byte order mark is not allowed");
}

TEST(Raw, BoundsWhatItReports) {
  std::string text = "[";
  for (int i = 0; i < 500; ++i) text += R"({"a":1,"a":2},)";
  const Issues many = issues_of(text + "0]");
  ASSERT_EQ(many.size(), max_issues + 1);
  EXPECT_EQ(many.back().message, "more than 100 issues: the rest is not listed");
  const std::string key(1'000'000, 'k');
  const Issues one = issues_of("{\"" + key + "\":1,\"" + key + "\":2}");
  ASSERT_EQ(one.size(), 1U);
  EXPECT_LT(to_string(one[0].path).size(), 200U);
}

// No prefix of a document is a document, and none crashes the reader.
TEST(Raw, RefusesADocumentCutAnywhere) {
  const std::string text =
      R"({"a":[1,-2.5e+3,true,false,null,"x\n\u00e9\ud83d\ude00é"],"b":{"c":{},"d":[[]]}})";
  ASSERT_TRUE(accepted(text));
  for (std::size_t end = 0; end < text.size(); ++end) {
    EXPECT_FALSE(accepted(text.substr(0, end))) << end;
  }
  for (std::size_t start = 1; start < text.size(); ++start) {
    const std::string rest = text.substr(start);
    EXPECT_FALSE(accepted(rest)) << rest;
  }
}

TEST(Raw, ReadsBigTextsAndGoesOnWithSmallOnes) {
  const std::string text = '"' + std::string(2 * 1024 * 1024 - 2, 'x') + '"';
  EXPECT_EQ(Raw::parse(text).view(), text);
  EXPECT_EQ(Raw::parse("[1]").view(), "[1]");
  std::string many = "[";
  while (many.size() < 2'000'000) many += R"({"a":"\n"},)";
  EXPECT_TRUE(accepted(many + "1]"));
  EXPECT_EQ(Raw::parse("[2]").view(), "[2]");
}

TEST(Raw, IsReadOnManyThreadsAtOnce) {
  std::vector<std::jthread> threads;
  threads.reserve(4);
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([seed] {
      testing::RandomJson random(seed);
      for (int i = 0; i < 500; ++i) {
        const std::string text = random.object();
        EXPECT_EQ(Raw::parse(text).view(), text);
      }
    });
  }
}

// --- against another parser: simdjson's DOM, which reads whole documents in its own way

enum class Verdict { valid, malformed, beyond_dom };

// What the DOM refuses but RFC 8259 allows: numbers beyond double, integers beyond 64 bits.
Verdict dom_verdict(const std::string& text) {
  static simdjson::dom::parser parser;
  const auto error = parser.parse(text).error();
  if (error == simdjson::SUCCESS) return Verdict::valid;
  // By its words: versions of simdjson differ in the error they have for big integers.
  const std::string_view words = simdjson::error_message(error);
  const bool number =
      error == simdjson::NUMBER_ERROR || words.find("Big integer") != std::string_view::npos;
  return number ? Verdict::beyond_dom : Verdict::malformed;
}

bool only_duplicates(const Issues& issues) {
  return std::all_of(issues.begin(), issues.end(),
                     [](const Issue& issue) { return issue.code == IssueCode::duplicate_key; });
}

TEST(Raw, AgreesWithAnotherParserOnRandomTexts) {
  testing::RandomJson random(test::test_seed());
  int valid = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = random.value();
    EXPECT_TRUE(accepted(text)) << text;
    for (std::size_t damage = random.below(3); damage > 0; --damage) text = random.damaged(text);
    if (text.starts_with("\xEF\xBB\xBF")) continue;  // some versions of the DOM skip it
    const Verdict verdict = dom_verdict(text);
    if (verdict == Verdict::beyond_dom) continue;
    valid += verdict == Verdict::valid ? 1 : 0;
    EXPECT_EQ(only_duplicates(issues_of(text)), verdict == Verdict::valid)
        << ::testing::PrintToString(text);
  }
  EXPECT_GT(valid, 5'000);
}

}  // namespace
}  // namespace actionflows::json
