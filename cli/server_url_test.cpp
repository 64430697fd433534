#include "cli/server_url.hpp"

#include "cli/failure.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace actionflows::cli {
namespace {

using testing::HasSubstr;

std::string refusal_of(std::string_view text) {
  try {
    ServerUrl::parse(text);
  } catch (const UsageError& error) {
    return error.what();
  }
  return {};
}

TEST(ServerUrl, HasAHostAPortAndPerhapsAPath) {
  EXPECT_EQ(ServerUrl::parse("http://127.0.0.1:3001"),
            (ServerUrl{.host = "127.0.0.1", .port = 3001}));
  EXPECT_EQ(ServerUrl::parse("http://localhost"), (ServerUrl{.host = "localhost", .port = 80}));
  EXPECT_EQ(ServerUrl::parse("http://localhost:81/"), (ServerUrl{.host = "localhost", .port = 81}));
  EXPECT_EQ(ServerUrl::parse("http://box/store//"),
            (ServerUrl{.host = "box", .port = 80, .path = "/store"}));
  EXPECT_EQ(ServerUrl::parse("http://[::1]:3001"), (ServerUrl{.host = "::1", .port = 3001}));
}

TEST(ServerUrl, IsWrittenAsItWasRead) {
  for (const char* text : {"http://127.0.0.1:3001", "http://[::1]:3001", "http://box:80/store"})
    EXPECT_EQ(ServerUrl::parse(text).str(), text);
  EXPECT_EQ(ServerUrl::parse("http://[fe80::1%25eth0]").authority(), "[fe80::1%25eth0]:80");
}

TEST(ServerUrl, SaysWhatIsWrong) {
  EXPECT_THAT(refusal_of("https://box"), HasSubstr("https"));
  EXPECT_THAT(refusal_of("box:3001"), HasSubstr("http://"));
  EXPECT_THAT(refusal_of("http://"), HasSubstr("no host"));
  EXPECT_THAT(refusal_of("http://:3001"), HasSubstr("no host"));
  EXPECT_THAT(refusal_of("http://box:"), HasSubstr("port"));
  EXPECT_THAT(refusal_of("http://box:0"), HasSubstr("port"));
  EXPECT_THAT(refusal_of("http://box:65536"), HasSubstr("port"));
  EXPECT_THAT(refusal_of("http://box:80x"), HasSubstr("port"));
  EXPECT_THAT(refusal_of("http://box/?a=b"), HasSubstr("query"));
  EXPECT_THAT(refusal_of("http://bo x"), HasSubstr("odd host"));
  EXPECT_THAT(refusal_of("http://box/a b"), HasSubstr("path"));
  EXPECT_THAT(refusal_of("http://box\r\nEvil: 1"), HasSubstr("odd host"));
  EXPECT_THAT(refusal_of("http://[::1"), HasSubstr("]"));
  EXPECT_THAT(refusal_of("http://[::1]x"), HasSubstr("between"));
}

TEST(ServerUrl, KeysInItAreRefusedAndNotRepeated) {
  const std::string refusal = refusal_of("http://me:secret@box:3001");
  EXPECT_THAT(refusal, HasSubstr("ACTIONFLOWS_API_KEY"));
  EXPECT_EQ(refusal.find("secret"), refusal.npos);
}

TEST(ServerUrl, PartsOfPathsAndQueriesAreEncoded) {
  EXPECT_EQ(percent_encoded("plain-1.2_3~"), "plain-1.2_3~");
  EXPECT_EQ(percent_encoded("a&b=c/d?e#f%+@:"), "a%26b%3Dc%2Fd%3Fe%23f%25%2B%40%3A");
  EXPECT_EQ(percent_encoded("\xC3\xA9"), "%C3%A9");
}

}  // namespace
}  // namespace actionflows::cli
