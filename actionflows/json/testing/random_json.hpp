// Random JSON texts and random damage to them, for tests.
#pragma once

#include "actionflows/base/random.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace actionflows::json::testing {

class RandomJson {
 public:
  explicit RandomJson(std::uint64_t seed) : random_(seed) {}

  // Any value, with inner whitespace here and there, at most `depth` containers deep. Keys of an
  // object differ.
  std::string value(std::size_t depth = 4) {
    if (depth == 0 || chance(2)) return scalar();
    return chance(2) ? array(depth) : object(depth);
  }

  std::string object(std::size_t depth = 4) {
    std::string out = "{";
    const std::size_t size = below(5);
    for (std::size_t i = 0; i < size; ++i) {
      if (i > 0) out += ",";
      // The number keeps keys apart; the text before it makes them ugly.
      const std::string key = '"' + characters() + std::to_string(i) + '"';
      out += space() + key + space() + ":" + space() + value(depth - 1) + space();
    }
    return out + "}";
  }

  // Content of a JSON string, escaped as it must be and sometimes where it need not be.
  std::string characters() {
    static constexpr std::array<std::string_view, 16> pieces = {
        "a",
        "key",
        " ",
        "\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "\\u0000",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\xC3\xA9",
        "\xE2\x80\xA8",
        "\xF0\x9F\x98\x80",
        "\x7F",
        "{[,:]}",
        "0123456789abcdefghijklmnopqrstuvwxyz"};
    std::string out;
    for (std::size_t n = below(4); n > 0; --n) out += pieces.at(below(pieces.size()));
    return out;
  }

  // The same text with one byte replaced, removed, added or doubled.
  std::string damaged(std::string text) {
    static constexpr std::string_view likely = "{}[],:\"\\tfn0-.e \n\x01\x80\xED\xFF";
    if (text.empty()) return text;
    const std::size_t at = below(text.size());
    const char byte = chance(2) ? likely[below(likely.size())] : static_cast<char>(below(256));
    switch (below(4)) {
      case 0: text[at] = byte; break;
      case 1: text.erase(at, 1); break;
      case 2: text.insert(at, 1, byte); break;
      default: text.insert(at, 1, text[at]); break;
    }
    return text;
  }

  bool chance(std::uint64_t one_in) { return below(one_in) == 0; }
  std::size_t below(std::uint64_t bound) { return static_cast<std::size_t>(random_.below(bound)); }

 private:
  std::string scalar() {
    static constexpr std::array<std::string_view, 14> scalars = {
        "true",   "false",
        "null",   "0",
        "-0",     "1",
        "-17",    "3.25",
        "1e3",    "-2E-7",
        "0.5e+9", "123456789012345678901234567890",
        "\"\"",   "9007199254740993"};
    if (chance(2)) return '"' + characters() + '"';
    return std::string(scalars.at(below(scalars.size())));
  }

  std::string array(std::size_t depth) {
    std::string out = "[";
    const std::size_t size = below(5);
    for (std::size_t i = 0; i < size; ++i) {
      if (i > 0) out += ",";
      out += space() + value(depth - 1) + space();
    }
    return out + "]";
  }

  std::string space() {
    static constexpr std::array<std::string_view, 4> spaces = {" ", "\n", "\t ", "\r\n"};
    return chance(6) ? std::string(spaces.at(below(spaces.size()))) : std::string();
  }

  SeededRandom random_;
};

}  // namespace actionflows::json::testing
