#include "tests/tidy/rules.hpp"

#include "tests/tidy/functions.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

namespace actionflows::tidy {
namespace {

constexpr std::size_t max_columns = 100;
constexpr std::size_t max_function_lines = 70;

void report(Findings& out, const Source& source, std::size_t index, std::string message) {
  out.push_back({.file = source.path, .line = index + 1, .message = std::move(message)});
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// Where `token` stands in `line` as a whole word; npos where it does not.
std::size_t find_token(std::string_view line, std::string_view token, std::size_t from = 0) {
  for (std::size_t at = line.find(token, from); at != line.npos; at = line.find(token, at + 1)) {
    const std::size_t end = at + token.size();
    const bool starts = at == 0 || !is_word(token.front()) || !is_word(line[at - 1]);
    const bool ends = end == line.size() || !is_word(token.back()) || !is_word(line[end]);
    if (starts && ends) return at;
  }
  return line.npos;
}

// --- includes
// -------------------------------------------------------------------------------------

// "actionflows/base/time.hpp" of `#include "actionflows/base/time.hpp"`; nothing elsewhere, also in
// comments and texts.
std::optional<std::string_view> included(const Source& source, std::size_t index) {
  if (!trimmed(source.code[index]).starts_with("#include")) return std::nullopt;
  const std::string_view line = source.lines[index];
  const std::size_t begin = line.find_first_of("\"<");
  if (begin == line.npos) return std::nullopt;
  const std::size_t end = line.find_first_of("\">", begin + 1);
  return line.substr(begin + 1, std::min(end, line.size()) - begin - 1);
}

// The layers, lowest first. A layer includes itself and what stands before it.
constexpr std::array<std::string_view, 8> layers = {"actionflows/base/",
                                                    "actionflows/json/",
                                                    "actionflows/schema/",
                                                    "actionflows/model/",
                                                    "actionflows/storage/",
                                                    "actionflows/services/",
                                                    "server/",
                                                    "cli/"};

std::optional<std::size_t> layer_of(std::string_view path) {
  const auto* const found =
      std::ranges::find_if(layers, [&](std::string_view layer) { return path.starts_with(layer); });
  if (found == layers.end()) return std::nullopt;
  return static_cast<std::size_t>(found - layers.begin());
}

void include_arrows(const Source& source, Findings& out) {
  if (!source.is_cpp()) return;
  const auto own = layer_of(source.path);
  if (source.path.starts_with("actionflows/") && !own)
    report(out, source, 0, "stands in no known layer");
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    const auto path = included(source, i);
    if (!path) continue;
    const auto other = layer_of(*path);
    if (own && other && *other > *own)
      report(out, source, i, "includes a higher layer: " + std::string(*path));
    if (!source.is_test() && (path->starts_with("tests/") || path->starts_with("bench/")))
      report(out, source, i, "includes what is only for tests: " + std::string(*path));
  }
}

// "memory" of a path in actionflows/storage/memory/; empty elsewhere.
std::string_view driver_of(std::string_view path) {
  constexpr std::string_view storage = "actionflows/storage/";
  if (!path.starts_with(storage)) return {};
  path.remove_prefix(storage.size());
  const std::size_t end = path.find('/');
  return end == path.npos ? std::string_view() : path.substr(0, end);
}

void drivers_stay_apart(const Source& source, Findings& out) {
  // The journal's command reads what ResilientStorage has left, without a storage.
  const bool may =
      source.path.starts_with("cli/open_storage.") || source.path == "cli/journal_command.cpp";
  if (!source.is_cpp() || may) return;
  if (source.is_test()) return;
  const std::string_view own = driver_of(source.path);
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    const auto path = included(source, i);
    if (!path) continue;
    const std::string_view other = driver_of(*path);
    if (!other.empty() && other != own)
      report(out, source, i,
             "names a concrete driver, which only cli/open_storage does: " + std::string(*path));
  }
}

void heavy_headers_stay_in_sources(const Source& source, Findings& out) {
  if (!source.is_cpp()) return;
  const bool in_library = source.path.starts_with("actionflows/");
  const bool parses = source.path.starts_with("actionflows/json/") ||
                      source.path.starts_with("actionflows/schema/");
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    const auto path = included(source, i);
    if (!path) continue;
    if (path->starts_with("boost/beast") && (source.is_header() || in_library))
      report(out, source, i, "Beast belongs into sources of the server: it takes seconds to read");
    if (path->starts_with("simdjson") && source.is_header() && !parses)
      report(out, source, i, "simdjson is a detail of json/ and schema/");
  }
}

