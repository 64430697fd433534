// How much longer than promised things may take in a test: tests run beside each other, on machines
// that are slow or busy with something else. What the promise is worth is a matter of benchmarks,
// and of runs with ACTIONFLOWS_STRICT=1 on a machine that does nothing else.
#pragma once

#include "tests/support/sanitized.hpp"

#include <chrono>
#include <cstdlib>

namespace actionflows::test {

// Times as long, or a part of the rate: 1 where ACTIONFLOWS_STRICT is set.
inline int slack() {
  if (std::getenv("ACTIONFLOWS_STRICT") != nullptr) return 1;
  return sanitized ? 10 : 3;
}

// The longest that a call with this deadline may take: a tenth more, by the promise.
inline std::chrono::milliseconds at_most(std::chrono::milliseconds deadline) {
  return deadline + slack() * deadline / 10;
}

}  // namespace actionflows::test
