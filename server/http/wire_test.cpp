#include "server/http/wire.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

namespace actionflows::http {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using asio::ip::tcp;

// A wire and its peer, with the smallest buffers in between.
class WireTest : public testing::Test {
 protected:
  void SetUp() override {
    tcp::acceptor acceptor(context_, {asio::ip::address_v4::loopback(), 0});
    peer_.open(tcp::v4());
    peer_.set_option(tcp::socket::receive_buffer_size(1));
    peer_.connect(acceptor.local_endpoint());
    tcp::socket socket = acceptor.accept();
    socket.set_option(tcp::socket::send_buffer_size(1));
    wire_.emplace(std::move(socket));
  }

  // Whether all of `size` bytes was written to a peer that takes `piece` of them every 20 ms.
  bool write_to_slow_peer(std::size_t size, std::size_t piece, std::chrono::milliseconds timeout) {
    std::optional<bool> written;
    asio::co_spawn(context_, write(std::string(size, 'x'), timeout, written), asio::detached);
    asio::co_spawn(context_, read_slowly(piece), asio::detached);
    asio::co_spawn(context_, sweep(), asio::detached);
    while (!written) context_.run_one();
    return *written;
  }

  std::optional<Wire>& wire() { return wire_; }

 private:
  Task<void> write(std::string text, std::chrono::milliseconds timeout,
                   std::optional<bool>& written) {
    const bool whole = co_await wire_->write(text, timeout);
    written = whole;
  }

  Task<void> read_slowly(std::size_t piece) {
    std::string buffer(piece, ' ');
    asio::steady_timer timer(context_);
    for (;;) {
      timer.expires_after(20ms);
      co_await timer.async_wait(asio::use_awaitable);
      co_await peer_.async_read_some(asio::buffer(buffer), asio::use_awaitable);
    }
  }

  Task<void> sweep() {
    asio::steady_timer timer(context_);
    for (;;) {
      timer.expires_after(10ms);
      co_await timer.async_wait(asio::use_awaitable);
      wire_->sweep(std::chrono::steady_clock::now());
    }
  }

  asio::io_context context_;
  tcp::socket peer_{context_};
  std::optional<Wire> wire_;
};

TEST_F(WireTest, WaitsForAPeerThatTakesItsTime) {
  EXPECT_TRUE(write_to_slow_peer(50'000, 5'000, 20s));
}

TEST_F(WireTest, GivesAPeerOneDeadlineHoweverOftenItTakesALittle) {
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_FALSE(write_to_slow_peer(150'000, 100, 200ms));
  EXPECT_TRUE(wire()->timed_out());
  EXPECT_FALSE(wire()->is_open());
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_GE(took, 200ms);
  EXPECT_LT(took, 10s) << "the peer would take half a minute for all";
}

TEST(Allowance, IsASecondForEvery64KiB) {
  EXPECT_EQ(allowance(0), 0ms);
  EXPECT_EQ(allowance(32 << 10), 500ms);
  EXPECT_EQ(allowance(std::size_t{8} << 20), 128s);
}

}  // namespace
}  // namespace actionflows::http
