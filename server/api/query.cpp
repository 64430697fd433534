#include "server/api/query.hpp"

#include "actionflows/base/error.hpp"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

namespace actionflows::api {

Query::Query(const http::Request& request, std::span<const Parameter> known) : request_(request) {
  for (const http::NamedValue& value : request.query) {
    const auto same_name = [&](const auto& other) { return other.name == value.name; };
    if (std::none_of(known.begin(), known.end(), same_name)) {
      add(value.name, IssueCode::unrecognized_keys, "is not a parameter of this path");
    } else if (&value != &*std::find_if(request.query.begin(), request.query.end(), same_name)) {
      add(value.name, IssueCode::duplicate_key, "is given more than once");
    }
  }
}

void Query::add(std::string_view name, IssueCode code, std::string message, std::string expected) {
  constexpr std::size_t longest_name = 40;
  Issue issue;
  issue.path = {std::string(name.substr(0, longest_name))};
  issue.code = code;
  issue.message = std::move(message);
  issue.expected = std::move(expected);
  issues_.push_back(std::move(issue));
}

template <class T, class Parse>
std::optional<T> Query::parsed(std::string_view name, std::string_view expected, Parse parse) {
  const auto value = request_.query_value(name);
  if (!value) return std::nullopt;
  std::optional<T> result = parse(*value);
  if (!result)
    add(name, IssueCode::invalid_string, "must be " + std::string(expected), std::string(expected));
  return result;
}

std::optional<std::string_view> Query::text(std::string_view name) const {
  return request_.query_value(name);
}

std::optional<std::uint64_t> Query::number(std::string_view name) {
  return parsed<std::uint64_t>(name, "a whole number", [](std::string_view text) {
    std::uint64_t number = 0;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, number);
    return error == std::errc() && end == last && !text.empty() ? std::optional(number)
                                                                : std::nullopt;
  });
}

std::optional<Timestamp> Query::time(std::string_view name) {
  return parsed<Timestamp>(name, "an RFC 3339 time", parse_rfc3339);
}

std::optional<UserId> Query::user(std::string_view name) {
  return parsed<UserId>(name, UserId::rule, UserId::parse);
}

std::optional<EventType> Query::event_type(std::string_view name) {
  return parsed<EventType>(name, EventType::rule, EventType::parse);
}

std::optional<SessionState> Query::session_state(std::string_view name) {
  return parsed<SessionState>(name, "active, paused or completed", parse_session_state);
}

std::optional<ChainStatus> Query::chain_status(std::string_view name) {
  return parsed<ChainStatus>(name, "pending, in_progress, completed, failed or cancelled",
                             parse_chain_status);
}

std::optional<StepStatus> Query::step_status(std::string_view name) {
  return parsed<StepStatus>(name, "pending, in_progress, completed, failed or skipped",
                            parse_step_status);
}

bool Query::has(std::string_view name, std::string_view value) {
  return parsed<bool>(name, value,
                      [&](std::string_view given) {
                        return given == value ? std::optional(true) : std::nullopt;
                      })
      .value_or(false);
}

void Query::require(std::string_view name, bool given) {
  if (!given && !request_.query_value(name)) add(name, IssueCode::invalid_type, "is required");
}

PageQuery Query::page() {
  PageQuery page;
  page.limit = number("limit").value_or(page.limit);
  if (const auto cursor = text("cursor")) page.cursor = std::string(*cursor);
  return page;
}

void Query::check() {
  if (!issues_.empty()) throw invalid_input(std::exchange(issues_, {}));
}

}  // namespace actionflows::api
