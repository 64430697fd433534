// The deterministic simulation of ResilientStorage: several processes on one store, with faults,
// crashes and clients, all on one thread and on a clock that jumps. A seed gives the same run
// every time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace actionflows::test {

struct Outcome {
  std::string broken;  // the first promise that was broken, in plain words; empty: none
  // What happened, so that a set of runs can be seen to have tried what it is there to try.
  int acknowledged = 0;
  int degraded = 0;  // acknowledged while the primary was away
  int repeated = 0;  // asked for once more by their clients
  int touches = 0;   // acknowledged
  int crashes = 0;
  int restarts = 0;        // of the primary, with its data
  int empty_restarts = 0;  // of the primary, without
  int older_restarts = 0;  // of the primary, with older data
  int refusals = 0;        // times in which the primary was full
  int conflicts = 0;
  int set_aside = 0;  // operations that could not be merged or were lost
  int retried = 0;    // of those
  int dropped = 0;    // likewise
  int deleted = 0;    // sessions
  int expired = 0;    // sessions
  int archived = 0;   // chains
  int rewinds = 0;    // that followers were told of
};

// `tell`: is told what happens, one line each.
Outcome simulate(std::uint64_t seed, std::function<void(std::string_view)> tell = {});

}  // namespace actionflows::test
