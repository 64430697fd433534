// Tail, end to end: across kills, cuts and the end of what it follows.
#include "cli/http_client.hpp"
#include "cli/run_tasks.hpp"
#include "tests/program/cutting_proxy.hpp"
#include "tests/program/process.hpp"
#include "tests/support/seed.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <sstream>
#include <thread>

namespace actionflows::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::MatchesRegex;

// What the tests do to a server while something follows it.
class Writer {
 public:
  explicit Writer(const std::string& url)
      : client_(context_.get_executor(), cli::ServerUrl::parse(url)) {}

  void create(const std::string& session) {
    EXPECT_EQ(send("POST", "/v1/sessions", R"({"userId":"ann","sessionId":")" + session + R"("})"),
              201);
  }
  void append(const std::string& session, std::uint64_t number) {
    EXPECT_EQ(send("POST", "/v1/sessions/" + session + "/events",
                   R"({"type":"test:counted","data":{"number":)" + std::to_string(number) + "}}"),
              201);
  }
  int send(std::string_view method, const std::string& target, const std::string& body = {}) {
    int status = 0;
    cli::run_task(context_, [&] { return ask(method, target, body, status); });
    return status;
  }

 private:
  Task<void> ask(std::string_view method, std::string target, std::string body, int& status) {
    cli::HttpRequest request{.method = method, .target = std::move(target), .body = body};
    if (!body.empty()) request.content_type = "application/json";
    const cli::HttpAnswer answer = co_await client_.send(std::move(request));
    status = answer.status;
  }

  boost::asio::io_context context_{1};
  cli::HttpClient client_;
};

// The sequence numbers of whole lines that tail --json has printed.
std::vector<std::uint64_t> sequences_of(const std::string& out) {
  std::vector<std::uint64_t> found;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line) && !lines.eof();) {
    const std::size_t at = line.find("\"sequence\":");
    if (at == line.npos) ADD_FAILURE() << "no event: " << line;
    found.push_back(std::stoull(line.substr(at + 11)));
  }
  return found;
}

std::vector<std::uint64_t> from_one_to(std::uint64_t last) {
  std::vector<std::uint64_t> numbers(last);
  std::iota(numbers.begin(), numbers.end(), 1);
  return numbers;
}

std::string sequence_text(std::uint64_t sequence) {
  return "\"sequence\":" + std::to_string(sequence) + ",";
}

TEST(Tail, PrintsALineForEachEventFromNowOn) {
  ServerProcess server;
  Writer writer(server.url());
  writer.create("s1");
  Process tail({"tail", "s1", "--server", server.url()});
  // It says nothing until something happens; so make things happen until it has said something.
  std::uint64_t number = 0;
  while (tail.out().empty() && number < 1'000) {
    writer.append("s1", ++number);
    std::this_thread::sleep_for(10ms);
  }
  writer.append("s1", ++number);
  ASSERT_TRUE(tail.wait_for_out(" " + std::to_string(number + 1) + "  test:counted"));
  tail.signal(SIGINT);
  EXPECT_EQ(tail.wait(), 0);
  EXPECT_EQ(tail.err(), "");
  const std::string first_line = tail.out().substr(0, tail.out().find('\n'));
  EXPECT_THAT(first_line, MatchesRegex("20..-..-..T..:..:..\\....Z +[0-9]+  test:counted +s1"));
  EXPECT_EQ(tail.out().find("session:created"), std::string::npos);
}

TEST(Tail, KilledAndResumedShowsNoGapAndNoRepeat) {
  ServerProcess server;
  Writer writer(server.url());
  writer.create("s1");
  std::vector<std::uint64_t> seen;
  std::uint64_t written = 1;
  for (int round = 0; round < 5; ++round) {
    const std::string after = std::to_string(seen.empty() ? 0 : seen.back());
    Process tail({"tail", "s1", "--server", server.url(), "--json", "--after", after});
    for (int i = 0; i < 30; ++i) writer.append("s1", ++written);
    ASSERT_TRUE(tail.wait_for_out(sequence_text(written - 10)));
    tail.signal(SIGKILL);
    EXPECT_EQ(tail.wait(), 128 + SIGKILL);
    for (const std::uint64_t sequence : sequences_of(tail.out())) seen.push_back(sequence);
    EXPECT_EQ(tail.err(), "");
  }
  EXPECT_GE(seen.size(), written - 10);
  EXPECT_EQ(seen, from_one_to(seen.size()));
}

