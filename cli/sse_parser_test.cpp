#include "cli/sse_parser.hpp"

#include "cli/failure.hpp"

#include <gtest/gtest.h>

namespace actionflows::cli {
namespace {

std::string to_text(const std::vector<SseEvent>& events) {
  std::string text;
  for (const SseEvent& event : events)
    text += "[" + event.id + "|" + event.type + "|" + event.data + "]";
  return text;
}

std::string parsed(std::string_view stream) {
  SseParser parser;
  return to_text(parser.take(stream));
}

TEST(SseParser, AnEventHasATypeDataAndAnId) {
  EXPECT_EQ(parsed("id: 7\nevent: step:started\ndata: {\"a\":1}\n\n"),
            "[7|step:started|{\"a\":1}]");
}

TEST(SseParser, WhatIsNotGivenHasItsDefault) {
  EXPECT_EQ(parsed("data: x\n\n"), "[|message|x]");
  EXPECT_EQ(parsed("data\n\n"), "[|message|]");
  EXPECT_EQ(parsed("data:x\n\n"), "[|message|x]");
  EXPECT_EQ(parsed("data:  x\n\n"), "[|message| x]");
}

TEST(SseParser, LinesOfDataAreJoined) {
  EXPECT_EQ(parsed("data: a\ndata\ndata: b\n\n"), "[|message|a\n\nb]");
}

TEST(SseParser, TheIdStaysUntilTheNext) {
  EXPECT_EQ(parsed("id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n"),
            "[1|message|a][1|message|b][2|message|c]");
}

TEST(SseParser, CommentsAndEventsWithoutDataAreNoEvents) {
  EXPECT_EQ(parsed(": heartbeat\n\nevent: lost\n\nunknown: field\n\ndata: a\n\n"), "[|message|a]");
}

TEST(SseParser, AnUnfinishedEventIsNone) { EXPECT_EQ(parsed("data: a\n"), ""); }

TEST(SseParser, EveryKindOfLineEndIsOne) {
  EXPECT_EQ(parsed("data: a\r\n\r\ndata: b\r\rdata: c\n\n"),
            "[|message|a][|message|b][|message|c]");
}

TEST(SseParser, AByteOrderMarkIsPassedOver) {
  EXPECT_EQ(parsed("\xEF\xBB\xBF"
                   "data: a\n\n"),
            "[|message|a]");
}

TEST(SseParser, RetryIsAnyNumber) {
  SseParser parser;
  parser.take("retry: soon\n");
  EXPECT_EQ(parser.retry(), std::nullopt);
  parser.take("retry: 250\n");
  EXPECT_EQ(parser.retry(), std::chrono::milliseconds(250));
}

TEST(SseParser, PiecesMayBeCutAnywhere) {
  const std::string stream =
      "\xEF\xBB\xBF: hello\r\nid: 1\r\nevent: a:b\r\ndata: \xF0\x9F\x98\x80\r\ndata: y\r\n\r\n"
      "id: 2\ndata: z\n\n";
  const std::string whole = "[1|a:b|\xF0\x9F\x98\x80\ny][2|message|z]";
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    SseParser parser;
    std::string text = to_text(parser.take(std::string_view(stream).substr(0, cut)));
    text += to_text(parser.take(std::string_view(stream).substr(cut)));
    EXPECT_EQ(text, whole) << "cut at " << cut;
  }
  SseParser parser;
  std::string text;
  for (const char byte : stream) text += to_text(parser.take({&byte, 1}));
  EXPECT_EQ(text, whole) << "byte by byte";
}

TEST(SseParser, AnEndlessLineIsRefused) {
  SseParser parser;
  const std::string piece(1 << 20, 'x');
  parser.take("data: ");
  EXPECT_THROW(for (int i = 0; i < 20; ++i) parser.take(piece), Failure);
}

TEST(SseParser, EndlessDataIsRefused) {
  SseParser parser;
  const std::string line = "data: " + std::string(1 << 20, 'x') + "\n";
  EXPECT_THROW(for (int i = 0; i < 20; ++i) parser.take(line), Failure);
}

}  // namespace
}  // namespace actionflows::cli
