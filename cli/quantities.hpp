// Numbers as people read and write them: counts, sizes, durations.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows::cli {

// 6690 -> "6,690".
std::string grouped(std::uint64_t count);

// "1 line", "272 lines": the plural is made by adding an s.
std::string counted(std::uint64_t count, std::string_view noun);

// Three digits and a decimal unit: "999 B", "12.9 MB".
std::string size_text(std::uint64_t bytes);

// "35 ms", "1.9 s", "2 min 3 s", "4 h 12 min".
std::string duration_text(std::chrono::nanoseconds duration);

// `text` fit for a terminal and for one line: control characters as \u escapes.
std::string printable(std::string_view text);

// A duration as a setting: a whole number and ms, s, min, h or d; "0" alone is fine. Written with
// the largest unit that leaves it whole, so that what is shown can be given. At most a century, so
// that a few of them can be added to a time, in nanoseconds too.
struct Duration {
  static constexpr std::string_view rule =
      "a whole number with ms, s, min, h or d, such as 90s, up to 36500d";
  std::chrono::milliseconds value{0};

  static std::optional<Duration> parse(std::string_view text);
  friend bool operator==(const Duration&, const Duration&) = default;
};

// A size as a setting: a whole number of bytes, or with KiB, MiB, GiB, kB, MB, GB. Written with the
// largest binary unit that leaves it whole.
struct Size {
  static constexpr std::string_view rule =
      "a whole number of bytes, or with KiB, MiB, GiB, kB, MB or GB, such as 5MiB";
  std::uint64_t bytes = 0;

  static std::optional<Size> parse(std::string_view text);
  friend bool operator==(const Size&, const Size&) = default;
};

// A whole number as a setting: digits only. CLI11 alone would take -1 for a very large one.
struct Count {
  static constexpr std::string_view rule = "a whole number up to 9223372036854775807";
  std::uint64_t value = 0;

  static std::optional<Count> parse(std::string_view text);
  friend bool operator==(const Count&, const Count&) = default;
};

// What CLI11 reads and shows them by. Reading anything else fails the stream.
std::istream& operator>>(std::istream& in, Duration& duration);
std::ostream& operator<<(std::ostream& out, const Duration& duration);
std::istream& operator>>(std::istream& in, Size& size);
std::ostream& operator<<(std::ostream& out, const Size& size);
std::istream& operator>>(std::istream& in, Count& count);
std::ostream& operator<<(std::ostream& out, const Count& count);

}  // namespace actionflows::cli
