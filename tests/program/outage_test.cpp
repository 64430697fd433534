// The production server while its Redis goes away and comes back: what its clients see, and what
// stands in Redis afterwards.
#include "cli/http_client.hpp"
#include "cli/run_tasks.hpp"
#include "tests/program/ask.hpp"
#include "tests/program/process.hpp"
#include "tests/support/redis_server.hpp"
#include "tests/support/wait_until.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace actionflows::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string session_name(std::size_t number) { return "s" + std::to_string(number); }

// Clients at work, each on a session of its own: an event is sent again, under its key, until it is
// acknowledged; between two events the session is read.
class Clients {
 public:
  Clients(std::string url, std::size_t count) : url_(std::move(url)), events_(count) {
    thread_ = std::thread([this, count] {
      boost::asio::io_context context(1);
      std::size_t next = 0;
      cli::run_workers(context, count, [&]() -> Task<void> { return work(context, next++); });
    });
  }
  ~Clients() { stop(); }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  [[nodiscard]] std::size_t acknowledged() const { return acknowledged_; }
  // After `stop`: how often each status was answered; how many events of each session were
  // acknowledged.
  [[nodiscard]] const std::map<int, int>& statuses() const { return statuses_; }
  [[nodiscard]] const std::vector<std::uint64_t>& events() const { return events_; }

 private:
  Task<void> work(boost::asio::io_context& context, std::size_t number) {
    cli::HttpClient client(context.get_executor(), cli::ServerUrl::parse(url_));
    boost::asio::steady_timer pause(context);
    const std::string session = "/v1/sessions/" + session_name(number);
    while (!stop_) {
      const std::string key = session_name(number) + "-" + std::to_string(events_[number]);
      const std::string body =
          R"({"type":"test:counted","data":{"n":)" + std::to_string(events_[number]) + "}}";
      cli::HttpRequest post;
      post.method = "POST";
      post.target = session + "/events";
      post.body = body;
      post.content_type = "application/json";
      post.headers = {{"Idempotency-Key", key}};
      const cli::HttpAnswer posted = co_await client.send(std::move(post));
      ++statuses_[posted.status];
      if (posted.status == 201) {
        ++events_[number];
        ++acknowledged_;
      }
      cli::HttpRequest get;
      get.target = session;
      const cli::HttpAnswer read = co_await client.send(std::move(get));
      ++statuses_[read.status];
      pause.expires_after(5ms);
      co_await pause.async_wait(boost::asio::use_awaitable);
    }
  }

  const std::string url_;
  std::atomic<bool> stop_{false};
  std::atomic<std::size_t> acknowledged_{0};
  std::map<int, int> statuses_;
  std::vector<std::uint64_t> events_;
  std::thread thread_;
};

std::vector<std::uint64_t> numbers_in(const std::string& tail) {
  std::vector<std::uint64_t> numbers;
  const std::string mark = "\"data\":{\"n\":";
  for (std::size_t at = tail.find(mark); at != tail.npos; at = tail.find(mark, at + 1))
    numbers.push_back(std::stoull(tail.substr(at + mark.size())));
  return numbers;
}

std::vector<std::uint64_t> up_to(std::uint64_t count) {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t n = 0; n < count; ++n) numbers.push_back(n);
  return numbers;
}

TEST(Outage, NoClientSeesAFalseAnswerAndNothingAcknowledgedIsLost) {
  NEEDS_REDIS();
  constexpr std::size_t clients = 8;
  RedisServer redis({.appendonly = true});
  const Folder folder;
  const ProcessOptions with = in_production(redis.url(), folder.path("journal.db"));
  ServerProcess server({}, with);
  for (std::size_t i = 0; i < clients; ++i) {
    const std::string body = R"({"userId":"ann","sessionId":")" + session_name(i) + "\"}";
    ASSERT_EQ(ask(server.url(), "POST", "/v1/sessions", body).status, 201);
  }
  Process first({"tail", session_name(0), "--json", "--after", "0", "--server", server.url()});
  Process second({"tail", session_name(1), "--json", "--after", "0", "--server", server.url()});
  Clients at_work(server.url(), clients);
  const auto goes_on = [&] {
    const std::size_t before = at_work.acknowledged();
    return wait_until([&] { return at_work.acknowledged() > before + 200; });
  };
  ASSERT_TRUE(goes_on());
  redis.kill();
  ASSERT_TRUE(server.process().wait_for_err("the circuit is open"));
  ASSERT_TRUE(goes_on());
  const cli::HttpAnswer ready = ask(server.url(), "GET", "/readyz");
  EXPECT_EQ(ready.status, 200);
  EXPECT_THAT(ready.body, AllOf(HasSubstr("\"breaker\":\"open\""), HasSubstr("\"breakerSince\":"),
                                HasSubstr("\"durability\":\"journal\"")));
  EXPECT_THAT(ask(server.url(), "GET", "/metrics").body,
              AllOf(HasSubstr("\nactionflows_primary_breaker 2\n"),
                    HasSubstr("# TYPE actionflows_primary_rejections_total counter\n"),
                    HasSubstr("\nactionflows_journal_age_seconds ")));
  EXPECT_EQ(ask(server.url(), "GET", "/v1/sessions/nobody").status, 503);
  EXPECT_EQ(ask(server.url(), "POST", "/v1/sessions/s0/token").status, 503) << "fails closed";
  for (const char* const command : {"export", "verify"}) {
    const Finished partial = run_program({command, "--server", server.url(), "--quiet"});
    EXPECT_EQ(partial.exit_code, 1) << command;
    EXPECT_THAT(partial.err, HasSubstr("only a part of the sessions"));
  }
  redis.restart(RedisServer::Data::kept);
  ASSERT_TRUE(server.process().wait_for_err("the circuit is closed"));
  ASSERT_TRUE(goes_on());
  at_work.stop();
  ASSERT_TRUE(wait_until([&] { return is_replayed(server.url()); }));

  for (const auto& [status, count] : at_work.statuses())
    EXPECT_THAT(status, testing::AnyOf(200, 201, 503, 504)) << count << " times";
  // By a process that has seen nothing of all this: from Redis alone.
  const Finished verified = run_program({"verify", "--storage", redis.url()});
  EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  EXPECT_THAT(verified.out, HasSubstr("8 of 8 sessions rebuilt equal"));
  const Finished exported = run_program({"export", "--storage", redis.url()});
  std::uint64_t total = 0;
  for (const std::uint64_t count : at_work.events()) total += count;
  const std::vector<std::uint64_t> found = numbers_in(exported.out);
  EXPECT_EQ(found.size(), total) << "one event for each that was acknowledged";
  for (Process* tail : {&first, &second}) {
    const std::size_t number = tail == &first ? 0 : 1;
    const std::uint64_t last = at_work.events()[number] - 1;
    EXPECT_TRUE(tail->wait_for_out("\"data\":{\"n\":" + std::to_string(last) + "}"));
    EXPECT_EQ(numbers_in(tail->out()), up_to(last + 1));
  }
  // A stream that ends while it waits for both sides once was told as a fault.
  first.signal(SIGTERM);
  EXPECT_EQ(first.wait(), 0);
  server.process().signal(SIGTERM);
  EXPECT_EQ(server.process().wait(), 0);
  EXPECT_THAT(server.process().err(), Not(HasSubstr("event=fault")));
}

