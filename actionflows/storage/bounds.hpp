// Whether a JSON text keeps within its limits. Values made in C++ have passed no parser that would
// have told.
#pragma once

#include "actionflows/base/issue.hpp"
#include "actionflows/json/raw.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>
#include <string_view>

namespace actionflows {

// What is wrong with the size or the depth of `text`, which must be valid JSON; nullopt: nothing.
std::optional<Issue> out_of_bounds(std::string_view text, const json::Limits& limits);

// For reading what is stored: it has been bounded when it was stored, perhaps by other limits than
// today's, and an event adds a few levels to the record in it.
inline constexpr json::Limits stored_limits{std::numeric_limits<std::size_t>::max(), 1'024};

// The limits of records that come as they were stored: what the store had noted in them by itself
// (a few hundred bytes) may have taken them over the limits of what clients give.
constexpr json::Limits with_reserve(json::Limits limits) {
  constexpr std::size_t reserve = std::size_t{64} << 10;
  limits.max_bytes += std::min(reserve, std::numeric_limits<std::size_t>::max() - limits.max_bytes);
  return limits;
}

}  // namespace actionflows
