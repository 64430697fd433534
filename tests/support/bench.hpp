// What benchmarks share: figures that are held against a limit, measured in the same run.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

namespace actionflows::test {

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Whether more or less is better.
enum class Limit { at_least, at_most };

// `ratio`: 1 or more is kept, whichever way the limit points.
inline void tell(benchmark::State& state, double figure, Limit kind, double limit) {
  state.counters["figure"] = figure;
  state.counters["limit"] = limit;
  state.counters["ratio"] = kind == Limit::at_least ? figure / limit : limit / figure;
}

inline double seconds_of(const std::function<void()>& work) {
  const auto begun = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

// That `measured` is at least `share` of `yardstick`. The ratio is the median of the rounds'
// quotients: what disturbs the machine disturbs both sides of a round.
inline void compare(benchmark::State& state, const std::function<double()>& measured,
                    const std::function<double()>& yardstick, double share, int rounds = 5) {
  for (auto _ : state) {
    std::vector<double> figures;
    std::vector<double> limits;
    std::vector<double> quotients;
    for (int round = 0; round < rounds; ++round) {
      limits.push_back(share * yardstick());
      figures.push_back(measured());
      quotients.push_back(figures.back() / limits.back());
    }
    tell(state, median(figures), Limit::at_least, median(limits));
    state.counters["ratio"] = median(quotients);
  }
}

}  // namespace actionflows::test
