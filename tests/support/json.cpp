#include "tests/support/json.hpp"

#include <simdjson.h>

#include <stdexcept>

namespace actionflows::test {

std::string json_at(const std::string& json, std::string_view pointer) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (const auto error = parser.parse(json).get(document))
    throw std::runtime_error("not JSON (" + std::string(simdjson::error_message(error)) +
                             "): " + json);
  simdjson::dom::element value;
  if (document.at_pointer(pointer).get(value))
    throw std::runtime_error("nothing at " + std::string(pointer) + " in " + json);
  std::string_view text;
  if (!value.get(text)) return std::string(text);
  return simdjson::minify(value);
}

bool json_has(const std::string& json, std::string_view pointer) {
  simdjson::dom::parser parser;
  simdjson::dom::element value;
  return !parser.parse(json).at_pointer(pointer).get(value);
}

}  // namespace actionflows::test
