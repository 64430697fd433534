#include "cli/open_files.hpp"

#include <gtest/gtest.h>

#include <sys/resource.h>

#include <limits>

namespace actionflows::cli {
namespace {

class OpenFilesTest : public testing::Test {
 protected:
  OpenFilesTest() {
    ::getrlimit(RLIMIT_NOFILE, &usual_);
    rlimit low = usual_;
    low.rlim_cur = 200;
    ::setrlimit(RLIMIT_NOFILE, &low);
  }
  ~OpenFilesTest() override { ::setrlimit(RLIMIT_NOFILE, &usual_); }

  static rlim_t limit() {
    rlimit now{};
    ::getrlimit(RLIMIT_NOFILE, &now);
    return now.rlim_cur;
  }

  rlimit usual_{};
};

TEST_F(OpenFilesTest, TheLimitIsRaisedToWhatIsWanted) {
  EXPECT_EQ(allow_open_files(300), 300U);
  EXPECT_EQ(limit(), 300U);
}

TEST_F(OpenFilesTest, ItIsNeverLowered) {
  EXPECT_EQ(allow_open_files(100), 200U);
  EXPECT_EQ(limit(), 200U);
}

TEST_F(OpenFilesTest, ItIsRaisedAsFarAsItMayBe) {
  EXPECT_EQ(allow_open_files(std::numeric_limits<std::uint64_t>::max()), usual_.rlim_max);
  EXPECT_EQ(limit(), usual_.rlim_max);
}

}  // namespace
}  // namespace actionflows::cli
