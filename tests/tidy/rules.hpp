// The house's rules: what the compiler and clang-tidy do not check, as functions over one source.
#pragma once

#include "tests/tidy/source.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::tidy {

struct Finding {
  std::string file;
  std::size_t line = 0;  // from 1
  std::string message;
};

using Findings = std::vector<Finding>;

struct Rule {
  std::string_view name;  // "include_arrows"
  void (*check)(const Source&, Findings&);
};

// Every rule there is.
const std::vector<Rule>& all_rules();

// "actionflows/base/time.cpp:12: message", one per line.
std::string to_string(const Findings& findings);

}  // namespace actionflows::tidy
