// The program as a function: what main calls.
#pragma once

namespace actionflows::cli {

// Returns the exit code: 0 done, 1 failed, 2 wrong usage. Results go to standard output, all else
// to standard error.
int run_program(int argc, const char* const* argv);

}  // namespace actionflows::cli
