// Decoding and encoding a 300-byte session, against a bare On-Demand walk over the same text.
#include "actionflows/schema/testing/bare_walk.hpp"
#include "actionflows/schema/testing/sample_records.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace actionflows::schema {
namespace {

void bare_walk(benchmark::State& state) {
  simdjson::ondemand::parser parser;
  const simdjson::padded_string text(session_text);
  for (auto _ : state) benchmark::DoNotOptimize(walk(parser, text));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(bare_walk);

void decode_session(benchmark::State& state) {
  const auto& schema = schema_of<sample::Session>();
  for (auto _ : state) {
    auto session = schema.decode(session_text, Form::full);
    benchmark::DoNotOptimize(session);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(decode_session);

void encode_session(benchmark::State& state) {
  const auto& schema = schema_of<sample::Session>();
  const auto session = schema.decode(session_text, Form::full);
  std::string out;
  for (auto _ : state) {
    out.clear();
    schema.encode(session, Form::full, out);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(encode_session);

void validate_session(benchmark::State& state) {
  const auto& schema = schema_of<sample::Session>();
  const auto session = schema.decode(session_text, Form::full);
  Issues issues;
  for (auto _ : state) benchmark::DoNotOptimize(schema.validate(session, Form::full, issues));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(validate_session);

void diff_session(benchmark::State& state) {
  const auto& schema = schema_of<sample::Session>();
  const auto before = schema.decode(session_text, Form::full);
  auto after = before;
  after.title = "Another";
  std::string out;
  for (auto _ : state) {
    out.clear();
    benchmark::DoNotOptimize(schema.diff(before, after, out));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(diff_session);

}  // namespace
}  // namespace actionflows::schema
