// A source file as the house's rules look at it: code and comments told apart, line by line.
#pragma once

#include <cctype>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::tidy {

// Whether it can be a part of a name.
inline bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

struct Source {
  std::string path;  // from the project's root, with '/': "actionflows/base/time.hpp"
  std::string text;
  // One entry per line, all of the same count. In `code` comments and the insides of literals are
  // blank; in `comments` all but the texts of comments (behind their slashes) is.
  std::vector<std::string> lines;
  std::vector<std::string> code;
  std::vector<std::string> comments;

  [[nodiscard]] bool ends_with(std::string_view suffix) const { return path.ends_with(suffix); }
  [[nodiscard]] bool is_header() const { return ends_with(".hpp"); }
  [[nodiscard]] bool is_cpp() const { return is_header() || ends_with(".cpp"); }
  // Tests, benchmarks and what only they use.
  [[nodiscard]] bool is_test() const {
    return path.starts_with("tests/") || path.starts_with("bench/") || ends_with("_test.cpp") ||
           ends_with("_bench.cpp") || path.find("/testing/") != path.npos;
  }
};

Source make_source(std::string path, std::string text);

// Every source, script and document of the project below `root`, sorted by path. What is made
// (build/, .deps/) and what only carries data is left out.
std::vector<Source> read_tree(const std::filesystem::path& root);

}  // namespace actionflows::tidy
