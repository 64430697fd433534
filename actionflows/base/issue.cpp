#include "actionflows/base/issue.hpp"

namespace actionflows {

std::string_view to_string(IssueCode code) {
  switch (code) {
    case IssueCode::invalid_type: return "invalid_type";
    case IssueCode::too_small: return "too_small";
    case IssueCode::too_big: return "too_big";
    case IssueCode::invalid_string: return "invalid_string";
    case IssueCode::invalid_enum_value: return "invalid_enum_value";
    case IssueCode::unrecognized_keys: return "unrecognized_keys";
    case IssueCode::duplicate_key: return "duplicate_key";
    case IssueCode::custom: return "custom";
  }
  return "custom";
}

std::string to_string(const Path& path) {
  std::string text;
  for (const PathSegment& segment : path) {
    if (const auto* position = std::get_if<std::size_t>(&segment)) {
      text += '[' + std::to_string(*position) + ']';
    } else {
      if (!text.empty()) text += '.';
      text += std::get<std::string>(segment);
    }
  }
  return text;
}

}  // namespace actionflows
