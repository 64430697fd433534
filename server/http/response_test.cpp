#include "server/http/response.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <stdexcept>
#include <string_view>

namespace actionflows::http {
namespace {

TEST(Response, KeepsHeadersAsTheyAreSent) {
  Response response = Response::json(std::string("{}"), 201);
  response.add("ETag", "\"1\"").add("Location", "/v1/sessions/a");
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(response.content(), "{}");
  EXPECT_EQ(response.header_lines(),
            "Content-Type: application/json\r\nETag: \"1\"\r\nLocation: /v1/sessions/a\r\n");
  EXPECT_EQ(response.header("etag"), "\"1\"");
  EXPECT_EQ(response.header("Tag"), std::nullopt);
}

TEST(Response, SetReplacesEveryLineOfThatName) {
  Response response(200);
  response.add("A", "1").add("B", "2").add("a", "3").set("A", "4");
  EXPECT_EQ(response.header_lines(), "B: 2\r\nA: 4\r\n");
}

TEST(Response, RefusesWhatWouldSmuggleInAHeader) {
  Response response(200);
  for (const std::string_view value : std::initializer_list<std::string_view>{
           "a\r\nSet-Cookie: b", "a\nb", "a\rb", std::string_view("a\0b", 3), "\x7f", "\x1b[0m"}) {
    EXPECT_THROW(response.add("Location", value), std::invalid_argument);
    EXPECT_THROW(response.set("Location", value), std::invalid_argument);
  }
  for (const std::string_view name : std::initializer_list<std::string_view>{
           "", "A B", "A:", "A\r\n", std::string_view("A\0", 2), "\xc3\xa9"})
    EXPECT_THROW(response.add(name, "1"), std::invalid_argument) << name;
  EXPECT_EQ(response.header_lines(), "");
  EXPECT_NO_THROW(response.add("A", "tab\tand \xc3\xa9 are text"));
}

TEST(Response, LeavesFramingToTheServer) {
  Response response(200);
  for (const char* name : {"Content-Length", "transfer-encoding", "CONNECTION", "Date"})
    EXPECT_THROW(response.add(name, "1"), std::invalid_argument) << name;
}

TEST(Response, SharesBytesWithoutACopy) {
  const Bytes bytes("text");
  const Response response = Response::json(bytes);
  EXPECT_EQ(response.content().data(), bytes.view().data());
}

}  // namespace
}  // namespace actionflows::http
