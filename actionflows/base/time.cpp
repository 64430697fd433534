#include "actionflows/base/time.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace actionflows {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;

constexpr Timestamp earliest = sys_days{std::chrono::year{0} / 1 / 1};
constexpr Timestamp latest = sys_days{std::chrono::year{10000} / 1 / 1} - milliseconds{1};

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Consumes a text from its front; any failed step leaves `ok` false for good.
struct Scanner {
  std::string_view rest;
  bool ok = true;

  unsigned number(std::size_t digits) {
    unsigned value = 0;
    if (rest.size() < digits) ok = false;
    for (std::size_t i = 0; ok && i < digits; ++i) {
      ok = is_digit(rest[i]);
      value = value * 10 + static_cast<unsigned>(rest[i] - '0');
    }
    if (ok) rest.remove_prefix(digits);
    return value;
  }

  bool take(char a, char b) {
    if (rest.empty() || (rest[0] != a && rest[0] != b)) return false;
    rest.remove_prefix(1);
    return true;
  }
  void expect(char a, char b) { ok = take(a, b) && ok; }
  void expect(char c) { expect(c, c); }

  // ".375" and finer, as milliseconds.
  milliseconds fraction() {
    if (!take('.', '.')) return milliseconds{0};
    int value = 0;
    std::size_t digits = 0;
    for (; digits < rest.size() && is_digit(rest[digits]); ++digits)
      if (digits < 3) value = value * 10 + (rest[digits] - '0');
    ok = ok && digits > 0;
    for (std::size_t i = digits; i < 3; ++i) value *= 10;
    rest.remove_prefix(digits);
    return milliseconds{value};
  }

  minutes offset() {
    if (take('Z', 'z')) return minutes{0};
    const bool west = take('-', '-');
    if (!west) expect('+');
    const unsigned hour = number(2);
    expect(':');
    const unsigned minute = number(2);
    ok = ok && hour < 24 && minute < 60;
    const minutes ahead = hours{hour} + minutes{minute};
    return west ? -ahead : ahead;
  }
};

[[gnu::noinline]] std::optional<Timestamp> parse_any_form(std::string_view text) noexcept {
  Scanner in{text};
  const unsigned year = in.number(4);
  in.expect('-');
  const unsigned month = in.number(2);
  in.expect('-');
  const unsigned day = in.number(2);
  in.expect('T', 't');
  const unsigned hour = in.number(2);
  in.expect(':');
  const unsigned minute = in.number(2);
  in.expect(':');
  const unsigned second = in.number(2);
  const milliseconds fraction = in.fraction();
  const minutes offset = in.offset();

  const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(year)},
                                         std::chrono::month{month}, std::chrono::day{day}};
  if (!in.ok || !in.rest.empty() || !date.ok()) return std::nullopt;
  if (hour > 23 || minute > 59 || second > 60) return std::nullopt;
  const Timestamp time =
      sys_days{date} + hours{hour} + minutes{minute} + seconds{second} + fraction - offset;
  if (time < earliest || time > latest) return std::nullopt;
  return time;
}

// Eight characters of a fixed form such as "0000-00-", in which 0 stands for any digit, read as one
// word: the common timestamp is three of them.
class Eight {
 public:
  consteval explicit Eight(const char (&form)[9]) {
    for (unsigned i = 0; i < 8; ++i) {
      const bool digit = form[i] == '0';
      form_ |= std::uint64_t{static_cast<unsigned char>(form[i])} << (8 * i);
      slack_ |= std::uint64_t{digit ? 0x76U : 0x7FU} << (8 * i);
    }
  }

  // Reads the eight characters from `at` on. Puts the number made of the digits at i and i + 1 into
  // byte i of `pairs`, for all i at once; false if they do not have the form.
  bool read(std::string_view text, std::size_t at, std::uint64_t& pairs) const noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, &text[at], sizeof word);
    word ^= form_;  // now a digit is its value, any other expected character is 0
    pairs = word * 10 + (word >> 8U);
    return (((word + slack_) | word) & 0x8080808080808080U) == 0;
  }

 private:
  std::uint64_t form_ = 0;
  std::uint64_t slack_ = 0;  // added to a byte, sets its top bit if the byte is too large
};

constexpr unsigned byte(std::uint64_t word, unsigned i) { return word >> (8 * i) & 0xFFU; }

// Reads the form that format_rfc3339 writes, which is nearly all there is to read; false for
// others, valid or not.
bool parse_own_form(std::string_view text, Timestamp& out) noexcept {
  constexpr Eight first("0000-00-");
  constexpr Eight second("00T00:00");
  constexpr Eight third(":00.000Z");
  if (std::endian::native != std::endian::little || text.size() != rfc3339_length) return false;
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
  bool ok = first.read(text, 0, a);
  ok &= second.read(text, 8, b);
  ok &= third.read(text, 16, c);
  const std::chrono::year_month_day date{
      std::chrono::year{static_cast<int>(byte(a, 0) * 100 + byte(a, 2))},
      std::chrono::month{byte(a, 5)}, std::chrono::day{byte(b, 0)}};
  const unsigned hour = byte(b, 3);
  const unsigned minute = byte(b, 6);
  const unsigned second_of_minute = byte(c, 1);
  if (!ok || !date.ok() || hour > 23 || minute > 59 || second_of_minute > 59) return false;
  const unsigned fraction = byte(c, 4) * 10 + byte(c, 6) / 10;
  const unsigned in_day = (hour * 60 + minute) * 60'000 + second_of_minute * 1'000 + fraction;
  out = sys_days{date} + milliseconds{in_day};
  return true;
}

void put_digits(char*& out, unsigned value, int digits) noexcept {
  for (int i = digits - 1; i >= 0; --i, value /= 10) out[i] = static_cast<char>('0' + value % 10);
  out += digits;
}

}  // namespace

std::optional<Timestamp> parse_rfc3339(std::string_view text) noexcept {
  if (Timestamp time; parse_own_form(text, time)) return time;
  return parse_any_form(text);
}

void format_rfc3339(Timestamp time, char* out) noexcept {
  time = std::clamp(time, earliest, latest);
  const auto day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date{day};
  const auto in_day = static_cast<unsigned>((time - day).count());
  put_digits(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  *out++ = '-';
  put_digits(out, static_cast<unsigned>(date.month()), 2);
  *out++ = '-';
  put_digits(out, static_cast<unsigned>(date.day()), 2);
  *out++ = 'T';
  put_digits(out, in_day / 3'600'000, 2);
  *out++ = ':';
  put_digits(out, in_day / 60'000 % 60, 2);
  *out++ = ':';
  put_digits(out, in_day / 1'000 % 60, 2);
  *out++ = '.';
  put_digits(out, in_day % 1'000, 3);
  *out = 'Z';
}

std::string format_rfc3339(Timestamp time) {
  std::string text(rfc3339_length, '\0');
  format_rfc3339(time, text.data());
  return text;
}

}  // namespace actionflows
