// A client's socket with deadlines that cost nothing while they are kept. Internal to the server.
#pragma once

#include "actionflows/base/task.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <string_view>

namespace actionflows::http {

using Monotonic = std::chrono::steady_clock::time_point;

// How much longer than its timeout a message may take of which so much has come through: the
// slowest peer that is waited for does 64 KiB a second.
constexpr std::chrono::milliseconds allowance(std::size_t bytes) noexcept {
  constexpr std::size_t least_bytes_per_second = 64 << 10;
  return std::chrono::milliseconds(bytes * 1'000 / least_bytes_per_second);
}

// A deadline is a mere number that a sweep over all connections looks at a few times a second: a
// timer for each operation would cost more than the operation.
//
// Thread-safety: none; all calls come from the thread that runs the socket's context.
class Wire {
 public:
  // The socket must be open.
  explicit Wire(boost::asio::ip::tcp::socket socket);

  // Reads what is there, at most `size` bytes, waiting for at least one. 0: the peer ended its side
  // or is gone, the deadline passed (then `timed_out`) or `cancel_read` was called.
  Task<std::size_t> read_some(char* to, std::size_t size, Monotonic deadline);

  // Writes both pieces. False: the peer is gone or did not take all of it within `timeout` and the
  // allowance for what it took (then `timed_out`), and the wire is closed. A coroutine that is
  // cancelled meanwhile still writes to the end: half a message would spoil the connection.
  Task<bool> write(std::string_view first, std::string_view second,
                   std::chrono::milliseconds timeout);

  Task<bool> write(std::string_view piece, std::chrono::milliseconds timeout) {
    return write(piece, std::string_view(), timeout);
  }

  // Ends our side, then waits up to `patience` for the peer to end its own: closing at once would
  // make the system answer unread input with a reset, and that can overtake what was written last.
  Task<void> close_gently(std::chrono::milliseconds patience);

  // What is pending ends as if the peer were gone.
  void close() noexcept;

  void cancel_read() noexcept;

  // Calls `gone` once, when the peer ends its side or is gone; what it sends until then is dropped.
  // `keep` is held until then. Ends with `cancel_read` or `close` too, with or without the call.
  template <class Keep, class Gone>
  void watch(Keep keep, Gone gone) {
    socket_.async_read_some(
        boost::asio::buffer(dropped_),
        [this, keep = std::move(keep), gone = std::move(gone)](auto error, std::size_t) mutable {
          if (error) return gone();
          watch(std::move(keep), std::move(gone));
        });
  }

  // Ends what has waited beyond its deadline.
  void sweep(Monotonic now) noexcept;

  // For a stream: how much the system may hold for the peer (0: its default), and for how long it
  // may try to reach it.
  void bound_unread(std::size_t bytes, std::chrono::milliseconds timeout) noexcept;

  [[nodiscard]] bool timed_out() const noexcept { return timed_out_; }
  [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }

 private:
  // What the system takes at once is removed from the pieces. False when the peer is gone.
  bool write_now(std::string_view& first, std::string_view& second) noexcept;

  void arm(Monotonic deadline) noexcept {
    deadline_ = deadline;
    timed_out_ = false;
  }
  void disarm() noexcept { deadline_ = Monotonic::max(); }

  boost::asio::ip::tcp::socket socket_;
  Monotonic deadline_ = Monotonic::max();
  bool writing_ = false;
  bool timed_out_ = false;
  char dropped_[64];
};

}  // namespace actionflows::http
