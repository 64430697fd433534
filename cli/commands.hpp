// The program's commands. Each function adds one to the program: its flags, its help, and what
// `action` becomes when it is the one that was asked for.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace actionflows::cli {

// Runs the command and returns the exit code. Throws UsageError, or anything else for a failure.
using Action = std::function<int()>;

inline constexpr int exit_done = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_wrong_usage = 2;

void add_serve(CLI::App& program, Action& action);
void add_import(CLI::App& program, Action& action);
void add_export(CLI::App& program, Action& action);
void add_verify(CLI::App& program, Action& action);
void add_tail(CLI::App& program, Action& action);
void add_journal(CLI::App& program, Action& action);

}  // namespace actionflows::cli
