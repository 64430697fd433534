#include "actionflows/base/encoding.hpp"

#include <gtest/gtest.h>

namespace actionflows {
namespace {

TEST(Base64Url, AgreesWithTheRfcsExamples) {
  EXPECT_EQ(base64url(""), "");
  EXPECT_EQ(base64url("f"), "Zg");
  EXPECT_EQ(base64url("fo"), "Zm8");
  EXPECT_EQ(base64url("foo"), "Zm9v");
  EXPECT_EQ(base64url("foob"), "Zm9vYg");
  EXPECT_EQ(base64url("\xfb\xff"), "-_8");
}

TEST(Base64Url, ReadsBackEveryByte) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) {
    bytes += static_cast<char>(i);
    EXPECT_EQ(from_base64url(base64url(bytes)), bytes);
  }
}

TEST(Base64Url, HasOneSpelling) {
  for (const char* bad : {"Z", "Zh", "Zm9", "Zg==", "Zm9v\n", "Zm+v", "Zm/v"})
    EXPECT_FALSE(from_base64url(bad)) << bad;
}

TEST(Sha256, AgreesWithTheStandardsExample) {
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(ConstantTime, ComparesContentAndLength) {
  EXPECT_TRUE(equal_in_constant_time("secret", "secret"));
  EXPECT_FALSE(equal_in_constant_time("secret", "secreT"));
  EXPECT_FALSE(equal_in_constant_time("secret", "secre"));
}

}  // namespace
}  // namespace actionflows
