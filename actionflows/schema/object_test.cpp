#include "actionflows/schema/object.hpp"

#include "actionflows/json/testing/random_json.hpp"
#include "actionflows/schema/testing/issues.hpp"
#include "actionflows/schema/testing/sample_records.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace actionflows::schema {
namespace {

struct Pair {
  std::string declared;
  std::string undeclared;
};

}  // namespace

template <>
const Schema<Pair>& schema_of<Pair>() {
  static const auto& schema =
      *new auto(object<Pair>("Pair", "", field("declared", &Pair::declared, text())));
  return schema;
}

namespace {

using sample::ChainData;
using sample::Session;
using sample::SessionState;
using sample::StepData;
using testing::line;
using testing::Lines;
using testing::lines;
using testing::refusal;

constexpr std::string_view session_text =
    R"({"sessionId":"s-1","userId":"ada","state":"paused","title":"Nightly \"build\"",)"
    R"("metadata":{"branch" : "main"},"createdAt":"2026-02-11T20:31:53.375Z",)"
    R"("updatedAt":"2026-02-11T20:31:53.375Z","lastActivityAt":"2026-02-11T20:31:53.375Z",)"
    R"("chainCount":3,"version":12})";

const Schema<Session>& sessions() { return schema_of<Session>(); }

Session session() { return sessions().decode(session_text, Form::full); }

std::string encoded(const Session& value, Form form = Form::full) {
  std::string out;
  sessions().encode(value, form, out);
  return out;
}

template <class T = Session>
Lines issues(std::string_view text, Form form = Form::full) {
  return refusal(ErrorCode::invalid, [&] { (void)schema_of<T>().decode(text, form); });
}

// `text` with the first `from` replaced.
std::string with(std::string_view text, std::string_view from, std::string_view to) {
  std::string out(text);
  const std::size_t at = out.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return out.replace(at, from.size(), to);
}

// --- decoding

TEST(Decode, FillsTheStruct) {
  const Session value = session();
  EXPECT_EQ(value.session_id.str(), "s-1");
  EXPECT_EQ(value.user_id.str(), "ada");
  EXPECT_EQ(value.state, SessionState::paused);
  EXPECT_EQ(value.title, "Nightly \"build\"");
  EXPECT_EQ(value.cwd, std::nullopt);
  EXPECT_EQ(value.metadata->view(), R"({"branch" : "main"})");
  EXPECT_EQ(format_rfc3339(value.created_at), "2026-02-11T20:31:53.375Z");
  EXPECT_EQ(value.completed_at, std::nullopt);
  EXPECT_EQ(value.chain_count, 3U);
  EXPECT_EQ(value.version, 12U);
}

TEST(Decode, TakesMembersInAnyOrderAndSpacing) {
  const std::string_view shuffled = R"( {
    "version" : 12 , "chainCount":3, "lastActivityAt":"2026-02-11T20:31:53.375Z",
    "updatedAt":"2026-02-11T20:31:53.375Z","createdAt":"2026-02-11T20:31:53.375Z"
    , "metadata":{"branch" : "main"}  , "title":"Nightly \u0022build\""  ,"state" :"paused" ,
    "userId":"ada",
    "sessionId":"s-1"
  } )";
  EXPECT_EQ(sessions().decode(shuffled, Form::full), session());
}

TEST(Decode, ReadsKeysWrittenWithEscapes) {
  EXPECT_EQ(
      sessions().decode(with(session_text, "\"userId\"", R"("\u0075ser\u0049d")"), Form::full),
      session());
  EXPECT_EQ(issues(with(session_text, "\"title\"", R"("\u0075serId")"))[0],
            "duplicate_key at userId: appears more than once");
}

TEST(Decode, ReplacesWhatTheOutputHeld) {
  Session out = session();
  out.cwd = "/somewhere";
  Issues found;
  EXPECT_TRUE(sessions().decode(session_text, Form::full, out, found));
  EXPECT_EQ(out, session());
  EXPECT_FALSE(sessions().decode("{}", Form::full, out, found));
  EXPECT_FALSE(found.empty());
}

