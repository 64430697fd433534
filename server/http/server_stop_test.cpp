// How the server starts, and how it ends.
#include "server/http/testing/test_server.hpp"

#include <boost/asio/post.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <stdexcept>
#include <string>
#include <thread>

namespace actionflows::http {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::string failure_of(ServerOptions options) {
  Server server(std::move(options), Router());
  try {
    server.start();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(ServerStart, SaysWhyItCannotListen) {
  TestServer running;
  EXPECT_EQ(failure_of({.port = running.port()}), "can't listen on 127.0.0.1 port " +
                                                      std::to_string(running.port()) +
                                                      ": another program uses that port");
  EXPECT_EQ(failure_of({.host = "192.0.2.1", .port = 0}),
            "can't listen on 192.0.2.1 port 0: not an address of this machine");
  EXPECT_EQ(failure_of({.host = "no host.invalid", .port = 0}),
            "can't listen on no host.invalid: no such host");
  EXPECT_EQ(failure_of({.host = "localhost", .port = 0}), "");
}

TEST(ServerStart, TakesTheSamePortAgain) {
  std::uint16_t port = 0;
  {
    TestServer server;
    port = server.port();
    RawClient(port).exchange(request_text("GET", "/hello", "Connection: close\r\n"));
  }
  EXPECT_EQ(failure_of({.port = port}), "");
}

TEST(ServerStart, RunsOtherWorkOnItsExecutor) {
  TestServer server;
  std::promise<std::thread::id> ran;
  boost::asio::post(server->executor(), [&] { ran.set_value(std::this_thread::get_id()); });
  EXPECT_NE(ran.get_future().get(), std::this_thread::get_id());
}

TEST(ServerStop, FinishesRequestsInFlight) {
  TestServer server;
  RawClient idle(server.port());
  RawClient busy(server.port());
  RawClient half(server.port());
  idle.exchange(request_text("GET", "/hello"));
  half.send("GET /hel");
  busy.send(request_text("GET", "/slow") + request_text("GET", "/hello"));
  ASSERT_TRUE(eventually([&] { return server->load().in_flight == 1; }));
  auto stopped = std::async(std::launch::async, [&] { server->stop(5s); });
  EXPECT_TRUE(idle.closed_by_server());
  const RawReply reply = busy.reply();
  EXPECT_EQ(reply.body, "slow");
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_TRUE(busy.closed_by_server());
  half.send("lo HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(half.reply().body, "hello") << "it had begun before";
  stopped.get();
  EXPECT_THROW(RawClient late(server.port()), std::runtime_error);
  EXPECT_EQ(server->load().connections, 0U);
  server->stop();
}

TEST(ServerStop, EndsStreamsCleanly) {
  TestServer server;
  RawClient quiet(server.port());
  quiet.send(request_text("GET", "/quiet"));
  quiet.head();
  EXPECT_EQ(quiet.chunk(), "begun");
  auto stopped = std::async(std::launch::async, [&] { server->stop(5s); });
  EXPECT_EQ(quiet.chunk(), "") << "the last chunk";
  EXPECT_TRUE(quiet.closed_by_server());
  stopped.get();
  EXPECT_EQ(server.streams_ended, 1);
  EXPECT_TRUE(server.faults().empty());
}

TEST(ServerStop, EndsAStreamThatIsAlwaysWriting) {
  TestServer server;
  RawClient flooded(server.port());
  flooded.send(request_text("GET", "/flood"));
  flooded.head();
  auto stopped = std::async(std::launch::async, [&] { server->stop(5s); });
  std::optional<std::string> chunk = flooded.chunk();
  while (chunk && !chunk->empty()) chunk = flooded.chunk();
  EXPECT_EQ(chunk, "");
  stopped.get();
}

TEST(ServerStop, WaitsNoLongerThanItsGrace) {
  TestServer server;
  RawClient stuck(server.port());
  stuck.send(request_text("GET", "/stuck"));
  RawClient unread(server.port(), 4096);
  unread.send(request_text("GET", "/large"));
  ASSERT_TRUE(eventually([&] { return server->load().in_flight == 1; }));
  const auto begun = std::chrono::steady_clock::now();
  server->stop(200ms);
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_GE(took, 200ms);
  EXPECT_LT(took, 5s);
  EXPECT_FALSE(stuck.reply().complete);
}

TEST(ServerStop, NeedsNoStart) {
  Server server({.port = 0}, Router());
  server.stop();
}

}  // namespace
}  // namespace actionflows::http
