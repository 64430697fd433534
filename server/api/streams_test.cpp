#include "server/api/streams.hpp"

#include "actionflows/base/random.hpp"
#include "server/testing/served.hpp"
#include "tests/support/run.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace actionflows {
namespace {

using namespace std::chrono_literals;
using test::EventSource;
using test::Headers;
using test::Message;
using test::Served;

AppOptions quick_heartbeat() {
  AppOptions options;
  options.heartbeat = 50ms;
  return options;
}

class Streams : public testing::Test {
 protected:
  void SetUp() override { create("s"); }

  void create(const std::string& id, const std::string& user = "ann") {
    client_.post("/v1/sessions", R"({"userId":")" + user + R"(","sessionId":")" + id + "\"}");
  }
  void append(const std::string& data = "1", const std::string& session = "s") {
    const auto reply = client_.post("/v1/sessions/" + session + "/events",
                                    R"({"type":"note:added","data":)" + data + "}");
    ASSERT_EQ(reply.status, 201) << reply.body;
  }
  EventSource stream(const std::string& query = "", const Headers& headers = {}) {
    return served_.stream("/v1/sessions/s/stream" + query, headers);
  }

  Served served_{quick_heartbeat()};
  test::Client client_ = served_.client();
};

TEST(ServerSentEvents, AreFramed) {
  std::string out;
  api::append_sse(out, "note:added", R"({"a":1})", 7);
  EXPECT_EQ(out, "id: 7\nevent: note:added\ndata: {\"a\":1}\n\n");
}

TEST(ServerSentEvents, LineEndsInDataDoNotEndTheEvent) {
  std::string out;
  api::append_sse(out, "e", "a\nb\rc\r\nd\n\ne");
  EXPECT_EQ(out, "event: e\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\n\n");
}

TEST_F(Streams, DeliverWhatHappensFromNowOn) {
  append("\"before\"");
  EventSource source = stream();
  EXPECT_EQ(source.head.status, 200);
  EXPECT_EQ(source.head.header("Content-Type"), "text/event-stream");
  EXPECT_EQ(source.head.header("Cache-Control"), "no-store");
  append("\"after\"");
  const auto message = source.next_event();
  ASSERT_TRUE(message);
  EXPECT_EQ(message->id, "3");
  EXPECT_EQ(message->event, "note:added");
  EXPECT_EQ(test::json_at(message->data, "/data"), "after");
  EXPECT_EQ(test::json_at(message->data, "/sequence"), "3");
}

TEST_F(Streams, GoOnBehindAPosition) {
  for (int n = 0; n < 5; ++n) append();
  EXPECT_EQ(stream("?after=0").next_event()->id, "1");
  EXPECT_EQ(stream("?after=4").next_event()->id, "5");
  EXPECT_EQ(stream("?after=1", {{"Last-Event-ID", "3"}}).next_event()->id, "4");
}

TEST_F(Streams, RefuseAMalformedPosition) {
  for (const char* id : {"x", "-1", "1.5", "99999999999999999999"})
    EXPECT_EQ(client_.get("/v1/sessions/s/stream", {{"Last-Event-ID", id}}).status, 400) << id;
  EXPECT_EQ(client_.get("/v1/sessions/s/stream?after=x").status, 400);
  EXPECT_EQ(client_.get("/v1/sessions/s/stream?from=1").status, 400);
}

TEST_F(Streams, BeatWhileNothingHappens) {
  EventSource source = stream();
  int beats = 0;
  while (beats < 3) beats += source.next()->comment == "heartbeat" ? 1 : 0;
  append();
  EXPECT_EQ(source.next_event()->id, "2");
}

TEST_F(Streams, SayWhatWasPruned) {
  for (int n = 0; n < 9; ++n) append();
  client_.del("/v1/sessions/s/events?before=6");
  EventSource source = stream("?after=2");
  const auto gap = source.next_event();
  EXPECT_EQ(gap->event, "gap");
  EXPECT_EQ(gap->data, R"({"from":3,"to":5})");
  EXPECT_EQ(gap->id, "5") << "whoever resumes here is not told again";
  EXPECT_EQ(source.next_event()->id, "6");
  EXPECT_EQ(stream("", {{"Last-Event-ID", "5"}}).next_event()->event, "note:added");
}

TEST_F(Streams, SayThatAPositionIsNotOfThisLog) {
  EventSource source = stream("?after=40");
  const auto gap = source.next_event();
  EXPECT_EQ(gap->event, "gap");
  EXPECT_EQ(gap->data, R"({"from":2,"to":40})");
  EXPECT_EQ(gap->id, "1");
  append();
  EXPECT_EQ(source.next_event()->id, "2");
}

TEST_F(Streams, EndBehindTheLastEventOfADeletedSession) {
  EventSource source = stream();
  append();
  client_.del("/v1/sessions/s");
  EXPECT_EQ(source.next_event()->event, "note:added");
  EXPECT_EQ(source.next_event()->event, "session:deleted");
  const auto end = source.next_event();
  EXPECT_EQ(end->event, "end");
  EXPECT_EQ(end->data, R"({"reason":"session_ended"})");
  EXPECT_FALSE(source.next()) << "ended as it should";
}

TEST_F(Streams, OfASessionThatIsGoneEndAtOnce) {
  client_.del("/v1/sessions/s");
  EventSource source = stream("?after=2");
  EXPECT_EQ(source.next_event()->event, "end");
  EXPECT_FALSE(source.next());
}

