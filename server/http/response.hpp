// What a handler answers: a status, headers and a body, or a stream in the body's place.
#pragma once

#include "actionflows/base/bytes.hpp"
#include "server/http/stream.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace actionflows::http {

inline constexpr std::string_view line_end = "\r\n";

// Thread-safety: as an int.
class Response {
 public:
  // Bytes are sent from where they stand, without a copy.
  using Body = std::variant<std::string, Bytes, Stream>;

  explicit Response(int status_code = 200) : status(status_code) {}
  Response(int status_code, std::string_view content_type, Body content);

  static Response json(Body content, int status_code = 200);
  static Response text(std::string content, int status_code = 200);
  static Response event_stream(Stream stream);  // text/event-stream, never cached

  int status;  // 200 to 599
  Body body;   // not sent with 204 and 304, and not to HEAD

  // Adds a header line. The server itself writes Content-Length, Transfer-Encoding, Connection and
  // Date. Throws std::invalid_argument for these, for a name that is no token and for a value with
  // control characters: text of a client can't smuggle in a header.
  Response& add(std::string_view name, std::string_view value);

  // Replaces what stands under that name.
  Response& set(std::string_view name, std::string_view value);

  // The first value under that name, in any case of letters.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept;

  // All headers as they are sent, each line ended by CR LF.
  [[nodiscard]] std::string_view header_lines() const noexcept { return lines_; }

  // The body's text; empty for a stream.
  [[nodiscard]] std::string_view content() const noexcept;

 private:
  std::string lines_;  // kept in the form they are sent in, so that sending is one copy
};

// "Not Found"; "Unknown" for a status this server never sends.
std::string_view reason_phrase(int status) noexcept;

}  // namespace actionflows::http
