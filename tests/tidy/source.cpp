#include "tests/tidy/source.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <iterator>
#include <utility>

namespace actionflows::tidy {
namespace {

// Walks once through a text and sorts its characters into code and comments. Both keep the text's
// length and line ends, so that positions agree.
class Splitter {
 public:
  explicit Splitter(std::string_view text) : text_(text), code_(text), comments_(text) {
    for (char& c : comments_)
      if (c != '\n') c = ' ';
    while (at_ < text_.size()) step();
  }

  std::string& code() { return code_; }
  std::string& comments() { return comments_; }

 private:
  void step() {
    const std::string_view rest = text_.substr(at_);
    if (rest.starts_with("//")) {
      comment(2, rest.find('\n'));
    } else if (rest.starts_with("/*")) {
      const std::size_t end = rest.find("*/", 2);
      comment(2, end == rest.npos ? end : end + 2);
    } else if (rest.starts_with("R\"") && !follows_word()) {
      raw_string(rest);
    } else if (rest[0] == '"' || (rest[0] == '\'' && !follows_word())) {
      literal(rest[0]);
    } else {
      ++at_;
    }
  }

  // A quote behind a word is a separator of digits: 1'000.
  bool follows_word() const { return at_ > 0 && is_word(text_[at_ - 1]); }

  void comment(std::size_t opening, std::size_t size) {
    size = std::min(size, text_.size() - at_);
    for (std::size_t i = 0; i < size; ++i) {
      const char c = text_[at_ + i];
      if (c == '\n') continue;
      code_[at_ + i] = ' ';
      if (i >= opening) comments_[at_ + i] = c;
    }
    at_ += size;
  }

  void raw_string(std::string_view rest) {
    const std::string end = ")" + std::string(rest.substr(2, rest.find('(') - 2)) + "\"";
    const std::size_t found = rest.find(end);
    const std::size_t size = found == rest.npos ? rest.size() : found + end.size();
    blank(at_ + 2, at_ + size - 1);
    at_ += size;
  }

  void literal(char quote) {
    const std::size_t begin = at_++;
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n')
      at_ += text_[at_] == '\\' ? 2U : 1U;
    blank(begin + 1, at_);
    ++at_;
  }

  void blank(std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < std::min(end, code_.size()); ++i)
      if (code_[i] != '\n') code_[i] = ' ';
  }

  std::string_view text_;
  std::string code_;
  std::string comments_;
  std::size_t at_ = 0;
};

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool belongs(const std::string& path) {
  constexpr std::array endings = {".cpp", ".hpp", ".cmake", ".cmake.in", "CMakeLists.txt", ".md"};
  return path == "dev" || path.ends_with("/run") ||
         std::ranges::any_of(endings, [&](const char* end) { return path.ends_with(end); });
}

}  // namespace

Source make_source(std::string path, std::string text) {
  Source source{
      .path = std::move(path), .text = std::move(text), .lines = {}, .code = {}, .comments = {}};
  source.lines = split_lines(source.text);
  if (source.is_cpp()) {
    Splitter splitter(source.text);
    source.code = split_lines(splitter.code());
    source.comments = split_lines(splitter.comments());
  } else {
    source.code.resize(source.lines.size());
    source.comments = source.lines;
  }
  return source;
}

std::vector<Source> read_tree(const std::filesystem::path& root) {
  namespace fs = std::filesystem;
  constexpr std::array made = {"build", ".deps", ".git", ".cache", "node_modules"};
  std::vector<Source> sources;
  for (auto it = fs::recursive_directory_iterator(root); it != fs::end(it); ++it) {
    const std::string name = it->path().filename().string();
    if (std::ranges::find(made, name) != made.end()) {
      it.disable_recursion_pending();
      continue;
    }
    std::string path = it->path().lexically_relative(root).generic_string();
    if (!it->is_regular_file() || !belongs(path)) continue;
    std::ifstream file(it->path(), std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    sources.push_back(make_source(std::move(path), std::move(text)));
  }
  std::ranges::sort(sources, {}, &Source::path);
  return sources;
}

}  // namespace actionflows::tidy