// --- banned calls
// ---------------------------------------------------------------------------------

struct Ban {
  std::string_view token;
  std::string_view reason;
  std::string_view allowed = {};  // one file, or a folder with its "/"
  bool allowed_in_tests = false;  // and in benchmarks
  bool only_free_calls = false;   // f(, std::f( and ::f(, but not x.f( or other::f(
};

constexpr std::string_view use_random = "randomness is injected: base/random.hpp";
constexpr std::string_view use_clock = "time is injected: base/clock.hpp";
constexpr std::string_view use_errors = "only the program talks to its user: return or throw";

constexpr std::array bans = {
    Ban{.token = "rand", .reason = use_random, .only_free_calls = true},
    Ban{.token = "srand", .reason = use_random, .only_free_calls = true},
    Ban{.token = "random_device", .reason = use_random, .allowed_in_tests = true},
    Ban{.token = "sleep", .reason = use_clock, .only_free_calls = true},
    Ban{.token = "usleep", .reason = use_clock, .only_free_calls = true},
    Ban{.token = "nanosleep", .reason = use_clock, .only_free_calls = true},
    Ban{.token = "this_thread::sleep_for", .reason = use_clock, .allowed_in_tests = true},
    Ban{.token = "this_thread::sleep_until", .reason = use_clock, .allowed_in_tests = true},
    Ban{.token = "system_clock::now", .reason = use_clock, .allowed = "actionflows/base/clock.cpp"},
    Ban{.token = "time(nullptr)", .reason = use_clock},
    Ban{.token = "printf",
        .reason = use_errors,
        .allowed = "cli/",
        .allowed_in_tests = true,
        .only_free_calls = true},
    Ban{.token = "puts",
        .reason = use_errors,
        .allowed = "cli/",
        .allowed_in_tests = true,
        .only_free_calls = true},
    Ban{.token = "fmt::print", .reason = use_errors, .allowed = "cli/", .allowed_in_tests = true},
    Ban{.token = "std::cout", .reason = use_errors, .allowed = "cli/", .allowed_in_tests = true},
    Ban{.token = "std::cerr", .reason = use_errors, .allowed = "cli/", .allowed_in_tests = true},
    Ban{.token = "getenv",
        .reason = "settings come in through options",
        .allowed = "cli/",
        .allowed_in_tests = true,
        .only_free_calls = true},
    Ban{.token = "std::regex", .reason = "slow, and recurses by the length of its input"},
    Ban{.token = ".detach()", .reason = "nobody could wait for that thread's end"},
};

bool is_free_call(std::string_view line, std::size_t at, std::string_view token) {
  const std::string_view behind = trimmed(line.substr(at + token.size()));
  if (!behind.starts_with('(')) return false;
  const std::string_view before = trimmed(line.substr(0, at));
  if (before.ends_with("std::")) return true;
  if (before.ends_with("::")) return before.size() == 2 || !is_word(before[before.size() - 3]);
  if (before.ends_with('.') || before.ends_with('>')) return false;
  // `int sleep(` and `Task<void> sleep(` declare something of that name; `return sleep(` calls it.
  return before.empty() || !is_word(before.back()) || before.ends_with("return") ||
         before.ends_with("co_await");
}

void banned_calls(const Source& source, Findings& out) {
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    const std::string& line = source.code[i];
    for (const Ban& ban : bans) {
      if (ban.allowed_in_tests && source.is_test()) continue;
      if (!ban.allowed.empty() && source.path.starts_with(ban.allowed)) continue;
      const std::size_t at = find_token(line, ban.token);
      if (at == line.npos || (ban.only_free_calls && !is_free_call(line, at, ban.token))) continue;
      report(out, source, i, std::string(ban.token) + ": " + std::string(ban.reason));
    }
  }
}

