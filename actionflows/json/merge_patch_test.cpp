#include "actionflows/json/raw.hpp"
#include "actionflows/json/testing/random_json.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace actionflows::json {
namespace {

std::string merged(std::string_view target, std::string_view patch) {
  const Raw result = merge_patch(Raw::parse(target), Raw::parse(patch));
  EXPECT_EQ(Raw::parse(result.view()), result);  // it is what a Raw promises
  return std::string(result.view());
}

// RFC 7396, appendix A, all of it and in its order.
TEST(MergePatch, FollowsTheExamplesOfTheRfc) {
  EXPECT_EQ(merged(R"({"a":"b"})", R"({"a":"c"})"), R"({"a":"c"})");
  EXPECT_EQ(merged(R"({"a":"b"})", R"({"b":"c"})"), R"({"a":"b","b":"c"})");
  EXPECT_EQ(merged(R"({"a":"b"})", R"({"a":null})"), R"({})");
  EXPECT_EQ(merged(R"({"a":"b","b":"c"})", R"({"a":null})"), R"({"b":"c"})");
  EXPECT_EQ(merged(R"({"a":["b"]})", R"({"a":"c"})"), R"({"a":"c"})");
  EXPECT_EQ(merged(R"({"a":"c"})", R"({"a":["b"]})"), R"({"a":["b"]})");
  EXPECT_EQ(merged(R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})"), R"({"a":{"b":"d"}})");
  EXPECT_EQ(merged(R"({"a":[{"b":"c"}]})", R"({"a":[1]})"), R"({"a":[1]})");
  EXPECT_EQ(merged(R"(["a","b"])", R"(["c","d"])"), R"(["c","d"])");
  EXPECT_EQ(merged(R"({"a":"b"})", R"(["c"])"), R"(["c"])");
  EXPECT_EQ(merged(R"({"a":"foo"})", "null"), "null");
  EXPECT_EQ(merged(R"({"a":"foo"})", R"("bar")"), R"("bar")");
  EXPECT_EQ(merged(R"({"e":null})", R"({"a":1})"), R"({"e":null,"a":1})");
  EXPECT_EQ(merged(R"([1,2])", R"({"a":"b","c":null})"), R"({"a":"b"})");
  EXPECT_EQ(merged(R"({})", R"({"a":{"bb":{"ccc":null}}})"), R"({"a":{"bb":{}}})");
}

TEST(MergePatch, KeepsBytesAndOrderOfWhatItDoesNotTouch) {
  EXPECT_EQ(merged(R"({"z" : 1.50,"a":[1, {"n":null}],"\u0062":"\/" })", R"({"c":2})"),
            R"({"z":1.50,"a":[1, {"n":null}],"\u0062":"\/","c":2})");
  EXPECT_EQ(merged(R"({ "a" : 1 })", "{}"), R"({ "a" : 1 })");
  EXPECT_EQ(merged(R"({"b":1,"a":{"y":1,"x":2},"c":3})", R"({"a":{"x":{"k": [ ]}},"b":0,"d":1})"),
            R"({"b":0,"a":{"y":1,"x":{"k":[ ]}},"c":3,"d":1})");
  EXPECT_EQ(merged(R"({"a":12345678901234567890})", R"({"b":1e400})"),
            R"({"a":12345678901234567890,"b":1e400})");
}

TEST(MergePatch, ComparesKeysUnescaped) {
  EXPECT_EQ(merged(R"({"\u0061":1})", R"({"a":2})"), R"({"\u0061":2})");
  EXPECT_EQ(merged(R"({"a":1})", R"({"\u0061":null})"), "{}");
  EXPECT_EQ(merged(R"({"\"\\":1})", R"({"\u0022\u005c":2,"x\"":3})"), R"({"\"\\":2,"x\"":3})");
}

TEST(MergePatch, LeavesNullsOutOfWhatItAdds) {
  EXPECT_EQ(merged(R"({"a":1})", R"({"a":{"b":null,"c":{"d":null},"e":[null]}})"),
            R"({"a":{"c":{},"e":[null]}})");
  EXPECT_EQ(merged("3", R"({"a":null,"b":{"c":null}})"), R"({"b":{}})");
  EXPECT_EQ(merged("{}", R"({"a":null})"), "{}");
}

TEST(MergePatch, GoesAsDeepAsARawCan) {
  std::string target = "1";
  std::string patch = "2";
  for (int i = 0; i < 64; ++i) {
    target.insert(0, R"({"a":)").append(R"(,"b":0})");
    patch.insert(0, R"({"a":)").append("}");
  }
  const std::string result = merged(target, patch);
  EXPECT_EQ(result.find('1'), std::string::npos);
  EXPECT_NE(result.find("\"a\":2,\"b\":0"), std::string::npos);
}

// Applying the same patch again changes nothing more.
TEST(MergePatch, IsIdempotent) {
  testing::RandomJson random(test::test_seed());
  for (int i = 0; i < 3000; ++i) {
    const Raw target = Raw::parse(random.value());
    const Raw patch = Raw::parse(random.object());
    const Raw once = merge_patch(target, patch);
    EXPECT_EQ(Raw::parse(once.view()), once);
    EXPECT_EQ(merge_patch(once, patch).view(), once.view()) << target.view() << " " << patch.view();
  }
}

}  // namespace
}  // namespace actionflows::json
