#include "server/http/metrics.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace actionflows::http {
namespace {

using namespace std::chrono_literals;

TEST(Metrics, WritesTheExpositionFormat) {
  Metrics metrics;
  metrics.counter("b_total", "Counted.", {{"route", "/v1/{id}"}, {"method", "GET"}}).add(3);
  metrics.counter("b_total", "Ignored.", {{"route", "/v1/{id}"}, {"method", "PUT"}});
  metrics.gauge("a", "Set.").set(-2);
  metrics.computed_gauge("c", "Asked for.", {}, [] { return 1.5; });
  EXPECT_EQ(metrics.text(),
            "# HELP a Set.\n# TYPE a gauge\na -2\n"
            "# HELP b_total Counted.\n# TYPE b_total counter\n"
            "b_total{route=\"/v1/{id}\",method=\"GET\"} 3\n"
            "b_total{route=\"/v1/{id}\",method=\"PUT\"} 0\n"
            "# HELP c Asked for.\n# TYPE c gauge\nc 1.5\n");
}

TEST(Metrics, EscapesHelpAndLabels) {
  Metrics metrics;
  metrics.counter("a", "back\\slash\nnew \"line\"", {{"l", "q\"b\\n\n"}}).add();
  EXPECT_EQ(metrics.text(),
            "# HELP a back\\\\slash\\nnew \"line\"\n# TYPE a counter\na{l=\"q\\\"b\\\\n\\n\"} 1\n");
}

TEST(Metrics, WritesHistogramsCumulatively) {
  Metrics metrics;
  const std::vector<std::chrono::nanoseconds> bounds{1ms, 2500us, 1s};
  Histogram& histogram = metrics.histogram("d_seconds", "Time.", {{"l", "v"}}, bounds);
  for (const auto duration : {500000ns, 1000000ns, 2000000ns, 3000000000ns})
    histogram.observe(duration);
  EXPECT_EQ(metrics.text(),
            "# HELP d_seconds Time.\n# TYPE d_seconds histogram\n"
            "d_seconds_bucket{l=\"v\",le=\"0.001\"} 2\n"
            "d_seconds_bucket{l=\"v\",le=\"0.0025\"} 3\n"
            "d_seconds_bucket{l=\"v\",le=\"1\"} 3\n"
            "d_seconds_bucket{l=\"v\",le=\"+Inf\"} 4\n"
            "d_seconds_sum{l=\"v\"} 3.0035\n"
            "d_seconds_count{l=\"v\"} 4\n");
}

TEST(Metrics, GivesTheSameSeriesAgain) {
  Metrics metrics;
  Counter& counter = metrics.counter("a", "", {{"l", "1"}});
  EXPECT_EQ(&metrics.counter("a", "", {{"l", "1"}}), &counter);
  EXPECT_NE(&metrics.counter("a", "", {{"l", "2"}}), &counter);
}

TEST(Metrics, RefusesWhatPrometheusWould) {
  Metrics metrics;
  for (const char* name : {"", "1a", "a-b", "a b", "a\n", "\xc3\xa9"})
    EXPECT_THROW(metrics.counter(name, ""), std::invalid_argument) << name;
  for (const char* label : {"", "1a", "a:b", "le", "__a", "a-b"})
    EXPECT_THROW(metrics.counter("a", "", {{label, ""}}), std::invalid_argument) << label;
  metrics.counter("a", "");
  EXPECT_THROW(metrics.gauge("a", ""), std::logic_error);
  EXPECT_THROW(metrics.computed_counter("a", "", {}, [] { return 0.0; }), std::logic_error);
  const std::vector<std::chrono::nanoseconds> descending{2ms, 1ms};
  EXPECT_THROW(metrics.histogram("h", "", {}, descending), std::invalid_argument);
  const std::vector<std::chrono::nanoseconds> many(Histogram::max_bounds + 1);
  EXPECT_THROW(metrics.histogram("h", "", {}, many), std::invalid_argument);
}

TEST(Metrics, CountsFromManyThreads) {
  Metrics metrics;
  Counter& counter = metrics.counter("a", "");
  Histogram& histogram = metrics.histogram("h", "");
  std::vector<std::thread> threads;
  for (int at = 0; at < 6; ++at) {
    threads.emplace_back([&] {
      for (int count = 0; count < 10'000; ++count) {
        counter.add();
        histogram.observe(1ms);
        if (count % 1000 == 0) (void)metrics.text();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 60'000U);
  EXPECT_EQ(histogram.snapshot().count, 60'000U);
  EXPECT_EQ(histogram.snapshot().sum, 60s);
}

}  // namespace
}  // namespace actionflows::http
