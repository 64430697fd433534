// What the server bounds, and what it does at each bound.
#include "server/http/testing/test_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>

#include <memory>
#include <string>
#include <vector>

namespace actionflows::http {
namespace {

using namespace std::chrono_literals;

TEST(ServerLimits, RefusesLargeHeads) {
  TestServer server;
  const auto status_of = [&](const std::string& bytes) {
    RawClient client(server.port());
    const RawReply reply = client.exchange(bytes);
    EXPECT_TRUE(client.closed_by_server());
    return reply.status;
  };
  EXPECT_EQ(status_of("GET /items/" + std::string(100'000, 'a') + " HTTP/1.1\r\n"), 414);
  EXPECT_EQ(status_of(request_text("GET", "/hello", "A: " + std::string(100'000, 'a') + "\r\n")),
            431);
  std::string lines;
  for (int at = 0; at < 101; ++at) lines += "A: b\r\n";
  EXPECT_EQ(status_of(request_text("GET", "/hello", lines)), 431);

  RawClient client(server.port());
  const std::string large = "A: " + std::string(15'000, 'a') + "\r\n";
  for (int at = 0; at < 3; ++at)
    EXPECT_EQ(client.exchange(request_text("GET", "/hello", large)).status, 200) << "within";
}

TEST(ServerLimits, RefusesLargeBodies) {
  ServerOptions options;
  options.body_limit = 100'000;
  TestServer server(options);
  const auto status_of = [&](const std::string& request) {
    RawClient client(server.port());
    client.send(request);
    const int status = client.reply().status;
    EXPECT_EQ(client.closed_by_server(), status == 413);
    return status;
  };
  const std::string most(100'000, 'a');
  // A reply that is complete although the client went on sending: the connection is not reset.
  EXPECT_EQ(status_of(post_text("/echo", std::string(1'000'000, 'a'))), 413);
  EXPECT_EQ(status_of(post_text("/small", std::string(20'000, 'a'))), 413)
      << "the route's own limit";
  EXPECT_EQ(status_of(request_text("POST", "/echo", "Content-Length: 9000000000000000000\r\n")),
            413);
  const auto chunked = [](std::string_view target, const std::string& size, std::size_t count) {
    return request_text("POST", target, "Transfer-Encoding: chunked\r\n",
                        size + "\r\n" + std::string(count, 'a') + "\r\n0\r\n\r\n");
  };
  EXPECT_EQ(status_of(chunked("/echo", "186A1", 100'001)), 413);
  EXPECT_EQ(status_of(chunked("/echo", "ffffffffffffffff", 10)), 413);
  EXPECT_EQ(status_of(chunked("/small", "3E9", 1001)), 413);

  RawClient client(server.port());
  EXPECT_TRUE(client.exchange(post_text("/echo", most)).body == most);
  EXPECT_TRUE(client.exchange(chunked("/echo", "186A0", 100'000)).body == most);
  EXPECT_EQ(client.exchange(post_text("/small", std::string(1000, 'a'))).body, "1000");
}

TEST(ServerLimits, BoundsTheMemoryOfAllBodies) {
  ServerOptions options;
  options.max_buffered_bodies = 1'000'000;
  TestServer server(options);
  RawClient holder(server.port());
  holder.send(
      request_text("POST", "/echo", "Content-Length: 900000\r\n", std::string(899'999, 'a')));
  ASSERT_TRUE(eventually([&] {
    return server.metrics.text().find("buffered_body_bytes 900000") != std::string::npos;
  }));
  RawClient client(server.port());
  const RawReply refused = client.exchange(post_text("/echo", std::string(200'000, 'a')));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("Retry-After"), "1");
  RawClient small(server.port());
  EXPECT_EQ(small.exchange(post_text("/echo", "small")).status, 200);
  holder.reset();
  EXPECT_TRUE(eventually([&] {
    RawClient again(server.port());
    return again.exchange(post_text("/echo", std::string(200'000, 'a'))).status == 200;
  }));
}

TEST(ServerLimits, TakesNoMemoryForABodyThatIsOnlyAnnounced) {
  ServerOptions options;
  options.max_buffered_bodies = 1'000'000;
  TestServer server(options);
  RawClient announcer(server.port());
  announcer.send(request_text("POST", "/echo", "Content-Length: 900000\r\n", "begun"));
  ASSERT_TRUE(eventually([&] {
    return server.metrics.text().find("buffered_body_bytes 16384") != std::string::npos;
  }));
  RawClient client(server.port());
  EXPECT_EQ(client.exchange(post_text("/echo", std::string(900'000, 'a'))).status, 200);
}

TEST(ServerLimits, EndsSlowHeads) {
  ServerOptions options;
  options.header_timeout = 200ms;
  TestServer server(options);
  const auto begun = std::chrono::steady_clock::now();
  RawClient client(server.port());
  std::atomic<bool> over{false};
  std::thread drip([&] {
    client.send("GET /hello HTTP/1.1\r\nHost: a\r\nA: ");
    while (!over && client.send("b")) std::this_thread::sleep_for(20ms);
  });
  const RawReply reply = client.reply();
  over = true;
  drip.join();
  EXPECT_EQ(reply.status, 408) << "though each byte came soon after the one before";
  EXPECT_TRUE(client.closed_by_server());
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_GE(took, 200ms);
  EXPECT_LT(took, 10s);
}

TEST(ServerLimits, EndsSlowBodies) {
  ServerOptions options;
  options.body_timeout = 200ms;
  TestServer server(options);
  for (const std::string& part :
       {request_text("POST", "/echo", "Content-Length: 9\r\n", "ab"),
        request_text("POST", "/echo", "Transfer-Encoding: chunked\r\n", "5\r\nab")}) {
    RawClient client(server.port());
    EXPECT_EQ(client.exchange(part).status, 408);
    EXPECT_TRUE(client.closed_by_server());
  }
}

TEST(ServerLimits, ClosesIdleConnectionsWithoutAWord) {
  ServerOptions options;
  options.idle_timeout = 100ms;
  TestServer server(options);
  RawClient silent(server.port());
  EXPECT_TRUE(silent.closed_by_server());
  RawClient used(server.port());
  EXPECT_EQ(used.exchange(request_text("GET", "/slow")).status, 200)
      << "a request that takes longer is not idle";
  EXPECT_TRUE(used.closed_by_server());
}

TEST(ServerLimits, DropsAClientThatDoesNotReadItsResponse) {
  ServerOptions options;
  options.write_timeout = 200ms;
  TestServer server(options);
  RawClient client(server.port(), 4096);
  client.send(request_text("GET", "/large"));
  ASSERT_TRUE(eventually([&] { return server.access().size() == 1; }));
  EXPECT_TRUE(eventually([&] { return server->load().connections == 0; }));
  EXPECT_FALSE(client.reply().complete);
}

TEST(ServerLimits, TurnsConnectionsAwayBeyondTheirNumber) {
  ServerOptions options;
  options.max_connections = 3;
  TestServer server(options);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int at = 0; at < 3; ++at) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    EXPECT_EQ(clients.back()->exchange(request_text("GET", "/hello")).status, 200);
  }
  RawClient refused(server.port());
  refused.send(request_text("GET", "/hello"));
  const RawReply reply = refused.reply();
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.header("Retry-After"), "1");
  EXPECT_TRUE(refused.closed_by_server());
  EXPECT_EQ(clients[0]->exchange(request_text("GET", "/hello")).status, 200);
  clients.pop_back();
  EXPECT_TRUE(eventually([&] {
    return RawClient(server.port()).exchange(request_text("GET", "/hello")).status == 200;
  }));
}

TEST(ServerLimits, BoundsRequestsInFlight) {
  ServerOptions options;
  options.max_in_flight = 2;
  TestServer server(options);
  RawClient first(server.port());
  RawClient second(server.port());
  first.send(request_text("GET", "/slow"));
  second.send(request_text("GET", "/slow"));
  ASSERT_TRUE(eventually([&] { return server->load().in_flight == 2; }));
  RawClient third(server.port());
  EXPECT_EQ(third.exchange(request_text("GET", "/hello")).status, 503);
  EXPECT_EQ(first.reply().status, 200);
  EXPECT_EQ(second.reply().status, 200);
  EXPECT_EQ(third.exchange(request_text("GET", "/hello")).status, 200);
}

TEST(ServerLimits, ClientsThatOnlyAnnounceABodyKeepNobodyOut) {
  ServerOptions options;
  options.max_in_flight = 2;
  TestServer server(options);
  std::vector<std::unique_ptr<RawClient>> announcers;
  for (int at = 0; at < 4; ++at) {
    announcers.push_back(std::make_unique<RawClient>(server.port()));
    announcers.back()->send(
        request_text("POST", "/echo", "Content-Length: 5\r\nExpect: 100-continue\r\n"));
    EXPECT_EQ(announcers.back()->reply().status, 100) << "the server waits for the body";
  }
  EXPECT_EQ(server->load().in_flight, 0U);
  RawClient client(server.port());
  EXPECT_EQ(client.exchange(request_text("GET", "/hello")).status, 200);
  for (const auto& announcer : announcers) EXPECT_EQ(announcer->exchange("hello").body, "hello");
}

// The body has come, so the connection goes on after the refusal.
TEST(ServerLimits, ARequestWhoseBodyHasComeIsRefusedWhereTooManyAreInFlight) {
  ServerOptions options;
  options.max_in_flight = 1;
  TestServer server(options);
  RawClient late(server.port());
  late.send(request_text("POST", "/echo", "Content-Length: 5\r\nExpect: 100-continue\r\n"));
  EXPECT_EQ(late.reply().status, 100);
  RawClient slow(server.port());
  slow.send(request_text("GET", "/slow"));
  ASSERT_TRUE(eventually([&] { return server->load().in_flight == 1; }));
  const RawReply refused = late.exchange("hello");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("Retry-After"), "1");
  EXPECT_EQ(slow.reply().status, 200);
  EXPECT_EQ(late.exchange(post_text("/echo", "again")).body, "again");
}

TEST(ServerLimits, BoundsStreams) {
  ServerOptions options;
  options.max_streams = 1;
  TestServer server(options);
  RawClient first(server.port());
  first.send(request_text("GET", "/quiet"));
  EXPECT_THAT(first.head(), testing::HasSubstr("200 OK"));
  RawClient second(server.port());
  EXPECT_EQ(second.exchange(request_text("GET", "/quiet")).status, 503);
}

TEST(ServerLimits, OutlivesALackOfFileDescriptors) {
  TestServer server;
  RawClient before(server.port());
  EXPECT_EQ(before.exchange(request_text("GET", "/hello")).status, 200);

  rlimit usual{};
  ::getrlimit(RLIMIT_NOFILE, &usual);
  const int next = ::dup(0);
  ::close(next);
  rlimit one_more = usual;
  one_more.rlim_cur = static_cast<rlim_t>(next) + 1;
  ::setrlimit(RLIMIT_NOFILE, &one_more);
  RawClient waiting(server.port());  // takes the last one, so that the server can't accept it
  waiting.send(request_text("GET", "/hello"));
  EXPECT_EQ(before.exchange(request_text("GET", "/hello")).status, 200);
  EXPECT_EQ(server->load().connections, 1U);
  EXPECT_TRUE(eventually([&] { return !server.faults().empty(); }));
  EXPECT_EQ(before.exchange(request_text("GET", "/slow")).status, 200)
      << "it tries again meanwhile";
  const std::vector<std::string> faults = server.faults();
  ::setrlimit(RLIMIT_NOFILE, &usual);
  EXPECT_EQ(waiting.reply().status, 200);
  EXPECT_THAT(faults, testing::ElementsAre(testing::EndsWith("Too many open files")))
      << "told once";
}

}  // namespace
}  // namespace actionflows::http
