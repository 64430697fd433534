#include "cli/server_url.hpp"

#include "cli/failure.hpp"
#include "cli/quantities.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace actionflows::cli {
namespace {

// The text itself is not repeated where it may hold a secret.
UsageError wrong(std::string_view what) {
  return UsageError(fmt::format("the server's URL {}; it looks like http://127.0.0.1:3001", what));
}

std::uint16_t parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [behind, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || behind != end || port == 0)
    throw wrong(fmt::format("has a port that is none: \"{}\"", printable(text)));
  return port;
}

bool is_host_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_';
}

}  // namespace

ServerUrl ServerUrl::parse(std::string_view text) {
  constexpr std::string_view scheme = "http://";
  if (text.starts_with("https://"))
    throw wrong("begins with https, which this program does not speak");
  if (!text.starts_with(scheme)) throw wrong("does not begin with http://");
  text.remove_prefix(scheme.size());

  ServerUrl url;
  const std::size_t slash = std::min(text.find('/'), text.size());
  std::string_view authority = text.substr(0, slash);
  std::string_view path = text.substr(slash);
  if (text.find_first_of("?#") != text.npos) throw wrong("has a query");
  if (authority.find('@') != authority.npos)
    throw wrong("has a user or a key in it; keys go into ACTIONFLOWS_API_KEY");
  while (path.ends_with('/')) path.remove_suffix(1);
  const auto printing = [](char c) { return c > 0x20 && c < 0x7F; };
  if (!std::ranges::all_of(path, printing))
    throw wrong("has a path with spaces or other odd bytes");
  url.path = path;

  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == authority.npos) throw wrong("lacks the ] behind its address");
    url.host = authority.substr(1, end - 1);
    authority.remove_prefix(end + 1);
    const auto in_address = [](char c) { return is_host_character(c) || c == ':' || c == '%'; };
    if (!std::ranges::all_of(url.host, in_address)) throw wrong("has an odd address");
  } else {
    url.host = authority.substr(0, authority.find(':'));
    authority.remove_prefix(url.host.size());
    if (!std::ranges::all_of(url.host, is_host_character)) throw wrong("has an odd host");
  }
  if (url.host.empty()) throw wrong("has no host");
  if (authority.starts_with(':')) {
    url.port = parse_port(authority.substr(1));
  } else if (!authority.empty()) {
    throw wrong("has something between its host and its port");
  }
  return url;
}

std::string ServerUrl::authority() const {
  const bool is_v6 = host.find(':') != host.npos;
  return is_v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string ServerUrl::str() const { return "http://" + authority() + path; }

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && (is_host_character(c) || c == '~')) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
  return out;
}

}  // namespace actionflows::cli
