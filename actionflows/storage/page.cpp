#include "actionflows/storage/page.hpp"

#include "actionflows/base/encoding.hpp"

#include <charconv>

namespace actionflows {
namespace {

[[noreturn]] void refuse_cursor() {
  Issue issue;
  issue.path = {std::string("cursor")};
  issue.code = IssueCode::invalid_string;
  issue.message = "is not a cursor of this list";
  throw invalid_input({std::move(issue)});
}

// The first character tells the kind.
std::string content_of(std::string_view cursor, ListKind kind) {
  auto text = from_base64url(cursor);
  if (!text || text->empty() || text->front() != static_cast<char>(kind)) refuse_cursor();
  return text->substr(1);
}

template <class Number>
Number number_in(std::string_view digits) {
  Number number{};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) refuse_cursor();
  return number;
}

}  // namespace

void check_limit(std::size_t limit) {
  if (limit >= 1 && limit <= max_page) return;
  Issue issue;
  issue.path = {std::string("limit")};
  issue.code = limit < 1 ? IssueCode::too_small : IssueCode::too_big;
  issue.message = "must be from 1 to " + std::to_string(max_page);
  issue.expected = "1-" + std::to_string(max_page);
  issue.received = std::to_string(limit);
  throw invalid_input({std::move(issue)});
}

std::string encode_cursor(ListKind kind, const ListPosition& position) {
  return base64url(static_cast<char>(kind) +
                   std::to_string(position.time.time_since_epoch().count()) + ' ' + position.name);
}

std::string encode_cursor(ListKind kind, std::uint32_t number) {
  return base64url(static_cast<char>(kind) + std::to_string(number));
}

ListPosition decode_position(ListKind kind, std::string_view cursor) {
  const std::string content = content_of(cursor, kind);
  const std::size_t space = content.find(' ');
  if (space == std::string::npos) refuse_cursor();
  const auto time = number_in<std::int64_t>(std::string_view(content).substr(0, space));
  ListPosition position{Timestamp(std::chrono::milliseconds(time)), content.substr(space + 1)};
  const bool named = kind == ListKind::sessions ? SessionId::parse(position.name).has_value()
                                                : ChainId::parse(position.name).has_value();
  if (!named) refuse_cursor();
  return position;
}

std::uint32_t decode_number(ListKind kind, std::string_view cursor) {
  return number_in<std::uint32_t>(content_of(cursor, kind));
}

}  // namespace actionflows
