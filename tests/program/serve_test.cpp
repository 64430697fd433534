// Serve, end to end: what it says, how it stops, what it refuses; and wrong usage of all commands.
#include "actionflows/base/encoding.hpp"
#include "tests/program/process.hpp"
#include "tests/support/wait_until.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace actionflows::test {
namespace {

using namespace std::chrono_literals;
using testing::AnyOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

std::string port_of(const ServerProcess& server) {
  return server.url().substr(server.url().rfind(':') + 1);
}

TEST(Serve, SaysWhereItListensAndWhatItKeeps) {
  ServerProcess server;
  EXPECT_THAT(
      server.process().err(),
      MatchesRegex("time=[^ ]+ level=info event=listening url=http://127.0.0.1:[0-9]+ "
                   "storage=memory durability=memory access=\"[^\"]*this machine[^\"]*\"\n"));
  EXPECT_EQ(server.process().out(), "");
}

TEST(Serve, StopsOnATermSignal) {
  ServerProcess server;
  server.process().signal(SIGTERM);
  EXPECT_EQ(server.process().wait(), 0);
  EXPECT_THAT(server.process().err(), HasSubstr("event=stopped"));
}

TEST(Serve, StopsOnCtrlC) {
  ServerProcess server;
  server.process().signal(SIGINT);
  EXPECT_EQ(server.process().wait(), 0);
}

// A request in flight, which holds the server up until its body comes.
class HeldRequest {
 public:
  explicit HeldRequest(const ServerProcess& server) {
    socket_.connect({boost::asio::ip::address_v4::loopback(),
                     static_cast<std::uint16_t>(std::stoi(port_of(server)))});
    send(
        "POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Expect: 100-continue\r\nContent-Length: 16\r\n\r\n");
    read_until("100 Continue\r\n\r\n");
  }

  // The first line of the answer.
  std::string finish() {
    send(R"({"userId":"ann"})");
    return read_until("\r\n");
  }

 private:
  void send(const std::string& text) { boost::asio::write(socket_, boost::asio::buffer(text)); }
  std::string read_until(const std::string& end) {
    const auto size = boost::asio::read_until(socket_, boost::asio::dynamic_buffer(input_), end);
    std::string text = input_.substr(0, size - end.size());
    input_.erase(0, size);
    return text;
  }

  boost::asio::io_context context_;
  boost::asio::ip::tcp::socket socket_{context_};
  std::string input_;
};

TEST(Serve, AHangUpWhileItStopsIsIgnored) {
  ServerProcess server;
  HeldRequest held(server);
  server.process().signal(SIGTERM);
  ASSERT_TRUE(server.process().wait_for_err("event=stopping"));
  server.process().signal(SIGHUP);
  EXPECT_EQ(held.finish(), "HTTP/1.1 201 Created");
  EXPECT_EQ(server.process().wait(), 0);
  EXPECT_THAT(server.process().err(), HasSubstr("event=stopped"));
}

TEST(Serve, ASecondSignalStopsAtOnce) {
  ServerProcess server;
  const HeldRequest held(server);
  server.process().signal(SIGTERM);
  ASSERT_TRUE(server.process().wait_for_err("event=stopping"));
  const auto start = std::chrono::steady_clock::now();
  server.process().signal(SIGTERM);
  EXPECT_EQ(server.process().wait(), 1);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 8s);
}

TEST(Serve, RaisesTheLimitOfOpenFilesForItsConnections) {
  rlimit usual{};
  ::getrlimit(RLIMIT_NOFILE, &usual);
  rlimit low = usual;
  low.rlim_cur = 64;
  ::setrlimit(RLIMIT_NOFILE, &low);
  const ServerProcess server;
  ::setrlimit(RLIMIT_NOFILE, &usual);
  std::vector<std::unique_ptr<HeldRequest>> held;
  for (int at = 0; at < 100; ++at) held.push_back(std::make_unique<HeldRequest>(server));
  for (const auto& request : held) EXPECT_EQ(request->finish(), "HTTP/1.1 201 Created");
}

TEST(Serve, SaysWhenItsConnectionsAreMoreThanFilesMayBeOpen) {
  ServerProcess server({"--max-connections", "4000000000"});
  EXPECT_THAT(server.process().err(),
              ContainsRegex("level=warn event=few_open_files limit=[0-9]+ needed=4000001024 "));
}

TEST(Serve, APortInUseIsAClearFailure) {
  ServerProcess server;
  const Finished second = run_program({"serve", "--port", port_of(server)});
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_EQ(second.err, "actionflows: can't listen on 127.0.0.1 port " + port_of(server) +
                            ": another program uses that port\n");
}

