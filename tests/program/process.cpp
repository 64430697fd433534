#include "tests/program/process.hpp"

#include "tests/support/wait_until.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace actionflows::test {
namespace {

// What a program started here looks at: nothing that happens to be set.
bool belongs_to_program(std::string_view variable) {
  return variable.starts_with("ACTIONFLOWS_") || variable.starts_with("PORT=") ||
         variable.starts_with("NODE_ENV=") || variable.starts_with("REDIS_URL=");
}

std::vector<std::string> environment_with(
    const std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (!belongs_to_program(*entry)) all.emplace_back(*entry);
  for (const auto& [name, value] : variables) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers_of(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

std::string fixture(const std::string& name) {
  return std::string(PROJECT_DIR "/tests/fixtures/").append(name);
}

std::string recorded_runs() {
  if (const char* const given = std::getenv("ACTIONFLOWS_RUNS")) return given;
  return std::string(PROJECT_DIR) + "/../shared/data/runs-dev.ndjson.gz";
}

Process::Process(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  std::vector<std::string> texts = {PROGRAM};
  texts.insert(texts.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = environment_with(options.variables);
  const std::string input = options.input.empty() ? "/dev/null" : options.input;

  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, input.c_str(), O_RDONLY, 0);
  for (const auto& [descriptor, name] :
       {std::pair(STDOUT_FILENO, "out"), std::pair(STDERR_FILENO, "err")}) {
    ::posix_spawn_file_actions_addopen(&files, descriptor, folder_.path(name).c_str(),
                                       O_WRONLY | O_CREAT | O_APPEND, 0600);
  }
  const int error = ::posix_spawn(&pid_, PROGRAM, &files, nullptr, pointers_of(texts).data(),
                                  pointers_of(variables).data());
  ::posix_spawn_file_actions_destroy(&files);
  if (error != 0) {
    ADD_FAILURE() << "can't start " << PROGRAM << ": " << std::strerror(error);
    pid_ = -1;
    exit_code_ = -1;
  }
}

Process::~Process() {
  if (exit_code_) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
}

void Process::signal(int number) const {
  if (!exit_code_) ::kill(pid_, number);
}

bool Process::has_ended() {
  int status = 0;
  if (!exit_code_ && ::waitpid(pid_, &status, WNOHANG) == pid_)
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_.has_value();
}

int Process::wait() {
  if (wait_until([&] { return has_ended(); })) return *exit_code_;
  ADD_FAILURE() << "the program still runs; it printed\n" << out() << err();
  return -1;
}

bool Process::wait_for_out(std::string_view text) const {
  return wait_until([&] { return out().find(text) != std::string::npos; });
}

bool Process::wait_for_err(std::string_view text) const {
  return wait_until([&] { return err().find(text) != std::string::npos; });
}

bool Process::wait_for_out_or_end(std::string_view text) {
  const auto printed = [&] { return out().find(text) != std::string::npos; };
  return wait_until([&] { return printed() || has_ended(); }) && printed();
}

Finished run_program(const std::vector<std::string>& arguments, const ProcessOptions& options) {
  Process process(arguments, options);
  const int exit_code = process.wait();
  return {.exit_code = exit_code, .out = process.out(), .err = process.err()};
}

namespace {

std::vector<std::string> serve_arguments(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"serve", "--port", "0"});
  return arguments;
}

}  // namespace

ServerProcess::ServerProcess(std::vector<std::string> arguments, const ProcessOptions& options)
    : process_(serve_arguments(std::move(arguments)), options) {
  if (!process_.wait_for_err("event=listening")) {
    ADD_FAILURE() << "the server does not listen: " << process_.err();
    return;
  }
  const std::string log = process_.err();
  const std::size_t begin = log.find("url=") + 4;
  url_ = log.substr(begin, log.find(' ', begin) - begin);
}

}  // namespace actionflows::test
