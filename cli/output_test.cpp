#include "cli/output.hpp"

#include "cli/failure.hpp"
#include "tests/support/folder.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace actionflows::cli {
namespace {

class OutputTest : public testing::Test {
 protected:
  OutputTest() { std::filesystem::create_directory(folder_); }
  ~OutputTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string content() const { return test::read_file(file_); }
  [[nodiscard]] std::ptrdiff_t files() const {
    return std::distance(std::filesystem::directory_iterator(folder_), {});
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("output_test-" + std::to_string(::getpid()));
  std::string file_ = folder_ / "export.ndjson";
};

TEST_F(OutputTest, AFileAppearsWhole) {
  Output output(file_);
  output.write("one\n");
  EXPECT_FALSE(std::filesystem::exists(file_));
  output.write("two\n");
  output.finish();
  EXPECT_EQ(content(), "one\ntwo\n");
  EXPECT_EQ(output.bytes(), 8U);
  EXPECT_EQ(files(), 1);
}

TEST_F(OutputTest, WhatIsNotFinishedLeavesEverythingAsItWas) {
  std::ofstream(file_) << "of before";
  {
    Output output(file_);
    output.write("half");
  }
  EXPECT_EQ(content(), "of before");
  EXPECT_EQ(files(), 1);
}

TEST_F(OutputTest, WhatIsNotWholeStaysBesideTheFile) {
  std::ofstream(file_) << "a good one\n";
  Output output(file_);
  output.write("half\n");
  const std::string left = output.finish_partial();
  EXPECT_EQ(content(), "a good one\n");
  EXPECT_EQ(test::read_file(left), "half\n");
}

TEST_F(OutputTest, WhatIsNoFileIsWrittenToDirectly) {
  Output output("/dev/null");
  output.write("x");
  output.finish();
  EXPECT_FALSE(std::filesystem::is_regular_file("/dev/null"));
}

TEST_F(OutputTest, SaysWhatItCantWrite) {
  EXPECT_THROW(Output(folder_ / "absent" / "file"), Failure);
  EXPECT_THROW(Output{folder_.string()}, Failure);
  Output full("/dev/full");
  full.write("x");
  EXPECT_THROW(full.finish(), Failure);
}

}  // namespace
}  // namespace actionflows::cli
