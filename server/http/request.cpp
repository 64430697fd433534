#include "server/http/request.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace actionflows::http {
namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  const char letter = lower(c);
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

std::optional<std::string_view> first_of(const std::vector<NamedValue>& values,
                                         std::string_view name) noexcept {
  for (const NamedValue& value : values) {
    if (value.name == name) return value.value;
  }
  return std::nullopt;
}

// `text` as it is where there is nothing to decode, else decoded and kept by the request.
std::optional<std::string_view> decoded(Request& request, std::string_view text) {
  if (text.find_first_of("%+") == std::string_view::npos) return text;
  auto plain = percent_decode(text, true);
  if (!plain) return std::nullopt;
  return request.keep(std::move(*plain));
}

bool parse_query(Request& request, std::string_view text) {
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const auto name = decoded(request, pair.substr(0, equals));
    const auto value = decoded(request, pair.substr(std::min(equals + 1, pair.size())));
    if (!name || !value) return false;
    request.query.push_back({*name, *value});
  }
  return true;
}

// What follows the authority of "http://host/path"; nullopt where there is no such form.
std::optional<std::string_view> after_authority(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!equal_ignoring_case(target.substr(0, scheme.size()), scheme)) continue;
    target.remove_prefix(scheme.size());
    const std::size_t end = std::min(target.find_first_of("/?"), target.size());
    if (end == 0 || target.substr(end).starts_with('?')) return std::nullopt;
    return end == target.size() ? "/" : target.substr(end);
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Method method) {
  switch (method) {
    case Method::get: return "GET";
    case Method::head: return "HEAD";
    case Method::post: return "POST";
    case Method::put: return "PUT";
    case Method::patch: return "PATCH";
    case Method::del: return "DELETE";
    case Method::options: return "OPTIONS";
    case Method::unknown: return "UNKNOWN";
  }
  return "UNKNOWN";
}

Method parse_method(std::string_view text) noexcept {
  for (const Method method : {Method::get, Method::head, Method::post, Method::put, Method::patch,
                              Method::del, Method::options}) {
    if (to_string(method) == text) return method;
  }
  return Method::unknown;
}

std::optional<std::string_view> Request::header(std::string_view name) const noexcept {
  for (const NamedValue& field : headers) {
    if (equal_ignoring_case(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::optional<std::string_view> Request::query_value(std::string_view name) const noexcept {
  return first_of(query, name);
}

std::string_view Request::param(std::string_view name) const {
  if (const auto value = first_of(params, name)) return *value;
  throw std::out_of_range("the route has no parameter {" + std::string(name) + "}");
}

bool Request::set_target(std::string_view text) {
  target = text;
  query.clear();
  if (!text.starts_with('/')) {
    const auto origin_form = after_authority(text);
    if (!origin_form) return false;
    text = *origin_form;
  }
  const std::size_t question = std::min(text.find('?'), text.size());
  path = text.substr(0, question);
  return parse_query(*this, text.substr(std::min(question + 1, text.size())));
}

void Request::clear() noexcept {
  method = Method::get;
  target = path = body = {};
  id = 0;
  principal.reset();
  headers.clear();
  params.clear();
  query.clear();
  kept_.clear();
}

std::string request_id(std::uint64_t id) {
  std::string text(16, '0');
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit, id >>= 4)
    *digit = "0123456789abcdef"[id & 15];
  return text;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return x == y || lower(x) == lower(y);
         });
}

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%') {
      if (text.size() - at < 3) return std::nullopt;
      const int high = hex_digit(text[at + 1]);
      const int low = hex_digit(text[at + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      plain += static_cast<char>(high * 16 + low);
      at += 2;
    } else {
      plain += text[at] == '+' && plus_is_space ? ' ' : text[at];
    }
  }
  return plain;
}

bool etag_in(std::string_view list, std::string_view tag) noexcept {
  if (list == "*") return true;
  while (!list.empty()) {
    list.remove_prefix(std::min(list.find_first_not_of(" \t,"), list.size()));
    if (list.starts_with("W/")) list.remove_prefix(2);
    if (!list.starts_with('"')) return false;
    const std::size_t end = list.find('"', 1);
    if (end == std::string_view::npos) return false;
    if (list.substr(0, end + 1) == tag) return true;
    list.remove_prefix(end + 1);
  }
  return false;
}

}  // namespace actionflows::http
