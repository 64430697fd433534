#include "tests/program/cutting_proxy.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <memory>
#include <optional>

namespace actionflows::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

tcp::endpoint endpoint_of(const std::string& url) {
  const std::string port = url.substr(url.rfind(':') + 1);
  return {asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(std::stoi(port))};
}

// Passes on up to `budget` bytes; true: that was all of it.
Task<bool> pump(std::shared_ptr<tcp::socket> from, std::shared_ptr<tcp::socket> to,
                std::optional<std::size_t> budget) {
  std::array<char, 4096> space;
  for (;;) {
    const std::size_t most = budget ? std::min(*budget, space.size()) : space.size();
    const auto [error, size] =
        co_await from->async_read_some(asio::buffer(space.data(), most), as_result);
    if (error) co_return false;
    const auto [failed, written] =
        co_await asio::async_write(*to, asio::buffer(space.data(), size), as_result);
    if (failed) co_return false;
    if (!budget) continue;
    *budget -= size;
    if (*budget == 0) co_return true;
  }
}

Task<void> pump_up(std::shared_ptr<tcp::socket> from, std::shared_ptr<tcp::socket> to) {
  co_await pump(std::move(from), std::move(to), std::nullopt);
}

}  // namespace

CuttingProxy::CuttingProxy(const std::string& url, std::size_t max_bytes, Random& random)
    : server_(endpoint_of(url)),
      max_bytes_(max_bytes),
      random_(random),
      acceptor_(context_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
  asio::co_spawn(context_, accept(), asio::detached);
  thread_ = std::thread([this] { context_.run(); });
}

CuttingProxy::~CuttingProxy() {
  context_.stop();
  thread_.join();
}

std::string CuttingProxy::url() const {
  return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
}

Task<void> CuttingProxy::accept() {
  for (;;) {
    tcp::socket client = co_await acceptor_.async_accept(asio::use_awaitable);
    asio::co_spawn(context_, serve(std::move(client)), asio::detached);
  }
}

Task<void> CuttingProxy::serve(tcp::socket socket) {
  auto client = std::make_shared<tcp::socket>(std::move(socket));
  auto server = std::make_shared<tcp::socket>(context_);
  const auto [error] = co_await server->async_connect(server_, as_result);
  if (error) co_return;
  asio::co_spawn(context_, pump_up(client, server), asio::detached);
  std::optional<std::size_t> budget;
  if (cutting_) budget = 1 + random_.below(max_bytes_);
  const bool cut = co_await pump(server, client, budget);
  if (cut) ++cuts_;
  boost::system::error_code ignored;
  client->close(ignored);
  server->close(ignored);
}

}  // namespace actionflows::test
