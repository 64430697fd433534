// Decoding and encoding a 300-byte session, against a bare On-Demand walk over the same text.
#include "actionflows/model/session.hpp"
#include "actionflows/schema/testing/bare_walk.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace actionflows {
namespace {

void bare_walk(benchmark::State& state) {
  simdjson::ondemand::parser parser;
  const simdjson::padded_string text(schema::session_text);
  for (auto _ : state) benchmark::DoNotOptimize(schema::walk(parser, text));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(bare_walk);

void decode_session(benchmark::State& state) {
  const auto& sessions = schema::schema_of<Session>();
  for (auto _ : state) {
    auto session = sessions.decode(schema::session_text, schema::Form::full);
    benchmark::DoNotOptimize(session);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(decode_session);

void encode_session(benchmark::State& state) {
  const auto& sessions = schema::schema_of<Session>();
  const auto session = sessions.decode(schema::session_text, schema::Form::full);
  std::string out;
  for (auto _ : state) {
    out.clear();
    sessions.encode(session, schema::Form::full, out);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(encode_session);

void validate_session(benchmark::State& state) {
  const auto& sessions = schema::schema_of<Session>();
  const auto session = sessions.decode(schema::session_text, schema::Form::full);
  Issues issues;
  for (auto _ : state)
    benchmark::DoNotOptimize(sessions.validate(session, schema::Form::full, issues));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(validate_session);

void diff_session(benchmark::State& state) {
  const auto& sessions = schema::schema_of<Session>();
  const auto before = sessions.decode(schema::session_text, schema::Form::full);
  auto after = before;
  after.title = "Another";
  std::string out;
  for (auto _ : state) {
    out.clear();
    benchmark::DoNotOptimize(sessions.diff(before, after, out));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(diff_session);

}  // namespace
}  // namespace actionflows
