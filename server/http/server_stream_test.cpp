// Responses that are written piece by piece.
#include "server/http/testing/test_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace actionflows::http {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

TEST(ServerStream, IsChunkedAndEnds) {
  TestServer server;
  RawClient client(server.port());
  const RawReply reply = client.exchange(request_text("GET", "/count/3"));
  EXPECT_EQ(reply.header("Content-Type"), "text/event-stream");
  EXPECT_EQ(reply.header("Cache-Control"), "no-store");
  EXPECT_EQ(reply.header("Transfer-Encoding"), "chunked");
  EXPECT_EQ(reply.body, "1\n2\n3\n");
  EXPECT_TRUE(reply.complete);
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_TRUE(eventually([&] { return server->load().streams == 0; }));
}

TEST(ServerStream, LosesNothingToABufferThatIsFull) {
  TestServer server;
  RawClient client(server.port(), 4096);
  std::string expected;
  for (int at = 1; at <= 50'000; ++at) expected += std::to_string(at) + "\n";
  EXPECT_EQ(client.exchange(request_text("GET", "/count/50000")).body, expected);
}

TEST(ServerStream, IsEndedByTheConnectionForHttp10) {
  TestServer server;
  RawClient client(server.port());
  const RawReply reply = client.exchange("GET /count/3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(reply.body, "1\n2\n3\n");
  EXPECT_THAT(reply.head, Not(HasSubstr("Transfer-Encoding")));
  EXPECT_EQ(reply.header("Connection"), "close");
}

TEST(ServerStream, DoesNotRunForHead) {
  TestServer server;
  RawClient client(server.port());
  client.send(request_text("HEAD", "/breaks"));
  EXPECT_EQ(client.reply(true).status, 200);
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_TRUE(server.faults().empty());
}

TEST(ServerStream, NoticesAClientThatGoesAwayWithoutBeingWrittenTo) {
  TestServer server;
  RawClient leaving(server.port());
  leaving.send(request_text("GET", "/quiet"));
  leaving.head();
  EXPECT_EQ(leaving.chunk(), "begun");
  leaving.end_sending();
  EXPECT_TRUE(eventually([&] { return server.streams_ended == 1; }));

  RawClient crashing(server.port());
  crashing.send(request_text("GET", "/quiet"));
  crashing.head();
  EXPECT_EQ(crashing.chunk(), "begun");
  crashing.reset();
  EXPECT_TRUE(eventually([&] { return server.streams_ended == 2; }));
  EXPECT_TRUE(eventually([&] { return server->load().connections == 0; }));
  EXPECT_TRUE(server.faults().empty()) << "no failure";
}

TEST(ServerStream, IgnoresWhatTheClientStillSends) {
  TestServer server;
  RawClient client(server.port());
  client.send(request_text("GET", "/quiet") + request_text("GET", "/hello"));
  client.head();
  EXPECT_EQ(client.chunk(), "begun");
  client.send(std::string(10'000, 'x'));
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(server.streams_ended, 0);
}

TEST(ServerStream, DropsASlowReaderWhileOthersGoOn) {
  ServerOptions options;
  options.write_timeout = 300ms;
  options.stream_buffer = 64 << 10;
  TestServer server(options);
  RawClient slow(server.port(), 4096);
  slow.send(request_text("GET", "/flood"));
  slow.head();
  RawClient quick(server.port());
  quick.send(request_text("GET", "/flood"));
  quick.head();
  std::size_t read = 0;
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (server.streams_ended == 0 && std::chrono::steady_clock::now() < until) {
    const auto chunk = quick.chunk();
    ASSERT_TRUE(chunk) << "the quick reader was dropped";
    read += chunk->size();
  }
  EXPECT_EQ(server.streams_ended, 1);
  EXPECT_GT(read, std::size_t{1} << 20);
  EXPECT_EQ(RawClient(server.port()).exchange(request_text("GET", "/hello")).status, 200);
  EXPECT_TRUE(quick.chunk());
}

TEST(ServerStream, IsNotTakenForWholeWhenItFails) {
  TestServer server;
  for (const char* path : {"/breaks", "/breaks-at-once"}) {
    RawClient client(server.port());
    const RawReply reply = client.exchange(request_text("GET", path));
    EXPECT_EQ(reply.status, 200);
    EXPECT_FALSE(reply.complete);
  }
  ASSERT_TRUE(eventually([&] { return server.faults().size() == 2; }));
  EXPECT_THAT(server.faults()[0], HasSubstr("stream broke"));
}

}  // namespace
}  // namespace actionflows::http
