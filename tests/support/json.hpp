// Looking into JSON text by pointer (RFC 6901), for tests.
#pragma once

#include <string>
#include <string_view>

namespace actionflows::test {

// The value at a JSON pointer as text: a string's content, else its JSON. Throws std::runtime_error
// with the whole text when `json` is none or there is nothing at that place.
std::string json_at(const std::string& json, std::string_view pointer);

// Whether `json` is JSON and has something at that place.
bool json_has(const std::string& json, std::string_view pointer);

}  // namespace actionflows::test
