#include "actionflows/storage/page.hpp"

#include "actionflows/base/encoding.hpp"

#include <charconv>

namespace actionflows {
namespace {

constexpr std::size_t max_page = 1'000;

// The first character tells the kind, so that a cursor of one list is refused by another.
constexpr char position_kind = 'p';
constexpr char number_kind = 'n';

[[noreturn]] void refuse_cursor() {
  Issue issue;
  issue.path = {std::string("cursor")};
  issue.code = IssueCode::invalid_string;
  issue.message = "is not a cursor of this list";
  throw invalid_input({std::move(issue)});
}

std::string content_of(std::string_view cursor, char kind) {
  auto text = from_base64url(cursor);
  if (!text || text->empty() || text->front() != kind) refuse_cursor();
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

std::string encode_cursor(const ListPosition& position) {
  return base64url(position_kind + std::to_string(position.time.time_since_epoch().count()) + ' ' +
                   position.name);
}

std::string encode_cursor(std::uint32_t number) {
  return base64url(number_kind + std::to_string(number));
}

ListPosition decode_position(std::string_view cursor) {
  const std::string content = content_of(cursor, position_kind);
  const std::size_t space = content.find(' ');
  if (space == std::string::npos) refuse_cursor();
  const auto time = number_in<std::int64_t>(std::string_view(content).substr(0, space));
  return {Timestamp(std::chrono::milliseconds(time)), content.substr(space + 1)};
}

std::uint32_t decode_number(std::string_view cursor) {
  return number_in<std::uint32_t>(content_of(cursor, number_kind));
}

}  // namespace actionflows
