#include "cli/answers.hpp"

#include <gtest/gtest.h>

namespace actionflows::cli {
namespace {

HttpAnswer problem(int status, std::string body) {
  HttpAnswer answer;
  answer.status = status;
  answer.body = std::move(body);
  return answer;
}

TEST(Answers, AProblemBecomesTheErrorItWas) {
  const StorageError error = error_of(problem(400, R"({
      "type": "urn:actionflows:problem:invalid", "title": "Invalid", "status": 400,
      "detail": "2 issues", "later": {"members": []},
      "issues": [{"path": ["steps", 3, "waitsFor"], "code": "custom", "message": "no such step"},
                 {"path": [], "code": "invalid_type", "message": "must be an object"}]})"));
  EXPECT_EQ(error.code(), ErrorCode::invalid);
  EXPECT_EQ(error.message(), "2 issues");
  ASSERT_EQ(error.issues.size(), 2U);
  EXPECT_EQ(to_string(error.issues[0].path), "steps[3].waitsFor");
  EXPECT_EQ(error.issues[0].message, "no such step");
  EXPECT_TRUE(error.issues[1].path.empty());
}

TEST(Answers, EachCodeIsKnown) {
  for (const ErrorCode code : {ErrorCode::invalid, ErrorCode::not_found, ErrorCode::conflict,
                               ErrorCode::illegal_transition, ErrorCode::unavailable,
                               ErrorCode::timeout, ErrorCode::exhausted}) {
    const std::string type = "urn:actionflows:problem:" + std::string(to_string(code));
    EXPECT_EQ(error_of(problem(400, R"({"type":")" + type + R"(","detail":"x"})")).code(), code);
  }
  EXPECT_EQ(error_of(problem(413, R"({"type":"urn:actionflows:problem:too_large"})")).code(),
            ErrorCode::invalid);
}

TEST(Answers, AnInternalErrorConcernsTheOneRequestAndNamesItsId) {
  const StorageError error = error_of(problem(
      500, R"({"type":"urn:actionflows:problem:internal","detail":"It failed","errorId":"7f3a"})"));
  EXPECT_EQ(error.code(), ErrorCode::corrupt);
  EXPECT_EQ(error.message(), "It failed (the server's log has it as 7f3a)");
}

TEST(Answers, WhatIsNoProblemDocumentIsStillARefusal) {
  for (const char* body : {"", "<html>", "[]", "\"x\"", "{"}) {
    const StorageError error = error_of(problem(404, body));
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
    EXPECT_EQ(error.message(), "the server answered 404");
  }
  EXPECT_EQ(error_of(problem(404, "{}")).message(), "the server answered 404");
}

TEST(Answers, NumbersThatNobodyAsksForMayBeAny) {
  const SessionNames names = session_names_of(
      R"({"items":[{"sessionId":"a","metadata":{"n":123456789012345678901234567890,"f":1e400}},)"
      R"({"metadata":{"n":-1e999},"sessionId":"b"}],"nextCursor":null})");
  EXPECT_EQ(names.ids.size(), 2U);
  EXPECT_FALSE(names.next_cursor);
  const StreamItem item = stream_item_of(
      R"({"data":{"n":123456789012345678901234567890},"sequence":7,"type":"note:made"})");
  EXPECT_EQ(item.sequence, 7U);
}

TEST(Answers, APageNamesItsSessions) {
  const SessionNames names = session_names_of(
      R"({"items":[{"sessionId":"a","version":1},{"sessionId":"b"}],"nextCursor":"xyz",)"
      R"("corrupt":[{"id":"c","detail":"odd"}]})");
  ASSERT_EQ(names.ids.size(), 2U);
  EXPECT_EQ(names.ids[1].str(), "b");
  EXPECT_EQ(names.corrupt, std::vector<std::string>{"c"});
  EXPECT_EQ(names.next_cursor, "xyz");
  EXPECT_EQ(session_names_of(R"({"items":[],"nextCursor":null})").next_cursor, std::nullopt);
}

TEST(Answers, WhatWasNotExpectedIsAFailure) {
  EXPECT_THROW(session_names_of("<html>"), Failure);
  EXPECT_THROW(session_names_of("{}"), Failure);
  EXPECT_THROW(session_names_of(R"({"items":[{"sessionId":"../etc"}]})"), Failure);
  EXPECT_THROW(stored_of("{}"), Failure);
  EXPECT_THROW(last_sequence_of(R"({"lastSequence":"7"})"), Failure);
  EXPECT_THROW(verification_of(R"({"outcome":"splendid","differences":[]})"), Failure);
  EXPECT_THROW(stream_item_of("{}"), Failure);
  EXPECT_THROW(stream_item_of("x"), Failure);
}

TEST(Answers, AVerificationIsReadWhole) {
  const Verification found = verification_of(
      R"({"sessionId":"s","outcome":"different","events":7,"records":3,"differences":["a","b"]})");
  EXPECT_EQ(found.session.str(), "s");
  EXPECT_EQ(found.outcome, Verification::Outcome::different);
  EXPECT_EQ(found.events, 7U);
  EXPECT_EQ(found.records, 3U);
  EXPECT_EQ(found.differences, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(stored_of(R"({"sessionId":"s","stored":true})"));
  EXPECT_EQ(last_sequence_of(R"({"items":[],"lastSequence":12})"), 12U);
}

}  // namespace
}  // namespace actionflows::cli
