#include "actionflows/json/raw.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/json/reader.hpp"

#include <utility>

namespace actionflows::json {

Raw Raw::parse(std::string_view text, const Limits& limits) {
  Issues issues;
  const ReaderLease reader;
  if (!reader->read_any(text, limits, issues)) throw invalid_input(std::move(issues));
  constexpr std::string_view space = " \t\n\r";
  text.remove_prefix(text.find_first_not_of(space));
  return from_checked(text.substr(0, text.find_last_not_of(space) + 1));
}

}  // namespace actionflows::json