TEST(Decode, ReportsEveryIssueAtOnce) {
  const std::string_view text =
      R"({"sessionId":"a b","state":"lost","title":7,"hostname":null,)"
      R"("metadata":{"a":{"k":1,"k":2}},)"
      R"("createdAt":"now","updatedAt":"2026-02-11T20:31:53Z","chainCount":-1,"version":0,)"
      R"("color":"red","si\u007ae":[1,{"x":2}],"version":1})";
  const std::string bad_id =
      "invalid_string at sessionId: must be 1 to 200 letters, digits or any of . _ : @ - (1 to 200 "
      "letters, digits or any of . _ : @ -, \"a b\")";
  const std::string bad_state =
      "invalid_enum_value at state: must be one of active, paused, completed (one of active, "
      "paused, completed, \"lost\")";
  const std::string bad_time =
      "invalid_string at createdAt: must be an RFC 3339 date and time such as "
      "2026-02-11T20:31:53.375Z (RFC 3339 date-time, \"now\")";
  const std::string bad_null =
      "invalid_type at hostname: must not be null: leave the field out instead (string, null)";
  EXPECT_EQ(issues(text),
            (Lines{bad_id, bad_state,
                   "invalid_type at title: must be a string, not a number (string, number)",
                   bad_null, "duplicate_key at metadata.a.k: appears more than once", bad_time,
                   "too_small at chainCount: must be at least 0 (at least 0, -1)",
                   "too_small at version: must be at least 1 (at least 1, 0)",
                   "duplicate_key at version: appears more than once",
                   "invalid_type at userId: is required (string, nothing)",
                   "invalid_type at lastActivityAt: is required (string, nothing)",
                   "unrecognized_keys: unknown fields: color, size"}));
}

TEST(Decode, RefusesOtherRoots) {
  EXPECT_EQ(issues("[]"), Lines{"invalid_type: must be an object, not an array (object, array)"});
  EXPECT_EQ(issues(" \"{}\" "),
            Lines{"invalid_type: must be an object, not a string (object, string)"});
  EXPECT_EQ(issues("null"), Lines{"invalid_type: must be an object, not null (object, null)"});
  EXPECT_EQ(issues("-1e5").size(), 1U);
  EXPECT_EQ(issues("[1,{\"a\":1,\"a\":1}]").size(), 2U);
}

TEST(Decode, GivesOnlyThePlaceOfMalformedJson) {
  EXPECT_EQ(issues("{\"title\":7,\n \"state\":\"lost\",\n \"metadata\":{\"a\":[1,}}"),
            Lines{"custom at metadata.a[1]: malformed JSON at line 3, column 21: unexpected text "
                  "(JSON, )"});
  EXPECT_EQ(issues("[1"),
            Lines{"custom: malformed JSON at line 1, column 3: the text ends too early (JSON, )"});
}

