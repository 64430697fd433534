// The yardstick of the HTTP benchmark: a plain Beast server as one writes it after reading Beast's
// examples, made fast where that is easy. One thread, coroutines, keep-alive, no timeouts, no
// routes; every request is answered by 400 constant bytes.
//
//   bare_beast PORT
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

asio::awaitable<void> serve(tcp::socket socket) {
  const std::string body(400, 'x');
  boost::beast::flat_buffer buffer;
  for (;;) {
    http::request<http::string_body> request;
    const auto [read_error, read] = co_await http::async_read(socket, buffer, request, as_result);
    if (read_error) co_return;
    http::response<http::span_body<const char>> response(http::status::ok, request.version());
    response.set(http::field::content_type, "application/json");
    response.body() = {body.data(), body.size()};
    response.keep_alive(request.keep_alive());
    response.prepare_payload();
    const auto [write_error, written] = co_await http::async_write(socket, response, as_result);
    if (write_error || !response.keep_alive()) co_return;
  }
}

asio::awaitable<void> listen(std::uint16_t port) {
  const auto executor = co_await asio::this_coro::executor;
  tcp::acceptor acceptor(executor, tcp::endpoint(asio::ip::address_v4::loopback(), port));
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    socket.set_option(tcp::no_delay(true));
    asio::co_spawn(executor, serve(std::move(socket)), asio::detached);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: bare_beast PORT\n";
    return EXIT_FAILURE;
  }
  asio::io_context context(1);
  asio::co_spawn(context, listen(static_cast<std::uint16_t>(std::stoul(argv[1]))), asio::detached);
  context.run();
}
