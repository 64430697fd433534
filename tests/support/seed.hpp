// The seed of a random test: ACTIONFLOWS_SEED where it is set, else a new one; printed, so that a
// failed run can be repeated.
#pragma once

#include "actionflows/base/random.hpp"

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>

namespace actionflows::test {

// An unsigned number from the environment; nullopt: not set. Throws std::invalid_argument for
// anything else, so that a mistyped seed is not silently another one.
inline std::optional<std::uint64_t> number_from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::stoull(text);
}

// The same for the whole process.
inline std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const auto given = number_from_environment("ACTIONFLOWS_SEED");
    const std::uint64_t chosen = given ? *given : system_random().next();
    std::cout << "to repeat this run: ACTIONFLOWS_SEED=" << chosen << std::endl;
    return chosen;
  }();
  return seed;
}

}  // namespace actionflows::test
