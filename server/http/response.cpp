#include "server/http/response.hpp"

#include "server/http/request.hpp"

#include <algorithm>
#include <stdexcept>

namespace actionflows::http {
namespace {

bool is_token_character(char c) noexcept {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool breaks_a_line(char c) noexcept {
  return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f';
}

// The headers that frame the message are the server's: two answers to one question are how requests
// get smuggled.
bool is_framing(std::string_view name) noexcept {
  for (const std::string_view framing :
       {"Content-Length", "Transfer-Encoding", "Connection", "Date"}) {
    if (equal_ignoring_case(name, framing)) return true;
  }
  return false;
}

struct Line {
  std::size_t begin;
  std::size_t end;  // behind its CR LF
  std::string_view value;
};

std::optional<Line> find_line(std::string_view lines, std::string_view name) noexcept {
  for (std::size_t begin = 0; begin < lines.size();) {
    const std::size_t end = lines.find(line_end, begin);
    const std::string_view line = lines.substr(begin, end - begin);
    const std::size_t colon = line.find(':');
    const std::size_t next = end + line_end.size();
    if (equal_ignoring_case(line.substr(0, colon), name))
      return Line{.begin = begin, .end = next, .value = line.substr(colon + 2)};
    begin = next;
  }
  return std::nullopt;
}

}  // namespace

Response::Response(int status_code, std::string_view content_type, Body content)
    : status(status_code), body(std::move(content)) {
  lines_.reserve(256);
  add("Content-Type", content_type);
}

Response Response::json(Body content, int status_code) {
  return {status_code, "application/json", std::move(content)};
}

Response Response::text(std::string content, int status_code) {
  return {status_code, "text/plain; charset=utf-8", std::move(content)};
}

Response Response::event_stream(Stream stream) {
  Response response(200, "text/event-stream", std::move(stream));
  // The second is for proxies that would hold events back to fill a buffer.
  response.add("Cache-Control", "no-store").add("X-Accel-Buffering", "no");
  return response;
}

Response& Response::add(std::string_view name, std::string_view value) {
  if (name.empty() || !std::all_of(name.begin(), name.end(), is_token_character))
    throw std::invalid_argument("a header name that is no token");
  if (std::any_of(value.begin(), value.end(), breaks_a_line))
    throw std::invalid_argument("control characters in the header " + std::string(name));
  if (is_framing(name))
    throw std::invalid_argument("the header " + std::string(name) + " is the server's to write");
  lines_.append(name).append(": ").append(value).append(line_end);
  return *this;
}

Response& Response::set(std::string_view name, std::string_view value) {
  while (const auto line = find_line(lines_, name))
    lines_.erase(line->begin, line->end - line->begin);
  return add(name, value);
}

std::optional<std::string_view> Response::header(std::string_view name) const noexcept {
  if (const auto line = find_line(lines_, name)) return line->value;
  return std::nullopt;
}

std::string_view Response::content() const noexcept {
  if (const auto* text = std::get_if<std::string>(&body)) return *text;
  if (const auto* bytes = std::get_if<Bytes>(&body)) return bytes->view();
  return {};
}

std::string_view reason_phrase(int status) noexcept {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
  }
}

}  // namespace actionflows::http
