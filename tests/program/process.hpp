// The program as its user runs it: a process, its output, its exit code.
#pragma once

#include "tests/support/folder.hpp"

#include <sys/types.h>

#include <csignal>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace actionflows::test {

// A file of tests/fixtures.
std::string fixture(const std::string& name);
// Recorded runs, far more and far odder than the fixtures: where there are any.
std::string recorded_runs();

struct ProcessOptions {
  std::string input = {};  // a file for standard input; empty: none
  // Set in its environment; of the test's own, nothing that the program looks at is left.
  std::vector<std::pair<std::string, std::string>> variables = {};
};

// The program with these arguments. Killed when it still runs at the end.
class Process {
 public:
  explicit Process(const std::vector<std::string>& arguments, const ProcessOptions& options = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // What it has printed up to now.
  [[nodiscard]] std::string out() const { return read_file(folder_.path("out")); }
  [[nodiscard]] std::string err() const { return read_file(folder_.path("err")); }

  void signal(int number) const;

  // Its exit code, 128 + n when signal n ended it; fails the test when it does not end in time.
  int wait();

  // Waits until it has printed `text` there; fails the test when it does not in time.
  [[nodiscard]] bool wait_for_out(std::string_view text) const;
  [[nodiscard]] bool wait_for_err(std::string_view text) const;
  // False when it ends without having printed it.
  [[nodiscard]] bool wait_for_out_or_end(std::string_view text);

 private:
  bool has_ended();

  Folder folder_;
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

struct Finished {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// Runs it to its end.
Finished run_program(const std::vector<std::string>& arguments, const ProcessOptions& options = {});

// `actionflows serve` on a free port, ready for requests.
class ServerProcess {
 public:
  explicit ServerProcess(std::vector<std::string> arguments = {},
                         const ProcessOptions& options = {});

  [[nodiscard]] const std::string& url() const { return url_; }
  [[nodiscard]] Process& process() { return process_; }

 private:
  Process process_;
  std::string url_;
};

}  // namespace actionflows::test
