#include "actionflows/storage/bounds.hpp"

#include <algorithm>
#include <string>

namespace actionflows {
namespace {

Issue too_big(std::string_view what, std::size_t limit, std::size_t found) {
  Issue issue;
  issue.code = IssueCode::too_big;
  issue.expected = "at most " + std::to_string(limit) + ' ' + std::string(what);
  issue.message = "must be " + issue.expected + " as JSON";
  issue.received = std::to_string(found) + ' ' + std::string(what);
  return issue;
}

std::size_t depth_of(std::string_view text) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;  // what is escaped ends no string
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

std::optional<Issue> out_of_bounds(std::string_view text, const json::Limits& limits) {
  if (text.size() > limits.max_bytes) return too_big("bytes", limits.max_bytes, text.size());
  // A text with few brackets can't be deep: counting them is quick, and enough for nearly all.
  const auto brackets = static_cast<std::size_t>(std::count(text.begin(), text.end(), '{') +
                                                 std::count(text.begin(), text.end(), '['));
  if (brackets <= limits.max_depth) return std::nullopt;
  const std::size_t depth = depth_of(text);
  if (depth <= limits.max_depth) return std::nullopt;
  return too_big("levels", limits.max_depth, depth);
}

}  // namespace actionflows
