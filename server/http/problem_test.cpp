#include "server/http/problem.hpp"

#include <gtest/gtest.h>

#include <string>

namespace actionflows::http {
namespace {

int status_of(ErrorCode code) {
  return problem(failure(code, "words", "operation", "record")).status;
}

TEST(Problem, HasTheStatusOfItsCode) {
  EXPECT_EQ(status_of(ErrorCode::invalid), 400);
  EXPECT_EQ(status_of(ErrorCode::not_found), 404);
  EXPECT_EQ(status_of(ErrorCode::conflict), 409);
  EXPECT_EQ(status_of(ErrorCode::illegal_transition), 409);
  EXPECT_EQ(status_of(ErrorCode::unavailable), 503);
  EXPECT_EQ(status_of(ErrorCode::timeout), 504);
  EXPECT_EQ(status_of(ErrorCode::exhausted), 507);
  EXPECT_EQ(status_of(ErrorCode::corrupt), 500);
  StorageError full(ErrorCode::exhausted, "words");
  full.retryable = true;
  EXPECT_EQ(problem(full).status, 429);
}

TEST(Problem, IsADocument) {
  const Response response = problem(404, "not_found", "session \"a\\b\" does not exist");
  EXPECT_EQ(response.header("Content-Type"), "application/problem+json");
  EXPECT_EQ(response.content(),
            R"({"type":"urn:actionflows:problem:not_found","title":"Not found","status":404,)"
            R"("detail":"session \"a\\b\" does not exist"})");
}

TEST(Problem, CarriesEveryIssue) {
  Issues issues;
  issues.push_back({.path = {std::string("steps"), std::size_t{3}, std::string("waits\"For")},
                    .code = IssueCode::too_big,
                    .message = "must be less than 3",
                    .expected = "at most 2",
                    .received = "7"});
  issues.push_back({.path = {},
                    .code = IssueCode::custom,
                    .message = "line\nbreak",
                    .expected = {},
                    .received = {}});
  const Response response = problem(invalid_input(issues));
  EXPECT_NE(response.content().find(
                R"("issues":[{"path":["steps",3,"waits\"For"],"code":"too_big",)"
                R"("message":"must be less than 3","expected":"at most 2","received":"7"},)"
                R"({"path":[],"code":"custom","message":"line\nbreak"}]})"),
            std::string::npos)
      << response.content();
}

TEST(Problem, TellsTheCurrentVersion) {
  StorageError error(ErrorCode::conflict, "version 2 is not the current one");
  error.current_version = 5;
  error.version_mismatch = true;
  const Response response = problem(error);
  EXPECT_EQ(response.status, 412);
  EXPECT_EQ(response.header("ETag"), "\"5\"");
  EXPECT_NE(response.content().find(R"("currentVersion":5)"), std::string::npos);
}

TEST(Problem, SaysWhenToComeBack) {
  EXPECT_EQ(problem(StorageError(ErrorCode::unavailable, "")).header("Retry-After"), "1");
  EXPECT_EQ(problem(429, "exhausted", "").header("Retry-After"), "1");
  EXPECT_EQ(problem(StorageError(ErrorCode::timeout, "")).header("Retry-After"), std::nullopt);
  EXPECT_EQ(problem(401, "unauthenticated", "").header("WWW-Authenticate"), "Bearer");
}

TEST(Problem, HidesWhatIsInternal) {
  const Response response =
      problem(failure(ErrorCode::corrupt, "field title is 7", "get_session", "s1"), "id7");
  EXPECT_EQ(response.content(),
            R"({"type":"urn:actionflows:problem:internal","title":"Internal Server Error",)"
            R"("status":500,"errorId":"id7"})");
}

TEST(Problem, IsValidUtf8WhateverIsQuoted) {
  const Response response = problem(
      400, "invalid", std::string("\x01\x1f\0\xff\xc0\xaf\xed\xa0\x80\xe2\x82\xac\xe2\x82", 14));
  EXPECT_NE(response.content().find("\"\\u0001\\u001f\\u0000\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                                    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xe2\x82\xac"
                                    "\xef\xbf\xbd\xef\xbf\xbd\""),
            std::string::npos)
      << response.content();
}

}  // namespace
}  // namespace actionflows::http
