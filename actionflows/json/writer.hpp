// Writer: appends compact JSON to a string.
//
// It gathers small pieces in a buffer of its own and hands them over in large ones; what has been
// written is complete in the string once the writer is flushed or gone.
#pragma once

#include "actionflows/base/time.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace actionflows::json {

// Not for sharing between threads; `out` must outlive it.
class Writer {
 public:
  explicit Writer(std::string& out) noexcept : out_(out) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { flush(); }

  // As it stands: punctuation, or a value that is JSON already.
  void raw(std::string_view text) {
    if (text.size() > room()) return raw_slowly(text);
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void raw(char c) {
    if (room() == 0) flush();
    *at_++ = c;
  }
  // Exactly `Size` bytes: the compiler makes a few moves of it.
  template <std::size_t Size>
  void raw_bytes(const char* text) {
    static_assert(Size <= small);
    if (room() < Size) flush();
    std::memcpy(at_, text, Size);
    at_ += Size;
  }

  // Quoted and escaped; `text` is valid UTF-8.
  void string(std::string_view text);
  void number(std::uint64_t value);
  void number(std::int64_t value);
  // Quoted, as RFC 3339.
  void timestamp(Timestamp time);

  void flush();

 private:
  static constexpr std::size_t small = 128;

  [[nodiscard]] std::size_t room() const noexcept {
    return static_cast<std::size_t>(buffer_ + sizeof buffer_ - at_);
  }
  void raw_slowly(std::string_view text);

  std::string& out_;
  char* at_ = buffer_;
  char buffer_[2048];  // not initialised: only what lies before at_ is read
};

// For single values. `text` is valid UTF-8.
void append_string(std::string& out, std::string_view text);
void append_number(std::string& out, std::uint64_t value);
void append_number(std::string& out, std::int64_t value);
void append_timestamp(std::string& out, Timestamp time);

}  // namespace actionflows::json
