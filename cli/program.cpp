#include "cli/program.hpp"

#include "cli/commands.hpp"
#include "cli/failure.hpp"
#include "cli/flags.hpp"
#include "cli/quantities.hpp"

#include <fmt/core.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

namespace actionflows::cli {
namespace {

constexpr const char* footer =
    "Each flag that shows one has a variable of the same name: --idle-timeout is\n"
    "ACTIONFLOWS_IDLE_TIMEOUT. A DURATION is a whole number with ms, s, min, h or d (90s), a SIZE\n"
    "one of bytes, or with KiB, MiB, GiB, kB, MB or GB (5MiB).\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage.";

int fail(std::string_view what, int code) {
  std::fflush(stdout);
  fmt::print(stderr, "actionflows: {}\n", printable(what));
  return code;
}

int act(const Action& action) {
  try {
    const int code = action();
    if (std::fflush(stdout) != 0)
      return fail(std::string("can't write to standard output: ") + std::strerror(errno),
                  exit_failed);
    return code;
  } catch (const UsageError& error) {
    return fail(error.what(), exit_wrong_usage);
  } catch (const std::bad_alloc&) {
    return fail("out of memory", exit_failed);
  } catch (const std::exception& error) {
    return fail(error.what(), exit_failed);
  }
}

// The word that stands where the name of a command should; empty: there is none.
std::string unknown_command(const CLI::App& app) {
  const std::vector<CLI::App*> asked = app.get_subcommands();
  if (!asked.empty()) return unknown_command(*asked.front());
  const std::vector<std::string> rest = app.remaining();
  return app.get_require_subcommand_min() == 0 || rest.empty() ? std::string() : rest.front();
}

// A variable whose value does not fit is refused like a flag's; newer CLI11 passes over it.
void take_refused_variables(CLI::App& command) {
  for (CLI::Option* const option : command.get_options()) {
    if (option->get_envname().empty() || !option->empty()) continue;
    const std::string value = environment(option->get_envname());
    if (value.empty()) continue;
    option->add_result(value);
    option->run_callback();  // throws
  }
  for (CLI::App* const asked : command.get_subcommands()) take_refused_variables(*asked);
}

}  // namespace

int run_program(int argc, const char* const* argv) {
  CLI::App program("Typed, validated, atomic storage of sessions, chains and steps.",
                   "actionflows");
  program.footer(footer);
  program.set_version_flag("--version", "actionflows " ACTIONFLOWS_VERSION);
  program.require_subcommand(1);
  // The variables of a command that was not asked for are not even looked at.
  program.immediate_callback();

  Action action;
  add_serve(program, action);
  add_import(program, action);
  add_export(program, action);
  add_verify(program, action);
  add_tail(program, action);
  add_journal(program, action);
  try {
    program.parse(argc, argv);
    take_refused_variables(program);
  } catch (const CLI::Success& asked) {  // --help, --version
    return program.exit(asked);
  } catch (const CLI::ParseError& error) {
    const std::string word = unknown_command(program);
    const std::string what =
        word.empty() ? error.what() : fmt::format("\"{}\" is not the name of a command", word);
    fmt::print(stderr, "actionflows: {}\nTry --help.\n", printable(what));
    return exit_wrong_usage;
  }
  return act(action);
}

}  // namespace actionflows::cli