TEST(Decode, ChecksWhatItSkips) {
  for (const std::string_view bad :
       {"tru", "01", R"("\x")", "[1,]", "{\"a\":1,}", "{\"a\" 1}", R"("\ud800")", "[[[1]]"}) {
    for (const std::string_view name : {"unknown", "title", "chainCount", "metadata"}) {
      const std::string text = "{\"" + std::string(name) + "\":" + std::string(bad) + "}";
      const Lines found = issues(text);
      ASSERT_EQ(found.size(), 1U) << text;
      EXPECT_NE(found[0].find("malformed JSON"), std::string::npos) << text;
    }
  }
  const std::string deep = std::string(10'000, '[') + std::string(10'000, ']');
  EXPECT_TRUE(issues("{\"unknown\":" + deep + "}")[0].ends_with(
      "nested too deep: at most 64 levels (at most 64 levels, )"));
  EXPECT_TRUE(issues("{\"title\":" + deep + "}")[0].ends_with("(at most 64 levels, )"));
}

TEST(Decode, CountsDepthFromTheRoot) {
  const auto nested = [](std::size_t depth) {
    return with(session_text, R"({"branch" : "main"})",
                R"({"a":)" + std::string(depth, '[') + std::string(depth, ']') + "}");
  };
  EXPECT_EQ(issues(nested(62)), Lines());
  EXPECT_EQ(issues(nested(63)).size(), 1U);
}

TEST(Decode, RefusesADocumentCutAnywhere) {
  for (std::size_t end = 0; end < session_text.size(); ++end) {
    const Lines found = issues(session_text.substr(0, end));
    ASSERT_EQ(found.size(), 1U) << end;
    EXPECT_NE(found[0].find("malformed JSON"), std::string::npos) << end;
  }
}

TEST(Decode, NamesFewOfManyUnknownFields) {
  std::string text = "{";
  for (int i = 0; i < 10'000; ++i) text += "\"field" + std::to_string(i) + "\":" + "1,";
  text += '"' + std::string(10'000, 'x') + "\":1}";
  const Lines found = issues(text, Form::create);
  EXPECT_EQ(found.back(),
            "unrecognized_keys: unknown fields: field0, field1, field2, field3, field4 and 9996 "
            "more");
  EXPECT_EQ(issues(R"({"userId":"u","nope":1})", Form::create),
            Lines{"unrecognized_keys: unknown field: nope"});
}

TEST(Decode, StaysQuickOnManyMembersInTheWorstOrder) {
  std::string text = "{";
  while (text.size() < 1'900'000) text += R"("vers":0,"version":1,"sessionId":"x",)";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(issues(text + "\"a\":1}").size(), json::max_issues + 1);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

// --- forms

TEST(Forms, CreateTakesOnlyWhatAClientMayGive) {
  const Session created = sessions().decode(R"({"userId":"ada"})", Form::create);
  EXPECT_EQ(created.user_id.str(), "ada");
  EXPECT_EQ(created.session_id.str(), "");
  EXPECT_EQ(issues(R"({})", Form::create),
            Lines{"invalid_type at userId: is required (string, nothing)"});
  EXPECT_EQ(issues(R"({"userId":"u","state":"active","version":1,"x":1})", Form::create),
            (Lines{"unrecognized_keys: unknown field: x",
                   "unrecognized_keys: can't be given on creation: state, version"}));
}

TEST(Forms, StoredLeavesOutWhatIsKeptBeside) {
  const std::string stored = encoded(session(), Form::stored);
  EXPECT_EQ(stored.find("version"), std::string::npos);
  Session back = sessions().decode(stored, Form::stored);
  EXPECT_EQ(back.version, 0U);
  back.version = 12;
  EXPECT_EQ(back, session());
  EXPECT_EQ(issues(session_text, Form::stored),
            Lines{"unrecognized_keys: not part of the stored record: version"});
  EXPECT_EQ(issues(stored, Form::full),
            Lines{"invalid_type at version: is required (integer, nothing)"});
}

TEST(Forms, CreateLeavesOutDefaultsOnEncoding) {
  Session value = session();
  value.session_id = {};
  EXPECT_EQ(encoded(value, Form::create),
            R"({"userId":"ada","title":"Nightly \"build\"","metadata":{"branch" : "main"}})");
  Issues found;
  EXPECT_TRUE(sessions().validate(value, Form::create, found));
  EXPECT_FALSE(sessions().validate(value, Form::full, found));
  EXPECT_EQ(found[0].path, Path{"sessionId"});
}

TEST(Forms, HaveTheirOwnRulesBetweenFields) {
  const std::string early =
      with(session_text, "\"chainCount\"", R"("completedAt":"2026-02-11T20:31:53Z","chainCount")");
  const Lines refused = {"custom at completedAt: must not stand in a paused session"};
  EXPECT_EQ(issues(early), refused);
  EXPECT_EQ(issues(with(early, "paused", "completed")), Lines());
  // Beside what else is wrong; but of a field that does not fit a rule knows nothing.
  EXPECT_EQ(issues(with(early, "\"ada\"", "7")),
            (Lines{"invalid_type at userId: must be a string, not a number (string, number)",
                   refused[0]}));
  EXPECT_EQ(issues(with(early, "paused", "pause")).size(), 1U);
  Session value = session();
  value.completed_at = value.created_at;
  Issues found;
  EXPECT_FALSE(sessions().validate(value, Form::stored, found));
  EXPECT_EQ(lines(found), refused);
  EXPECT_EQ(issues(R"({"userId":"u","title":"forbidden"})", Form::create),
            Lines{"custom at title: must be another"});
}

// --- types within types

TEST(Nested, PathsLeadToThePlace) {
  const std::string_view text =
      R"({"title":"t","steps":[{"action":"a","waitsFor":[]},{"action":"","waitsFor":[1,0],"x":1},)"
      R"([],{"action":"b","waitsFor":[1,2]}],"offset":1.5,"urgent":true,"data":null})";
  const std::string bad_action =
      "too_small at steps[1].action: must be at least 1 character (at least 1 character, 0 "
      "characters)";
  const std::string bad_offset =
      "invalid_type at offset: must be an integer, written without fraction or exponent (integer, "
      "1.5)";
  EXPECT_EQ(
      issues<ChainData>(text),
      (Lines{bad_action, "too_small at steps[1].waitsFor[1]: must be at least 1 (at least 1, 0)",
             "unrecognized_keys at steps[1]: unknown field: x",
             "invalid_type at steps[2]: must be an object, not an array (object, array)",
             "custom at steps[3].waitsFor[1]: must wait for less", bad_offset}));
}

TEST(Nested, AreReadAndWritten) {
  const std::string_view text =
      R"({"title":"t","steps":[{"action":"x","waitsFor":[],"result":{"a": 1}},)"
      R"({"action":"y","waitsFor":[1]}],"offset":-5,"urgent":false,"data":[1, 2]})";
  const ChainData chain = schema_of<ChainData>().decode(text, Form::full);
  ASSERT_EQ(chain.steps->size(), 2U);
  EXPECT_EQ(chain.steps->at(1).waits_for, std::vector<std::uint32_t>{1});
  std::string out;
  schema_of<ChainData>().encode(chain, Form::full, out);
  EXPECT_EQ(out, text);
}

TEST(Nested, AreCheckedAsValues) {
  const ChainData chain{
      .title = "t",
      .steps = std::vector<StepData>{{.action = "ok", .waits_for = {1}, .result = {}},
                                     {.action = "", .waits_for = {0}, .result = {}}},
      .offset = 0,
      .urgent = false,
      .data = {}};
  Issues found;
  EXPECT_FALSE(schema_of<ChainData>().validate(chain, Form::full, found));
  EXPECT_EQ(lines(found),
            (Lines{"too_small at steps[1].action: must be at least 1 character (at least 1 "
                   "character, 0 characters)",
                   "too_small at steps[1].waitsFor[0]: must be at least 1 (at least 1, 0)"}));
}

// A rule that decodes while its own record is being decoded.
struct Envelope {
  std::string inner;
};

TEST(Nested, ARuleMayDecode) {
  const auto schema =
      object<Envelope>("Envelope", "", field("inner", &Envelope::inner, text()))
          .check([](const Envelope& envelope, json::Report& report) {
            Issues found;
            if (!sessions().decode(envelope.inner, Form::full, *std::make_unique<Session>(), found))
              report.add(std::move(found[0]));
          });
  std::string good = R"({"inner":)";
  json::append_string(good, session_text);
  good += "}";
  Envelope out;
  Issues found;
  EXPECT_TRUE(schema.decode(good, Form::full, out, found)) << lines(found)[0];
  EXPECT_FALSE(schema.decode(R"({"inner":"[]"})", Form::full, out, found));
}

// --- updates

TEST(Update, ReadsAMergePatchOfTheWritableFields) {
  const auto update = sessions().decode_update(
      R"({"title":null,"cwd":"/srv","metadata":{"branch":null,"try":{"n":2,"m":null}}})");
  EXPECT_TRUE(update.has(&Session::title));
  EXPECT_TRUE(update.has(&sample::SessionData::cwd));
  EXPECT_FALSE(update.has(&Session::summary));
  EXPECT_FALSE(update.empty());
  EXPECT_EQ(update.get(&Session::cwd), "/srv");
  Session value = session();
  sessions().apply(update, value);
  EXPECT_EQ(value.title, std::nullopt);
  EXPECT_EQ(value.cwd, "/srv");
  EXPECT_EQ(value.metadata->view(), R"({"try":{"n":2}})");
  EXPECT_EQ(value.state, SessionState::paused);
  EXPECT_TRUE(sessions().decode_update("{}").empty());
}

TEST(Update, MergesIntoAnAbsentField) {
  Session value = session();
  value.metadata.reset();
  sessions().apply(sessions().decode_update(R"({"metadata":{"a":1,"b":null}})"), value);
  EXPECT_EQ(value.metadata->view(), R"({"a":1})");
  sessions().apply(sessions().decode_update(R"({"metadata":null})"), value);
  EXPECT_EQ(value.metadata, std::nullopt);
}

Lines update_issues(std::string_view text) {
  return refusal(ErrorCode::invalid, [&] { (void)sessions().decode_update(text); });
}

TEST(Update, RefusesWhatMayNotChange) {
  EXPECT_EQ(update_issues(R"({"userId":"bob","version":3,"nope":1,"title":7,"cwd":"a","cwd":"b"})"),
            (Lines{"invalid_type at title: must be a string, not a number (string, number)",
                   "duplicate_key at cwd: appears more than once",
                   "unrecognized_keys: unknown field: nope",
                   "unrecognized_keys: can't be changed: userId, version"}));
  EXPECT_EQ(update_issues(R"({"metadata":[1]})"),
            Lines{"invalid_type at metadata: must be an object, not an array (object, array)"});
  EXPECT_EQ(update_issues("[]").size(), 1U);
  EXPECT_EQ(update_issues("{\"title\":nul}").size(), 1U);
  EXPECT_EQ(refusal(ErrorCode::invalid,
                    [] { (void)schema_of<StepData>().decode_update(R"({"action":null})"); }),
            Lines{"invalid_type at action: is required: it can't be removed (string, null)"});
}

TEST(Update, IsMadeInCppToo) {
  Partial<Session> update;
  EXPECT_TRUE(update.empty());
  update.set(&Session::title, "x").clear(&Session::metadata).set(&Session::cwd, std::nullopt);
  EXPECT_TRUE(update.has(&Session::title));
  EXPECT_TRUE(update.has(&Session::metadata));
  EXPECT_EQ(update.get(&Session::title), "x");
  Issues found;
  EXPECT_TRUE(sessions().validate(update, found));
  Session value = session();
  sessions().apply(update, value);
  EXPECT_EQ(value.title, "x");
  EXPECT_EQ(value.metadata, std::nullopt);
}

TEST(Update, SetsAFreeFormFieldWholeOrMerges) {
  Session value = session();
  sessions().apply(Partial<Session>().merge(&Session::metadata, json::Raw::parse("{\"a\":1}")),
                   value);
  EXPECT_EQ(value.metadata->view(), R"({"branch":"main","a":1})");
  sessions().apply(Partial<Session>()
                       .merge(&Session::metadata, json::Raw::parse("{\"b\":1}"))
                       .set(&Session::metadata, json::Raw::parse("{\"c\":1}")),
                   value);
  EXPECT_EQ(value.metadata->view(), R"({"c":1})");
}

TEST(Update, OfCppIsValidated) {
  Partial<Session> update;
  update.set(&Session::title, std::string(501, 'x'))
      .set(&Session::state, SessionState::completed)
      .set(&Session::metadata, json::Raw::parse("1"))
      .set(&Session::version, 2U);
  Issues found;
  EXPECT_FALSE(sessions().validate(update, found));
  EXPECT_EQ(lines(found),
            (Lines{"too_big at title: must be at most 500 characters (at most 500 characters, 501 "
                   "characters)",
                   "invalid_type at metadata: must be an object (object, another JSON value)",
                   "unrecognized_keys: can't be changed: state, version"}));
  found.clear();
  EXPECT_FALSE(sessions().validate(update, found, Reach::stored));
  EXPECT_EQ(lines(found).back(), "unrecognized_keys: can't be changed: version");
}

TEST(Update, KnowsOnlyDeclaredMembers) {
  EXPECT_NO_THROW(Partial<Pair>().set(&Pair::declared, "x"));
  EXPECT_THROW(Partial<Pair>().set(&Pair::undeclared, "x"), std::logic_error);
}

// --- differences

TEST(Diff, NamesWhatChanged) {
  const Session older = session();
  Session newer = older;
  std::string out;
  EXPECT_FALSE(sessions().diff(older, newer, out));
  EXPECT_EQ(out, "{}");
  newer.title = "Other";
  newer.metadata = json::Raw::parse(R"({"branch":null})");
  newer.cwd = "/x";
  newer.chain_count = 4;
  newer.version = 99;  // beside the record: no part of it
  out.clear();
  EXPECT_TRUE(sessions().diff(older, newer, out));
  EXPECT_EQ(out, R"({"title":"Other","cwd":"/x","metadata":{"branch":null},"chainCount":4})");
  Session rebuilt = older;
  sessions().patch(rebuilt, out);
  rebuilt.version = 99;
  EXPECT_EQ(rebuilt, newer);
  out.clear();
  EXPECT_TRUE(sessions().diff(newer, older, out));
  EXPECT_EQ(out, R"({"title":"Nightly \"build\"","cwd":null,"metadata":{"branch" : "main"},)"
                 R"("chainCount":3})");
}

TEST(Diff, OfNestedTypesReplacesThemWhole) {
  ChainData before{.title = "t",
                   .steps = std::vector<StepData>{{.action = "a", .waits_for = {}, .result = {}}},
                   .offset = 0,
                   .urgent = false,
                   .data = {}};
  ChainData after = before;
  after.steps->push_back({.action = "b", .waits_for = {1}, .result = {}});
  std::string out;
  EXPECT_TRUE(schema_of<ChainData>().diff(before, after, out));
  schema_of<ChainData>().patch(before, out);
  EXPECT_EQ(before, after);
}

TEST(Patch, RefusesWhatDoesNotFitAndChangesNothing) {
  const auto refused = [](std::string_view diff) {
    Session value = session();
    const Lines found = refusal(ErrorCode::corrupt, [&] { sessions().patch(value, diff); });
    EXPECT_EQ(value, session()) << diff;
    return found;
  };
  EXPECT_EQ(refused(R"({"title":"x","state":"lost"})").size(), 1U);
  EXPECT_EQ(refused(R"({"version":3})"),
            Lines{"unrecognized_keys: not part of the stored record: version"});
  EXPECT_EQ(refused(R"({"userId":null})"),
            Lines{"invalid_type at userId: is required: it can't be removed (string, null)"});
  EXPECT_EQ(refused(R"({"nope":1})").size(), 1U);
  EXPECT_EQ(refused("[]").size(), 1U);
  EXPECT_EQ(refused("{").size(), 1U);
  EXPECT_EQ(refused("").size(), 1U);
}

// --- random records

class RandomSessions {
 public:
  explicit RandomSessions(std::uint64_t seed) : json_(seed) {}

  Session next() {
    Session value;
    value.session_id = *sample::SessionId::parse("s" + number());
    value.user_id = *sample::UserId::parse("u" + number());
    value.state = SessionState{static_cast<int>(json_.below(3))};
    value.title = maybe_text();
    value.cwd = maybe_text();
    value.hostname = maybe_text();
    value.summary = maybe_text();
    if (json_.chance(2)) value.platform = "p" + number();
    if (json_.chance(2)) value.metadata = json::Raw::parse(json_.object());
    value.created_at = time();
    value.updated_at = time();
    value.last_activity_at = time();
    if (value.state == SessionState::completed && json_.chance(2)) value.completed_at = time();
    value.chain_count = static_cast<std::uint32_t>(json_.below(1ULL << 32U));
    value.version = 1 + json_.below(1ULL << 52U);
    return value;
  }

  // One byte wrong.
  std::string damaged(std::string text) { return json_.damaged(std::move(text)); }

 private:
  std::string number() { return std::to_string(json_.below(1'000'000)); }
  Timestamp time() {
    return Timestamp(std::chrono::milliseconds(json_.below(253'402'300'799'999)));
  }
  std::optional<std::string> maybe_text() {
    if (json_.chance(2)) return std::nullopt;
    std::string out;
    for (std::size_t n = json_.below(30); n > 0; --n) {
      static constexpr std::array<std::string_view, 8> pieces = {"a", "\"", "\\",         "\n",
                                                                 "é", "😀", "some words", "\x01"};
      out += pieces.at(json_.below(pieces.size()));
    }
    return out;
  }

  json::testing::RandomJson json_;
};

TEST(RandomRecords, ComeBackFromTheirEncoding) {
  RandomSessions random(test::test_seed());
  for (int i = 0; i < 2000; ++i) {
    const Session value = random.next();
    Issues found;
    ASSERT_TRUE(sessions().validate(value, Form::full, found)) << line(found[0]);
    const std::string text = encoded(value);
    ASSERT_EQ(sessions().decode(text, Form::full), value) << text;
    ASSERT_EQ(json::Raw::parse(text).view(), text);
  }
}

TEST(RandomRecords, AreRebuiltFromTheirDifferences) {
  RandomSessions random(test::test_seed() + 1);
  Session before = random.next();
  for (int i = 0; i < 2000; ++i) {
    Session after = random.next();
    after.version = before.version;
    std::string diff;
    sessions().diff(before, after, diff);
    Session rebuilt = before;
    sessions().patch(rebuilt, diff);
    ASSERT_EQ(rebuilt, after) << diff;
    before = after;
  }
}

// A damaged text is refused or read as what it now says: never as something else.
TEST(RandomRecords, SurviveDamage) {
  RandomSessions random(test::test_seed() + 2);
  int read = 0;
  for (int i = 0; i < 5000; ++i) {
    const std::string text = random.damaged(encoded(random.next()));
    Session value;
    Issues found;
    if (sessions().decode(text, Form::full, value, found)) {
      ++read;
      ASSERT_EQ(sessions().decode(encoded(value), Form::full), value) << text;
    } else {
      ASSERT_FALSE(found.empty()) << text;
    }
  }
  EXPECT_GT(read, 0);
}

// --- descriptions

TEST(JsonSchema, DescribesTheFields) {
  EXPECT_EQ(
      sessions().json_schema(Form::create),
      R"({"title":"SessionCreate","description":"A user's session.","type":"object","properties":{)"
      R"("sessionId":{"type":"string","description":"Minted where absent"},)"
      R"("userId":{"type":"string"},)"
      R"("title":{"type":"string","maxLength":500},"cwd":{"type":"string","maxLength":4096},)"
      R"("hostname":{"type":"string","maxLength":255},)"
      R"("platform":{"type":"string","minLength":1,"maxLength":64},"metadata":{"type":"object"}},)"
      R"("required":["userId"],"additionalProperties":false})");
  EXPECT_EQ(
      sessions().json_schema_of_update(),
      R"({"title":"SessionUpdate","description":"A user's session.","type":"object","properties":{)"
      R"("title":{"type":["string","null"],"maxLength":500},)"
      R"("cwd":{"type":["string","null"],"maxLength":4096},)"
      R"("summary":{"type":["string","null"],"maxLength":10000},)"
      R"("metadata":{"type":["object","null"]}},"additionalProperties":false})");
  EXPECT_EQ(
      schema_of<ChainData>().json_schema(Form::full),
      R"({"title":"ChainData","description":"A chain to be made.","type":"object","properties":{)"
      R"("title":{"type":"string","maxLength":500},)"
      R"("steps":{"type":"array","items":{"$ref":"#/components/schemas/StepData"},)"
      R"("maxItems":5000},)"
      R"("offset":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},)"
      R"("urgent":{"type":"boolean"},"data":{}},"required":["title","offset","urgent","data"],)"
      R"("additionalProperties":false})");
}

TEST(JsonSchema, IsJson) {
  for (const Form form : {Form::full, Form::stored, Form::create}) {
    const std::string text = sessions().json_schema(form);
    EXPECT_EQ(json::Raw::parse(text).view(), text);
    EXPECT_NE(text.find("\"title\":\"Session"), std::string::npos);
  }
  const std::string full = sessions().json_schema(Form::full);
  EXPECT_NE(full.find(R"("state":{"type":"string","enum":["active","paused","completed"]})"),
            std::string::npos);
  EXPECT_NE(full.find(R"("createdAt":{"type":"string","format":"date-time"})"), std::string::npos);
  EXPECT_NE(full.find(R"("chainCount":{"type":"integer","minimum":0,"maximum":4294967295})"),
            std::string::npos);
  EXPECT_NE(full.find(R"("version":{"type":"integer","minimum":1,)"), std::string::npos);
  EXPECT_EQ(sessions().json_schema(Form::stored).find("version"), std::string::npos);
}

TEST(TypeScript, DeclaresInterfaces) {
  EXPECT_EQ(sessions().typescript(Form::create),
            "/** A user's session. */\n"
            "export interface SessionCreate {\n"
            "  /** Minted where absent */\n"
            "  sessionId?: string;\n"
            "  userId: string;\n"
            "  title?: string;\n"
            "  cwd?: string;\n"
            "  hostname?: string;\n"
            "  platform?: string;\n"
            "  metadata?: Record<string, unknown>;\n"
            "}\n");
  EXPECT_EQ(sessions().typescript_of_update(),
            "/** A user's session. */\n"
            "export interface SessionUpdate {\n"
            "  title?: string | null;\n"
            "  cwd?: string | null;\n"
            "  summary?: string | null;\n"
            "  metadata?: Record<string, unknown> | null;\n"
            "}\n");
  EXPECT_EQ(schema_of<ChainData>().typescript(Form::full),
            "/** A chain to be made. */\n"
            "export interface ChainData {\n"
            "  title: string;\n"
            "  steps?: Array<StepData>;\n"
            "  offset: number;\n"
            "  urgent: boolean;\n"
            "  data: unknown;\n"
            "}\n");
  EXPECT_NE(
      sessions().typescript(Form::full).find("  state: \"active\" | \"paused\" | \"completed\";\n"),
      std::string::npos);
}

}  // namespace
}  // namespace actionflows::schema
