#include "actionflows/json/writer.hpp"

#include <algorithm>
#include <charconv>

namespace actionflows::json {
namespace {

constexpr std::uint64_t every_byte(std::uint8_t byte) { return 0x0101010101010101U * byte; }

// Whether one of eight bytes has to be escaped: a control character, a quote, a backslash. A byte
// above 0x7F may be taken for one of them only together with a true one (borrows run upwards from a
// byte that did match), so the answer is exact where it is no.
constexpr bool needs_escape(std::uint64_t word) {
  const auto zero_byte = [](std::uint64_t x) { return (x - every_byte(1)) & ~x; };
  const std::uint64_t control = (word - every_byte(0x20)) & ~word;
  return ((control | zero_byte(word ^ every_byte('"')) | zero_byte(word ^ every_byte('\\'))) &
          every_byte(0x80)) != 0;
}

char* put_escaped(char* at, char c) {
  const auto two = [&at](char second) {
    *at++ = '\\';
    *at++ = second;
    return at;
  };
  switch (c) {
    case '"': return two('"');
    case '\\': return two('\\');
    case '\b': return two('b');
    case '\f': return two('f');
    case '\n': return two('n');
    case '\r': return two('r');
    case '\t': return two('t');
    default: break;
  }
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20) {
    *at++ = c;
    return at;
  }
  constexpr std::string_view digits = "0123456789abcdef";
  for (const char common : std::string_view("\\u00")) *at++ = common;
  *at++ = digits[byte >> 4U];
  *at++ = digits[byte & 0xFU];
  return at;
}

// Room for 6 * text.size() bytes is there.
char* put_text(char* at, std::string_view text) {
  std::size_t i = 0;
  for (std::uint64_t word = 0; i + sizeof word <= text.size();) {
    std::memcpy(&word, text.data() + i, sizeof word);
    if (needs_escape(word)) {
      for (const char c : text.substr(i, sizeof word)) at = put_escaped(at, c);
    } else {
      std::memcpy(at, &word, sizeof word);
      at += sizeof word;
    }
    i += sizeof word;
  }
  for (; i < text.size(); ++i) at = put_escaped(at, text[i]);
  return at;
}

}  // namespace

void Writer::string(std::string_view text) {
  constexpr std::size_t piece = 160;
  constexpr std::size_t longest_escape = 6;
  static_assert(piece * longest_escape + 2 <= sizeof buffer_);
  raw('"');
  while (!text.empty()) {
    const std::string_view part = text.substr(0, piece);
    if (room() < part.size() * longest_escape) flush();
    at_ = put_text(at_, part);
    text.remove_prefix(part.size());
  }
  raw('"');
}

void Writer::number(std::uint64_t value) {
  if (room() < small) flush();
  at_ = std::to_chars(at_, at_ + small, value).ptr;
}

void Writer::number(std::int64_t value) {
  if (room() < small) flush();
  at_ = std::to_chars(at_, at_ + small, value).ptr;
}

void Writer::timestamp(Timestamp time) {
  if (room() < small) flush();
  *at_ = '"';
  format_rfc3339(time, at_ + 1);
  at_[rfc3339_length + 1] = '"';
  at_ += rfc3339_length + 2;
}

void Writer::flush() {
  out_.append(buffer_, static_cast<std::size_t>(at_ - buffer_));
  at_ = buffer_;
}

void Writer::raw_slowly(std::string_view text) {
  flush();
  if (text.size() > sizeof buffer_) {
    out_.append(text);
  } else {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
}

void append_string(std::string& out, std::string_view text) { Writer(out).string(text); }
void append_number(std::string& out, std::uint64_t value) { Writer(out).number(value); }
void append_number(std::string& out, std::int64_t value) { Writer(out).number(value); }
void append_timestamp(std::string& out, Timestamp time) { Writer(out).timestamp(time); }

}  // namespace actionflows::json
