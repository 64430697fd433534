// Reads one request after the other from a wire, within the limits. Internal to the server.
#pragma once

#include "server/http/request_parser.hpp"
#include "server/http/server.hpp"
#include "server/http/usage.hpp"
#include "server/http/wire.hpp"

#include <optional>
#include <string>

namespace actionflows::http {

// Thread-safety: none. The options, the wire and the usage must outlive it.
class RequestReader {
 public:
  RequestReader(const ServerOptions& options, Wire& wire, Usage& usage);

  enum class Next { request, refused, closed };

  // Reads the head of the next request; what the one before left of its body must have been
  // skipped. With `refused` (see `refusal`) the connection can't go on: nobody knows where the next
  // request would begin. `closed`: the peer ended, or was idle for too long.
  Task<Next> read_head(Request& request);

  // Reads the body of that request into `request.body`, at most `limit` bytes. nullopt, or why not.
  Task<std::optional<Refusal>> read_body(Request& request, std::size_t limit);

  // Drops the body unread where that needs no waiting. False: the connection can't go on.
  bool skip_body() noexcept;

  // Whether it waits for the first byte of a request.
  [[nodiscard]] bool idle() const noexcept { return idle_; }

  [[nodiscard]] const RequestHead& head() const noexcept { return parser_.head(); }
  [[nodiscard]] const Refusal& refusal() const noexcept { return refusal_; }

 private:
  Task<std::optional<Refusal>> read_sized_body(Request& request, std::size_t size);
  Task<std::optional<Refusal>> read_chunked_body(Request& request, std::size_t limit);
  void begin_next();
  void make_room();
  [[nodiscard]] Monotonic body_deadline(std::size_t received) const;
  [[nodiscard]] Refusal broken_off() const noexcept;
  [[nodiscard]] std::string_view input() const noexcept {
    return std::string_view(input_).substr(begin_, end_ - begin_);
  }

  const ServerOptions& options_;
  Wire& wire_;
  RequestParser parser_;
  Refusal refusal_{};

  // Read and not yet used is input_[begin_, end_). The views of the present request point into what
  // stands before; so it stays where it is until the next head is read.
  std::string input_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::string next_input_;  // what followed a chunked body

  std::string body_;  // where it did not fit behind its head
  Share body_memory_;
  bool body_pending_ = false;  // the body still stands at begin_ or is yet to come
  Monotonic body_begun_;
  bool idle_ = false;
};

}  // namespace actionflows::http
