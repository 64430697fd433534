// What the README shows as code is code that a test builds and runs.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(PROJECT_DIR "/" + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Readme, ShowsTheProgramThatTheInstallTestBuilds) {
  const std::string readme = content_of("README.md");
  const std::string opening = "```cpp\n";
  const std::size_t begin = readme.find(opening);
  ASSERT_NE(begin, std::string::npos);
  const std::size_t end = readme.find("```", begin + opening.size());
  const std::string shown = readme.substr(begin + opening.size(), end - begin - opening.size());
  EXPECT_EQ(shown, content_of("tests/install/program/main.cpp"));
}

}  // namespace
