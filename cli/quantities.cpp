#include "cli/quantities.hpp"

#include <fmt/core.h>

#include <array>
#include <charconv>
#include <istream>
#include <limits>
#include <ostream>

namespace actionflows::cli {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array durations = {
    Unit{.name = "ms", .factor = 1},         Unit{.name = "s", .factor = 1'000},
    Unit{.name = "min", .factor = 60'000},   Unit{.name = "h", .factor = 3'600'000},
    Unit{.name = "d", .factor = 86'400'000},
};

constexpr std::uint64_t longest_duration = 36'500 * durations.back().factor;

// The first three pairs are only read: what is written is binary.
constexpr std::array sizes = {
    Unit{.name = "kB", .factor = 1'000},
    Unit{.name = "MB", .factor = 1'000'000},
    Unit{.name = "GB", .factor = 1'000'000'000},
    Unit{.name = "", .factor = 1},
    Unit{.name = "KiB", .factor = std::uint64_t{1} << 10},
    Unit{.name = "MiB", .factor = std::uint64_t{1} << 20},
    Unit{.name = "GiB", .factor = std::uint64_t{1} << 30},
};

// The number times its unit's factor; nullopt for anything else and for what does not fit.
template <std::size_t Count>
std::optional<std::uint64_t> parse_with_unit(std::string_view text,
                                             const std::array<Unit, Count>& units) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [behind, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view name(behind, static_cast<std::size_t>(end - behind));
  for (const Unit& unit : units) {
    if (name != unit.name) continue;
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (number > most / unit.factor) return std::nullopt;
    return number * unit.factor;
  }
  if (name.empty() && number == 0) return 0;
  return std::nullopt;
}

template <class Quantity>
std::istream& read_word(std::istream& in, Quantity& quantity) {
  std::string word;
  in >> word;
  if (const auto parsed = Quantity::parse(word)) {
    quantity = *parsed;
  } else {
    in.setstate(std::ios::failbit);
  }
  return in;
}

// Whether this is a control character: of ASCII, or of C1 (U+0080 to U+009F, in two bytes).
bool is_control(std::string_view text, std::size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x20 || byte == 0x7F) return true;
  return byte == 0xC2 && at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) < 0xA0;
}

}  // namespace

std::string grouped(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", grouped(count), noun, count == 1 ? "" : "s");
}

std::string size_text(std::uint64_t bytes) {
  if (bytes < 1'000) return fmt::format("{} B", bytes);
  constexpr std::array names = {"kB", "MB", "GB", "TB", "PB", "EB"};
  auto amount = static_cast<double>(bytes) / 1'000;
  std::size_t unit = 0;
  // From 999.5 on it would be rounded to four digits.
  while (amount >= 999.5 && unit + 1 < names.size()) {
    amount /= 1'000;
    ++unit;
  }
  const int decimals = amount < 9.995 ? 2 : amount < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f} {}", amount, decimals, names[unit]);
}

std::string duration_text(std::chrono::nanoseconds duration) {
  using namespace std::chrono;
  if (duration < 999'500us) return fmt::format("{} ms", round<milliseconds>(duration).count());
  if (duration < 9'950ms)
    return fmt::format("{:.1f} s", std::chrono::duration<double>(duration).count());
  const auto in_seconds = round<seconds>(duration).count();
  if (in_seconds < 60) return fmt::format("{} s", in_seconds);
  if (in_seconds < 3'600) return fmt::format("{} min {} s", in_seconds / 60, in_seconds % 60);
  return fmt::format("{} h {} min", in_seconds / 3'600, in_seconds % 3'600 / 60);
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!is_control(text, at)) {
      out += text[at];
      continue;
    }
    // Of a C1 character, the second byte is the number of its code point.
    if (static_cast<unsigned char>(text[at]) == 0xC2) ++at;
    out += fmt::format("\\u{:04x}", static_cast<unsigned char>(text[at]));
  }
  return out;
}

std::optional<Duration> Duration::parse(std::string_view text) {
  const auto parsed = parse_with_unit(text, durations);
  if (!parsed || *parsed > longest_duration) return std::nullopt;
  return Duration{std::chrono::milliseconds(static_cast<std::int64_t>(*parsed))};
}

std::optional<Size> Size::parse(std::string_view text) {
  const auto parsed = parse_with_unit(text, sizes);
  if (!parsed) return std::nullopt;
  return Size{*parsed};
}

std::optional<Count> Count::parse(std::string_view text) {
  constexpr std::array plain = {Unit{.name = "", .factor = 1}};
  const auto parsed = parse_with_unit(text, plain);
  if (!parsed) return std::nullopt;
  return Count{*parsed};
}

std::istream& operator>>(std::istream& in, Duration& duration) { return read_word(in, duration); }
std::istream& operator>>(std::istream& in, Size& size) { return read_word(in, size); }
std::istream& operator>>(std::istream& in, Count& count) { return read_word(in, count); }

std::ostream& operator<<(std::ostream& out, const Count& count) { return out << count.value; }

std::ostream& operator<<(std::ostream& out, const Duration& duration) {
  const auto count = static_cast<std::uint64_t>(duration.value.count());
  if (count == 0) return out << "0";
  Unit best = durations.front();
  for (const Unit& unit : durations)
    if (count % unit.factor == 0) best = unit;
  return out << count / best.factor << best.name;
}

std::ostream& operator<<(std::ostream& out, const Size& size) {
  Unit best = {.name = "", .factor = 1};
  for (const Unit& unit : sizes)
    if (unit.name.ends_with("iB") && size.bytes != 0 && size.bytes % unit.factor == 0) best = unit;
  return out << size.bytes / best.factor << best.name;
}

}  // namespace actionflows::cli
