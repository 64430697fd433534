#include "server/app.hpp"

#include "server/testing/faulty_storage.hpp"
#include "server/testing/served.hpp"
#include "tests/support/slack.hpp"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <chrono>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

namespace actionflows {
namespace {

using namespace std::chrono_literals;
using test::Reply;
using test::Served;

// A log that can be read.
class LogText {
 public:
  Log log(LogFormat format = LogFormat::logfmt) {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(text_);
    return {std::make_shared<spdlog::logger>("test", std::move(sink)), format};
  }
  // Once nobody writes any more.
  [[nodiscard]] std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
};

std::string start_failure(AppOptions options) {
  Storage storage(make_memory_storage());
  App app(storage, std::move(options));
  try {
    app.start();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

TEST(App, WithoutKeysListensToThisMachineOnly) {
  AppOptions options;
  options.http.port = 0;
  for (const char* host : {"0.0.0.0", "::", "192.0.2.1"}) {
    options.http.host = host;
    EXPECT_NE(start_failure(options).find("without API keys"), std::string::npos) << host;
  }
  for (const char* host : {"127.0.0.1", "localhost"}) {
    options.http.host = host;
    EXPECT_EQ(start_failure(options), "") << host;
  }
}

TEST(App, WithoutKeysAnswersToNamesOfThisMachineOnly) {
  Served served;
  test::Client client = served.client();
  const auto status_for = [&](const std::string& host) {
    return client.raw("GET /healthz HTTP/1.1\r\nHost: " + host + "\r\n\r\n").status;
  };
  EXPECT_EQ(status_for("localhost"), 200);
  EXPECT_EQ(status_for("127.0.0.1:" + std::to_string(served.app->port())), 200);
  EXPECT_EQ(status_for("[::1]:3001"), 200);
  EXPECT_EQ(status_for("evil.example"), 421) << "a page that rebinds its name to this machine";
}

TEST(App, APortInUseIsSaid) {
  const Served served;
  AppOptions options;
  options.http.port = served.app->port();
  const std::string failure = start_failure(options);
  EXPECT_NE(failure.find("another program uses that port"), std::string::npos) << failure;
}

TEST(App, AMissingKeysFileIsSaid) {
  AppOptions options;
  options.api_keys_file = "/nowhere/keys";
  Storage storage(make_memory_storage());
  EXPECT_THROW(App(storage, options), std::runtime_error);
}

TEST(App, StopsWithStreamsOpen) {
  Served served;
  test::Client client = served.client();
  client.post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})");
  test::EventSource events = served.stream("/v1/sessions/s/stream?after=0");
  test::EventSource notices = served.stream("/v1/stream");
  EXPECT_EQ(events.next_event()->id, "1");
  const auto begun = std::chrono::steady_clock::now();
  served.app->stop(10s);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 8s);
  while (events.next()) {
  }
  while (notices.next()) {
  }
}

TEST(App, SweepsWhatHasExpired) {
  FakeClock clock;
  AppOptions options;
  options.sweep_interval = 5ms;
  options.sweep_limit = 10;
  Served served(options, make_memory_storage(), clock);
  test::Client client = served.client();
  for (int n = 0; n < 100; ++n) client.post("/v1/sessions", R"({"userId":"ann"})");
  clock.advance(25h);
  std::string metrics;
  for (int tries = 0; tries < 1000; ++tries) {
    metrics = client.get("/metrics").body;
    if (metrics.find("actionflows_sweep_sessions_total 100\n") != std::string::npos) break;
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_NE(metrics.find("actionflows_sweep_sessions_total 100\n"), std::string::npos) << metrics;
  EXPECT_NE(metrics.find("actionflows_storage_sessions 0\n"), std::string::npos);
}

// More of them than one sweep takes.
TEST(App, SessionsThatCannotBeEndedHoldUpNoOthersAndAreTold) {
  FakeClock clock;
  LogText text;
  test::FaultyStorage::Switch fault;
  fault.unendable = "stuck";
  std::string metrics;
  {
    AppOptions options;
    options.sweep_interval = 5ms;
    options.sweep_limit = 2;
    options.access_log = AccessLog::none;
    options.log = text.log();
    Served served(options, std::make_unique<test::FaultyStorage>(make_memory_storage(), fault),
                  clock);
    test::Client client = served.client();
    for (int n = 0; n < 20; ++n)
      for (const char* name : {"stuck", "free"})
        client.post("/v1/sessions", R"({"userId":"ann","sessionId":")" + std::string(name) +
                                        std::to_string(n) + "\"}");
    clock.advance(25h);
    for (int tries = 0; tries < 1000; ++tries) {
      metrics = client.get("/metrics").body;
      if (metrics.find("actionflows_sweep_sessions_total 20\n") != std::string::npos) break;
      std::this_thread::sleep_for(5ms);
    }
  }
  EXPECT_NE(metrics.find("actionflows_sweep_sessions_total 20\n"), std::string::npos) << metrics;
  EXPECT_EQ(metrics.find("actionflows_sweep_session_failures_total 0\n"), std::string::npos);
  EXPECT_NE(text.text().find("event=session_not_ended session=stuck"), std::string::npos)
      << text.text();
}

TEST(App, LogsRequestsWithoutSecrets) {
  LogText text;
  {
    AppOptions options;
    options.log = text.log();
    Served served(options);
    test::Client client = served.client();
    client.post("/v1/sessions", R"({"userId":"ann","sessionId":"s","title":"private"})");
    const std::string token = client.post("/v1/sessions/s/token").at("/token");
    served.client(token).get("/v1/sessions/s/events?after=0&type=note:hidden");
    client.get("/v1/sessions/no%22such");
    served.app->stop();
    EXPECT_EQ(text.text().find(token), std::string::npos);
  }
  const std::string log = text.text();
  EXPECT_NE(log.find("level=info event=request method=POST route=/v1/sessions path=/v1/sessions "
                     "status=201 duration_us="),
            std::string::npos)
      << log;
  EXPECT_NE(log.find("route=/v1/sessions/{sessionId}/events path=/v1/sessions/s/events status=200"),
            std::string::npos)
      << log;
  for (const char* secret : {"private", "hidden", "Bearer"})
    EXPECT_EQ(log.find(secret), std::string::npos) << secret;
}

TEST(App, LogsFailuresOnlyWhereAsked) {
  LogText text;
  AppOptions options;
  options.log = text.log();
  options.access_log = AccessLog::failures;
  {
    Served served(options);
    served.client().get("/v1/sessions/nobody");
  }
  EXPECT_EQ(text.text(), "");
}

TEST(App, LogsAReload) {
  LogText text;
  AppOptions options;
  options.log = text.log(LogFormat::json);
  {
    Served served(options);
    EXPECT_TRUE(served.app->reload());
  }
  EXPECT_NE(text.text().find(R"("event":"reloaded")"), std::string::npos) << text.text();
}

TEST(App, StartsQuickly) {
  const auto begun = std::chrono::steady_clock::now();
  Served served;
  EXPECT_EQ(served.client().get("/healthz").status, 200);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 1s * test::slack());
}

}  // namespace
}  // namespace actionflows
