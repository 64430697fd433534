// Says where and why a text is not JSON. Used only once reading has failed, so it may be slow.
#pragma once

#include "actionflows/base/issue.hpp"

#include <cstddef>
#include <optional>
#include <string_view>

namespace actionflows::json {

struct Fault {
  std::size_t offset;  // in bytes, up to the length of the text
  std::string_view reason;
};

// The first byte that breaks the rules of UTF-8 or of strings: invalid UTF-8, a control character
// inside a string, a string that never ends.
std::optional<Fault> lexical_fault(std::string_view text);

// What is wrong with the end of a text that starts an object or an array and whose last token does
// not close it: it stops too early, or goes on too long.
Fault ending_fault(std::string_view text);

// "malformed JSON at line 3, column 17: ...". Lines and columns count from 1, columns in
// characters.
Issue malformed(std::string_view text, const Fault& fault, Path path);

// The length of the first character of `text` in bytes; 0 if it is not valid UTF-8.
std::size_t utf8_length(std::string_view text);

}  // namespace actionflows::json
