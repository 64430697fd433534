#include "cli/backend.hpp"

#include "actionflows/storage/memory/memory_storage.hpp"
#include "cli/failure.hpp"
#include "cli/run_tasks.hpp"
#include "cli/testing/scripted_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace actionflows::cli {
namespace {

using testing::HasSubstr;

constexpr const char* run_line =
    R"({"source":"x","licence":null,"session":{"user":null,"cwd":null,"startedAt":null},)"
    R"("chains":[{"title":"t","source":"flow","steps":[{"action":"a","inputs":{},"waitsFor":[],)"
    R"("status":"completed","startedAt":null,"completedAt":null,"result":1,"error":null}]}]})";

std::string answer(int status, std::string_view body, std::string_view headers = "") {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string(headers) +
         "\r\n" + std::string(body);
}

class BackendTest : public testing::Test {
 protected:
  Backend& of(const ScriptedServer& server) {
    backend_ = make_server_backend(context_.get_executor(),
                                   ServerUrl{.host = "127.0.0.1", .port = server.port()}, {});
    return *backend_;
  }

  template <class T>
  T run(Task<T> task) {
    std::optional<T> result;
    run_task(context_, [&] { return await(std::move(task), result); });
    return std::move(*result);
  }

  template <class T>
  Task<void> await(Task<T> task, std::optional<T>& result) {
    result.emplace(co_await std::move(task));
  }

  boost::asio::io_context context_;
  std::unique_ptr<Backend> backend_;
};

TEST_F(BackendTest, AStorageTakesListsVerifiesAndGivesBack) {
  Storage storage(make_memory_storage());
  const auto backend = make_storage_backend(storage);
  EXPECT_TRUE(run(backend->import_line(run_line, UserId::parse("ann"))));
  EXPECT_FALSE(run(backend->import_line(run_line, std::nullopt)));
  const SessionNames ann = run(backend->all_sessions(UserId::parse("ann")));
  ASSERT_EQ(ann.ids.size(), 1U);
  EXPECT_TRUE(run(backend->all_sessions(UserId::parse("bob"))).ids.empty());
  EXPECT_EQ(run(backend->verify(ann.ids[0])).outcome, Verification::Outcome::equal);

  const auto line = run(backend->export_line(ann.ids[0]));
  Storage second(make_memory_storage());
  const auto copy = make_storage_backend(second);
  EXPECT_TRUE(run(copy->import_line(*line, std::nullopt)));
  EXPECT_EQ(run(copy->export_line(ann.ids[0])), line);
  EXPECT_EQ(run(copy->export_line(*SessionId::parse("absent"))), std::nullopt);
}

TEST_F(BackendTest, AStorageThatWouldBeGoneIsRefused) {
  for (const char* url : {"memory:", "memory", "memory://"}) {
    for (const Opening opening : {Opening::make, Opening::existing}) {
      try {
        open_backend(context_.get_executor(), StorageTarget{url}, {}, opening);
        ADD_FAILURE() << "opened " << url;
      } catch (const UsageError& error) {
        EXPECT_THAT(error.what(), HasSubstr("--server"));
        EXPECT_THAT(error.what(), HasSubstr("sqlite:"));
      }
    }
  }
}

TEST_F(BackendTest, ABusyServerIsAskedAgain) {
  ScriptedServer server(
      {{answer(503, "{}", "Retry-After: 0\r\n"), answer(429, "{}", "Retry-After: 0\r\n"),
        answer(200, R"({"stored":true})")}});
  EXPECT_TRUE(run(of(server).import_line("{}", std::nullopt)));
}

TEST_F(BackendTest, ARefusalIsTheLinesWithItsIssues) {
  ScriptedServer server({{answer(400, R"({"type":"urn:actionflows:problem:invalid","detail":"d",)"
                                      R"("issues":[{"path":["a"],"message":"m"}]})")}});
  try {
    run(of(server).import_line("{}", std::nullopt));
    ADD_FAILURE() << "not refused";
  } catch (const StorageError& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid);
    EXPECT_EQ(error.issues.size(), 1U);
  }
  backend_.reset();
}

TEST_F(BackendTest, ARefusedKeyIsTheEndOfIt) {
  for (const int status : {401, 403}) {
    ScriptedServer server({{answer(status, R"({"detail":"no"})")}});
    EXPECT_THROW(run(of(server).list_sessions(std::nullopt, std::nullopt)), Failure);
    backend_.reset();
  }
}

TEST_F(BackendTest, PagesFollowTheirCursorsAndNamesAreSortedOnce) {
  ScriptedServer server({{answer(200, R"({"items":[{"sessionId":"c"},{"sessionId":"a"}],)"
                                      R"("nextCursor":"x/y"})"),
                          answer(200, R"({"items":[{"sessionId":"b"},{"sessionId":"a"}],)"
                                      R"("nextCursor":null})")}});
  const SessionNames names = run(of(server).all_sessions(UserId::parse("a&b")));
  backend_.reset();
  ASSERT_EQ(names.ids.size(), 3U);
  EXPECT_EQ(names.ids[0].str() + names.ids[1].str() + names.ids[2].str(), "abc");
  EXPECT_THAT(server.requests().at(0), HasSubstr("userId=a%26b"));
  EXPECT_THAT(server.requests().at(1), HasSubstr("cursor=x%2Fy"));
}

// An export or a check that left out what is not known for now would be taken for whole.
TEST_F(BackendTest, AListOfOnlyAPartIsNone) {
  ScriptedServer server({{answer(200, R"({"items":[{"sessionId":"a"}],"nextCursor":null})",
                                 "ActionFlows-Source: fallback; age=3; partial\r\n")}});
  try {
    run(of(server).all_sessions(std::nullopt));
    ADD_FAILURE() << "taken for whole";
  } catch (const StorageError& error) {
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
    EXPECT_THAT(error.message(), HasSubstr("only a part"));
  }
  backend_.reset();
}

TEST_F(BackendTest, WhatIsGoneIsNotExported) {
  ScriptedServer server({{answer(404, "{}"), answer(200, "{\"a\":1}\n")}});
  Backend& backend = of(server);
  EXPECT_EQ(run(backend.export_line(*SessionId::parse("s"))), std::nullopt);
  EXPECT_EQ(run(backend.export_line(*SessionId::parse("s"))), "{\"a\":1}");
}

}  // namespace
}  // namespace actionflows::cli
