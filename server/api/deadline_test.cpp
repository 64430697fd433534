// Requests that the storage keeps waiting.
#include "server/testing/served.hpp"
#include "tests/support/hooked_driver.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace actionflows {
namespace {

using namespace std::chrono_literals;
using test::HookedDriver;
using test::Reply;

class SlowStorage : public testing::Test {
 protected:
  // More than one page of them is more than one call to the driver.
  static constexpr int sessions = 60;

  SlowStorage() {
    auto hooked = std::make_unique<HookedDriver>(make_memory_storage());
    HookedDriver& driver = *hooked;
    AppOptions options;
    options.request_timeout = 5s;
    options.sweep_interval = 1h;
    driver.before = [this](HookedDriver::Call) -> Task<void> {
      clock_.advance(std::chrono::seconds(takes_));
      co_return;
    };
    served_.emplace(options, std::move(hooked), clock_);
    client_.emplace(served_->client());
    for (int n = 0; n < sessions; ++n) client_->post("/v1/sessions", R"({"userId":"ann"})");
    client_->post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})");
    client_->post("/v1/sessions/s/chains", R"({"title":"t","source":"flow","steps":[]})");
    takes_ = 3;
  }

  FakeClock clock_;
  std::atomic<int> takes_{0};  // seconds, one call to the driver
  std::optional<test::Served> served_;
  std::optional<test::Client> client_;
};

TEST_F(SlowStorage, EndsACallAtItsDeadline) {
  EXPECT_EQ(client_->get("/v1/sessions?limit=1000").status, 200) << "6 of 5 seconds, but done";
  takes_ = 5;
  const Reply reply = client_->get("/v1/sessions?limit=1000");
  EXPECT_EQ(reply.status, 504);
  EXPECT_EQ(reply.at("/type"), "urn:actionflows:problem:timeout");
  EXPECT_EQ(client_->get("/v1/chains/s.c1?include=steps").status, 504);
  EXPECT_EQ(client_->get("/v1/sessions/s").status, 200) << "each call has its own";
}

TEST_F(SlowStorage, EndsNoExportNoImportAndNoVerification) {
  takes_ = 5;
  EXPECT_EQ(client_->get("/v1/sessions/s/verify").at("/outcome"), "equal");
  const Reply line = client_->get("/v1/sessions/s/export");
  EXPECT_EQ(line.status, 200);
  EXPECT_EQ(client_->post("/v1/import", line.body).status, 200);
}

}  // namespace
}  // namespace actionflows
