#include "server/http/wire.hpp"

#include "actionflows/base/as_result.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>

#include <netinet/tcp.h>
#include <sys/socket.h>

namespace actionflows::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

std::array<asio::const_buffer, 2> buffers(std::string_view first, std::string_view second) {
  return {asio::const_buffer(first.data(), first.size()),
          asio::const_buffer(second.data(), second.size())};
}

}  // namespace

Wire::Wire(tcp::socket socket) : socket_(std::move(socket)) {
  // Failures show at the first read or write.
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(tcp::no_delay(true), ignored);
}

Task<std::size_t> Wire::read_some(char* to, std::size_t size, Monotonic deadline) {
  arm(deadline);
  const auto [error, count] = co_await socket_.async_read_some(asio::buffer(to, size), as_result);
  disarm();
  co_return error ? 0 : count;
}

bool Wire::write_now(std::string_view& first, std::string_view& second) noexcept {
  error_code error;
  // One buffer takes the shorter way through the system.
  std::size_t count = second.empty()
                          ? socket_.write_some(asio::buffer(first.data(), first.size()), error)
                          : socket_.write_some(buffers(first, second), error);
  if (error) return error == asio::error::would_block || error == asio::error::try_again;
  const std::size_t of_first = std::min(count, first.size());
  first.remove_prefix(of_first);
  second.remove_prefix(count - of_first);
  return true;
}

Task<bool> Wire::write(std::string_view first, std::string_view second,
                       std::chrono::milliseconds timeout) {
  // The system nearly always takes all of it, and then there is nothing to wait for.
  bool reachable = write_now(first, second);
  if (reachable && first.empty() && second.empty()) co_return true;
  // One deadline for all of it, to which only what is taken adds: a peer that takes a little now
  // and then must not hold it for ever.
  const Monotonic deadline = std::chrono::steady_clock::now() + timeout;
  const std::size_t size = first.size() + second.size();
  while (reachable && !(first.empty() && second.empty())) {
    arm(deadline + allowance(size - first.size() - second.size()));
    writing_ = true;
    const auto [error] = co_await socket_.async_wait(
        tcp::socket::wait_write,
        asio::bind_cancellation_slot(asio::cancellation_slot(), as_result));
    writing_ = false;
    disarm();
    reachable = !error && write_now(first, second);
  }
  if (!reachable) close();
  co_return reachable;
}

Task<void> Wire::close_gently(std::chrono::milliseconds patience) {
  error_code error;
  socket_.shutdown(tcp::socket::shutdown_send, error);
  const Monotonic deadline = std::chrono::steady_clock::now() + patience;
  while (!error && std::chrono::steady_clock::now() < deadline) {
    const std::size_t count = co_await read_some(dropped_, sizeof dropped_, deadline);
    if (count == 0) break;
  }
  close();
}

void Wire::close() noexcept {
  error_code ignored;
  socket_.close(ignored);
}

void Wire::cancel_read() noexcept {
  error_code ignored;
  socket_.cancel(ignored);
}

void Wire::sweep(Monotonic now) noexcept {
  if (now < deadline_) return;
  disarm();
  timed_out_ = true;
  if (writing_) return close();
  cancel_read();
}

void Wire::bound_unread(std::size_t bytes, std::chrono::milliseconds timeout) noexcept {
  error_code ignored;
  // The kernel doubles the number for its own bookkeeping.
  if (bytes > 0)
    socket_.set_option(tcp::socket::send_buffer_size(static_cast<int>(bytes / 2)), ignored);
  const auto milliseconds = static_cast<unsigned>(timeout.count());
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds,
               sizeof milliseconds);
}

}  // namespace actionflows::http
