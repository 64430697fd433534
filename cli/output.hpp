// Where a command's result goes: standard output, or a file that appears whole or not at all.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace actionflows::cli {

// Not for sharing between threads.
class Output {
 public:
  // `file` empty: standard output. A file is written beside its place, under its name and
  // ".partial", and takes its place in `finish`; what is no regular file (a pipe, /dev/null) is
  // written to directly. Throws Failure when it can't be made.
  explicit Output(std::string file);
  // Without `finish`, nothing is left of a file.
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // Throws Failure when it can't be written: the disk is full, ...
  void write(std::string_view text);

  // Everything is on the disk (or with the system, where it is no file). Throws Failure.
  void finish();
  // The same for what is not whole: a file stays beside its place, which keeps what it had. Returns
  // where; empty: it is no file, and everything was written.
  std::string finish_partial();

  // Of what has been written.
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  [[noreturn]] void fail() const;

  const std::string file_;
  std::string partial_;  // empty: written to directly
  std::FILE* out_;
  std::uint64_t bytes_ = 0;
};

}  // namespace actionflows::cli