TEST(Tail, CutConnectionsShowNoGapAndNoRepeat) {
  ServerProcess server;
  Writer writer(server.url());
  writer.create("s1");
  SeededRandom random(test_seed());
  CuttingProxy proxy(server.url(), 6'000, random);
  std::uint64_t written = 1;
  for (; written < 300; ++written) writer.append("s1", written + 1);

  // Where the very first connection is cut, the server could not be reached.
  std::unique_ptr<Process> tail;
  for (int attempt = 0; attempt < 50; ++attempt) {
    tail = std::make_unique<Process>(
        std::vector<std::string>{"tail", "s1", "--server", proxy.url(), "--json", "--after", "0"});
    if (tail->wait_for_out_or_end(sequence_text(1))) break;
  }
  ASSERT_TRUE(tail->wait_for_out(sequence_text(100)));
  for (; written < 320; ++written) writer.append("s1", written + 1);
  proxy.stop_cutting();
  ASSERT_TRUE(tail->wait_for_out(sequence_text(written)));
  tail->signal(SIGTERM);
  EXPECT_EQ(tail->wait(), 0);
  EXPECT_EQ(sequences_of(tail->out()), from_one_to(written));
  EXPECT_GE(proxy.cuts(), 3);
  EXPECT_THAT(tail->err(), HasSubstr("connecting again in "));
  EXPECT_EQ(tail->err().find("gap"), std::string::npos) << tail->err();
}

TEST(Tail, PrunedEventsAreSaidToBeMissing) {
  ServerProcess server;
  Writer writer(server.url());
  writer.create("s1");
  for (std::uint64_t number = 2; number <= 10; ++number) writer.append("s1", number);
  ASSERT_EQ(writer.send("DELETE", "/v1/sessions/s1/events?before=8"), 200);
  Process tail({"tail", "s1", "--server", server.url(), "--json", "--after", "2"});
  ASSERT_TRUE(tail.wait_for_out(sequence_text(10)));
  EXPECT_THAT(tail.err(), HasSubstr("gap: events 3 to 7 were pruned before they could be read"));
  EXPECT_EQ(sequences_of(tail.out()), (std::vector<std::uint64_t>{8, 9, 10}));
}

TEST(Tail, EndsWithItsSession) {
  ServerProcess server;
  Writer writer(server.url());
  writer.create("s1");
  Process tail({"tail", "s1", "--server", server.url(), "--after", "0"});
  ASSERT_TRUE(tail.wait_for_out("session:created"));
  ASSERT_EQ(writer.send("DELETE", "/v1/sessions/s1"), 204);
  EXPECT_EQ(tail.wait(), 0);
  EXPECT_THAT(tail.out(), HasSubstr("session:deleted"));
  EXPECT_THAT(tail.err(), HasSubstr("the session has ended"));
}

TEST(Tail, WithoutASessionShowsWhatHappensInAll) {
  ServerProcess server;
  Writer writer(server.url());
  Process tail({"tail", "--server", server.url()});
  std::uint64_t number = 0;
  while (tail.out().empty() && number < 1'000) {
    writer.create("s" + std::to_string(++number));
    std::this_thread::sleep_for(10ms);
  }
  ASSERT_TRUE(tail.wait_for_out("session:created"));
  tail.signal(SIGINT);
  EXPECT_EQ(tail.wait(), 0);
}

TEST(Tail, FailsWhenTheServerSaysNo) {
  ServerProcess server;
  const Finished absent = run_program({"tail", "nobody", "--server", server.url()});
  EXPECT_EQ(absent.exit_code, 1);
  EXPECT_THAT(absent.err, HasSubstr("nobody"));
  EXPECT_EQ(run_program({"tail", "nobody", "--after", "0", "--server", server.url()}).exit_code, 1);
}

TEST(Tail, AServerThatIsGoneIsWaitedFor) {
  ServerProcess server;
  Writer writer(server.url());
  writer.create("s1");
  Process tail({"tail", "s1", "--server", server.url(), "--after", "0"});
  ASSERT_TRUE(tail.wait_for_out("session:created"));
  server.process().signal(SIGTERM);
  EXPECT_EQ(server.process().wait(), 0);
  ASSERT_TRUE(tail.wait_for_err("nothing listens there"));
  tail.signal(SIGINT);
  EXPECT_EQ(tail.wait(), 0);
}

}  // namespace
}  // namespace actionflows::test
