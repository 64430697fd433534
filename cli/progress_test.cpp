#include "cli/progress.hpp"

#include "actionflows/base/fake_clock.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>

namespace actionflows::cli {
namespace {

using namespace std::chrono_literals;

TEST(Progress, ABarShowsShareItemsRateAndTimeLeft) {
  EXPECT_EQ(bar_text("import", "line", {.items = 1'250, .done = 25, .total = 100}, 5s, 80),
            "import  25 % [#######---------------------]  1,250 lines  250 lines/s  15 s left");
}

TEST(Progress, ABarFitsItsTerminal) {
  const Advance advance{.items = 1'250, .done = 25, .total = 100};
  for (std::size_t columns = 0; columns < 120; ++columns)
    EXPECT_LE(bar_text("import", "line", advance, 5s, columns).size(), columns);
  EXPECT_EQ(bar_text("import", "line", advance, 5s, 50),
            "import  25 %  1,250 lines  250 lines/s  15 s left");
}

TEST(Progress, WithoutATotalThereIsNoBar) {
  EXPECT_EQ(bar_text("import", "line", {.items = 5, .done = 900}, 2s, 80),
            "import  5 lines  2.5 lines/s");
}

TEST(Progress, ABarIsFullAtTheEndOnly) {
  const auto at = [](std::uint64_t done) {
    return bar_text("verify", "session", {.items = done, .done = done, .total = 1'000}, 500ms, 60);
  };
  EXPECT_EQ(at(999), "verify  99 % [############-]  999 sessions  1,998 sessions/s");
  EXPECT_EQ(at(1'000).substr(0, 12), "verify 100 %");
  EXPECT_EQ(at(1'000).find('-'), std::string::npos);
}

TEST(Progress, MoreThanTheTotalIsAll) {
  EXPECT_EQ(line_text("import", "line", {.items = 1, .done = 300, .total = 200}, 1s),
            "import: 1 line, 100 %, 1.0 lines/s");
  EXPECT_EQ(line_text("import", "line", {.items = 0, .done = 0, .total = 0}, 0s),
            "import: 0 lines, 100 %");
}

TEST(Progress, NothingIsGuessedFromTheFirstMoment) {
  EXPECT_EQ(line_text("import", "line", {.items = 10, .done = 50, .total = 100}, 500ms),
            "import: 10 lines, 50 %, 20 lines/s");
  EXPECT_EQ(line_text("import", "line", {.items = 10, .done = 50, .total = 100}, 2s),
            "import: 10 lines, 50 %, 5.0 lines/s, 2.0 s left");
}

class ProgressOutput : public testing::Test {
 protected:
  std::string printed() {
    std::fflush(file_.get());
    std::fseek(file_.get(), 0, SEEK_SET);
    std::string text;
    std::array<char, 4096> space;
    for (std::size_t size = 0; (size = std::fread(space.data(), 1, space.size(), file_.get())) > 0;)
      text.append(space.data(), size);
    return text;
  }

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_{std::tmpfile()};
  FakeClock clock_;
};

TEST_F(ProgressOutput, OffATerminalThereIsALineEveryFiveSeconds) {
  {
    Progress progress({.what = "import", .unit = "line"}, file_.get(), 0, clock_);
    for (std::uint64_t item = 1; item <= 11; ++item) {
      clock_.advance(1s);
      progress.update({.items = item, .done = item, .total = 20});
    }
  }
  EXPECT_EQ(printed(),
            "import: 5 lines, 25 %, 1.0 lines/s, 15 s left\n"
            "import: 10 lines, 50 %, 1.0 lines/s, 10 s left\n");
}

TEST_F(ProgressOutput, OnATerminalTheBarIsDrawnOverAndTakenAway) {
  {
    Progress progress({.what = "import", .unit = "line"}, file_.get(), 80, clock_);
    clock_.advance(100ms);
    progress.update({.items = 1, .done = 1});
    progress.update({.items = 2, .done = 2});
    progress.say("line 2 refused");
    clock_.advance(100ms);
    progress.update({.items = 3, .done = 3});
  }
  EXPECT_EQ(printed(),
            "\r\x1b[Kimport  1 line  10 lines/s\r\x1b[Kline 2 refused\n"
            "\r\x1b[Kimport  3 lines  15 lines/s\r\x1b[K");
}

TEST_F(ProgressOutput, QuietMeansNoProgressButWhatHasToBeSaid) {
  {
    Progress progress({.what = "import", .unit = "line", .quiet = true}, file_.get(), 80, clock_);
    clock_.advance(1min);
    progress.update({.items = 1, .done = 1});
    progress.say("line 2 refused");
  }
  EXPECT_EQ(printed(), "line 2 refused\n");
}

}  // namespace
}  // namespace actionflows::cli