struct Allowed {
  std::string_view file;
  std::string_view reason;
};

constexpr std::array manual_memory = {
    Allowed{.file = "actionflows/base/bytes.cpp",
            .reason = "one allocation holds the count and the bytes"},
};

// `new` and `delete` outside of the list. Placement, `new (where)`, allocates nothing. An object
// that lives as long as the process is made by `static ... = new`, wherever it is needed, and never
// destroyed.
void owned_memory(const Source& source, Findings& out) {
  if (std::ranges::find(manual_memory, source.path, &Allowed::file) != manual_memory.end()) return;
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    const std::string_view line = source.code[i];
    const std::size_t made = find_token(line, "new");
    // The statement may have begun on the line before.
    const bool lives_on = find_token(line, "static") < made ||
                          (i > 0 && find_token(source.code[i - 1], "static") != line.npos);
    const bool placed = made != line.npos && trimmed(line.substr(made + 3)).starts_with('(');
    if (made != line.npos && !placed && !lives_on && !trimmed(line).starts_with('#'))
      report(out, source, i, "new: std::make_unique says who owns it");
    const std::size_t freed = find_token(line, "delete");
    if (freed != line.npos && !trimmed(line.substr(0, freed)).ends_with('='))
      report(out, source, i, "delete: its owner should be a type");
  }
}

// --- coroutines
// -------------------------------------------------------------------------------------------

// What is awaited at `at`, to the end of its expression, over as many lines as it takes.
std::string awaited(const Source& source, std::size_t index, std::size_t at) {
  std::string text;
  int depth = 0;
  for (; index < source.code.size(); ++index, at = 0) {
    for (const char c : std::string_view(source.code[index]).substr(at)) {
      if (c == '(' || c == '[' || c == '{') ++depth;
      if (c == ')' || c == ']' || c == '}') --depth;
      if (depth < 0 || (depth == 0 && c == ';')) return text;
      text += c;
    }
  }
  return text;
}

bool makes_aggregate(const std::string& text) {
  for (std::size_t at = text.find('{'); at != text.npos; at = text.find('{', at + 1))
    if (text[at + 1] != '}') return true;
  return false;
}

// g++ 12 destroys some temporaries of an expression with co_await twice: aggregates that are made
// in braces, and what a conditional operator chooses. Empty braces hold nothing to destroy.
void plain_co_await(const Source& source, Findings& out) {
  if (!source.is_cpp()) return;
  constexpr std::string_view token = "co_await";
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    const std::string& line = source.code[i];
    for (std::size_t at = find_token(line, token); at != line.npos;
         at = find_token(line, token, at + 1)) {
      const std::string text = awaited(source, i, at);
      if (makes_aggregate(text) || text.find('?') != text.npos)
        report(out, source, i, "a temporary in what is awaited: name it first, g++ 12 fails there");
    }
  }
}

// --- form
// -----------------------------------------------------------------------------------------

void short_functions(const Source& source, Findings& out) {
  for (const Function& function : functions_of(source)) {
    const std::size_t size = function.last_line - function.first_line + 1;
    if (size > max_function_lines)
      report(out, source, function.first_line,
             "a function of " + std::to_string(size) + " lines: at most " +
                 std::to_string(max_function_lines));
  }
}

void short_lines(const Source& source, Findings& out) {
  if (source.ends_with(".md")) return;  // a table's row is one line
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    const auto columns = std::ranges::count_if(
        source.lines[i], [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
    if (static_cast<std::size_t>(columns) > max_columns)
      report(out, source, i,
             std::to_string(columns) + " columns: at most " + std::to_string(max_columns));
  }
}

void clean_whitespace(const Source& source, Findings& out) {
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    const std::string& line = source.lines[i];
    if (line.find('\t') != line.npos) report(out, source, i, "a tab");
    if (line.ends_with(' ') || line.ends_with('\r')) report(out, source, i, "trailing space");
  }
  const std::size_t last = std::max<std::size_t>(source.lines.size(), 1) - 1;
  if (!source.text.ends_with('\n')) report(out, source, last, "no newline at the end");
  if (source.text.ends_with("\n\n")) report(out, source, last, "empty lines at the end");
}

