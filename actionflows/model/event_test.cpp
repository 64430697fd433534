#include "actionflows/model/event.hpp"

#include <gtest/gtest.h>

#include <string>

namespace actionflows {
namespace {

TEST(EventTypes, AreANounAndAVerb) {
  const auto type = EventType::parse("step-7:re_tried-2");
  ASSERT_TRUE(type);
  EXPECT_EQ(type->noun(), "step-7");
  EXPECT_EQ(type->verb(), "re_tried-2");
  for (const char* bad : {"", ":", "a", "a:", ":b", "A:b", "a:B", "1:b", "a:1", "a:b:c", "a b:c",
                          "a:b\n", "-a:b", "\xC3\xA4:b"})
    EXPECT_FALSE(EventType::parse(bad)) << bad;
  EXPECT_TRUE(EventType::parse("n:" + std::string(98, 'v')));
  EXPECT_FALSE(EventType::parse("n:" + std::string(99, 'v')));
}

TEST(EventTypes, OfTheLibrarysNounsAreReserved) {
  for (const char* type : {"session:x", "chain:x", "step:x"})
    EXPECT_TRUE(EventType::parse(type)->reserved()) << type;
  for (const char* type : {"sessions:x", "chain-2:x", "a:session"})
    EXPECT_FALSE(EventType::parse(type)->reserved()) << type;
  EXPECT_FALSE(EventType().reserved());
  EXPECT_EQ(EventType().noun(), "");
  EXPECT_EQ(EventType().verb(), "");
}

}  // namespace
}  // namespace actionflows
