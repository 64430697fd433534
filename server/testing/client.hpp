// A small HTTP client for tests: blocking, over the loopback, with nothing of the server's own code
// in it.
#pragma once

#include "tests/support/json.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace actionflows::test {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Reply {
  int status = 0;
  Headers headers;
  std::string body;

  // The first value under that name; empty when there is none.
  [[nodiscard]] std::string header(std::string_view name) const {
    for (const auto& [known, value] : headers)
      if (known.size() == name.size() && strncasecmp(known.data(), name.data(), name.size()) == 0)
        return value;
    return {};
  }
  [[nodiscard]] std::string at(std::string_view pointer) const { return json_at(body, pointer); }
  [[nodiscard]] bool has(std::string_view pointer) const { return json_has(body, pointer); }
};

// One connection. Throws std::runtime_error when it breaks or is silent for ten seconds.
class Connection {
 public:
  // `unread`: how many bytes may wait on this side; 0: as many as the system likes.
  explicit Connection(std::uint16_t port, int unread = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (unread > 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &unread, sizeof unread);
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      ::close(socket_);
      throw std::runtime_error("can't connect");
    }
  }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void send(std::string_view text) const {
    while (!text.empty()) {
      const auto sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) throw std::runtime_error("the connection broke while sending");
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  // Reads more into `buffer`; false at the end of the connection.
  bool read_some() {
    char bytes[16 << 10];
    const auto got = ::recv(socket_, bytes, sizeof bytes, 0);
    if (got < 0) throw std::runtime_error("nothing came for ten seconds, or the connection broke");
    buffer.append(bytes, static_cast<std::size_t>(got));
    return got > 0;
  }

  // Takes what stands before `delimiter`, and the delimiter, out of the buffer.
  std::string read_until(std::string_view delimiter) {
    std::size_t end;
    while ((end = buffer.find(delimiter)) == std::string::npos)
      if (!read_some()) throw std::runtime_error("the connection ended early");
    std::string text = buffer.substr(0, end);
    buffer.erase(0, end + delimiter.size());
    return text;
  }

  std::string read_exactly(std::size_t size) {
    while (buffer.size() < size)
      if (!read_some()) throw std::runtime_error("the connection ended early");
    std::string text = buffer.substr(0, size);
    buffer.erase(0, size);
    return text;
  }

  // Status and headers; the body is still to be read.
  Reply read_head() {
    Reply reply;
    std::string head = read_until("\r\n\r\n") + "\r\n";
    reply.status = std::stoi(head.substr(9, 3));
    for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
      const std::size_t end = head.find("\r\n", at);
      const std::size_t colon = head.find(": ", at);
      reply.headers.emplace_back(head.substr(at, colon - at),
                                 head.substr(colon + 2, end - colon - 2));
      at = end + 2;
    }
    return reply;
  }

  // One chunk of a chunked body; empty: it was the last.
  std::string read_chunk() {
    const std::string chunk = read_exactly(std::stoul(read_until("\r\n"), nullptr, 16));
    read_exactly(2);
    return chunk;
  }

  std::string buffer;  // what was read and not taken

 private:
  int socket_;
};

inline std::string request_text(std::string_view method, std::string_view target,
                                const Headers& headers, std::string_view body) {
  std::string text =
      std::string(method) + ' ' + std::string(target) +
      " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  for (const auto& [name, value] : headers) text.append(name + ": " + value + "\r\n");
  return text.append("\r\n").append(body);
}

// Sends requests to one server, over one connection as long as that is kept.
class Client {
 public:
  explicit Client(std::uint16_t port) : port_(port) {}

  Headers headers;  // sent with every request

  Reply get(std::string_view target, const Headers& more = {}) {
    return send("GET", target, "", more);
  }
  Reply post(std::string_view target, std::string_view body = "", const Headers& more = {}) {
    return send("POST", target, body, more);
  }
  Reply patch(std::string_view target, std::string_view body, const Headers& more = {}) {
    return send("PATCH", target, body, more);
  }
  Reply del(std::string_view target, const Headers& more = {}) {
    return send("DELETE", target, "", more);
  }

  Reply send(std::string_view method, std::string_view target, std::string_view body,
             const Headers& more = {}) {
    Headers all = headers;
    all.insert(all.end(), more.begin(), more.end());
    return raw(request_text(method, target, all, body), method == "HEAD");
  }

  // Any bytes, and the one answer to them.
  Reply raw(std::string_view request, bool is_head = false) {
    if (!connection_) connection_ = std::make_unique<Connection>(port_);
    connection_->send(request);
    Reply reply = connection_->read_head();
    const bool bare = is_head || reply.status == 204 || reply.status == 304;
    if (const std::string length = reply.header("Content-Length"); !bare && !length.empty())
      reply.body = connection_->read_exactly(std::stoul(length));
    if (reply.header("Connection") == "close") connection_.reset();
    return reply;
  }

 private:
  std::uint16_t port_;
  std::unique_ptr<Connection> connection_;
};

// One message of a stream of Server-Sent Events.
struct Message {
  std::string id;
  std::string event;
  std::string data;
  std::string comment;
};

// Reads a stream, message by message. Destroying it kills the connection.
class EventSource {
 public:
  EventSource(std::uint16_t port, std::string_view target, const Headers& headers = {},
              int unread = 0)
      : connection_(port, unread) {
    connection_.send(request_text("GET", target, headers, ""));
    head = connection_.read_head();
  }

  Reply head;

  // nullopt: the stream has ended as it should.
  std::optional<Message> next() {
    std::size_t end;
    while ((end = text_.find("\n\n")) == std::string::npos) {
      const std::string chunk = connection_.read_chunk();
      if (chunk.empty()) return std::nullopt;
      text_ += chunk;
    }
    Message message;
    for (std::size_t at = 0; at <= end;) {
      const std::size_t line_end = text_.find('\n', at);
      add_line(message, text_.substr(at, line_end - at));
      at = line_end + 1;
    }
    text_.erase(0, end + 2);
    return message;
  }

  // The next one that is an event: no comment and no hint.
  std::optional<Message> next_event() {
    for (;;) {
      auto message = next();
      if (!message || !message->event.empty()) return message;
    }
  }

 private:
  static void add_line(Message& message, const std::string& line) {
    const auto value_of = [&](std::string_view name) { return line.substr(name.size()); };
    if (line.starts_with("id: ")) message.id = value_of("id: ");
    if (line.starts_with("event: ")) message.event = value_of("event: ");
    if (line.starts_with(": ")) message.comment = value_of(": ");
    if (line.starts_with("data: ")) {
      if (!message.data.empty()) message.data += '\n';
      message.data += value_of("data: ");
    }
  }

  Connection connection_;
  std::string text_;
};

}  // namespace actionflows::test
