#include "server/http/metrics.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <deque>
#include <map>
#include <mutex>
#include <stdexcept>
#include <variant>

namespace actionflows::http {
namespace {

using std::chrono::nanoseconds;

// Threads take shards in turn, so that up to four of them count without sharing a cache line.
std::size_t my_shard() noexcept {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t shard = next.fetch_add(1, std::memory_order_relaxed) % 4;
  return shard;
}

bool is_name(std::string_view text, bool colon_allowed) noexcept {
  const auto fits = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c == ':' && colon_allowed);
  };
  return !text.empty() && !(text.front() >= '0' && text.front() <= '9') &&
         std::all_of(text.begin(), text.end(), fits);
}

std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

std::string number(double value) {
  // Whole numbers as people write them: the shortest form of 900000 would be 9e+05.
  constexpr double largest_exact = 9007199254740992;
  const bool whole = std::abs(value) <= largest_exact && value == std::trunc(value);
  if (whole) return std::to_string(static_cast<std::int64_t>(value));
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

std::string seconds(nanoseconds duration) {
  return number(std::chrono::duration<double>(duration).count());
}

// `route="/v1",method="GET"`, without braces, so that a histogram can add its own label.
std::string label_text(const Labels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    if (!is_name(name, false) || name.starts_with("__") || name == "le")
      throw std::invalid_argument("not a label name: " + name);
    if (!out.empty()) out += ',';
    out.append(name).append("=\"").append(escaped(value, true)).append("\"");
  }
  return out;
}

void append_sample(std::string& out, std::string_view name, std::string_view labels,
                   std::string_view value) {
  out += name;
  if (!labels.empty()) out.append("{").append(labels).append("}");
  out.append(" ").append(value).append("\n");
}

void append_histogram(std::string& out, const std::string& name, const std::string& labels,
                      const Histogram& histogram) {
  const Histogram::Snapshot snapshot = histogram.snapshot();
  const std::string prefix = labels.empty() ? "" : labels + ",";
  std::uint64_t below = 0;
  for (std::size_t at = 0; at < snapshot.counts.size(); ++at) {
    below += snapshot.counts[at];
    const auto bounds = histogram.bounds();
    const std::string bound = at < bounds.size() ? seconds(bounds[at]) : "+Inf";
    append_sample(out, name + "_bucket", prefix + "le=\"" + bound + "\"", std::to_string(below));
  }
  append_sample(out, name + "_sum", labels, seconds(snapshot.sum));
  append_sample(out, name + "_count", labels, std::to_string(snapshot.count));
}

enum class Kind { counter, gauge, histogram };

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::counter: return "counter";
    case Kind::gauge: return "gauge";
    case Kind::histogram: return "histogram";
  }
  return "untyped";
}

using Computed = std::function<double()>;

// The series itself is behind a pointer: references to it are handed out.
struct Series {
  std::string labels;
  std::variant<std::unique_ptr<Counter>, std::unique_ptr<Gauge>, std::unique_ptr<Histogram>,
               Computed>
      value;
};

struct Family {
  Kind kind;
  std::string help;
  std::deque<Series> series;
};

}  // namespace

void Counter::add(std::uint64_t amount) noexcept {
  shards_[my_shard()].count.fetch_add(amount, std::memory_order_relaxed);
}

std::uint64_t Counter::value() const noexcept {
  std::uint64_t sum = 0;
  for (const Shard& shard : shards_) sum += shard.count.load(std::memory_order_relaxed);
  return sum;
}

std::span<const nanoseconds> Histogram::default_bounds() noexcept {
  using namespace std::chrono_literals;
  static constexpr auto bounds =
      std::to_array<nanoseconds>({100us, 250us, 500us, 1ms, 2500us, 5ms, 10ms, 25ms, 50ms, 100ms,
                                  250ms, 500ms, 1s, 2500ms, 5s, 10s});
  return bounds;
}

Histogram::Histogram(std::span<const nanoseconds> bounds) : bounds_(bounds.begin(), bounds.end()) {
  if (bounds.size() > max_bounds ||
      std::adjacent_find(bounds.begin(), bounds.end(), std::greater_equal<>()) != bounds.end())
    throw std::invalid_argument("histogram bounds must ascend and be 22 at most");
}

