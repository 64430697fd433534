// A client for tests that sends exactly the bytes it is told to, well-formed or not.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace actionflows::http {

struct RawReply {
  int status = 0;    // 0: the connection ended before a whole reply
  std::string head;  // with the status line, each line ended by CR LF
  std::string body;  // decoded, where it was chunked
  bool complete = false;

  // The value of a header, its name as the server writes it; empty when it is absent.
  [[nodiscard]] std::string header(const std::string& name) const {
    const std::size_t at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

// Blocking, with a time limit on each wait for the server.
class RawClient {
 public:
  // `receive_buffer` bounds what the system takes in unread (0: its default).
  explicit RawClient(std::uint16_t port, int receive_buffer = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    constexpr timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (receive_buffer > 0)
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ::close(socket_);
      throw std::runtime_error("connection refused");
    }
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { ::close(socket_); }

  // False when the server does not take it any more.
  bool send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  // The next reply, which must have Content-Length or be chunked or without a body (`to_head`, 204,
  // 304), or be ended by the end of the connection.
  RawReply reply(bool to_head = false) {
    RawReply reply;
    std::size_t end = std::string::npos;
    while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more()) return reply;
    }
    reply.head = take(end + 4);
    reply.status = std::stoi(reply.head.substr(9, 3));
    const std::string length = reply.header("Content-Length");
    if (to_head || reply.status == 204 || reply.status == 304 || reply.status < 200) {
      reply.complete = true;
    } else if (reply.header("Transfer-Encoding") == "chunked") {
      while (const auto part = chunk()) {
        reply.complete = part->empty();
        if (reply.complete) break;
        reply.body += *part;
      }
    } else if (!length.empty()) {
      reply.complete = fill(std::stoul(length));
      reply.body = take(std::stoul(length));
    } else {
      reply.body = read_to_end();
      reply.complete = true;
    }
    return reply;
  }

  // The next chunk of a chunked body; empty for the last one, nullopt when the connection ended.
  std::optional<std::string> chunk() {
    std::size_t end = std::string::npos;
    while ((end = input_.find("\r\n")) == std::string::npos) {
      if (!read_more()) return std::nullopt;
    }
    const std::size_t size = std::stoul(take(end + 2), nullptr, 16);
    if (!fill(size + 2)) return std::nullopt;
    std::string text = take(size + 2);
    text.resize(size);
    return text;
  }

  // The head of a reply, its body left for chunk().
  std::string head() {
    std::size_t end = std::string::npos;
    while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more()) return {};
    }
    return take(end + 4);
  }

  RawReply exchange(std::string_view request) {
    send(request);
    return reply();
  }

  // Whether the server ends the connection, and has sent nothing more before.
  bool closed_by_server() {
    while (input_.empty() && read_more()) {
    }
    return input_.empty() && !timed_out_;
  }

  // Everything until the connection ends.
  std::string read_to_end() {
    while (read_more()) {
    }
    return take(input_.size());
  }

  // No more is sent; what the server sends is still read.
  void end_sending() { ::shutdown(socket_, SHUT_WR); }

  // Goes away as a crashed client does: with a reset.
  void reset() {
    constexpr linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ::close(socket_);
    socket_ = -1;
  }

 private:
  bool read_more() {
    char buffer[16384];
    const ssize_t count = ::recv(socket_, buffer, sizeof buffer, 0);
    timed_out_ = count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (count > 0) input_.append(buffer, static_cast<std::size_t>(count));
    return count > 0;
  }

  bool fill(std::size_t size) {
    while (input_.size() < size) {
      if (!read_more()) return false;
    }
    return true;
  }

  std::string take(std::size_t size) {
    std::string text = input_.substr(0, size);
    input_.erase(0, size);
    return text;
  }

  int socket_;
  std::string input_;
  bool timed_out_ = false;
};

}  // namespace actionflows::http
