// The lines of a file or of standard input, unpacked where they are gzipped.
#pragma once

#include "actionflows/services/interchange.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows::cli {

// Memory: a line at a time. Not for sharing between threads.
class LineReader {
 public:
  // Opens `file`; "-" is standard input. Whether it is gzipped (one member or several, and nothing
  // else behind them) is seen from its first bytes, not from its name. Throws Failure when it can't
  // be read.
  explicit LineReader(const std::string& file, std::size_t longest = max_line_bytes);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  struct Line {
    std::uint64_t number = 0;  // from 1, blank ones counted
    std::string text;          // without its line end, \n or \r\n; empty when too long
    bool too_long = false;     // passed over: longer than `longest`
  };

  // The next line that is not blank; nullopt: there are no more. Throws Failure, once what stands
  // before has been handed out, when reading fails or the gzip data is damaged or breaks off; the
  // piece of a line in front of that is no line.
  std::optional<Line> next();

  // How far reading has come, in bytes of the file as it lies there, and how long that is; nullopt:
  // not known, as of a pipe.
  [[nodiscard]] std::uint64_t position() const;
  [[nodiscard]] std::optional<std::uint64_t> size() const;

  // Lines so far, blank ones included, and their bytes, unpacked.
  [[nodiscard]] std::uint64_t lines() const;
  [[nodiscard]] std::uint64_t bytes() const;

 private:
  struct Input;
  std::unique_ptr<Input> input_;
};

}  // namespace actionflows::cli
