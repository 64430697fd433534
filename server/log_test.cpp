#include "server/log.hpp"

#include "server/testing/client.hpp"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <sstream>
#include <string>

namespace actionflows {
namespace {

class LogTest : public testing::Test {
 protected:
  Log log(LogFormat format) {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(text_);
    logger_ = std::make_shared<spdlog::logger>("test", std::move(sink));
    return {logger_, format};
  }

  // What was written, without the time at its beginning.
  std::string written() {
    std::string text = text_.str();
    text_.str({});
    return text;
  }

  std::shared_ptr<spdlog::logger> logger_;
  std::ostringstream text_;
};

TEST_F(LogTest, WritesLogfmt) {
  log(LogFormat::logfmt).info("listening", {{"host", "127.0.0.1"}, {"port", 3001}});
  const std::string line = written();
  EXPECT_EQ(line.substr(0, 5), "time=");
  EXPECT_EQ(line.substr(29), " level=info event=listening host=127.0.0.1 port=3001\n");
}

TEST_F(LogTest, WritesJson) {
  log(LogFormat::json).error("fault", {{"what", "a \"b\"\n"}, {"count", -1}});
  const std::string line = written();
  EXPECT_EQ(test::json_at(line, "/level"), "error");
  EXPECT_EQ(test::json_at(line, "/event"), "fault");
  EXPECT_EQ(test::json_at(line, "/what"), "a \"b\"\n");
  EXPECT_EQ(test::json_at(line, "/count"), "-1");
  EXPECT_EQ(test::json_at(line, "/time").size(), 24U);
}

TEST_F(LogTest, NoValueForgesAnything) {
  const Log log = this->log(LogFormat::logfmt);
  log.warn("x", {{"v", "a b"}, {"w", "c=d"}, {"y", ""}, {"z", "1\nlevel=error \"\\\x80"}});
  const std::string line = written();
  EXPECT_NE(line.find(R"( v="a b" w="c=d" y="" z="1\u000alevel=error \"\\\u0080")"),
            std::string::npos)
      << line;
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST_F(LogTest, BracesAreNoFormat) {
  log(LogFormat::logfmt).info("x", {{"route", "/v1/{id}"}, {"v", "{} %v"}});
  EXPECT_NE(written().find(R"(route=/v1/{id} v="{} %v")"), std::string::npos);
}

TEST_F(LogTest, LevelsArePassedOver) {
  const Log log = this->log(LogFormat::logfmt);
  logger_->set_level(spdlog::level::err);
  log.info("x");
  log.warn("x");
  EXPECT_EQ(written(), "");
  EXPECT_FALSE(log.takes(spdlog::level::warn));
  EXPECT_FALSE(Log().takes(spdlog::level::err));
  Log().error("x");
}

TEST(LogFormats, AreNamed) {
  EXPECT_EQ(parse_log_format("logfmt"), LogFormat::logfmt);
  EXPECT_EQ(parse_log_format("json"), LogFormat::json);
  EXPECT_FALSE(parse_log_format("xml"));
}

}  // namespace
}  // namespace actionflows
