#include "server/testing/served.hpp"

#include <gtest/gtest.h>

#include <string>

namespace actionflows {
namespace {

using test::Client;
using test::Reply;
using test::Served;

class SessionsApi : public testing::Test {
 protected:
  Served served_;
  Client client_ = served_.client();
};

TEST_F(SessionsApi, Creates) {
  const Reply reply =
      client_.post("/v1/sessions", R"({"userId":"ann","sessionId":"s1","metadata":{"a": 1}})");
  EXPECT_EQ(reply.status, 201) << reply.body;
  EXPECT_EQ(reply.header("Location"), "/v1/sessions/s1");
  EXPECT_EQ(reply.header("ETag"), "\"1\"");
  EXPECT_EQ(reply.header("ActionFlows-Durability"), "memory");
  EXPECT_EQ(reply.header("Content-Type"), "application/json");
  EXPECT_EQ(reply.at("/userId"), "ann");
  EXPECT_EQ(reply.at("/state"), "active");
  EXPECT_NE(reply.body.find(R"("metadata":{"a": 1})"), std::string::npos) << "kept byte for byte";
  EXPECT_EQ(client_.get("/v1/sessions/s1").body, reply.body);
}

}  // namespace
}  // namespace actionflows
