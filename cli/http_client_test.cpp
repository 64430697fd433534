#include "cli/http_client.hpp"

#include "cli/run_tasks.hpp"
#include "cli/testing/scripted_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace actionflows::cli {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string answer(std::string_view body, std::string_view headers = "") {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(headers) + "\r\n" + std::string(body);
}

class HttpClientTest : public testing::Test {
 protected:
  HttpClient& connect(const ScriptedServer& server, HttpClientOptions options = {},
                      std::string path = "") {
    const ServerUrl url{.host = "127.0.0.1", .port = server.port(), .path = std::move(path)};
    return client_.emplace(context_.get_executor(), url, std::move(options));
  }

  HttpAnswer get(std::string target = "/") {
    HttpAnswer answer;
    run_task(context_, [&] { return send({.target = target}, answer); });
    return answer;
  }
  HttpAnswer open() {
    HttpAnswer answer;
    run_task(context_, [&] { return open_stream(answer); });
    return answer;
  }
  std::optional<std::string> read(std::chrono::milliseconds timeout = 10s) {
    std::optional<std::string> piece;
    run_task(context_, [&] { return read_piece(timeout, piece); });
    return piece;
  }
  std::string failure() {
    try {
      get();
    } catch (const Failure& failure) {
      return failure.what();
    }
    return "none";
  }

  Task<void> send(HttpRequest request, HttpAnswer& out) {
    out = co_await client_->send(std::move(request));
  }
  Task<void> open_stream(HttpAnswer& out) {
    HttpRequest request{.target = "/stream"};
    out = co_await client_->open_stream(std::move(request));
  }
  Task<void> read_piece(std::chrono::milliseconds timeout, std::optional<std::string>& out) {
    out = co_await client_->read_piece(timeout);
  }

  boost::asio::io_context context_;
  std::optional<HttpClient> client_;
};

TEST_F(HttpClientTest, RequestsShareAConnection) {
  ScriptedServer server({{answer("one"), answer("two", "Retry-After: 3\r\n")}});
  connect(server, {}, "/store");
  EXPECT_EQ(get("/a?b=c").body, "one");
  const HttpAnswer second = get("/d");
  EXPECT_EQ(second.body, "two");
  EXPECT_EQ(second.retry_after, 3s);
  client_.reset();
  EXPECT_THAT(server.requests().at(0), StartsWith("GET /store/a?b=c HTTP/1.1\r\n"));
  EXPECT_THAT(server.requests().at(0),
              HasSubstr("Host: 127.0.0.1:" + std::to_string(server.port()) + "\r\n"));
  EXPECT_THAT(server.requests().at(0), Not(HasSubstr("Authorization")));
}

TEST_F(HttpClientTest, AKeyIsShown) {
  ScriptedServer server({{answer("")}});
  HttpClientOptions options;
  options.api_key = "sesame";
  connect(server, options);
  get();
  client_.reset();
  EXPECT_THAT(server.requests().at(0), HasSubstr("Authorization: Bearer sesame\r\n"));
}

TEST_F(HttpClientTest, AConnectionThatTheServerClosedIsMadeAnew) {
  ScriptedServer server({{answer("one")}, {answer("two")}, {answer("x", "Connection: close\r\n")}});
  connect(server);
  EXPECT_EQ(get().body, "one");
  EXPECT_EQ(get().body, "two");
  EXPECT_EQ(get().body, "x");
}

TEST_F(HttpClientTest, AFreshConnectionThatIsClosedIsLost) {
  ScriptedServer server(std::vector<std::vector<std::string>>(1));
  connect(server);
  EXPECT_THROW(get(), ConnectionLost);
}

TEST_F(HttpClientTest, ABrokenOffAnswerIsLostAndNotAskedForAgain) {
  ScriptedServer server({{answer("one"), "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"}});
  connect(server);
  EXPECT_EQ(get().body, "one");
  EXPECT_THROW(get(), ConnectionLost);
}

TEST_F(HttpClientTest, NoAnswerInTimeIsLost) {
  ScriptedServer server({{"silence"}});
  HttpClientOptions options;
  options.answer_timeout = 50ms;
  connect(server, options);
  EXPECT_THAT(failure(), HasSubstr("no answer from http://127.0.0.1:"));
  client_.reset();
}

TEST_F(HttpClientTest, WhatIsNoHttpIsSaidToBeNone) {
  ScriptedServer server({{"220 mail.example ESMTP\r\n\r\n"}});
  connect(server);
  EXPECT_THAT(failure(), HasSubstr("is no HTTP server"));
  client_.reset();
}

TEST_F(HttpClientTest, TooLargeAnAnswerIsNotRead) {
  ScriptedServer server({{answer(std::string(1'000, 'x'))}});
  HttpClientOptions options;
  options.max_answer_bytes = 999;
  connect(server, options);
  EXPECT_THAT(failure(), HasSubstr("is too large"));
  client_.reset();
}

TEST_F(HttpClientTest, NobodyThereIsSaid) {
  std::uint16_t port = 0;
  {
    ScriptedServer server(std::vector<std::vector<std::string>>{});
    port = server.port();
  }
  client_.emplace(context_.get_executor(), ServerUrl{.host = "127.0.0.1", .port = port});
  EXPECT_THAT(failure(), HasSubstr("nothing listens there"));
  client_.emplace(context_.get_executor(), ServerUrl{.host = "no.such.host.invalid", .port = 1});
  EXPECT_THAT(failure(), HasSubstr("no host of that name"));
}

constexpr const char* stream_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST_F(HttpClientTest, AStreamComesInPiecesUpToItsEnd) {
  ScriptedServer server({{std::string(stream_head) + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"}});
  connect(server);
  EXPECT_EQ(open().status, 200);
  std::string text;
  while (const auto piece = read()) text += *piece;
  EXPECT_EQ(text, "abcde");
}

TEST_F(HttpClientTest, ACutStreamIsLost) {
  ScriptedServer server({{std::string(stream_head) + "3\r\nabc\r\n5\r\nd"}});
  connect(server);
  open();
  std::string text;
  EXPECT_THROW(while (const auto piece = read()) text += *piece, ConnectionLost);
  EXPECT_EQ(text, "abcd");
}

TEST_F(HttpClientTest, ASilentStreamIsLost) {
  ScriptedServer server({{std::string(stream_head) + "3\r\nabc\r\n", "silence"}});
  connect(server);
  open();
  EXPECT_EQ(read(), "abc");
  EXPECT_THROW(read(50ms), ConnectionLost);
  client_.reset();
}

TEST_F(HttpClientTest, ARefusedStreamIsAWholeAnswer) {
  ScriptedServer server(
      {{"HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\n"
        "Content-Length: 4\r\n\r\nnone"}});
  connect(server);
  const HttpAnswer refused = open();
  EXPECT_EQ(refused.status, 404);
  EXPECT_EQ(refused.body, "none");
  EXPECT_EQ(refused.content_type, "application/problem+json");
}

}  // namespace
}  // namespace actionflows::cli
