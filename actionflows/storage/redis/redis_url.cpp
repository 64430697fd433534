#include "actionflows/base/error.hpp"
#include "actionflows/storage/redis/keys.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

namespace actionflows {
namespace {

struct Scheme {
  std::string_view text;
  bool tls;
  bool cluster;
};

constexpr std::array schemes = {
    Scheme{.text = "redis://", .tls = false, .cluster = false},
    Scheme{.text = "rediss://", .tls = true, .cluster = false},
    Scheme{.text = "redis+cluster://", .tls = false, .cluster = true},
    Scheme{.text = "rediss+cluster://", .tls = true, .cluster = true},
};

const Scheme* scheme_of(std::string_view url) {
  const auto* const found = std::ranges::find_if(
      schemes, [&](const Scheme& scheme) { return url.starts_with(scheme.text); });
  return found == schemes.end() ? nullptr : found;
}

// Nothing of the URL is repeated, not even a host or an option's name: where a password was not
// encoded, its pieces look like those.
StorageError wrong(std::string_view what) {
  std::string message = "the Redis URL ";
  message.append(what).append("; it looks like redis://user:password@host:6379/0");
  return failure(ErrorCode::invalid, std::move(message), "open");
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) throw wrong("has a % that two hexadecimal digits don't follow");
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

// Digits only, within the bounds.
template <class Number>
std::optional<Number> number_in(std::string_view text, Number low, Number high) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [behind, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || behind != end || text.starts_with('-')) return std::nullopt;
  if (value < low || value > high) return std::nullopt;
  return value;
}

bool is_host_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_';
}

RedisAddress parse_address(std::string_view text) {
  RedisAddress address;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == text.npos) throw wrong("lacks the ] behind an address");
    address.host = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
    const auto in_v6 = [](char c) {
      return std::isxdigit(static_cast<unsigned char>(c)) != 0 || c == ':' || c == '.';
    };
    const bool has_colon = address.host.find(':') != std::string::npos;
    if (!has_colon || !std::ranges::all_of(address.host, in_v6))
      throw wrong("has something in brackets that is no IPv6 address");
  } else {
    address.host = text.substr(0, text.find(':'));
    text.remove_prefix(address.host.size());
    if (!std::ranges::all_of(address.host, is_host_character))
      throw wrong("has a host with odd characters");
  }
  if (address.host.empty()) throw wrong("lacks a host");
  if (text.empty()) return address;
  if (!text.starts_with(':')) throw wrong("has something between a host and its port");
  const auto port = number_in<std::uint16_t>(text.substr(1), 1, 65'535);
  if (!port) throw wrong("has a port that is none from 1 to 65535");
  address.port = *port;
  return address;
}

void parse_servers(std::string_view text, RedisOptions& options) {
  for (;;) {
    const std::size_t comma = text.find(',');
    options.servers.push_back(parse_address(text.substr(0, comma)));
    if (comma == text.npos) break;
    text.remove_prefix(comma + 1);
  }
  if (options.servers.size() > 1 && !options.cluster)
    throw wrong("names several servers, which only redis+cluster:// and rediss+cluster:// do");
}

void parse_credentials(std::string_view text, RedisOptions& options) {
  const std::size_t colon = text.find(':');
  options.user = percent_decoded(text.substr(0, colon));
  if (colon != text.npos) options.password = percent_decoded(text.substr(colon + 1));
  if (!options.user.empty() && options.password.empty())
    throw wrong("names a user without a password");
}

void parse_database(std::string_view text, RedisOptions& options) {
  if (text.empty()) return;
  if (options.cluster) throw wrong("names a database, and a cluster has only one");
  const auto database = number_in<int>(text, 0, std::numeric_limits<int>::max());
  if (!database) throw wrong("names a database that is no number");
  options.database = *database;
}

// ---- options ------------------------------------------------------------------------------------

template <class Number>
Number number_of(std::string_view name, std::string_view value, Number low, Number high) {
  if (const auto number = number_in<Number>(value, low, high)) return *number;
  std::string what = "sets ";
  what.append(name).append(" to what is no number from ").append(std::to_string(low));
  throw wrong(what.append(" to ").append(std::to_string(high)));
}

std::chrono::milliseconds time_of(std::string_view name, std::string_view value) {
  constexpr std::int64_t hour = 3'600'000;
  return std::chrono::milliseconds(number_of<std::int64_t>(name, value, 1, hour));
}

