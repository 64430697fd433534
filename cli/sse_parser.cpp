#include "cli/sse_parser.hpp"

#include "cli/failure.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>

namespace actionflows::cli {

std::vector<SseEvent> SseParser::take(std::string_view piece) {
  std::vector<SseEvent> events;
  while (!piece.empty()) {
    if (std::exchange(after_return_, false) && piece.front() == '\n') {
      piece.remove_prefix(1);
      continue;
    }
    const std::size_t end = piece.find_first_of("\r\n");
    line_ += piece.substr(0, end);
    if (line_.size() + data_.size() > max_event_bytes)
      throw Failure("the server sent an event that is too large");
    if (end == piece.npos) break;
    after_return_ = piece[end] == '\r';
    piece.remove_prefix(end + 1);
    end_line(events);
  }
  return events;
}

void SseParser::end_line(std::vector<SseEvent>& out) {
  std::string_view line = line_;
  if (std::exchange(at_start_, false) && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  if (line.empty()) {
    if (std::exchange(has_data_, false)) {
      data_.pop_back();  // the \n behind its last line
      out.push_back({.type = type_.empty() ? "message" : type_, .data = data_, .id = id_});
    }
    data_.clear();
    type_.clear();
  } else if (line.front() != ':') {  // a comment: a heartbeat
    const std::size_t colon = std::min(line.find(':'), line.size());
    std::string_view value = line.substr(std::min(colon + 1, line.size()));
    if (value.starts_with(' ')) value.remove_prefix(1);
    take_field(line.substr(0, colon), value);
  }
  line_.clear();
}

void SseParser::take_field(std::string_view name, std::string_view value) {
  if (name == "data") {
    data_ += value;
    data_ += '\n';
    has_data_ = true;
  } else if (name == "event") {
    type_ = value;
  } else if (name == "id") {
    if (value.find('\0') == value.npos) id_ = value;
  } else if (name == "retry") {
    std::uint32_t count = 0;
    const char* const end = value.data() + value.size();
    const auto [behind, error] = std::from_chars(value.data(), end, count);
    if (error == std::errc() && behind == end) retry_ = std::chrono::milliseconds(count);
  }
}

}  // namespace actionflows::cli
