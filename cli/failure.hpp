// What ends a command early. The program says it in one line and exits with the code that fits.
#pragma once

#include <stdexcept>
#include <string>

namespace actionflows::cli {

// Exit code 1: it was tried and did not work.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Exit code 2: what was asked makes no sense, and nothing was tried.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace actionflows::cli