std::string prefix_of(std::string value) {
  if (!redis::is_key_prefix(value))
    throw wrong("sets prefix to what is not 1-100 characters of A-Z a-z 0-9 . _ -");
  return value;
}

struct Option {
  std::string_view name;
  void (*set)(RedisOptions& options, std::string_view name, std::string value);
};

constexpr std::array known_options = {
    Option{"prefix", [](RedisOptions& options, std::string_view,
                        std::string value) { options.prefix = prefix_of(std::move(value)); }},
    Option{"ca_file",
           [](RedisOptions& options, std::string_view, std::string value) {
             if (value.empty()) throw wrong("sets ca_file to nothing");
             if (!options.tls) throw wrong("sets ca_file, which only rediss:// looks at");
             options.ca_file = std::move(value);
           }},
    Option{"timeout", [](RedisOptions& options, std::string_view name,
                         std::string value) { options.timeout = time_of(name, value); }},
    Option{"wait_replicas",
           [](RedisOptions& options, std::string_view name, std::string value) {
             options.wait_replicas = number_of<int>(name, value, 0, 100);
           }},
    Option{"wait_timeout", [](RedisOptions& options, std::string_view name,
                              std::string value) { options.wait_timeout = time_of(name, value); }},
    Option{"max_waiting",
           [](RedisOptions& options, std::string_view name, std::string value) {
             options.max_waiting = number_of<std::size_t>(name, value, 1, 1'000'000);
           }},
    Option{"io_threads",
           [](RedisOptions& options, std::string_view name, std::string value) {
             options.io_threads = number_of<std::size_t>(name, value, 1, 64);
           }},
};

void parse_options(std::string_view text, RedisOptions& options) {
  std::array<bool, known_options.size()> seen{};
  for (;;) {
    const std::string_view pair = text.substr(0, text.find('&'));
    const std::size_t equals = pair.find('=');
    if (equals == pair.npos) throw wrong("has an option without a value");
    const auto* const option =
        std::ranges::find(known_options, pair.substr(0, equals), &Option::name);
    if (option == known_options.end()) {
      std::string what = "has an unknown option; known are";
      for (const Option& known : known_options) what.append(" ").append(known.name);
      throw wrong(what);
    }
    if (std::exchange(seen.at(static_cast<std::size_t>(option - known_options.begin())), true))
      throw wrong(std::string("sets ").append(option->name).append(" twice"));
    option->set(options, option->name, percent_decoded(pair.substr(equals + 1)));
    if (pair.size() == text.size()) break;
    text.remove_prefix(pair.size() + 1);
  }
}

}  // namespace

bool is_redis_url(std::string_view url) { return scheme_of(url) != nullptr; }

RedisOptions parse_redis_url(std::string_view url) {
  const Scheme* const scheme = scheme_of(url);
  if (scheme == nullptr) {
    throw wrong(
        "does not begin with redis://, rediss://, redis+cluster:// or rediss+cluster:// in "
        "small letters");
  }
  url.remove_prefix(scheme->text.size());

  RedisOptions options;
  options.tls = scheme->tls;
  options.cluster = scheme->cluster;

  const std::size_t end = std::min(url.find_first_of("/?#"), url.size());
  std::string_view authority = url.substr(0, end);
  std::string_view rest = url.substr(end);
  // Also tells a password with one of / ? # in it from the host that its beginning would be.
  const std::size_t at = authority.find('@');
  if (std::ranges::count(url, '@') > (at == authority.npos ? 0 : 1)) {
    throw wrong(
        "has an @ where none belongs; in a user, a password and a value, write @ as %40, : as "
        "%3A, / as %2F, ? as %3F, # as %23");
  }
  if (rest.find('#') != rest.npos) throw wrong("has a fragment");
  if (at != authority.npos) {
    parse_credentials(authority.substr(0, at), options);
    authority.remove_prefix(at + 1);
  }
  parse_servers(authority, options);
  const std::size_t question = rest.find('?');
  if (rest.starts_with('/')) parse_database(rest.substr(1, question - 1), options);
  if (question != rest.npos && question + 1 < rest.size())
    parse_options(rest.substr(question + 1), options);
  const bool in_time =
      options.wait_timeout < options.timeout && options.wait_timeout < 2 * options.health_interval;
  if (options.wait_replicas > 0 && !in_time) {
    const auto twice = std::to_string(2 * options.health_interval.count());
    throw wrong("waits for replicas with a wait_timeout that is not less than timeout and " +
                twice);
  }
  return options;
}

}  // namespace actionflows
