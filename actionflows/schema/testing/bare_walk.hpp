// The yardstick of the benchmarks of one thread: a bare On-Demand walk over a session of 300 bytes.
#pragma once

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace actionflows::schema {

inline constexpr std::string_view session_text =
    R"({"sessionId":"s-0211","userId":"ada","state":"active","title":"Build",)"
    R"("cwd":"/srv/app","metadata":{"branch":"main","try":2,"tags":["ci"]},)"
    R"("createdAt":"2026-02-11T20:31:53.375Z","updatedAt":"2026-02-11T20:31:53.375Z",)"
    R"("lastActivityAt":"2026-02-11T20:31:53.375Z","expiresAt":"2026-02-12T20:31:53.375Z",)"
    R"("chainCount":3,"version":12})";

// What any use of On-Demand has to do: every key and every value read by its type; free-form parts
// are skipped, unchecked.
[[gnu::noinline]] inline std::size_t walk(simdjson::ondemand::parser& parser,
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

}  // namespace actionflows::schema