TEST(Serve, OtherHostsAreNotListenedToWithoutKeys) {
  const Finished done = run_program({"serve", "--port", "0", "--host", "0.0.0.0"});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, HasSubstr("without API keys"));
}

TEST(Serve, KeysAreReadAgainOnASignal) {
  const Folder folder;
  const std::string keys = folder.file("keys", "old:" + hex(sha256("old-key")) + "\n");
  ServerProcess server({"--api-keys-file", keys});
  EXPECT_THAT(server.process().err(), HasSubstr("access=\"API keys\""));
  const auto exit_code_with = [&](const std::string& key) {
    return run_program({"verify", "--server", server.url()},
                       {.input = {}, .variables = {{"ACTIONFLOWS_API_KEY", key}}})
        .exit_code;
  };
  EXPECT_EQ(exit_code_with("old-key"), 0);
  EXPECT_EQ(exit_code_with("new-key"), 1);
  ASSERT_EQ(folder.file("keys", "new:" + hex(sha256("new-key")) + "\n"), keys);
  server.process().signal(SIGHUP);
  ASSERT_TRUE(server.process().wait_for_err("event=reloaded"));
  EXPECT_EQ(exit_code_with("old-key"), 1);
  EXPECT_EQ(exit_code_with("new-key"), 0);
  EXPECT_THAT(server.process().err(), Not(HasSubstr("-key\"")));
}

TEST(Serve, AFileOfKeysThatHasNoneIsSaid) {
  for (const auto& [file, said] :
       {std::pair("/dev/null", "there is no API key in /dev/null"),
        std::pair("/", "can't read the API keys from /: it is a folder")}) {
    const Finished done = run_program({"serve", "--port", "0", "--api-keys-file", file});
    EXPECT_EQ(done.exit_code, 1);
    EXPECT_THAT(done.err, HasSubstr(said));
  }
}

TEST(Serve, ImportsBeforeItServes) {
  ServerProcess server({"--import", fixture("bad_runs.ndjson")});
  EXPECT_THAT(server.process().err(),
              HasSubstr("event=imported lines=13 stored=2 present=0 refused=11"));
  EXPECT_THAT(server.process().err(), HasSubstr("event=import_refused what=\"line 9: chains[0]"));
  EXPECT_THAT(run_program({"verify", "--server", server.url()}).out, StartsWith("2 of 2 sessions"));
}

TEST(Serve, LimitsAreThoseThatAreAskedFor) {
  const std::vector<std::pair<std::string, std::string>> limits = {
      {"--max-events", "log is full: prune it (limit 2)"},
      {"--max-chains", "too many chains (limit 2)"},
      {"--max-steps", "too many steps (limit 2)"}};
  for (const auto& [flag, refusal] : limits) {
    ServerProcess server({flag, "2", "--import", fixture("runs.ndjson")});
    EXPECT_THAT(server.process().err(), HasSubstr(refusal)) << flag;
  }
}

TEST(Serve, ASignalWhileItStartsEndsItAsItWould) {
  const Folder folder;
  const std::string pipe = folder.path("runs");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  Process server({"serve", "--port", "0", "--import", pipe});
  int writer = -1;  // which it waits for, once it imports
  ASSERT_TRUE(wait_until([&] {
    writer = ::open(pipe.c_str(), O_WRONLY | O_NONBLOCK);
    return writer != -1;
  }));
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait(), 128 + SIGTERM);
  EXPECT_EQ(server.err(), "");
  ::close(writer);
}

TEST(Serve, DoesNotServeWithoutTheFileItIsToImport) {
  const Finished done = run_program({"serve", "--port", "0", "--import", "/nowhere/runs.ndjson"});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, HasSubstr("can't read /nowhere/runs.ndjson"));
  EXPECT_THAT(done.err, Not(HasSubstr("listening")));
}

TEST(Serve, TheEnvironmentChoosesTheStorage) {
  const auto serve_with = [](std::vector<std::pair<std::string, std::string>> variables) {
    variables.emplace_back("ACTIONFLOWS_PORT", "0");
    return run_program({"serve"}, {.input = {}, .variables = std::move(variables)});
  };
  const Finished production = serve_with({{"NODE_ENV", "production"}});
  EXPECT_EQ(production.exit_code, 2);
  EXPECT_THAT(production.err, HasSubstr("set REDIS_URL"));
  EXPECT_EQ(serve_with({{"NODE_ENV", "production"}, {"REDIS_URL", "http://box"}}).exit_code, 2);
  const Finished required = serve_with({{"NODE_ENV", "production"},
                                        {"REDIS_URL", "redis://:secret@127.0.0.1:1"},
                                        {"ACTIONFLOWS_REQUIRE_PRIMARY", "true"}});
  EXPECT_EQ(required.exit_code, 1);
  EXPECT_THAT(required.err, HasSubstr("can't be reached"));
  EXPECT_THAT(required.err, Not(HasSubstr("secret")));
  EXPECT_EQ(serve_with({{"ACTIONFLOWS_STORAGE", "floppy:x"}}).exit_code, 2);

  const ServerProcess named({}, {.input = {}, .variables = {{"REDIS_URL", "redis://:pw@box"}}});
  const ServerProcess given({"--storage", "memory:"},
                            {.input = {}, .variables = {{"NODE_ENV", "production"}}});
}