TEST_F(Streams, OfASessionThatCameBackGoOn) {
  client_.del("/v1/sessions/s");
  create("s");
  EventSource source = stream("?after=0");
  EXPECT_EQ(source.next_event()->event, "session:created");
  EXPECT_EQ(source.next_event()->event, "session:deleted");
  EXPECT_EQ(source.next_event()->event, "session:created");
  append();
  EXPECT_EQ(source.next_event()->id, "4");
}

class StreamsOfAnErasedSession : public testing::Test {
 protected:
  void SetUp() override {
    create("ann");
    append("first");
    append("second");
  }

  void create(const std::string& user) {
    client_.post("/v1/sessions", R"({"sessionId":"s","userId":")" + user + "\"}");
  }
  void append(const std::string& text) {
    client_.post("/v1/sessions/s/events", R"({"type":"note:added","data":")" + text + "\"}");
  }
  void erase() { test::run(served_.storage.erase_session(*SessionId::parse("s"))); }

  Served served_;  // its heartbeat is so long that nobody looks in between
  test::Client client_ = served_.client();
};

TEST_F(StreamsOfAnErasedSession, SayThatTheLogBeganAnew) {
  EventSource source = served_.stream("/v1/sessions/s/stream?after=2");
  EXPECT_EQ(source.next_event()->id, "3");
  erase();
  create("ann");
  const auto gap = source.next_event();
  EXPECT_EQ(gap->event, "gap");
  EXPECT_EQ(gap->data, R"({"from":1,"to":3})");
  EXPECT_EQ(gap->id, "0") << "whoever resumes here reads all of it";
  EXPECT_EQ(source.next_event()->id, "1");
  append("third");
  EXPECT_EQ(source.next_event()->id, "2");
}

TEST_F(StreamsOfAnErasedSession, DoNotGoOnIntoAnotherUsersSession) {
  client_.post("/v1/sessions", R"({"sessionId":"other","userId":"ann"})");
  const std::string token = client_.post("/v1/sessions/other/token").at("/token");
  EventSource source = served_.stream("/v1/sessions/s/stream?after=2", Served::bearer(token));
  EXPECT_EQ(source.next_event()->id, "3");
  erase();
  create("bob");
  append("a secret");
  const auto end = source.next_event();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->event, "end") << end->data;
  EXPECT_EQ(end->data, R"({"reason":"session_ended"})");
  EXPECT_FALSE(source.next());
}

TEST(StreamsOfTime, EndWhenTheSessionExpires) {
  FakeClock clock;
  AppOptions options = quick_heartbeat();
  options.sweep_interval = 1h;  // nobody sweeps: the stream itself has to notice
  Served served(options, make_memory_storage(), clock);
  served.client().post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})");
  EventSource source = served.stream("/v1/sessions/s/stream");
  clock.advance(25h);
  EXPECT_EQ(source.next_event()->event, "session:expired");
  EXPECT_EQ(source.next_event()->event, "end");
  EXPECT_FALSE(source.next());
}

// The main promise: whatever breaks, and whenever, nothing is missed and nothing comes twice.
TEST_F(Streams, ResumeWithoutGapOrRepeatAcrossFiftyKills) {
  constexpr int kills = 50;
  constexpr int events = 3'000;
  SeededRandom random(test::test_seed());
  std::atomic<bool> failed{false};
  std::thread writer([&] {
    test::Client client = served_.client();
    for (int n = 0; n < events && !failed; ++n) {
      const auto reply = client.post("/v1/sessions/s/events", R"({"type":"note:added"})");
      if (reply.status != 201) failed = true;
    }
  });
  std::uint64_t seen = 1;  // the session's creation
  for (int kill = 0; kill <= kills; ++kill) {
    EventSource source = stream("", {{"Last-Event-ID", std::to_string(seen)}});
    std::uint64_t until = seen + 1 + random.below(2 * events / kills);
    if (kill == kills) until = events + 1;
    while (seen < std::min<std::uint64_t>(until, events + 1)) {
      const auto message = source.next_event();
      ASSERT_TRUE(message);
      ASSERT_EQ(message->event, "note:added");
      ASSERT_EQ(message->id, std::to_string(++seen));
    }
  }
  writer.join();
  EXPECT_FALSE(failed);
  EXPECT_EQ(seen, events + 1U);
}

TEST_F(Streams, OfAllSessionsTellInShort) {
  EventSource source = served_.stream("/v1/stream");
  EXPECT_EQ(source.next()->comment, "");  // the hint: from here on everything is told
  EXPECT_EQ(source.next()->comment, "heartbeat");
  create("other", "bob");
  const auto created = source.next_event();
  EXPECT_EQ(created->event, "notice");
  EXPECT_EQ(created->data, R"({"sessionId":"other","sequence":1,"type":"session:created"})");
  append();
  EXPECT_EQ(source.next_event()->data, R"({"sessionId":"s","sequence":2,"type":"note:added"})");
}

TEST(StreamsOfMany, SayWhenNoticesWereLost) {
  constexpr int small_buffer = 4'096;
  MemoryOptions memory;
  memory.max_wakeups = 4;
  AppOptions options = quick_heartbeat();
  options.http.stream_buffer = small_buffer;
  Served served(options, make_memory_storage(memory));
  EventSource source(served.app->port(), "/v1/stream", {}, small_buffer);
  source.next();
  test::Client client = served.client();
  for (int n = 0; n < 3'000; ++n) client.post("/v1/sessions", R"({"userId":"ann"})");
  // The reader comes late: what did not fit in between is gone, and that is said.
  int notices = 0;
  for (auto message = source.next_event(); message->event != "gap"; message = source.next_event()) {
    EXPECT_EQ(message->event, "notice");
    ++notices;
  }
  EXPECT_GT(notices, 0);
  EXPECT_LT(notices, 3'000);
}

}  // namespace
}  // namespace actionflows
