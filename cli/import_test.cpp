#include "cli/import.hpp"

#include "cli/failure.hpp"
#include "cli/testing/fake_backend.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace actionflows::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

class ImportTest : public testing::Test {
 protected:
  ~ImportTest() override { std::filesystem::remove(file_); }

  ImportReport import(std::string_view content, const ImportOptions& options = {},
                      std::size_t max_line_bytes = 100) {
    std::ofstream(file_, std::ios::binary) << content;
    LineReader lines(file_, max_line_bytes);
    const ImportWatch watch{
        .refused = [&](const std::string& text) { refused_.push_back(text); },
        .advanced = [&](const Advance& advance) { advances_.push_back(advance); }};
    return import_lines(context_, lines, backend_, options, watch);
  }

  boost::asio::io_context context_;
  FakeBackend backend_;
  std::vector<std::string> refused_;
  std::vector<Advance> advances_;
  std::string file_ =
      std::filesystem::temp_directory_path() / ("import_test-" + std::to_string(::getpid()));
};

TEST_F(ImportTest, EveryLineIsCountedOnce) {
  const ImportReport report = import("a\nb\nbad\n\na\nc\n");
  EXPECT_EQ(report.read, 5U);
  EXPECT_EQ(report.stored, 3U);
  EXPECT_EQ(report.present, 1U);
  EXPECT_EQ(report.refused, 1U);
  EXPECT_EQ(report.bytes, 13U);
  EXPECT_EQ(report.failure, nullptr);
  EXPECT_THAT(refused_, ElementsAre("line 3: it is bad"));
  EXPECT_EQ(advances_.back().items, 5U);
  EXPECT_EQ(advances_.back().done, 13U);
  EXPECT_EQ(advances_.back().total, 13U);
}

TEST_F(ImportTest, LinesAreStoredTogetherAndToldInOrder) {
  backend_.workers = 4;
  const ImportReport report = import("sleep 60\nbad 2\nsleep 30\nbad 4\nbad 5\nx\n");
  EXPECT_EQ(report.read, 6U);
  EXPECT_EQ(report.stored, 3U);
  EXPECT_THAT(backend_.order.back(), "sleep 60");
  EXPECT_THAT(refused_,
              ElementsAre("line 2: it is bad 2", "line 4: it is bad 4", "line 5: it is bad 5"));
}

TEST_F(ImportTest, StrictStopsAtTheFirstRefusal) {
  const ImportReport report = import("a\nbad\nc\n", {.user = {}, .strict = true});
  EXPECT_EQ(report.read, 2U);
  EXPECT_EQ(report.stored, 1U);
  EXPECT_EQ(report.refused, 1U);
  EXPECT_EQ(report.failure, nullptr);
}

TEST_F(ImportTest, ABackendThatIsDownEndsIt) {
  const ImportReport report = import("a\ndown\nc\n");
  EXPECT_EQ(report.read, 2U);
  EXPECT_EQ(report.stored, 1U);
  EXPECT_EQ(report.refused, 0U);
  EXPECT_THROW(std::rethrow_exception(report.failure), StorageError);
  EXPECT_THAT(refused_, IsEmpty());
}

TEST_F(ImportTest, ALineThatIsTooLongIsRefused) {
  const ImportReport report = import("a\n" + std::string(200, 'x') + "\nb\n");
  EXPECT_EQ(report.stored, 2U);
  EXPECT_EQ(report.refused, 1U);
  EXPECT_THAT(refused_, ElementsAre("line 2: the line is longer than 256 MiB"));
}

TEST_F(ImportTest, WhatStandsBeforeACutIsStored) {
  // A gzip member that is stored, not packed, and lacks its end: "a\nb" of a longer text.
  const std::string cut(
      "\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\x10\0\xef\xff"
      "a\nb\nc",
      20);
  const ImportReport report = import(cut);
  EXPECT_EQ(report.stored, 2U);
  EXPECT_EQ(report.refused, 0U);
  EXPECT_THROW(std::rethrow_exception(report.failure), Failure);
}

TEST(ImportTexts, TheSummaryCountsInWords) {
  ImportReport report;
  report.read = 1'272;
  report.stored = 1'000;
  report.present = 271;
  report.refused = 1;
  report.bytes = 12'940'000;
  EXPECT_EQ(summary_of(report, 1'900ms),
            "1,272 lines read: 1,000 stored, 271 already there, 1 refused (12.9 MB in 1.9 s)");
}

TEST(ImportTexts, EveryIssueIsALineFitForATerminal) {
  Issues issues(2);
  issues[0].path = {std::string("\x1b[31m"), std::size_t{3}};
  issues[0].message = "is odd";
  issues[1].message = "malformed JSON at line 1, column 7: odd";
  EXPECT_THAT(
      refusal_texts(5, invalid_input(issues)),
      ElementsAre("line 5: \\u001b[31m[3]: is odd", "line 5: malformed JSON at column 7: odd"));
}

TEST(ImportTexts, TooManyIssuesAreCounted) {
  Issues issues(100);
  const auto texts = refusal_texts(5, invalid_input(issues));
  ASSERT_EQ(texts.size(), 21U);
  EXPECT_EQ(texts.back(), "line 5: and 80 further issues");
}

}  // namespace
}  // namespace actionflows::cli
