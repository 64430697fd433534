// What is wrong with an input, piece by piece. A refused input carries all of its issues at once.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace actionflows {

// From the document's root to the place: member names and array positions (from 0).
using PathSegment = std::variant<std::string, std::size_t>;
using Path = std::vector<PathSegment>;

enum class IssueCode {
  invalid_type,
  too_small,
  too_big,
  invalid_string,
  invalid_enum_value,
  unrecognized_keys,
  duplicate_key,
  custom,
};

// The code as it stands in the HTTP interface: "invalid_type".
std::string_view to_string(IssueCode code);

struct Issue {
  Path path;
  IssueCode code = IssueCode::custom;
  std::string message;   // plain words, for a person; never quotes more than a few bytes of input
  std::string expected;  // "string", "at most 500 characters"; empty where there is nothing to say
  std::string received;  // "number", "612 characters"
};

using Issues = std::vector<Issue>;

// "steps[3].waitsFor[0]", for messages and logs.
std::string to_string(const Path& path);

}  // namespace actionflows
