// What the README shows as code is code that a test builds and runs.
#include "tests/support/folder.hpp"

#include <gtest/gtest.h>

#include <string>

namespace actionflows::test {
namespace {

TEST(Readme, ShowsTheProgramThatTheInstallTestBuilds) {
  const std::string readme = read_file(PROJECT_DIR "/README.md");
  const std::string opening = "```cpp\n";
  const std::size_t begin = readme.find(opening);
  ASSERT_NE(begin, std::string::npos);
  const std::size_t end = readme.find("```", begin + opening.size());
  const std::string shown = readme.substr(begin + opening.size(), end - begin - opening.size());
  EXPECT_EQ(shown, read_file(PROJECT_DIR "/tests/install/program/main.cpp"));
}

}  // namespace
}  // namespace actionflows::test
