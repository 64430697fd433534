#include "cli/target.hpp"

#include "cli/failure.hpp"

#include <gtest/gtest.h>

namespace actionflows::cli {
namespace {

Target chosen(const TargetFlags& flags, const TargetVariables& variables = {}) {
  return choose_target(flags, variables);
}

Target server(const char* url) { return ServerUrl::parse(url); }
Target storage(const char* url) { return StorageTarget{url}; }

TEST(Target, IsThisMachinesServerUnlessSomethingIsSaid) {
  EXPECT_EQ(chosen({}), server("http://127.0.0.1:3001"));
  EXPECT_EQ(chosen({}, {.storage = "", .server = "", .port = "4000"}),
            server("http://127.0.0.1:4000"));
  EXPECT_THROW(chosen({}, {.storage = "", .server = "", .port = "x"}), UsageError);
}

TEST(Target, FlagsDecideBeforeVariables) {
  const TargetFlags to_server{.storage = "", .server = "http://flag:1", .api_key_file = ""};
  const TargetFlags to_storage{.storage = "memory:", .server = "", .api_key_file = ""};
  for (const TargetVariables& variables :
       {TargetVariables{}, TargetVariables{.storage = "other:", .server = "", .port = ""},
        TargetVariables{.storage = "other:", .server = "http://variable:1", .port = "x"}}) {
    EXPECT_EQ(chosen(to_server, variables), server("http://flag:1"));
    EXPECT_EQ(chosen(to_storage, variables), storage("memory:"));
  }
}

TEST(Target, VariablesDecideWithoutFlags) {
  EXPECT_EQ(chosen({}, {.storage = "memory:", .server = "", .port = ""}), storage("memory:"));
  EXPECT_EQ(chosen({}, {.storage = "", .server = "http://variable:1", .port = "2"}),
            server("http://variable:1"));
}

TEST(Target, TwoOfOneRankAreRefused) {
  EXPECT_THROW(chosen({.storage = "memory:", .server = "http://x", .api_key_file = ""}),
               UsageError);
  EXPECT_THROW(chosen({}, {.storage = "memory:", .server = "http://x", .port = ""}), UsageError);
}

TEST(Target, WhereOnlyAServerWillDoAStorageIsNotLookedAt) {
  EXPECT_EQ(choose_server({}, {.storage = "memory:", .server = "", .port = "5"}).str(),
            "http://127.0.0.1:5");
  EXPECT_EQ(choose_server({}, {.storage = "memory:", .server = "http://x:1", .port = "5"}).str(),
            "http://x:1");
}

TEST(Target, UsersAndSessionsAreChecked) {
  EXPECT_EQ(parse_user(""), std::nullopt);
  EXPECT_EQ(parse_user("ann@example.org")->str(), "ann@example.org");
  EXPECT_THROW(parse_user("two words"), UsageError);
  EXPECT_EQ(parse_session(""), std::nullopt);
  EXPECT_EQ(parse_session("s1")->str(), "s1");
  EXPECT_THROW(parse_session("s/1"), UsageError);
}

}  // namespace
}  // namespace actionflows::cli