// Whatever was answered is there after the process was killed: `verify` and `export` show it.
TEST(Serve, AFileKeepsEverythingThroughAKill) {
  const Folder folder;
  const std::string url = "sqlite:" + folder.path("run.db");
  const auto export_all = [&] {
    const Finished done = run_program({"export", "--storage", url, "--quiet"});
    EXPECT_EQ(done.exit_code, 0) << done.err;
    return done.out;
  };
  {
    ServerProcess server({"--storage", url});
    EXPECT_THAT(server.process().err(), HasSubstr("storage=sqlite durability=fsynced"));
    EXPECT_EQ(run_program({"import", fixture("runs.ndjson"), "--server", server.url()}).exit_code,
              0);
    server.process().signal(SIGKILL);
    server.process().wait();
  }
  const std::string kept = export_all();
  EXPECT_EQ(std::ranges::count(kept, '\n'), 10);
  ServerProcess again({"--storage", url});
  EXPECT_THAT(run_program({"verify", "--server", again.url()}).out,
              StartsWith("10 of 10 sessions rebuilt equal ("));
  EXPECT_EQ(export_all(), kept);  // beside the server, on the same file
}

TEST(Serve, ARedisUrlThatIsNotUsedIsNamedInTheLog) {
  ServerProcess server({}, {.input = {}, .variables = {{"REDIS_URL", "redis://:secret@box"}}});
  EXPECT_THAT(server.process().err(), HasSubstr("REDIS_URL is set but not used"));
  EXPECT_THAT(server.process().err(), Not(HasSubstr("secret")));
}

TEST(Serve, TheLogMayBeJson) {
  Process server({"serve", "--port", "0", "--log-format", "json"});
  ASSERT_TRUE(server.wait_for_err("\"event\":\"listening\""));
  EXPECT_THAT(server.err(), StartsWith("{\"time\":\""));
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait(), 0);
}

TEST(Usage, HelpIsNoFailure) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"--help"},
                                                    {"serve", "--help"},
                                                    {"import", "--help"},
                                                    {"export", "--help"},
                                                    {"verify", "--help"},
                                                    {"tail", "--help"},
                                                    {"journal", "--help"},
                                                    {"journal", "list", "--help"},
                                                    {"--version"}}) {
    const Finished done = run_program(arguments);
    EXPECT_EQ(done.exit_code, 0);
    EXPECT_NE(done.out, "");
    EXPECT_EQ(done.err, "");
  }
}

TEST(Usage, DefaultsStandInTheHelp) {
  const std::string help = run_program({"serve", "--help"}).out;
  // As CLI11 shows them: "--port N=3001", or "--port N [3001]" from its version 2.4 on.
  for (const auto& [flag, value] :
       std::vector<std::pair<std::string, std::string>>{{"--port N", "3001"},
                                                        {"--host HOST", "127.0.0.1"},
                                                        {"--body-limit SIZE", "5MiB"},
                                                        {"--session-ttl DURATION", "1d"},
                                                        {"--request-timeout DURATION", "30s"},
                                                        {"--max-events N", "10000"},
                                                        {"--max-record-bytes SIZE", "2MiB"}})
    EXPECT_THAT(help, AnyOf(HasSubstr(flag + "=" + value + " (Env:ACTIONFLOWS_"),
                            HasSubstr(flag + " [" + value + "]  (Env:ACTIONFLOWS_")));
}

