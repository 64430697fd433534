#include "server/http/problem.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>

namespace actionflows::http {
namespace {

// The length of the well-formed UTF-8 sequence that `text` starts with (RFC 3629); 0 for none.
std::size_t utf8_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t at) -> unsigned {
    return at < text.size() ? static_cast<unsigned char>(text[at]) : 0;
  };
  const auto continues = [&](std::size_t from, std::size_t to) {
    for (std::size_t at = from; at < to; ++at) {
      if ((byte(at) & 0xc0) != 0x80) return false;
    }
    return true;
  };
  const unsigned lead = byte(0);
  const unsigned second = byte(1);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return continues(1, 2) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f)) return 0;
    return continues(1, 3) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if ((lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) return 0;
    return continues(1, 4) ? 4 : 0;
  }
  return 0;
}

// A JSON string. Details quote what clients sent, so bytes that are no UTF-8 become U+FFFD here.
void append_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const char c = text.front();
    if (length == 0) {
      out += "\xef\xbf\xbd";
    } else if (c == '"' || c == '\\') {
      out.append({'\\', c});
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < ' ') {
      constexpr std::string_view digits = "0123456789abcdef";
      const std::size_t code = static_cast<unsigned char>(c);
      out.append("\\u00").append({digits[code >> 4], digits[code & 15]});
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  out += '"';
}

void append_member(std::string& out, std::string_view name, std::string_view value) {
  out.append(",\"").append(name).append("\":");
  append_string(out, value);
}

void append_path(std::string& out, const Path& path) {
  out += '[';
  for (const PathSegment& segment : path) {
    if (&segment != path.data()) out += ',';
    if (const auto* position = std::get_if<std::size_t>(&segment)) {
      out += std::to_string(*position);
    } else {
      append_string(out, std::get<std::string>(segment));
    }
  }
  out += ']';
}

void append_issues(std::string& out, const Issues& issues) {
  out += ",\"issues\":[";
  for (const Issue& issue : issues) {
    if (&issue != issues.data()) out += ',';
    out += "{\"path\":";
    append_path(out, issue.path);
    append_member(out, "code", to_string(issue.code));
    append_member(out, "message", issue.message);
    if (!issue.expected.empty()) append_member(out, "expected", issue.expected);
    if (!issue.received.empty()) append_member(out, "received", issue.received);
    out += '}';
  }
  out += ']';
}

// What every problem of that code has in common; the reason phrase where the code says no more.
std::string_view title_of(std::string_view code, int status) noexcept {
  static constexpr auto titles = std::to_array<std::pair<std::string_view, std::string_view>>({
      {"invalid", "The input breaks a rule"},
      {"not_found", "Not found"},
      {"conflict", "The state on the server is another than expected"},
      {"illegal_transition", "The change is not allowed in the present state"},
      {"exhausted", "A limit is reached"},
      {"timeout", "No answer in time"},
      {"unavailable", "Temporarily unavailable"},
      {"unauthenticated", "Credentials are missing or not accepted"},
      {"too_large", "Too large"},
  });
  const auto* const found =
      std::find_if(titles.begin(), titles.end(), [&](const auto& t) { return t.first == code; });
  return found == titles.end() ? reason_phrase(status) : found->second;
}

// Open: without its closing brace.
std::string document(int status, std::string_view code, std::string_view detail) {
  std::string out = R"({"type":"urn:actionflows:problem:)";
  out.append(code).append("\"");
  append_member(out, "title", title_of(code, status));
  out.append(",\"status\":").append(std::to_string(status));
  if (!detail.empty()) append_member(out, "detail", detail);
  return out;
}

Response finished(int status, std::string out) {
  out += '}';
  Response response(status, "application/problem+json", std::move(out));
  if (status == 503 || status == 429) response.add("Retry-After", "1");
  if (status == 401) response.add("WWW-Authenticate", "Bearer");
  return response;
}

int status_of(const StorageError& error) noexcept {
  switch (error.code()) {
    case ErrorCode::invalid: return 400;
    case ErrorCode::not_found: return 404;
    case ErrorCode::conflict: return error.version_mismatch ? 412 : 409;
    case ErrorCode::illegal_transition: return 409;
    case ErrorCode::unavailable: return 503;
    case ErrorCode::timeout: return 504;
    case ErrorCode::exhausted: return error.retryable ? 429 : 507;
    case ErrorCode::corrupt: return 500;
  }
  return 500;
}

}  // namespace

Response problem(const StorageError& error, std::string_view error_id) {
  const int status = status_of(error);
  if (status == 500) return internal_problem(error_id);
  std::string out = document(status, to_string(error.code()), error.message());
  if (!error.issues.empty()) append_issues(out, error.issues);
  if (status != 412 || !error.current_version) return finished(status, std::move(out));
  const std::string version = std::to_string(*error.current_version);
  out.append(",\"currentVersion\":").append(version);
  return finished(status, std::move(out)).add("ETag", '"' + version + '"');
}

Response problem(int status, std::string_view code, std::string_view detail) {
  return finished(status, document(status, code, detail));
}

Response internal_problem(std::string_view error_id) {
  std::string out = document(500, "internal", {});
  if (!error_id.empty()) append_member(out, "errorId", error_id);
  return finished(500, std::move(out));
}

}  // namespace actionflows::http
