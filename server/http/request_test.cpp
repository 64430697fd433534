#include "server/http/request.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace actionflows::http {
namespace {

TEST(Method, ReadsWhatItWrites) {
  for (const Method method : {Method::get, Method::head, Method::post, Method::put, Method::patch,
                              Method::del, Method::options}) {
    EXPECT_EQ(parse_method(to_string(method)), method);
  }
  for (const char* text : {"", "get", "GETS", "UNKNOWN", "TRACE", "CONNECT"})
    EXPECT_EQ(parse_method(text), Method::unknown) << text;
}

TEST(PercentDecode, ResolvesEscapes) {
  EXPECT_EQ(percent_decode("a%3Ab%3ac"), "a:b:c");
  EXPECT_EQ(percent_decode("%C3%A9"), "\xc3\xa9");
  EXPECT_EQ(percent_decode("a+b"), "a+b");
  EXPECT_EQ(percent_decode("a+b%2B", true), "a b+");
  EXPECT_EQ(percent_decode("%2525"), "%25") << "decoded once";
  EXPECT_EQ(percent_decode("%00"), std::string(1, '\0'));
  EXPECT_EQ(percent_decode(""), "");
}

TEST(PercentDecode, RefusesMalformedEscapes) {
  for (const char* text : {"%", "%4", "a%4", "%G0", "%0G", "%%41", "% 1", "%+1", "%-1", "%u0041"})
    EXPECT_EQ(percent_decode(text), std::nullopt) << text;
}

TEST(RequestTarget, IsSplitAndDecoded) {
  Request request;
  ASSERT_TRUE(request.set_target("/v1/a%3Ab?user%49d=x+y&limit=2&empty=&flag&&limit=3"));
  EXPECT_EQ(request.path, "/v1/a%3Ab");
  EXPECT_EQ(request.query_value("userId"), "x y");
  EXPECT_EQ(request.query_value("limit"), "2") << "the first";
  EXPECT_EQ(request.query_value("empty"), "");
  EXPECT_EQ(request.query_value("flag"), "");
  EXPECT_EQ(request.query_value("none"), std::nullopt);
  EXPECT_EQ(request.query.size(), 5U);
}

TEST(RequestTarget, TakesTheAbsoluteForm) {
  Request request;
  ASSERT_TRUE(request.set_target("http://host:3001/a/b?c=d"));
  EXPECT_EQ(request.path, "/a/b");
  EXPECT_EQ(request.query_value("c"), "d");
  ASSERT_TRUE(request.set_target("HTTP://host"));
  EXPECT_EQ(request.path, "/");
  EXPECT_TRUE(request.query.empty());
}

TEST(RequestTarget, RefusesEverythingElse) {
  for (const char* text : {"", "*", "a/b", "host:80", "ftp://host/", "http://", "http:///a",
                           "http://host?a", "/a?b=%", "/a?%zz=1"}) {
    Request request;
    EXPECT_FALSE(request.set_target(text)) << text;
  }
}

TEST(Request, FindsHeadersInAnyCase) {
  Request request;
  request.headers = {{"Content-Type", "a"}, {"ETAG", "b"}, {"etag", "c"}};
  EXPECT_EQ(request.header("content-type"), "a");
  EXPECT_EQ(request.header("ETag"), "b");
  EXPECT_EQ(request.header("Content"), std::nullopt);
}

TEST(Request, ThrowsForAParameterItsRouteDoesNotHave) {
  Request request;
  request.params = {{"id", "7"}};
  EXPECT_EQ(request.param("id"), "7");
  EXPECT_THROW((void)request.param("ID"), std::out_of_range);
}

TEST(Request, IsEmptyAfterClear) {
  Request request;
  ASSERT_TRUE(request.set_target("/a?b=%41"));
  request.principal = 1;
  request.headers = {{"a", "b"}};
  request.params = {{"a", "b"}};
  request.method = Method::put;
  request.clear();
  EXPECT_EQ(request.method, Method::get);
  EXPECT_TRUE(request.target.empty() && request.path.empty() && request.query.empty());
  EXPECT_TRUE(request.headers.empty() && request.params.empty());
  EXPECT_FALSE(request.principal.has_value());
}

TEST(RequestId, HasSixteenDigits) {
  EXPECT_EQ(request_id(0), "0000000000000000");
  EXPECT_EQ(request_id(0x0123456789abcdef), "0123456789abcdef");
}

TEST(Etag, IsFoundInALists) {
  EXPECT_TRUE(etag_in("\"3\"", "\"3\""));
  EXPECT_TRUE(etag_in("*", "\"3\""));
  EXPECT_TRUE(etag_in("\"1\", \"2\",\"3\"", "\"3\""));
  EXPECT_TRUE(etag_in("W/\"3\"", "\"3\""));
  EXPECT_TRUE(etag_in("\"a,b\", \"3\"", "\"3\"")) << "a comma inside a tag";
  for (const char* list : {"", "3", "\"33\"", "\"3", "\"1\" \"", ", ,", "\"1\", 3", "W/3", "**"})
    EXPECT_FALSE(etag_in(list, "\"3\"")) << list;
}

}  // namespace
}  // namespace actionflows::http