TEST(Outage, WhatCantBeBroughtBackIsListedRetriedAndDropped) {
  NEEDS_REDIS();
  RedisServer redis({.appendonly = true});
  const Folder folder;
  const std::string path = folder.path("journal.db");
  const ProcessOptions with = in_production(redis.url(), path);
  {
    ServerProcess before({}, with);
    const std::string anns = R"({"userId":"ann","sessionId":"twice"})";
    ASSERT_EQ(ask(before.url(), "POST", "/v1/sessions", anns).status, 201);
  }
  redis.kill();
  ServerProcess server({}, with);
  const std::string bobs = R"({"userId":"bob","sessionId":"twice"})";
  ASSERT_TRUE(
      wait_until([&] { return ask(server.url(), "POST", "/v1/sessions", bobs).status == 201; }));
  EXPECT_THAT(run_program({"journal", "list", "--all", "--journal", path}).out,
              AllOf(HasSubstr("twice  session:created"),
                    HasSubstr("0 set aside, 1 waiting to be replayed")));
  EXPECT_EQ(run_program({"journal", "drop", "--all", "--journal", path}).exit_code, 0);
  redis.restart(RedisServer::Data::kept);
  ASSERT_TRUE(server.process().wait_for_err("is set aside"));
  const Finished listed = run_program({"journal", "list", "--journal", path});
  EXPECT_EQ(listed.exit_code, 0) << listed.err;
  EXPECT_THAT(listed.out, AllOf(HasSubstr("twice  session:created"), HasSubstr("set aside: "),
                                HasSubstr("1 set aside, 0 waiting to be replayed")));
  EXPECT_THAT(run_program({"journal", "list", "--json", "--journal", path}).out,
              AllOf(HasSubstr("\"commit\":{\"session\":\"twice\""), Not(HasSubstr("waiting"))));
  EXPECT_THAT(ask(server.url(), "GET", "/v1/sessions/twice").body, HasSubstr("\"userId\":\"ann\""));
  EXPECT_THAT(ask(server.url(), "GET", "/readyz").body, HasSubstr("\"poisoned\":1"));

  const Finished retried = run_program({"journal", "retry", "--all", "--journal", path});
  EXPECT_THAT(retried.out, HasSubstr("1 change to be replayed again"));
  EXPECT_TRUE(wait_until([&] { return count_of(server.process().err(), "is set aside") == 2; }));
  const std::string id = std::to_string(std::stoull(listed.out));
  const Finished dropped = run_program({"journal", "drop", id, "--journal", path});
  EXPECT_EQ(dropped.exit_code, 0) << dropped.err;
  EXPECT_THAT(run_program({"journal", "list", "--journal", path}).out, HasSubstr("0 set aside"));
  EXPECT_EQ(run_program({"journal", "drop", id, "--journal", path}).exit_code, 1);
}

TEST(Outage, TheJournalsCommandRefusesWhatMakesNoSense) {
  const Folder folder;
  EXPECT_EQ(run_program({"journal"}).exit_code, 2);
  EXPECT_EQ(run_program({"journal", "list"}).exit_code, 2);
  EXPECT_EQ(run_program({"journal", "retry", "--journal", fixture("runs.ndjson")}).exit_code, 1);
  const std::string absent = folder.path("absent.db");
  EXPECT_EQ(run_program({"journal", "list", "--journal", absent}).exit_code, 1);
  EXPECT_FALSE(std::filesystem::exists(absent)) << "who only looks makes no file";
}

}  // namespace
}  // namespace actionflows::test
