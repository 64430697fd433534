// A program that a test runs beside itself: a Redis server, openssl. Gone with the test, also when
// the test is killed.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace actionflows::test {

// The file that a shell would run for `name`; nullopt: there is none.
std::optional<std::string> find_program(const std::string& name);

// Thread-safety: one caller at a time. The thread that starts it has to outlive it: the system
// kills it when that thread ends.
class Child {
 public:
  // `words` begins with the name that the program is called by, which may not be its file's. What
  // it prints goes to the end of the file `output`. Throws std::runtime_error when it can't be
  // started.
  Child(const std::string& file, std::vector<std::string> words, const std::string& output);
  ~Child() { kill(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // kill -9; returns when it is gone.
  void kill();
  // SIGSTOP; returns when it stands still.
  void stop();
  void go_on();

  [[nodiscard]] bool has_ended();
  // Its exit code; 128 + n: it was ended by signal n.
  int wait();

 private:
  void keep_status(int status);

  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

// Runs a program to its end. Throws std::runtime_error, with what it printed, when it fails.
void run_to_end(const std::vector<std::string>& words, const std::string& output);

}  // namespace actionflows::test
