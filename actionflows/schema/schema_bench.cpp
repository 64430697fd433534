// Decoding and encoding a 300-byte session, against a bare On-Demand walk over the same text.
#include "actionflows/schema/testing/sample_records.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace actionflows::schema {
namespace {

constexpr std::string_view session_text =
    R"({"sessionId":"s-20260211-203153","userId":"ada","state":"active","title":"Nightly build",)"
    R"("cwd":"/srv/app","hostname":"build-7","metadata":{"branch":"main","try":2,"tags":["ci"]},)"
    R"("createdAt":"2026-02-11T20:31:53.375Z","updatedAt":"2026-02-11T20:31:53.375Z",)"
    R"("lastActivityAt":"2026-02-11T20:31:53.375Z","chainCount":3,"version":12})";

// What any use of On-Demand has to do: every key and every value read by its type; free-form parts
// are skipped, unchecked.
[[gnu::noinline]] std::size_t walk(simdjson::ondemand::parser& parser,
                                   const simdjson::padded_string& text) {
  using simdjson::ondemand::json_type;
  std::size_t sum = 0;
  auto document = parser.iterate(text);
  for (auto member : document.get_object()) {
    sum += std::string_view(member.unescaped_key()).size();
    auto value = member.value();
    switch (value.type()) {
      case json_type::string: sum += std::string_view(value.get_string()).size(); break;
      case json_type::number: sum += std::uint64_t(value.get_uint64()); break;
      default: {
        simdjson::ondemand::object object = value.get_object();
        sum += std::string_view(object.raw_json()).size();
      }
    }
  }
  return sum;
}

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
