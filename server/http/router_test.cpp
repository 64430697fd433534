#include "server/http/router.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace actionflows::http {
namespace {

Task<Response> nothing(Request& /*request*/) { co_return Response(204); }

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    router_.add(Method::get, "/", nothing, {.name = "root"});
    router_.add(Method::get, "/v1/sessions", nothing, {.name = "list"});
    router_.add(Method::post, "/v1/sessions", nothing, {.name = "create"});
    router_.add(Method::get, "/v1/sessions/{id}", nothing, {.name = "get"});
    router_.add(Method::del, "/v1/sessions/{id}", nothing, {.name = "delete"});
    router_.add(Method::get, "/v1/sessions/{id}/chains/{chain}", nothing, {.name = "chain"});
    router_.add(Method::get, "/v1/sessions/special", nothing, {.name = "special"});
    router_.add(Method::post, "/v1/sessions/special/only", nothing, {.name = "only"});
  }

  // The name of the route and its parameters: "get id=7"; "404", "400" or "405 Allow" without one.
  std::string find(Method method, std::string_view target) {
    Request request;
    request.method = method;
    EXPECT_TRUE(request.set_target(target)) << target;
    const Router::Match match = router_.find(request);
    if (match.malformed) return "400";
    if (match.allow.empty()) return "404";
    if (!match.route) return "405 " + std::string(match.allow);
    std::string text = match.route->options.name;
    for (const NamedValue& param : request.params)
      text.append(" ").append(param.name).append("=").append(param.value);
    return text;
  }

  Router router_;
};

TEST_F(RouterTest, FindsRoutesAndParameters) {
  EXPECT_EQ(find(Method::get, "/"), "root");
  EXPECT_EQ(find(Method::get, "/v1/sessions"), "list");
  EXPECT_EQ(find(Method::post, "/v1/sessions?a=b"), "create");
  EXPECT_EQ(find(Method::get, "/v1/sessions/a.b_c:d@e-F"), "get id=a.b_c:d@e-F");
  EXPECT_EQ(find(Method::get, "/v1/sessions/s1/chains/c2"), "chain id=s1 chain=c2");
}

TEST_F(RouterTest, DecodesSegmentsAfterSplittingThem) {
  EXPECT_EQ(find(Method::get, "/v1/sessions/a%3Ab%40c"), "get id=a:b@c");
  EXPECT_EQ(find(Method::get, "/v1/sessions/a%2Fchains%2Fb"), "get id=a/chains/b");
  EXPECT_EQ(find(Method::get, "/v1/sessions/a+b"), "get id=a+b") << "a plus is no space in a path";
  EXPECT_EQ(find(Method::get, "/%76%31/sessions"), "list");
  EXPECT_EQ(find(Method::get, "/v1/sessions/%"), "400");
  EXPECT_EQ(find(Method::get, "/v1/sessions/%4/chains/a"), "400");
  EXPECT_EQ(find(Method::get, "/v1%GG/sessions"), "400");
}

TEST_F(RouterTest, PrefersALiteralAndComesBackFromIt) {
  EXPECT_EQ(find(Method::get, "/v1/sessions/special"), "special");
  EXPECT_EQ(find(Method::get, "/v1/sessions/special/chains/c"), "chain id=special chain=c");
}

TEST_F(RouterTest, TellsUnknownPathsFromUnknownMethods) {
  for (const char* path : {"/v1", "/v1/", "/v1/sessions/", "/v1//sessions", "//", "/v1/sessions/a/",
                           "/v1/sessions/a/chains", "/V1/sessions", "/v1/sessions/../sessions"})
    EXPECT_EQ(find(Method::get, path), "404") << path;
  EXPECT_EQ(find(Method::patch, "/v1/sessions"), "405 GET, HEAD, POST, OPTIONS");
  EXPECT_EQ(find(Method::post, "/v1/sessions/a"), "405 GET, HEAD, DELETE, OPTIONS");
  EXPECT_EQ(find(Method::get, "/v1/sessions/special/only"), "405 POST, OPTIONS");
  EXPECT_EQ(find(Method::unknown, "/"), "405 GET, HEAD, OPTIONS");
}

TEST_F(RouterTest, AnswersHeadThroughGet) {
  EXPECT_EQ(find(Method::head, "/v1/sessions/a"), "get id=a");
  EXPECT_EQ(find(Method::head, "/v1/sessions/special/only"), "405 POST, OPTIONS");
}

TEST_F(RouterTest, ListsItsRoutes) {
  std::vector<std::string> listed;
  for (const Route& route : router_.routes()) {
    EXPECT_EQ(route.index, listed.size());
    listed.push_back(std::string(to_string(route.method)) + " " + route.pattern);
  }
  ASSERT_EQ(listed.size(), 8U);
  EXPECT_EQ(listed[4], "DELETE /v1/sessions/{id}");
}

TEST_F(RouterTest, RefusesWhatIsNoRoute) {
  const auto add = [&](Method method, std::string_view pattern, std::string name = "new") {
    Router router;
    router.add(Method::get, "/a/{id}", nothing, {.name = "old"});
    router.add(method, pattern, nothing, {.name = std::move(name)});
  };
  EXPECT_NO_THROW(add(Method::post, "/a/{id}"));
  EXPECT_THROW(add(Method::get, "/a/{id}"), std::logic_error) << "twice";
  EXPECT_THROW(add(Method::get, "/a/{other}"), std::logic_error) << "two names for one place";
  EXPECT_THROW(add(Method::get, "/b", "old"), std::logic_error) << "a name that is taken";
  for (const char* pattern : {"", "a", "/a//b", "/a/", "/{", "/{}", "/x{id}", "/{id}x", "/%41"})
    EXPECT_THROW(add(Method::get, pattern), std::logic_error) << pattern;
  for (const Method method : {Method::head, Method::options, Method::unknown})
    EXPECT_THROW(add(method, "/b"), std::logic_error);
  EXPECT_THROW(router_.add(Method::get, "/b", nullptr), std::logic_error);
}

}  // namespace
}  // namespace actionflows::http
