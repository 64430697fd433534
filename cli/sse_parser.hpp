// Reads a stream of Server-Sent Events (the HTML standard, section 9.2) that arrives in pieces.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::cli {

struct SseEvent {
  std::string type;  // "message" where the stream gave none
  std::string data;  // its lines joined by \n
  std::string id;    // the last one the stream gave, up to here
};

// Thread-safety: as an int.
class SseParser {
 public:
  // The events that `piece` completes; it may begin and end anywhere. Throws Failure when an event
  // is larger than `max_event_bytes`.
  std::vector<SseEvent> take(std::string_view piece);

  // How long to wait before connecting again; nullopt: the stream has said nothing of it.
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry() const { return retry_; }

  static constexpr std::size_t max_event_bytes = std::size_t{16} << 20;

 private:
  void end_line(std::vector<SseEvent>& out);
  void take_field(std::string_view name, std::string_view value);

  std::string line_;           // what has come of the current line
  bool after_return_ = false;  // the last byte was a \r: a \n now belongs to it
  bool at_start_ = true;       // a byte order mark may still come
  std::string type_;
  std::string data_;
  bool has_data_ = false;
  std::string id_;
  std::optional<std::chrono::milliseconds> retry_;
};

}  // namespace actionflows::cli
