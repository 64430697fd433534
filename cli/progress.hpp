// Progress of long work, on standard error: a bar on a terminal, else a line every few seconds.
#pragma once

#include "actionflows/base/clock.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows::cli {

// How far the work is. `done` and `total` share any unit: bytes of input, sessions.
struct Advance {
  std::uint64_t items = 0;
  std::uint64_t done = 0;
  std::optional<std::uint64_t> total = {};  // nullopt: not known
};

// "import  46 % [#######---------]  1,234 lines  312 lines/s  12 s left", at most `columns` long.
std::string bar_text(std::string_view what, std::string_view unit, const Advance& advance,
                     std::chrono::nanoseconds elapsed, std::size_t columns);

// "import: 1,234 lines, 46 %, 312 lines/s, 12 s left".
std::string line_text(std::string_view what, std::string_view unit, const Advance& advance,
                      std::chrono::nanoseconds elapsed);

struct ProgressOptions {
  std::string what;  // "import"
  std::string unit;  // of the items: "line"
  bool quiet = false;
};

// Not for sharing between threads.
class Progress {
 public:
  // On standard error, which is a terminal or not.
  explicit Progress(ProgressOptions options);
  // `out` and `clock` must outlive it. `columns`: of the terminal; 0: it is none.
  Progress(ProgressOptions options, std::FILE* out, std::size_t columns, Clock& clock);
  // Takes the bar away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Shows it where it is time to. Cheap: call it as often as there is something new.
  void update(const Advance& advance);

  // A line of its own, also when quiet; the bar comes back behind it.
  void say(std::string_view line);

  [[nodiscard]] std::chrono::nanoseconds elapsed() const;

 private:
  void hide_bar();

  // constant after construction
  const ProgressOptions options_;
  std::FILE* const out_;
  const std::size_t columns_;
  Clock& clock_;
  const Clock::Monotonic start_;

  Clock::Monotonic next_;  // when to show it again
  bool bar_shown_ = false;
};

}  // namespace actionflows::cli
