// What a handler is given: one request, read whole, its parts as plain views.
#pragma once

#include <any>
#include <cstdint>
#include <forward_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::http {

enum class Method { get, head, post, put, patch, del, options, unknown };

// "GET"; "UNKNOWN" for unknown.
std::string_view to_string(Method method);

// Methods are case-sensitive: "get" is unknown.
Method parse_method(std::string_view text) noexcept;

struct NamedValue {
  std::string_view name;
  std::string_view value;
};

// All views live as long as the request: until its handler has returned.
//
// Thread-safety: as an int.
class Request {
 public:
  Method method = Method::get;      // as sent: a HEAD that a GET handler answers stays head
  std::string_view target;          // as sent: "/v1/sessions/a%3Ab?limit=2"
  std::string_view path;            // the target up to its '?', still encoded: "/v1/sessions/a%3Ab"
  std::string_view body;            // whole; empty when there is none
  std::string_view remote_address;  // "127.0.0.1", without the port
  std::uint64_t id = 0;             // unique among all requests of the process; see request_id
  std::any principal;               // who asks: put here by the router's guard, empty without one

  std::vector<NamedValue> headers;  // in order of arrival, names as sent
  std::vector<NamedValue> params;   // of the route's pattern, decoded
  std::vector<NamedValue> query;    // decoded, in order; a name may come more than once

  // The first value under that name, in any case of letters; nullopt when it was not sent.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const noexcept;

  // The first value under that name; nullopt when there is none.
  [[nodiscard]] std::optional<std::string_view> query_value(std::string_view name) const noexcept;

  // What stands at `{name}` in the route's pattern. Throws std::out_of_range when the pattern has
  // no such place, which is a mistake of the program.
  [[nodiscard]] std::string_view param(std::string_view name) const;

  // Keeps a decoded text as long as the request lives.
  std::string_view keep(std::string text) { return kept_.emplace_front(std::move(text)); }

  // Takes `text` for the target: sets path and query from it. False, with nothing promised about
  // them, when it is neither "/..." nor "http://host/...", or has a malformed escape in its query.
  // `text` must live as long as the request.
  bool set_target(std::string_view text);

  // Ready for the next request; capacities stay.
  void clear() noexcept;

 private:
  std::forward_list<std::string> kept_;
};

// The id as logs and problem documents show it: 16 hexadecimal digits.
std::string request_id(std::uint64_t id);

// Header names and other ASCII tokens: equal but for the case of letters.
bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

// The text with its percent-escapes resolved; nullopt for a '%' that two hexadecimal digits do not
// follow. With `plus_is_space`, '+' is a space, as browsers write queries.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

// Whether `tag`, a quoted entity tag, is in the value of an If-Match or If-None-Match header: a
// list of tags or "*". A weak tag (W/"1") counts as its strong form, as If-None-Match wants it; for
// If-Match, where versions are compared, the caller refuses weak tags.
bool etag_in(std::string_view list, std::string_view tag) noexcept;

}  // namespace actionflows::http
