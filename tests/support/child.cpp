#include "tests/support/child.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace actionflows::test {

std::optional<std::string> find_program(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string file = folder.append("/").append(name);
    if (::access(file.c_str(), X_OK) == 0) return file;
  }
  return std::nullopt;
}

Child::Child(const std::string& file, std::vector<std::string> words, const std::string& output) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("can't fork");
  if (pid_ > 0) return;

  // In the new process, of which only this thread exists: nothing that takes a lock.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int null = ::open("/dev/null", O_RDONLY);
  const int out = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(null, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(out, STDERR_FILENO);
  ::execv(file.c_str(), arguments.data());
  ::_exit(127);
}

void Child::keep_status(int status) {
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void Child::kill() {
  if (exit_code_) return;
  ::kill(pid_, SIGKILL);
  wait();
}

void Child::stop() {
  if (exit_code_) return;
  ::kill(pid_, SIGSTOP);
  int status = 0;
  if (::waitpid(pid_, &status, WUNTRACED) == pid_ && !WIFSTOPPED(status)) keep_status(status);
}

void Child::go_on() {
  if (!exit_code_) ::kill(pid_, SIGCONT);
}

bool Child::has_ended() {
  int status = 0;
  if (!exit_code_ && ::waitpid(pid_, &status, WNOHANG) == pid_) keep_status(status);
  return exit_code_.has_value();
}

int Child::wait() {
  int status = 0;
  if (!exit_code_ && ::waitpid(pid_, &status, 0) == pid_) keep_status(status);
  return exit_code_.value_or(-1);
}

void run_to_end(const std::vector<std::string>& words, const std::string& output) {
  const auto file = find_program(words.at(0));
  if (!file) throw std::runtime_error("there is no " + words[0]);
  if (Child(*file, words, output).wait() == 0) return;
  std::ifstream in(output);
  throw std::runtime_error(words[0] +
                           " failed: " + std::string(std::istreambuf_iterator<char>(in), {}));
}

}  // namespace actionflows::test
