// The deterministic simulation of ResilientStorage: several processes on one store, with faults,
// crashes and clients, all on one thread and on a clock that jumps. A seed gives the same run
// every time.
#pragma once

#include <cstdint>
#include <string>

namespace actionflows::test {

struct Outcome {
  std::string broken;  // the first promise that was broken, in plain words; empty: none
  // What happened, so that a set of runs can be seen to have tried what it is there to try.
  int acknowledged = 0;
  int degraded = 0;  // acknowledged while the primary was away
  int crashes = 0;
  int restarts = 0;        // of the primary, with its data
  int empty_restarts = 0;  // of the primary, without
  int conflicts = 0;
  int set_aside = 0;  // operations that could not be merged or were lost
};

Outcome simulate(std::uint64_t seed);

}  // namespace actionflows::test