void headers_introduce_themselves(const Source& source, Findings& out) {
  if (!source.is_header()) return;
  if (!source.text.starts_with("//")) report(out, source, 0, "does not open with what it is for");
  if (std::ranges::find(source.lines, "#pragma once") == source.lines.end())
    report(out, source, 0, "no #pragma once");
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    const std::string_view line = trimmed(source.code[i]);
    if (line.starts_with("using namespace") && !line.ends_with("literals;"))
      report(out, source, i, "using namespace, forced on whoever includes this");
  }
}

void snake_case_names(const Source& source, Findings& out) {
  if (!source.is_cpp()) return;
  const auto odd = [](char c) { return std::isupper(static_cast<unsigned char>(c)) || c == '-'; };
  if (std::ranges::any_of(source.path, odd)) report(out, source, 0, "file names are snake_case");
}

// --- debris
// ---------------------------------------------------------------------------------------

void no_leftovers(const Source& source, Findings& out) {
  constexpr std::array marks = {"TODO", "FIXME", "XXX", "HACK"};
  for (std::size_t i = 0; i < source.comments.size(); ++i)
    for (const std::string_view mark : marks)
      if (find_token(source.comments[i], mark) != std::string::npos)
        report(out, source, i, std::string(mark) + ": do it now, or write an issue");
}

// Whether the text begins like a call: words joined by ., -> and ::, then a parenthesis.
bool begins_like_call(std::string_view text) {
  const std::size_t end = std::min(text.find('('), text.size());
  return end > 0 && end < text.size() &&
         std::ranges::all_of(
             text.substr(0, end),
             [](char c) { return is_word(c) || c == '.' || c == '-' || c == '>' || c == ':'; });
}

bool looks_like_code(std::string_view text) {
  if (text == "}" || text.ends_with(") {") || text.starts_with("#include")) return true;
  if (!text.ends_with(';')) return false;
  return begins_like_call(text) || text.starts_with("return ") || text.starts_with("delete ") ||
         text.starts_with("if (") || text.starts_with("co_await ") || text.find(" = ") != text.npos;
}

// Examples in comments are set off by two more spaces, and stay.
void no_code_in_comments(const Source& source, Findings& out) {
  if (!source.is_cpp()) return;
  for (std::size_t i = 0; i < source.comments.size(); ++i) {
    const std::string_view comment = source.comments[i];
    const std::string_view text = trimmed(comment);
    const std::size_t slashes = source.lines[i].find("//");
    const bool example = slashes != std::string::npos && comment.find(text) >= slashes + 4;
    if (!text.empty() && !example && looks_like_code(text))
      report(out, source, i, "code in a comment; git remembers what was there");
  }
}

}  // namespace

const std::vector<Rule>& all_rules() {
  static const std::vector<Rule> rules = {
      {.name = "include_arrows", .check = include_arrows},
      {.name = "drivers_stay_apart", .check = drivers_stay_apart},
      {.name = "heavy_headers_stay_in_sources", .check = heavy_headers_stay_in_sources},
      {.name = "banned_calls", .check = banned_calls},
      {.name = "owned_memory", .check = owned_memory},
      {.name = "plain_co_await", .check = plain_co_await},
      {.name = "short_functions", .check = short_functions},
      {.name = "short_lines", .check = short_lines},
      {.name = "clean_whitespace", .check = clean_whitespace},
      {.name = "headers_introduce_themselves", .check = headers_introduce_themselves},
      {.name = "snake_case_names", .check = snake_case_names},
      {.name = "no_leftovers", .check = no_leftovers},
      {.name = "no_code_in_comments", .check = no_code_in_comments},
  };
  return rules;
}

std::string to_string(const Findings& findings) {
  std::string text;
  for (const Finding& finding : findings)
    text += finding.file + ":" + std::to_string(finding.line) + ": " + finding.message + "\n";
  return text;
}

}  // namespace actionflows::tidy
