// How long the parts of a record may be. A record as a whole is bounded by json::Limits.
#pragma once

#include <cstddef>

namespace actionflows {

// In Unicode code points.
inline constexpr std::size_t max_title = 500;
inline constexpr std::size_t max_name = 500;            // actions, models, hosts, references
inline constexpr std::size_t max_file_path = 4'096;     // as POSIX's PATH_MAX
inline constexpr std::size_t max_text = 65'536;         // summaries, descriptions, learnings
inline constexpr std::size_t max_error_text = 1 << 20;  // whole outputs of failed tools

inline constexpr std::size_t max_operation_id = 200;  // in bytes

inline constexpr std::size_t max_waits = 1'000;              // of one step
inline constexpr std::size_t max_steps_at_creation = 5'000;  // of one chain

}  // namespace actionflows