TEST(Usage, WhatMakesNoSenseIsRefusedWithItsOwnCode) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"dance"},
      {"--port", "1"},
      {"import"},
      {"import", "a", "b"},
      {"import", "a", "--max-events", "0"},
      {"import", "a", "--storage", "memory:", "--server", "http://127.0.0.1:1"},
      {"import", "a", "--storage", "memory:"},
      {"export", "--storage", "memory"},
      {"verify", "--storage", "memory://"},
      {"import", "a", "--storage", "floppy:"},
      {"import", "a", "--server", "https://127.0.0.1"},
      {"import", "a", "--user", "two words", "--storage", "sqlite:a.db"},
      {"export", "--colour"},
      {"verify", "no/session"},
      {"tail", "no session"},
      {"tail", "s1", "--after", "-1"},
      {"tail", "s1", "--after", "x"},
      {"tail", "--after", "1"},
      {"tail", "--storage", "memory:"},
      {"serve", "--port", "65536"},
      {"serve", "--port", "http"},
      {"serve", "--threads", "-1"},
      {"serve", "--body-limit", "5 elephants"},
      {"serve", "--body-limit", "0"},
      {"serve", "--max-sessions", "-1"},
      {"serve", "--max-events", "0"},
      {"serve", "--max-chains", "0"},
      {"serve", "--max-steps", "many"},
      {"serve", "--max-record-bytes", "0"},
      {"serve", "--max-streams", "99999999999999999999"},
      {"serve", "--session-ttl", "1"},
      {"serve", "--session-ttl", "106751991167d"},
      {"serve", "--request-timeout", "106752d"},
      {"serve", "--request-timeout", "0s"},
      {"serve", "--token-lifetime", "0"},
      {"serve", "--token-lifetime", "106751991167d"},
      {"serve", "--token-idle-limit", "0s"},
      {"serve", "--log-format", "xml"},
      {"serve", "--cors-origins", "*"},
      {"serve", "--cors-origins", "https://a.example/"},
      {"serve", "surplus"},
  };
  for (const auto& arguments : wrong) {
    const Finished done = run_program(arguments);
    EXPECT_EQ(done.exit_code, 2) << testing::PrintToString(arguments) << "\n" << done.err;
    EXPECT_THAT(done.err, StartsWith("actionflows: "));
    EXPECT_EQ(done.out, "");
  }
}

TEST(Usage, WhatIsWrongIsNamed) {
  const auto told = [](const std::vector<std::string>& arguments) {
    return run_program(arguments).err;
  };
  EXPECT_THAT(told({"dance"}), HasSubstr("\"dance\" is not the name of a command"));
  EXPECT_THAT(told({"journal", "dance"}), HasSubstr("\"dance\" is not the name of a command"));
  EXPECT_THAT(told({"journal"}), HasSubstr("subcommand is required"));
  EXPECT_THAT(told({"serve", "--session-ttl", "1"}),
              HasSubstr("--session-ttl: \"1\" is not a whole number with ms, s, min, h or d"));
  EXPECT_THAT(told({"serve", "--session-ttl", "0s"}), HasSubstr("must be more than 0"));
  EXPECT_THAT(told({"serve", "--body-limit", "5 elephants"}), HasSubstr("MiB"));
  EXPECT_THAT(told({"serve", "--max-sessions", "-1"}), HasSubstr("\"-1\" is not a whole number"));
  EXPECT_THAT(run_program({"serve", "--help"}).out, HasSubstr("ms, s, min, h or d"));
}

TEST(Usage, VariablesAreLikeFlagsAndFlagsHaveMoreSay) {
  const auto serve_with = [](std::vector<std::string> arguments,
                             std::vector<std::pair<std::string, std::string>> variables) {
    arguments.insert(arguments.begin(), "serve");
    return run_program(arguments, {.input = {}, .variables = std::move(variables)});
  };
  EXPECT_EQ(serve_with({}, {{"ACTIONFLOWS_PORT", "x"}}).exit_code, 2);
  EXPECT_EQ(serve_with({}, {{"PORT", "x"}}).exit_code, 2);
  EXPECT_EQ(serve_with({}, {{"PORT", "65536"}}).exit_code, 2);
  EXPECT_EQ(serve_with({}, {{"ACTIONFLOWS_IDLE_TIMEOUT", "soon"}}).exit_code, 2);

  ServerProcess server;
  const std::string in_use = "port " + port_of(server) + ": another program uses that port";
  EXPECT_THAT(serve_with({}, {{"PORT", port_of(server)}}).err, HasSubstr(in_use));
  EXPECT_THAT(serve_with({}, {{"PORT", "x"}, {"ACTIONFLOWS_PORT", port_of(server)}}).err,
              HasSubstr(in_use));
  EXPECT_THAT(serve_with({"--port", port_of(server)}, {{"ACTIONFLOWS_PORT", "x"}}).err,
              HasSubstr(in_use));
  // What is set for one command does not stand in the way of another.
  EXPECT_EQ(
      run_program({"verify", "--server", server.url()},
                  {.input = {},
                   .variables = {{"ACTIONFLOWS_PORT", "x"}, {"ACTIONFLOWS_STORAGE", "floppy:"}}})
          .exit_code,
      0);
}

}  // namespace
}  // namespace actionflows::test
