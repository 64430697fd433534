// Reads requests off the wire, by Beast's parser. Internal to the server.
#pragma once

#include "server/http/request.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows::http {

// Why a request is refused before a handler sees it; the texts are literals.
struct Refusal {
  int status;
  std::string_view code;
  std::string_view detail;
};
inline constexpr Refusal long_body{413, "too_large", "the body is too large"};

// What the head of a request says about its connection and its body.
struct RequestHead {
  std::size_t size = 0;  // bytes, with the empty line
  bool http_1_1 = true;
  bool keep_alive = true;
  bool chunked = false;
  bool expects_continue = false;
  std::optional<std::uint64_t> content_length;
  bool encoded_body = false;             // by a Content-Encoding other than identity
  std::optional<std::string_view> host;  // nullopt: HTTP/1.0 without one
  std::string_view origin;
};

// Thread-safety: as an int.
class RequestParser {
 public:
  struct Limits {
    std::size_t header_bytes;
    std::size_t header_lines;
  };
  explicit RequestParser(Limits limits);
  ~RequestParser();

  enum class Outcome { need_more, done, refused };

  // Parses a head from the start of `input`, always anew: with need_more, call again with more of
  // the same input. When done, fills `request` (all but its target, which is left to
  // Request::set_target) with views into `input`, and `head`.
  Outcome parse_head(std::string_view input, Request& request);

  // After a head that is chunked: decodes from the start of `input` and appends to `body`. Sets
  // `consumed`; what is left of the input comes first in the next call. When done, what is left
  // belongs to the next request. A body above `limit` bytes is refused.
  Outcome parse_chunks(std::string_view input, std::size_t limit, std::string& body,
                       std::size_t& consumed);

  [[nodiscard]] const RequestHead& head() const noexcept { return head_; }
  [[nodiscard]] const Refusal& refusal() const noexcept { return refusal_; }

 private:
  class Beast;

  const Limits limits_;
  std::unique_ptr<Beast> beast_;
  RequestHead head_;
  Refusal refusal_{};
};

}  // namespace actionflows::http
