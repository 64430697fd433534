#include "actionflows/json/fault.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace actionflows::json {
namespace {

unsigned char byte_at(std::string_view text, std::size_t i) {
  return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// The offset after the string that opens at `i`; the text's length if it does not end.
std::size_t skip_string(std::string_view text, std::size_t i) {
  for (++i; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return text.size();
}

}  // namespace

// Table 3-7 of the Unicode standard: well-formed UTF-8 byte sequences.
std::size_t utf8_length(std::string_view text) {
  const unsigned lead = byte_at(text, 0);
  if (lead < 0x80) return text.empty() ? 0 : 1;
  const auto continues = [text](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte_at(text, i) >= low && byte_at(text, i) <= high;
  };
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const unsigned low = lead == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : 0xBF;
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const unsigned low = lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xF4 ? 0x8F : 0xBF;
    return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

std::optional<Fault> lexical_fault(std::string_view text) {
  std::optional<std::size_t> opened;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0) return Fault{i, "invalid UTF-8"};
    if (text[i] == '"') {
      opened = opened ? std::nullopt : std::optional(i);
    } else if (opened && byte_at(text, i) < 0x20) {
      return Fault{i, "a control character inside a string must be escaped"};
    } else if (opened && text[i] == '\\' && byte_at(text, i + 1) >= 0x20 &&
               byte_at(text, i + 1) < 0x80) {
      ++i;  // the escaped character, which may be a quote
    }
    i += length;
  }
  if (opened) return Fault{*opened, "this string never ends"};
  return std::nullopt;
}

Fault ending_fault(std::string_view text) {
  std::size_t depth = 0;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"') {
      i = skip_string(text, i);
      continue;
    }
    ++i;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) {
      const std::size_t closed = i - 1;
      while (i < text.size() && is_space(text[i])) ++i;
      if (i < text.size()) return {i, "unexpected text after the end of the value"};
      return {closed, "this bracket closes one of the other kind"};
    }
  }
  return {text.size(), "the text ends too early"};
}

Issue malformed(std::string_view text, const Fault& fault, Path path) {
  const std::string_view before = text.substr(0, fault.offset);
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const auto in_line = before.substr(line_start);
  const auto characters = std::count_if(in_line.begin(), in_line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  });
  return {.path = std::move(path),
          .code = IssueCode::custom,
          .message = "malformed JSON at line " + std::to_string(lines + 1) + ", column " +
                     std::to_string(characters + 1) + ": " + std::string(fault.reason),
          .expected = "JSON",
          .received = {}};
}

}  // namespace actionflows::json
