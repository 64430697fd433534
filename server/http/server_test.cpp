// The server as a client meets it: the protocol, on real sockets.
#include "actionflows/base/random.hpp"
#include "server/http/testing/test_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace actionflows::http {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ServerTest : public testing::Test {
 protected:
  RawReply get(std::string_view target, std::string_view headers = {}) {
    return RawClient(server_.port()).exchange(request_text("GET", target, headers));
  }

  // The reply to bytes that end the connection.
  RawReply refused(std::string_view bytes) {
    RawClient client(server_.port());
    const RawReply reply = client.exchange(bytes);
    EXPECT_EQ(reply.header("Connection"), "close") << bytes;
    EXPECT_EQ(reply.header("Content-Type"), "application/problem+json") << bytes;
    EXPECT_TRUE(client.closed_by_server()) << bytes;
    return reply;
  }

  TestServer server_;
};

TEST_F(ServerTest, AnswersARequest) {
  const RawReply reply = get("/hello");
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.head, StartsWith("HTTP/1.1 200 OK\r\nDate: "));
  EXPECT_EQ(reply.header("Content-Length"), "5");
  EXPECT_EQ(reply.header("Connection"), "");
  EXPECT_EQ(reply.header("Date").size(), std::string("Sun, 06 Nov 1994 08:49:37 GMT").size());
  EXPECT_EQ(reply.body, "hello");
}

TEST_F(ServerTest, DecodesParametersAndQuery) {
  EXPECT_EQ(get("/items/a%3Ab?x=%20+y&z").body, "a:b|x=  y|z=");
  EXPECT_EQ(get("http://test/items/7").body, "7");
  EXPECT_EQ(get("/items/%").status, 400);
  EXPECT_EQ(get("/items/%zz").status, 400);
  EXPECT_EQ(get("/items/a?x=%").status, 400);
  EXPECT_EQ(get("items").status, 400);
}

TEST_F(ServerTest, ServesAThousandRequestsOnOneConnection) {
  RawClient client(server_.port());
  for (int at = 0; at < 1000; ++at) {
    const std::string id = std::to_string(at);
    ASSERT_EQ(client.exchange(request_text("GET", "/items/" + id)).body, id);
  }
  EXPECT_EQ(server_->load().connections, 1U);
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  std::string all;
  for (int at = 0; at < 300; ++at) {
    all += request_text("GET", "/items/" + std::to_string(at));
    all += post_text("/echo", "body " + std::to_string(at));
    all +=
        request_text("POST", "/echo", "Transfer-Encoding: chunked\r\n", "5\r\nchunk\r\n0\r\n\r\n");
    all += request_text("GET", "/nowhere", "Content-Length: 4\r\n", "skip");
  }
  RawClient client(server_.port());
  std::thread sender([&] { client.send(all); });
  for (int at = 0; at < 300; ++at) {
    EXPECT_EQ(client.reply().body, std::to_string(at));
    EXPECT_EQ(client.reply().body, "body " + std::to_string(at));
    EXPECT_EQ(client.reply().body, "chunk");
    EXPECT_EQ(client.reply().status, 404);
  }
  sender.join();
}

TEST_F(ServerTest, TakesRequestsInAnyPieces) {
  const std::string text =
      request_text("POST", "/echo", "Transfer-Encoding: chunked\r\n",
                   "3;ext=\"1\"\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n") +
      post_text("/echo", "sized") + request_text("GET", "/items/last");
  for (const std::size_t step : {1UL, 7UL, 64UL}) {
    RawClient client(server_.port());
    for (std::size_t at = 0; at < text.size(); at += step) client.send(text.substr(at, step));
    EXPECT_EQ(client.reply().body, "abcde");
    EXPECT_EQ(client.reply().body, "sized");
    EXPECT_EQ(client.reply().body, "last");
  }
}

