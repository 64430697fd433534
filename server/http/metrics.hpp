// Counters, gauges and histograms, and their text for Prometheus (exposition format 0.0.4).
//
// Series are made once, at start or at first use, and kept by reference; counting is then a relaxed
// atomic addition on a cache line that the thread rarely shares.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace actionflows::http {

// Thread-safety of all series: shared objects: safe, without locks.
class Counter {
 public:
  void add(std::uint64_t amount = 1) noexcept;
  [[nodiscard]] std::uint64_t value() const noexcept;

 private:
  struct alignas(64) Shard {
    std::atomic<std::uint64_t> count{0};
  };
  std::array<Shard, 4> shards_;
};

class Gauge {
 public:
  void set(std::int64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  void add(std::int64_t amount) noexcept { value_.fetch_add(amount, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t value() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Durations, counted in buckets by their upper bounds.
class Histogram {
 public:
  // 100 us to 10 s, about three a decade.
  static std::span<const std::chrono::nanoseconds> default_bounds() noexcept;

  // Bounds ascend; what is above the last is counted too. At most `max_bounds` of them: throws
  // std::invalid_argument.
  static constexpr std::size_t max_bounds = 22;
  explicit Histogram(std::span<const std::chrono::nanoseconds> bounds);

  void observe(std::chrono::nanoseconds duration) noexcept;

  struct Snapshot {
    std::vector<std::uint64_t> counts;  // per bucket, the last for what is above every bound
    std::uint64_t count = 0;
    std::chrono::nanoseconds sum{0};
  };
  [[nodiscard]] Snapshot snapshot() const;
  [[nodiscard]] std::span<const std::chrono::nanoseconds> bounds() const noexcept {
    return bounds_;
  }

 private:
  struct alignas(64) Shard {
    std::atomic<std::int64_t> sum{0};  // nanoseconds
    std::array<std::atomic<std::uint64_t>, max_bounds + 1> counts{};
  };
  std::vector<std::chrono::nanoseconds> bounds_;
  std::array<Shard, 4> shards_;
};

// {{"route", "/v1/sessions/{id}"}, {"method", "GET"}}
using Labels = std::vector<std::pair<std::string, std::string>>;

// Thread-safety: shared objects: safe.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  // The series of that name and those labels, made at the first call; the reference lives as long
  // as the registry. All series of a name share their kind and the help of the first call. Throws
  // std::invalid_argument for a name or label that Prometheus does not accept, std::logic_error for
  // a name used for another kind.
  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& histogram(
      std::string_view name, std::string_view help, const Labels& labels = {},
      std::span<const std::chrono::nanoseconds> bounds = Histogram::default_bounds());

  // A gauge or a counter whose value is asked for at each `text()`, from its thread.
  void computed_gauge(std::string_view name, std::string_view help, const Labels& labels,
                      std::function<double()> value);
  void computed_counter(std::string_view name, std::string_view help, const Labels& labels,
                        std::function<double()> value);

  // All of it, families in order of name, series in order of their making.
  [[nodiscard]] std::string text() const;

  static constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace actionflows::http
