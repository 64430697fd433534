// Where a server is: "http://host:port", as --server takes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace actionflows::cli {

struct ServerUrl {
  std::string host;         // a name or an address; an IPv6 address without its brackets
  std::uint16_t port = 80;  // as usual for http
  std::string path = {};    // in front of every path: "/actionflows"; empty where there is none

  // Throws UsageError, saying what is wrong: https, a user or a key in it, no host, a bad port.
  static ServerUrl parse(std::string_view text);

  // "host:port", as the Host header has it.
  [[nodiscard]] std::string authority() const;
  // The URL again, for messages.
  [[nodiscard]] std::string str() const;

  friend bool operator==(const ServerUrl&, const ServerUrl&) = default;
};

// `text` with everything but A-Z a-z 0-9 - . _ ~ as %XX: fit for a part of a path or of a query.
std::string percent_encoded(std::string_view text);

}  // namespace actionflows::cli
