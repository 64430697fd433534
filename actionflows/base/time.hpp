// Points in time as the records carry them: UTC, milliseconds, RFC 3339 in text.
//
// Time is data here, never an order: the order of what happened is the event sequence.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows {

using Timestamp = std::chrono::sys_time<std::chrono::milliseconds>;

// Milliseconds since 1970-01-01T00:00:00Z, and back: how stores and other programs keep times.
constexpr std::int64_t to_unix_milliseconds(Timestamp time) {
  return time.time_since_epoch().count();
}
constexpr Timestamp from_unix_milliseconds(std::int64_t count) {
  return Timestamp(std::chrono::milliseconds(count));
}

// The length of every text that format_rfc3339 makes: 2026-02-11T20:31:53.375Z.
inline constexpr std::size_t rfc3339_length = 24;

// Reads an RFC 3339 date-time with any offset and any number of fraction digits; finer than
// milliseconds is cut off, a leap second (:60) counts as the first second of the next minute.
// nullopt for everything else, also for a point outside the years 0000 to 9999 UTC.
std::optional<Timestamp> parse_rfc3339(std::string_view text) noexcept;

// `time` in UTC with milliseconds. Points outside the years 0000 to 9999 are clamped to them.
std::string format_rfc3339(Timestamp time);

// The same into `out`, which has room for rfc3339_length characters; writes no terminator.
void format_rfc3339(Timestamp time, char* out) noexcept;

}  // namespace actionflows