TEST_F(ServerTest, KeepsConnectionsByTheRulesOfTheVersion) {
  const auto stays_open = [&](const std::string& request) {
    RawClient client(server_.port());
    const RawReply reply = client.exchange(request);
    EXPECT_EQ(reply.status, 200) << request;
    if (reply.header("Connection") == "close") {
      EXPECT_TRUE(client.closed_by_server()) << request;
      return false;
    }
    EXPECT_EQ(client.exchange(request_text("GET", "/hello")).status, 200) << request;
    return true;
  };
  EXPECT_TRUE(stays_open("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(stays_open("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  EXPECT_FALSE(stays_open("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n"));
  EXPECT_FALSE(stays_open("GET /hello HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(stays_open("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST_F(ServerTest, AnswersAClientThatHasStoppedSending) {
  RawClient client(server_.port());
  client.send(request_text("GET", "/slow"));
  client.end_sending();
  EXPECT_EQ(client.reply().body, "slow");
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(ServerTest, SendsNoBodyToHead) {
  RawClient client(server_.port());
  client.send(request_text("HEAD", "/hello") + request_text("HEAD", "/nowhere") +
              request_text("GET", "/hello"));
  const RawReply head = client.reply(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("Content-Length"), "5");
  EXPECT_EQ(client.reply(true).status, 404);
  EXPECT_EQ(client.reply().body, "hello") << "no byte of a body came between";
}

TEST_F(ServerTest, SendsNoLengthWith204) {
  RawClient client(server_.port());
  const RawReply reply = client.exchange(request_text("DELETE", "/items/7"));
  EXPECT_EQ(reply.status, 204);
  EXPECT_THAT(reply.head, Not(HasSubstr("Content-Length")));
  EXPECT_EQ(client.exchange(request_text("GET", "/hello")).body, "hello");
}

TEST_F(ServerTest, TellsUnknownPathsMethodsAndOptionsApart) {
  RawClient client(server_.port());
  EXPECT_EQ(client.exchange(request_text("GET", "/nowhere")).status, 404);
  const RawReply wrong = client.exchange(post_text("/items/7", "{}"));
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.header("Allow"), "GET, HEAD, DELETE, OPTIONS");
  const RawReply options = client.exchange(request_text("OPTIONS", "/items/7"));
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.header("Allow"), "GET, HEAD, DELETE, OPTIONS");
  EXPECT_EQ(client.exchange(request_text("OPTIONS", "*")).status, 204);
  EXPECT_EQ(client.exchange(request_text("OPTIONS", "/nowhere")).status, 404);
  EXPECT_EQ(client.exchange(request_text("BREW", "/hello")).status, 501);
  EXPECT_EQ(client.exchange(request_text("get", "/hello")).status, 501);
  EXPECT_EQ(client.exchange(request_text("GET", "*")).status, 404);
  EXPECT_EQ(client.exchange(request_text("GET", "/hello")).status, 200) << "still in step";
}

TEST_F(ServerTest, WantsALengthWhereABodyBelongs) {
  RawClient client(server_.port());
  EXPECT_EQ(client.exchange(request_text("POST", "/echo")).status, 411);
  EXPECT_EQ(client.exchange(request_text("POST", "/echo", "Content-Length: 0\r\n")).status, 200);
  EXPECT_EQ(client.exchange(request_text("POST", "/optional")).body, "0");
  EXPECT_EQ(client.exchange(post_text("/optional", "abc")).body, "3");
}

TEST_F(ServerTest, RefusesTwoValuesWhereOneCounts) {
  RawClient client(server_.port());
  for (const char* name :
       {"Authorization", "If-Match", "idempotency-key", "Last-Event-ID", "ActionFlows-Actor"}) {
    const std::string twice = std::string(name) + ": a\r\n" + name + ": b\r\n";
    EXPECT_EQ(client.exchange("GET /hello HTTP/1.1\r\nHost: a\r\n" + twice + "\r\n").status, 400)
        << name;
  }
}

TEST_F(ServerTest, RefusesMalformedRequests) {
  const std::string start = "POST /echo HTTP/1.1\r\nHost: a\r\n";
  for (const std::string& bytes :
       {std::string("GARBAGE\r\n\r\n"),
        std::string("GET /hello\r\n\r\n"),
        std::string("GET /hello HTTP/2.0\r\nHost: a\r\n\r\n"),
        std::string("GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01", 8),
        std::string("\0\0\0\0", 4),
        std::string("GET /hello HTTP/1.1\nHost: a\n\n"),
        std::string("GET /he\x01llo HTTP/1.1\r\nHost: a\r\n\r\n"),
        std::string("GET /hello HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n", 41),
        std::string("GET /hello HTTP/1.1\r\nHost: a\r\nA\0: b\r\n\r\n", 40),
        std::string("GET /hello HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n"),
        std::string("GET /hello HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
        std::string("GET /hello HTTP/1.1\r\nHost: a\r\nA: b\r\n folded\r\n\r\n"),
        std::string("GET /hello HTTP/1.1\r\n\r\n"),
        std::string("GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        start + "Content-Length: -1\r\n\r\n",
        start + "Content-Length: 1x\r\n\r\n",
        start + "Content-Length:\r\n\r\n",
        start + "Content-Length: 99999999999999999999\r\n\r\n",
        start + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        start + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        start + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    EXPECT_EQ(refused(bytes).status, 400) << bytes;
  }
}

TEST_F(ServerTest, RefusesMalformedChunks) {
  for (const std::string chunks : {"x\r\n", "-1\r\n", "5\r\nabcdefg\r\n", "5 \r\nabcde\r\n",
                                   "ffffffffffffffffff\r\n", "\r\n\r\n"}) {
    const RawReply reply =
        refused(request_text("POST", "/echo", "Transfer-Encoding: chunked\r\n", chunks));
    EXPECT_EQ(reply.status, 400) << chunks;
  }
  const std::string endless = "1;" + std::string(40 << 10, 'x');
  EXPECT_EQ(
      refused(request_text("POST", "/echo", "Transfer-Encoding: chunked\r\n", endless)).status,
      400);
}

TEST_F(ServerTest, RefusesOtherCodingsAndExpectations) {
  for (const char* coding : {"gzip", "gzip, chunked", "identity", "chunked, gzip"}) {
    const std::string header = std::string("Transfer-Encoding: ") + coding + "\r\n";
    EXPECT_EQ(refused(request_text("POST", "/echo", header)).status, 501) << coding;
  }
  EXPECT_EQ(refused("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").status,
            501);
  EXPECT_EQ(
      refused(request_text("POST", "/echo", "Expect: 200-ok\r\nContent-Length: 1\r\n")).status,
      417);
}

TEST_F(ServerTest, LetsAClientWaitForContinue) {
  RawClient client(server_.port());
  const std::string expect = "Expect: 100-continue\r\nContent-Length: 4\r\n";
  EXPECT_EQ(client.exchange(request_text("POST", "/echo", expect)).status, 100);
  EXPECT_EQ(client.exchange("body").body, "body");
  const std::string too_long = "Expect: 100-continue\r\nContent-Length: 1001\r\n";
  const RawReply refused = client.exchange(request_text("POST", "/small", too_long));
  EXPECT_EQ(refused.status, 413) << "before anything is sent in vain";
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(ServerTest, TurnsExceptionsIntoProblemsWithoutTheirText) {
  const RawReply failed = get("/throws");
  EXPECT_EQ(failed.status, 500);
  EXPECT_THAT(failed.body, Not(HasSubstr("secret")));
  ASSERT_EQ(server_.faults().size(), 1U);
  const std::string id = server_.faults()[0].substr(0, 16);
  EXPECT_EQ(server_.faults()[0], id + " secret of /etc/passwd at 0x7f");
  EXPECT_THAT(failed.body, HasSubstr("\"errorId\":\"" + id + "\""));

  EXPECT_EQ(get("/throws-int").status, 500);
  const RawReply corrupt = get("/corrupt");
  EXPECT_EQ(corrupt.status, 500);
  EXPECT_THAT(corrupt.body, Not(HasSubstr("secret")));
  EXPECT_EQ(get("/switching").status, 500) << "not a handler's to answer";
  EXPECT_EQ(server_.faults().size(), 4U);

  const RawReply away = get("/away");
  EXPECT_EQ(away.status, 503);
  EXPECT_THAT(away.body, HasSubstr("\"detail\":\"the disk has failed\""));
  EXPECT_THAT(away.body, Not(HasSubstr("secret")));
  ASSERT_EQ(server_.faults().size(), 5U);
  EXPECT_THAT(server_.faults()[4], HasSubstr("the disk has failed (secret of /etc/passwd)"));

  const RawReply conflict = get("/conflict", "If-Match: \"1\"\r\n");
  EXPECT_EQ(conflict.status, 409) << "but not with the version that is expected";
  EXPECT_EQ(conflict.header("ETag"), "");
  const RawReply precondition = get("/mismatch", "If-Match: \"1\"\r\n");
  EXPECT_EQ(precondition.status, 412);
  EXPECT_EQ(precondition.header("ETag"), "\"3\"");
}

TEST_F(ServerTest, LetsNoHeaderBeSmuggledIn) {
  EXPECT_EQ(get("/header?value=/a").header("Location"), "/a");
  const RawReply reply = get("/header?value=/a%0D%0ASet-Cookie:%20b");
  EXPECT_EQ(reply.status, 500);
  EXPECT_THAT(reply.head, Not(HasSubstr("Set-Cookie")));
}

TEST_F(ServerTest, AsksTheGuardBeforeItReadsTheBody) {
  EXPECT_EQ(get("/whoami").body, "someone@127.0.0.1");
  server_.guard_open = false;
  EXPECT_EQ(get("/whoami").status, 401);
  EXPECT_EQ(get("/hello").status, 200) << "not guarded";
  RawClient client(server_.port());
  const RawReply reply = client.exchange(request_text("POST", "/echo", "Content-Length: 9999\r\n"));
  EXPECT_EQ(reply.status, 401) << "though the body never comes";
  EXPECT_EQ(reply.header("Connection"), "close");
}

TEST_F(ServerTest, GoesOnWhenClientsVanishMidRequest) {
  for (const std::string& part :
       {std::string("GET /hel"),
        std::string("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"),
        request_text("GET", "/slow"), request_text("GET", "/large"),
        request_text("POST", "/echo", "Transfer-Encoding: chunked\r\n", "5\r\nab")}) {
    RawClient(server_.port()).send(part);
    RawClient resetting(server_.port());
    resetting.send(part);
    resetting.reset();
  }
  EXPECT_EQ(get("/hello").status, 200);
  EXPECT_TRUE(eventually([&] { return server_->load().connections == 0; }));
  EXPECT_EQ(server_.slow_finished, 2) << "a request in flight is finished";
}

// Requests with bytes changed, doubled or left out, cut off anywhere.
TEST_F(ServerTest, SurvivesMutatedRequests) {
  const auto seed = static_cast<std::uint64_t>(testing::UnitTest::GetInstance()->random_seed());
  SCOPED_TRACE("seed " + std::to_string(seed));
  SeededRandom random(seed);
  const std::string whole = request_text("POST", "/echo?a=%41&b",
                                         "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n",
                                         "3;x=\"y\"\r\nabc\r\n0\r\nTrailer: z\r\n\r\n") +
                            post_text("/echo", "body") +
                            request_text("HEAD", "/items/%41", "Connection: keep-alive\r\n");
  constexpr std::string_view bytes(
      "\r\n :;,%/\0\x7f\xff"
      "0a",
      13);
  for (int round = 0; round < 500; ++round) {
    std::string text = whole;
    for (std::uint64_t count = random.below(4) + 1; count > 0; --count) {
      const std::size_t at = random.below(text.size());
      const char byte = bytes[random.below(bytes.size())];
      switch (random.below(3)) {
        case 0: text[at] = byte; break;
        case 1: text.insert(at, random.below(3) + 1, byte); break;
        default: text.erase(at, random.below(3) + 1); break;
      }
    }
    RawClient client(server_.port());
    client.send(std::string_view(text).substr(0, random.below(text.size()) + 1));
    client.end_sending();
    client.read_to_end();
  }
  EXPECT_EQ(get("/hello").body, "hello");
  EXPECT_TRUE(server_.faults().empty());
  EXPECT_TRUE(eventually([&] { return server_->load().connections == 0; }));
}

TEST_F(ServerTest, SendsLargeBodiesWhole) {
  RawClient client(server_.port());
  for (int at = 0; at < 3; ++at) {
    const RawReply reply = client.exchange(request_text("GET", "/large"));
    EXPECT_EQ(reply.body.size(), std::size_t{8} << 20);
    EXPECT_EQ(reply.body.find_first_not_of('x'), std::string::npos);
  }
}

TEST_F(ServerTest, ReceivesLargeBodiesWhole) {
  std::string body(3 << 20, 'a');
  for (std::size_t at = 0; at < body.size(); ++at) body[at] = static_cast<char>('a' + at % 23);
  RawClient client(server_.port());
  EXPECT_TRUE(client.exchange(post_text("/echo", body)).body == body);
  std::string chunked;
  for (std::size_t at = 0; at < body.size(); at += 100'000) {
    const std::string part = body.substr(at, 100'000);
    char size[16];
    std::snprintf(size, sizeof size, "%zX\r\n", part.size());
    chunked.append(size).append(part).append("\r\n");
  }
  chunked += "0\r\n\r\n";
  EXPECT_EQ(
      client.exchange(request_text("POST", "/echo", "Transfer-Encoding: chunked\r\n", chunked))
          .body,
      body);
  EXPECT_EQ(client.exchange(request_text("GET", "/hello")).body, "hello");
}

TEST_F(ServerTest, LogsAndCountsEachRequestWithoutItsSecrets) {
  get("/items/7?token=secret", "Authorization: Bearer secret\r\n");
  get("/nowhere?token=secret");
  RawClient(server_.port()).exchange("GARBAGE\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return server_.access().size() == 3; }));
  EXPECT_THAT(server_.access(), testing::ElementsAre("GET /items/{id} /items/7 200",
                                                     "GET  /nowhere 404", "GET   400"));
  const std::string text = server_.metrics.text();
  EXPECT_THAT(text,
              HasSubstr("actionflows_http_requests_total{route=\"/items/{id}\",method=\"GET\","
                        "status=\"2xx\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("actionflows_http_requests_total{route=\"none\",method=\"any\","
                              "status=\"4xx\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("actionflows_http_request_duration_seconds_count"
                              "{route=\"/items/{id}\",method=\"GET\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE actionflows_http_connections gauge"));
}

TEST(ServerCors, AdmitsAllowedOriginsOnly) {
  ServerOptions options;
  options.cors.allowed_origins = {"https://dashboard.example"};
  TestServer server(options);
  RawClient client(server.port());
  const std::string allowed = "Origin: https://dashboard.example\r\n";
  const std::string foreign = "Origin: https://evil.example\r\n";

  RawReply reply = client.exchange(request_text("GET", "/hello", allowed));
  EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), "https://dashboard.example");
  EXPECT_THAT(reply.header("Access-Control-Expose-Headers"), HasSubstr("ETag"));
  EXPECT_EQ(reply.header("Vary"), "Origin");
  reply = client.exchange(request_text("OPTIONS", "/items/7", allowed));
  EXPECT_EQ(reply.header("Access-Control-Allow-Methods"), "GET, HEAD, DELETE, OPTIONS");
  EXPECT_THAT(reply.header("Access-Control-Allow-Headers"), HasSubstr("Idempotency-Key"));

  reply = client.exchange(request_text("GET", "/hello", foreign));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("Access-Control-Allow-Origin"), "") << "the browser hides it";
  EXPECT_EQ(reply.header("Vary"), "Origin");
  reply = client.exchange(request_text("OPTIONS", "/items/7", foreign));
  EXPECT_EQ(reply.header("Access-Control-Allow-Methods"), "");

  const auto status_of_delete = [&](const std::string& origin) {
    return client.exchange(request_text("DELETE", "/items/7", origin)).status;
  };
  EXPECT_EQ(status_of_delete(foreign), 403);
  EXPECT_EQ(status_of_delete("Origin: null\r\n"), 403);
  EXPECT_EQ(status_of_delete("Origin: http://test.evil\r\n"), 403);
  EXPECT_EQ(status_of_delete(allowed), 204);
  EXPECT_EQ(status_of_delete("Origin: http://test\r\n"), 204) << "the server's own page";
  EXPECT_EQ(status_of_delete(""), 204) << "no browser";
}

TEST(ServerHosts, AdmitsKnownNamesOnly) {
  ServerOptions options;
  options.allowed_hosts = {"localhost", "127.0.0.1", "[::1]"};
  TestServer server(options);
  const auto status_of = [&](const std::string& host) {
    RawClient client(server.port());
    return client.exchange("GET /hello HTTP/1.1\r\nHost: " + host + "\r\n\r\n").status;
  };
  for (const char* host : {"localhost", "LOCALHOST:3001", "127.0.0.1:1", "[::1]", "[::1]:3001"})
    EXPECT_EQ(status_of(host), 200) << host;
  for (const char* host : {"evil.example", "evil.example:3001", "localhost.evil.example", "",
                           "127.0.0.1.evil.example", "::1", "[::2]", "evil]:localhost"})
    EXPECT_EQ(status_of(host), 421) << host;
}

TEST(ServerHosts, AreMissedOnlyInHttp11) {
  ServerOptions options;
  options.allowed_hosts = {"localhost"};
  TestServer server(options);
  const auto status_of = [&](const std::string& request) {
    return RawClient(server.port()).exchange(request + "\r\n").status;
  };
  EXPECT_EQ(status_of("GET /hello HTTP/1.0\r\n"), 200) << "as a load balancer's check";
  EXPECT_EQ(status_of("GET /hello HTTP/1.0\r\nHost: localhost\r\n"), 200);
  EXPECT_EQ(status_of("GET /hello HTTP/1.0\r\nHost: evil.example\r\n"), 421);
  EXPECT_EQ(status_of("GET /hello HTTP/1.0\r\nHost:\r\n"), 421);
  EXPECT_EQ(status_of("DELETE /items/7 HTTP/1.0\r\nOrigin: http://localhost\r\n"), 403);
  EXPECT_EQ(status_of("GET /hello HTTP/1.1\r\n"), 400);
}

TEST(ServerBodies, AreNotTakenEncoded) {
  TestServer server;
  RawClient client(server.port());
  const auto post = [&](const std::string& headers) {
    return client.exchange(request_text("POST", "/echo", headers + "Content-Length: 2\r\n", "ab"));
  };
  for (const char* coding : {"gzip", "br", "identity, gzip"}) {
    const RawReply reply = post("Content-Encoding: " + std::string(coding) + "\r\n");
    EXPECT_EQ(reply.status, 415) << coding;
    EXPECT_NE(reply.body.find("taken as they are"), std::string::npos) << reply.body;
  }
  EXPECT_EQ(post("Content-Encoding: Identity\r\n").body, "ab");
  EXPECT_EQ(post("Content-Encoding: identity\r\nContent-Encoding: gzip\r\n").status, 415);
  EXPECT_EQ(client.exchange(request_text("GET", "/hello", "Content-Encoding: gzip\r\n")).status,
            200)
      << "there is no body";
}

TEST(ServerThreads, ShareTheConnections) {
  ServerOptions options;
  options.threads = 2;
  TestServer server(options);
  std::vector<std::thread> clients;
  std::atomic<int> right{0};
  for (int at = 0; at < 8; ++at) {
    clients.emplace_back([&, at] {
      RawClient client(server.port());
      for (int count = 0; count < 200; ++count) {
        const std::string id = std::to_string(at) + "." + std::to_string(count);
        if (client.exchange(request_text("GET", "/items/" + id)).body == id) ++right;
        if (client.exchange(post_text("/echo", id)).body == id) ++right;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, 8 * 200 * 2);
}

}  // namespace
}  // namespace actionflows::http
