#include "cli/progress.hpp"

#include "cli/quantities.hpp"

#include <fmt/core.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace actionflows::cli {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

constexpr nanoseconds bar_interval = 100ms;
constexpr nanoseconds line_interval = 5s;
constexpr std::size_t narrowest_bar = 10;
constexpr std::size_t widest_bar = 40;

std::optional<double> share_of(const Advance& advance) {
  if (!advance.total) return std::nullopt;
  if (*advance.total == 0) return 1.0;
  return std::min(1.0, static_cast<double>(advance.done) / static_cast<double>(*advance.total));
}

std::string percent_text(double share) {
  // Cut, not rounded: 100 % is said when it is done.
  return fmt::format("{} %", static_cast<int>(share * 100));
}

std::string rate_text(std::uint64_t items, nanoseconds elapsed, std::string_view unit) {
  const double seconds = std::chrono::duration<double>(elapsed).count();
  if (seconds <= 0) return {};
  const double rate = static_cast<double>(items) / seconds;
  if (rate < 10) return fmt::format("{:.1f} {}s/s", rate, unit);
  return fmt::format("{} {}s/s", grouped(static_cast<std::uint64_t>(std::llround(rate))), unit);
}

// Empty as long as it is a mere guess.
std::string left_text(std::optional<double> share, nanoseconds elapsed) {
  if (!share || *share < 0.01 || *share >= 1 || elapsed < 1s) return {};
  const double factor = (1 - *share) / *share;
  return duration_text(nanoseconds(std::llround(static_cast<double>(elapsed.count()) * factor))) +
         " left";
}

std::size_t terminal_columns() {
  if (::isatty(STDERR_FILENO) == 0) return 0;
  winsize size = {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace

std::string bar_text(std::string_view what, std::string_view unit, const Advance& advance,
                     nanoseconds elapsed, std::size_t columns) {
  const auto share = share_of(advance);
  std::string tail = "  " + counted(advance.items, unit);
  for (const std::string& part :
       {rate_text(advance.items, elapsed, unit), left_text(share, elapsed)})
    if (!part.empty()) tail += "  " + part;

  std::string text(what);
  if (share) {
    text += fmt::format(" {:>5}", percent_text(*share));
    const std::size_t around = text.size() + tail.size() + 3;  // a space and the brackets
    if (columns >= around + narrowest_bar) {
      const std::size_t width = std::min(columns - around, widest_bar);
      const auto full = static_cast<std::size_t>(*share * static_cast<double>(width));
      text += fmt::format(" [{}{}]", std::string(full, '#'), std::string(width - full, '-'));
    }
  }
  text += tail;
  return text.substr(0, columns);
}

std::string line_text(std::string_view what, std::string_view unit, const Advance& advance,
                      nanoseconds elapsed) {
  const auto share = share_of(advance);
  std::string text = fmt::format("{}: {}", what, counted(advance.items, unit));
  if (share) text += ", " + percent_text(*share);
  for (const std::string& part :
       {rate_text(advance.items, elapsed, unit), left_text(share, elapsed)})
    if (!part.empty()) text += ", " + part;
  return text;
}

Progress::Progress(ProgressOptions options)
    : Progress(std::move(options), stderr, terminal_columns(), system_clock()) {}

Progress::Progress(ProgressOptions options, std::FILE* out, std::size_t columns, Clock& clock)
    : options_(std::move(options)),
      out_(out),
      columns_(columns),
      clock_(clock),
      start_(clock.monotonic()),
      next_(start_ + (columns == 0 ? line_interval : bar_interval)) {}

Progress::~Progress() { hide_bar(); }

void Progress::update(const Advance& advance) {
  if (options_.quiet) return;
  const Clock::Monotonic now = clock_.monotonic();
  if (now < next_) return;
  next_ = now + (columns_ == 0 ? line_interval : bar_interval);
  if (columns_ == 0) {
    fmt::print(out_, "{}\n", line_text(options_.what, options_.unit, advance, now - start_));
  } else {
    // One column is left free: a full line would wrap on some terminals.
    fmt::print(out_, "\r\x1b[K{}",
               bar_text(options_.what, options_.unit, advance, now - start_, columns_ - 1));
    bar_shown_ = true;
  }
  std::fflush(out_);
}

void Progress::say(std::string_view line) {
  hide_bar();
  fmt::print(out_, "{}\n", line);
  std::fflush(out_);
}

nanoseconds Progress::elapsed() const { return clock_.monotonic() - start_; }

void Progress::hide_bar() {
  if (!std::exchange(bar_shown_, false)) return;
  fmt::print(out_, "\r\x1b[K");
  std::fflush(out_);
}

}  // namespace actionflows::cli
