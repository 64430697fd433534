#include "server/api/query.hpp"

#include "actionflows/base/error.hpp"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

namespace actionflows::api {
namespace {

// Throws invalid where it is none of that list.
void check_cursor(ListKind list, std::string_view cursor) {
  if (list == ListKind::sessions || list == ListKind::archive) {
    static_cast<void>(decode_position(list, cursor));
  } else {
    static_cast<void>(decode_number(list, cursor));
  }
}

}  // namespace

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
std::optional<T> Query::parsed(std::string_view name, std::string_view expected, Parse parse,
                               IssueCode code) {
  const auto value = request_.query_value(name);
  if (!value) return std::nullopt;
  std::optional<T> result = parse(*value);
  if (!result) add(name, code, "must be " + std::string(expected), std::string(expected));
  return result;
}

std::optional<std::string_view> Query::text(std::string_view name) const {
  return request_.query_value(name);
}

std::optional<std::uint64_t> Query::number_in(std::string_view name,
                                              std::optional<std::string_view> text, Range range) {
  if (!text) return std::nullopt;
  std::uint64_t number = 0;
  const char* const last = text->data() + text->size();
  const auto [end, error] = std::from_chars(text->data(), last, number);
  const bool beyond = error == std::errc::result_out_of_range;
  if (end != last || (error != std::errc() && !beyond)) {
    add(name, IssueCode::invalid_string, "must be a whole number", "a whole number");
  } else if (beyond || number < range.min || number > range.max) {
    const std::string bounds =
        "from " + std::to_string(range.min) + " to " + std::to_string(range.max);
    add(name, !beyond && number < range.min ? IssueCode::too_small : IssueCode::too_big,
        "must be " + bounds, bounds);
  } else {
    return number;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> Query::number(std::string_view name) {
  return number_in(name, text(name), {});
}

std::optional<std::uint64_t> Query::number_in_header(std::string_view name) {
  return number_in(name, request_.header(name), {});
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
  return parsed<SessionState>(name, "one of active, paused, completed", parse_session_state,
                              IssueCode::invalid_enum_value);
}

std::optional<ChainStatus> Query::chain_status(std::string_view name) {
  return parsed<ChainStatus>(name, "one of pending, in_progress, completed, failed, cancelled",
                             parse_chain_status, IssueCode::invalid_enum_value);
}

std::optional<StepStatus> Query::step_status(std::string_view name) {
  return parsed<StepStatus>(name, "one of pending, in_progress, completed, failed, skipped",
                            parse_step_status, IssueCode::invalid_enum_value);
}

bool Query::has(std::string_view name, std::string_view value) {
  const auto is_it = [&](std::string_view given) {
    return given == value ? std::optional(true) : std::nullopt;
  };
  return parsed<bool>(name, "one of " + std::string(value), is_it, IssueCode::invalid_enum_value)
      .value_or(false);
}

void Query::require(std::string_view name, bool given) {
  if (!given && !request_.query_value(name)) add(name, IssueCode::invalid_type, "is required");
}

std::size_t Query::limit(std::size_t usual) {
  return number_in("limit", text("limit"), {.min = 1, .max = max_page}).value_or(usual);
}

PageQuery Query::page(ListKind list) {
  PageQuery page;
  page.limit = limit(page.limit);
  const auto cursor = text("cursor");
  if (!cursor) return page;
  page.cursor = std::string(*cursor);
  try {
    check_cursor(list, *cursor);
  } catch (const StorageError& error) {
    issues_.insert(issues_.end(), error.issues.begin(), error.issues.end());
  }
  return page;
}

void Query::check() {
  if (!issues_.empty()) throw invalid_input(std::exchange(issues_, {}));
}

}  // namespace actionflows::api
