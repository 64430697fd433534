#include "tests/support/fault_proxy.hpp"

#include "actionflows/base/as_result.hpp"
#include "actionflows/base/clock.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace actionflows::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

}  // namespace

struct FaultProxy::Way {
  Way(tcp::socket from, asio::io_context& context) : client(std::move(from)), server(context) {}

  void close() {
    boost::system::error_code ignored;
    client.close(ignored);
    server.close(ignored);
  }

  tcp::socket client;
  tcp::socket server;
  bool cut_reply = false;  // whatever is answered next is dropped
  bool silent = false;
};

FaultProxy::FaultProxy(const RedisAddress& server)
    : server_(asio::ip::make_address(server.host), server.port),
      acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
  asio::co_spawn(context_, accept(), asio::detached);
  thread_ = std::thread([this] { context_.run(); });
}

FaultProxy::~FaultProxy() {
  context_.stop();
  thread_.join();
}

RedisAddress FaultProxy::address() const {
  return {"127.0.0.1", acceptor_.local_endpoint().port()};
}

void FaultProxy::set(Fault fault) {
  const std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
}

FaultProxy::Fault FaultProxy::fault() const {
  const std::lock_guard lock(mutex_);
  return fault_;
}

bool FaultProxy::is_marked(const Fault& fault, const std::string& piece) {
  if (fault.cut_reply_each == 0 || piece.find(fault.marked) == piece.npos) return false;
  return ++marked_ % fault.cut_reply_each == 0;
}

void FaultProxy::keep_silent(const std::shared_ptr<Way>& way) {
  if (!std::exchange(way->silent, true)) silent_.push_back(way);
}

Task<void> FaultProxy::accept() {
  for (;;) {
    tcp::socket client = co_await acceptor_.async_accept(asio::use_awaitable);
    ++connections_;
    asio::co_spawn(context_, serve(std::make_shared<Way>(std::move(client), context_)),
                   asio::detached);
  }
}

Task<void> FaultProxy::serve(std::shared_ptr<Way> way) {
  const auto [error] = co_await way->server.async_connect(server_, as_result);
  if (error) co_return;
  asio::co_spawn(context_, pass_requests(way), asio::detached);
  co_await pass_replies(way);
}

Task<void> FaultProxy::pass_requests(std::shared_ptr<Way> way) {
  std::array<char, 65'536> space;
  for (;;) {
    const auto [error, size] = co_await way->client.async_read_some(asio::buffer(space), as_result);
    if (error) break;
    const Fault now = fault();
    if (now.silent) keep_silent(way);
    if (way->silent) co_return;
    const std::string piece(space.data(), size);
    if (is_marked(now, piece)) way->cut_reply = true;
    const auto [failed, written] =
        co_await asio::async_write(way->server, asio::buffer(piece), as_result);
    if (failed) break;
  }
  if (!way->silent) way->close();
}

Task<void> FaultProxy::pass_replies(std::shared_ptr<Way> way) {
  std::array<char, 65'536> space;
  for (;;) {
    const auto [error, size] = co_await way->server.async_read_some(asio::buffer(space), as_result);
    if (error) break;
    const Fault now = fault();
    if (now.silent) keep_silent(way);
    if (way->silent) co_return;
    if (way->cut_reply) {
      ++cuts_;
      break;
    }
    std::string piece(space.data(), size);
    const bool passed = co_await pass_slowly(way, std::move(piece), now);
    if (!passed) break;
  }
  if (!way->silent) way->close();
}

Task<bool> FaultProxy::pass_slowly(std::shared_ptr<Way> way, std::string piece, Fault fault) {
  if (fault.latency > 0ms) co_await system_clock().sleep_for(fault.latency);
  const std::size_t most = fault.trickle == 0 ? piece.size() : fault.trickle;
  for (std::size_t at = 0; at < piece.size(); at += most) {
    if (at != 0) co_await system_clock().sleep_for(1ms);
    const std::size_t size = std::min(most, piece.size() - at);
    const auto [failed, written] =
        co_await asio::async_write(way->client, asio::buffer(piece.data() + at, size), as_result);
    if (failed) co_return false;
  }
  co_return true;
}

}  // namespace actionflows::test