void Histogram::observe(nanoseconds duration) noexcept {
  // Most durations fall into the first buckets, so a walk beats a binary search.
  std::size_t bucket = 0;
  while (bucket < bounds_.size() && duration > bounds_[bucket]) ++bucket;
  Shard& shard = shards_[my_shard()];
  shard.counts[bucket].fetch_add(1, std::memory_order_relaxed);
  shard.sum.fetch_add(duration.count(), std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot snapshot;
  snapshot.counts.resize(bounds_.size() + 1);
  for (const Shard& shard : shards_) {
    for (std::size_t at = 0; at < snapshot.counts.size(); ++at)
      snapshot.counts[at] += shard.counts[at].load(std::memory_order_relaxed);
    snapshot.sum += nanoseconds(shard.sum.load(std::memory_order_relaxed));
  }
  for (const std::uint64_t count : snapshot.counts) snapshot.count += count;
  return snapshot;
}

struct Metrics::State {
  mutable std::mutex mutex;
  std::map<std::string, Family, std::less<>> families;  // guarded by mutex

  // The series of these labels, made by `make` where it is missing. The mutex must be held.
  template <class Make>
  Series& series(Kind kind, std::string_view name, std::string_view help, const Labels& labels,
                 Make make) {
    if (!is_name(name, true))
      throw std::invalid_argument("not a metric name: " + std::string(name));
    std::string text = label_text(labels);
    const auto place =
        families.try_emplace(std::string(name), Family{kind, std::string(help), {}}).first;
    Family& family = place->second;
    if (family.kind != kind)
      throw std::logic_error("metric " + std::string(name) + " is of another kind");
    for (Series& series : family.series) {
      if (series.labels == text) return series;
    }
    return family.series.emplace_back(Series{std::move(text), make()});
  }

  template <class Value, class... Arguments>
  Value& stored(Kind kind, std::string_view name, std::string_view help, const Labels& labels,
                const Arguments&... arguments) {
    const std::lock_guard lock(mutex);
    Series& found =
        series(kind, name, help, labels, [&] { return std::make_unique<Value>(arguments...); });
    auto* const value = std::get_if<std::unique_ptr<Value>>(&found.value);
    if (!value) throw std::logic_error("metric " + std::string(name) + " is computed");
    return **value;
  }

  void computed(Kind kind, std::string_view name, std::string_view help, const Labels& labels,
                Computed value) {
    const std::lock_guard lock(mutex);
    Series& found = series(kind, name, help, labels, [] { return Computed(); });
    // References to a stored series are out there, so it can't give way.
    if (!std::holds_alternative<Computed>(found.value))
      throw std::logic_error("metric " + std::string(name) + " is stored");
    found.value = std::move(value);
  }
};

Metrics::Metrics() : state_(std::make_unique<State>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(std::string_view name, std::string_view help, const Labels& labels) {
  return state_->stored<Counter>(Kind::counter, name, help, labels);
}

Gauge& Metrics::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  return state_->stored<Gauge>(Kind::gauge, name, help, labels);
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help, const Labels& labels,
                              std::span<const nanoseconds> bounds) {
  return state_->stored<Histogram>(Kind::histogram, name, help, labels, bounds);
}

void Metrics::computed_gauge(std::string_view name, std::string_view help, const Labels& labels,
                             std::function<double()> value) {
  state_->computed(Kind::gauge, name, help, labels, std::move(value));
}

void Metrics::computed_counter(std::string_view name, std::string_view help, const Labels& labels,
                               std::function<double()> value) {
  state_->computed(Kind::counter, name, help, labels, std::move(value));
}

std::string Metrics::text() const {
  std::string out;
  const std::lock_guard lock(state_->mutex);
  for (const auto& [name, family] : state_->families) {
    out.append("# HELP ").append(name).append(" ").append(escaped(family.help, false));
    out.append("\n# TYPE ").append(name).append(" ").append(to_string(family.kind)).append("\n");
    for (const Series& series : family.series) {
      if (const auto* counter = std::get_if<std::unique_ptr<Counter>>(&series.value)) {
        append_sample(out, name, series.labels, std::to_string((*counter)->value()));
      } else if (const auto* gauge = std::get_if<std::unique_ptr<Gauge>>(&series.value)) {
        append_sample(out, name, series.labels, std::to_string((*gauge)->value()));
      } else if (const auto* histogram = std::get_if<std::unique_ptr<Histogram>>(&series.value)) {
        append_histogram(out, name, series.labels, **histogram);
      } else {
        append_sample(out, name, series.labels, number(std::get<Computed>(series.value)()));
      }
    }
  }
  return out;
}

}  // namespace actionflows::http
