#include "cli/line_reader.hpp"

#include "cli/failure.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace actionflows::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class LineReaderTest : public testing::Test {
 protected:
  LineReaderTest() { std::filesystem::create_directory(folder_); }
  ~LineReaderTest() override { std::filesystem::remove_all(folder_); }

  // A file with this content; the name says nothing of what is in it.
  std::string file(std::string_view content) {
    const std::string path = folder_ / "lines";
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  static std::string gzipped(std::string_view content) {
    z_stream stream = {};
    EXPECT_EQ(::deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    std::string packed(::deflateBound(&stream, content.size()), '\0');
    std::string input(content);
    stream.next_in = reinterpret_cast<Bytef*>(input.data());
    stream.avail_in = static_cast<uInt>(input.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
    packed.resize(stream.total_out);
    ::deflateEnd(&stream);
    return packed;
  }

  // "1:text" of every line, "3:too long"; what reading failed with comes last.
  static std::vector<std::string> read(const std::string& path, std::size_t max_line_bytes = 1000) {
    std::vector<std::string> found;
    try {
      LineReader reader(path, max_line_bytes);
      while (const auto line = reader.next())
        found.push_back(std::to_string(line->number) + ":" +
                        (line->too_long ? "too long" : line->text));
    } catch (const Failure& failure) {
      found.emplace_back(failure.what());
    }
    return found;
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("line_reader_test-" + std::to_string(::getpid()));
};

TEST_F(LineReaderTest, LinesAreNumberedFromOne) {
  EXPECT_THAT(read(file("a\nb\n")), ElementsAre("1:a", "2:b"));
}

TEST_F(LineReaderTest, TheLastLineNeedsNoEnd) {
  EXPECT_THAT(read(file("a\nb")), ElementsAre("1:a", "2:b"));
}

TEST_F(LineReaderTest, AnEmptyFileHasNoLines) {
  EXPECT_THAT(read(file("")), IsEmpty());
  EXPECT_THAT(read(file(gzipped(""))), IsEmpty());
}

TEST_F(LineReaderTest, BlankLinesAreCountedAndPassedOver) {
  EXPECT_THAT(read(file("\na\n \t\r\n\nb\n\n")), ElementsAre("2:a", "5:b"));
}

TEST_F(LineReaderTest, LinesMayEndAsOnWindows) {
  EXPECT_THAT(read(file("a\r\nb\r\n")), ElementsAre("1:a", "2:b"));
}

TEST_F(LineReaderTest, GzippedInputIsSeenFromItsContent) {
  EXPECT_THAT(read(file(gzipped("a\nb\n"))), ElementsAre("1:a", "2:b"));
}

TEST_F(LineReaderTest, SeveralGzipMembersAreOneInput) {
  EXPECT_THAT(read(file(gzipped("a\nb") + gzipped("c\nd\n"))), ElementsAre("1:a", "2:bc", "3:d"));
}

TEST_F(LineReaderTest, LinesBeforeTheCutOfAGzipFileAreReadThePieceBehindThemIsNot) {
  std::string content = "first\n";
  for (int i = 0; i < 100'000; ++i) content += std::to_string(i * 7919 % 100'003) + ",";
  const std::string packed = gzipped(content + "\nlast\n");
  const auto found = read(file(packed.substr(0, packed.size() / 2)), 10 << 20);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0], "1:first");
  EXPECT_THAT(found[1], HasSubstr("is cut off: its gzip data breaks off after 1 line"));
}

TEST_F(LineReaderTest, EveryCutOfAGzipFileIsNoticed) {
  const std::string packed = gzipped("some\nlines\nof text\n");
  for (std::size_t size = 2; size < packed.size(); ++size) {
    const auto found = read(file(packed.substr(0, size)));
    ASSERT_FALSE(found.empty()) << size;
    EXPECT_THAT(found.back(), HasSubstr("is cut off")) << size;
  }
}

TEST_F(LineReaderTest, DamagedGzipDataIsNoticed) {
  std::string packed = gzipped("some\nlines\nof text\n");
  packed[packed.size() - 6] = static_cast<char>(packed[packed.size() - 6] ^ 0x55);  // its checksum
  EXPECT_THAT(read(file(packed)).back(), HasSubstr("is damaged"));
}

TEST_F(LineReaderTest, WhatFollowsAGzipMemberIsOneToo) {
  const std::string first = gzipped("a\nb\n");
  const std::string second = gzipped("c\n");
  std::string damaged = second;
  damaged[0] = 'x';
  for (const std::string& behind :
       {damaged, std::string("garbage"), std::string("c\n"), std::string(3, '\0'), "x" + second}) {
    EXPECT_THAT(
        read(file(first + behind)),
        ElementsAre("1:a", "2:b", HasSubstr("something else than gzip data after 2 lines")));
  }
  for (std::size_t at = 0; at < second.size(); ++at) {
    if (at >= 4 && at < 10) continue;  // its time and system, which say nothing of its content
    damaged = second;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    const auto found = read(file(first + damaged));
    EXPECT_THAT(found.back(), testing::AnyOf(HasSubstr("is damaged"), HasSubstr("is cut off")))
        << at;
  }
  for (std::size_t size = 1; size < second.size(); ++size)
    EXPECT_THAT(read(file(first + second.substr(0, size))).back(), HasSubstr("is cut off")) << size;
}

TEST_F(LineReaderTest, MembersMayBeLongerThanWhatIsReadAtOnce) {
  std::string content;
  for (std::uint64_t i = 0; i < 300'000; ++i)
    content += std::to_string(i * 6364136223846793005U % 1'000'000'007U) + "\n";
  const std::string packed = gzipped(content);
  ASSERT_GT(packed.size(), 1U << 20);
  LineReader reader(file(packed + packed));
  while (reader.next()) {
  }
  EXPECT_EQ(reader.lines(), 600'000U);
  EXPECT_EQ(reader.bytes(), 2 * content.size());
  EXPECT_EQ(reader.position(), 2 * packed.size());
}

TEST_F(LineReaderTest, TooLongLinesArePassedOverWithoutBeingKept) {
  const std::string longest(1000, 'x');
  EXPECT_THAT(read(file(longest + "\n" + longest + "y\nb\n" + longest + "\r\n")),
              ElementsAre("1:" + longest, "2:too long", "3:b", "4:" + longest));
  EXPECT_THAT(read(file(std::string(1 << 20, 'x'))), ElementsAre("1:too long"));
}

TEST_F(LineReaderTest, LinesMayBeLongerThanWhatIsReadAtOnce) {
  const std::string line(700'000, 'x');
  EXPECT_THAT(read(file(line + "\n" + line), 1 << 20), ElementsAre("1:" + line, "2:" + line));
}

TEST_F(LineReaderTest, SaysWhatItCantRead) {
  EXPECT_THAT(read(folder_ / "absent"), ElementsAre(HasSubstr("absent: No such file")));
  EXPECT_THAT(read(folder_), ElementsAre(HasSubstr("it is a folder")));
}

TEST_F(LineReaderTest, TellsHowFarItIs) {
  const std::string packed = gzipped("a\n\nbcd\n");
  LineReader reader(file(packed));
  EXPECT_EQ(reader.size(), packed.size());
  EXPECT_EQ(reader.lines(), 0U);
  while (reader.next()) {
  }
  EXPECT_EQ(reader.position(), packed.size());
  EXPECT_EQ(reader.lines(), 3U);
  EXPECT_EQ(reader.bytes(), 7U);
}

}  // namespace
}  // namespace actionflows::cli
