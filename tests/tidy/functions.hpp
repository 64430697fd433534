// Where the functions of a source begin and end.
#pragma once

#include "tests/tidy/source.hpp"

#include <cstddef>
#include <vector>

namespace actionflows::tidy {

// Lines from 0: from the first of the signature to the one that closes the body.
struct Function {
  std::size_t first_line = 0;
  std::size_t last_line = 0;
};

// Every function with a body, tests (TEST macros) included. What is defined inside of another, like
// a lambda, counts as its part. Found by braces and what stands before them, which is enough for
// formatted code.
std::vector<Function> functions_of(const Source& source);

}  // namespace actionflows::tidy
