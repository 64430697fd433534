#include "actionflows/json/report.hpp"

#include <algorithm>
#include <utility>

namespace actionflows::json {
namespace {

constexpr std::size_t max_segment_bytes = 100;

}  // namespace

void Report::add(IssueCode code, std::string message, std::string expected, std::string received) {
  add(Issue{.path = {},
            .code = code,
            .message = std::move(message),
            .expected = std::move(expected),
            .received = std::move(received)});
}

void Report::add(Issue issue) {
  if (full()) return;
  if (count() == max_issues) {
    issues_->push_back(
        {.path = {},
         .code = IssueCode::custom,
         .message = "more than " + std::to_string(max_issues) + " issues: the rest is not listed",
         .expected = {},
         .received = {}});
    return;
  }
  Path full = path();
  std::move(issue.path.begin(), issue.path.end(), std::back_inserter(full));
  issue.path = std::move(full);
  issues_->push_back(std::move(issue));
}

Path Report::path() const {
  Path path;
  for (const Place* place = place_; place != nullptr; place = place->parent) {
    if (place->key.data() != nullptr) {
      path.emplace_back(shortened(place->key, max_segment_bytes));
    } else {
      path.emplace_back(place->index);
    }
  }
  std::reverse(path.begin(), path.end());
  return path;
}

Within::Within(Report& report, std::string_view key)
    : report_(report), place_{.parent = report.place(), .key = key, .index = 0} {
  report_.move_to(&place_);
}

Within::Within(Report& report, std::size_t index)
    : report_(report), place_{.parent = report.place(), .key = {}, .index = index} {
  report_.move_to(&place_);
}

Within::~Within() { report_.move_to(place_.parent); }

std::string shortened(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  std::size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

}  // namespace actionflows::json
