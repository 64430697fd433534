#include "tests/tidy/functions.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

namespace actionflows::tidy {
namespace {

std::string_view without_template(std::string_view head) {
  if (!head.starts_with("template")) return head;
  int depth = 0;
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (head[i] == '<') ++depth;
    if (head[i] == '>' && --depth == 0) {
      head.remove_prefix(i + 1);
      head.remove_prefix(std::min(head.find_first_not_of(' '), head.size()));
      return head;
    }
  }
  return head;
}

// Whether what stands before a brace opens a namespace or a type: their members are looked at.
bool opens_scope(std::string_view head) {
  constexpr std::array keywords = {"namespace", "class", "struct", "union", "enum"};
  constexpr std::array fillers = {"inline", "static", "constexpr", "const", "extern"};
  head = without_template(head);
  while (!head.empty()) {
    const auto end =
        static_cast<std::size_t>(std::ranges::find_if_not(head, is_word) - head.begin());
    const std::string_view word = head.substr(0, end);
    if (std::ranges::find(keywords, word) != keywords.end()) return true;
    if (std::ranges::find(fillers, word) == fillers.end()) return false;
    head.remove_prefix(std::min(head.find_first_not_of(" \"", end), head.size()));
    if (head.empty()) return true;  // extern "C" {
  }
  return false;
}

// Reads the code of one source, character by character.
class FunctionFinder {
 public:
  std::vector<Function> read(const Source& source) {
    bool directive = false;
    for (line_ = 0; line_ < source.code.size(); ++line_) {
      const std::string_view code = source.code[line_];
      // A directive goes on behind a backslash.
      directive = (directive && source.code[line_ - 1].ends_with('\\')) ||
                  code.substr(std::min(code.find_first_not_of(' '), code.size())).starts_with('#');
      if (directive) continue;
      for (const char c : code) take(c);
      take(' ');
    }
    if (after_body_) finish();
    return std::move(functions_);
  }

 private:
  // depth_ counts all open braces, scopes_ those of namespaces and types. Where both are equal,
  // what comes next is a declaration; anything deeper belongs to a function or an initialiser.
  void take(char c) {
    const bool outside = depth_ == scopes_;
    if (c == '(' || c == ')') parentheses_ += outside ? (c == '(' ? 1 : -1) : 0;
    if (c == '{') return open(outside);
    if (c == '}') return close();
    if (!outside) return;
    if (after_body_ && c != ' ') {
      // A member's initialiser, a_{1}, is followed by another one or by the constructor's body.
      if (c != ',') finish();
      after_body_ = false;
    }
    if (c == ';' && parentheses_ == 0) return forget();
    if (head_.empty() && c == ' ') return;
    if (head_.empty()) first_line_ = line_;
    head_ += c;
    if (head_ == "public:" || head_ == "private:" || head_ == "protected:") forget();
  }

  void open(bool outside) {
    if (outside && parentheses_ == 0 && opens_scope(head_)) {
      ++scopes_;
      forget();
    }
    after_body_ = false;
    ++depth_;
  }

  void close() {
    if (depth_ == 0) return;
    if (depth_ == scopes_) {
      if (after_body_) finish();
      --scopes_;
      forget();
    } else if (depth_ == scopes_ + 1) {
      after_body_ = parentheses_ == 0;
      body_end_ = line_;
    }
    --depth_;
  }

  // The declaration in head_ has ended with a brace: a function if it has parameters.
  void finish() {
    if (head_.find('(') != std::string::npos)
      functions_.push_back({.first_line = first_line_, .last_line = body_end_});
    forget();
  }

  void forget() {
    head_.clear();
    after_body_ = false;
    parentheses_ = 0;
  }

  std::vector<Function> functions_;
  std::string head_;  // of the declaration being read, without bodies
  std::size_t line_ = 0;
  std::size_t first_line_ = 0;
  std::size_t body_end_ = 0;
  std::size_t depth_ = 0;
  std::size_t scopes_ = 0;
  int parentheses_ = 0;
  bool after_body_ = false;
};

}  // namespace

std::vector<Function> functions_of(const Source& source) { return FunctionFinder().read(source); }

}  // namespace actionflows::tidy
