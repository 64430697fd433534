// Style is a test: the project itself keeps every rule, and every rule catches what it is for.
#include "tests/tidy/functions.hpp"
#include "tests/tidy/rules.hpp"
#include "tests/tidy/source.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

namespace actionflows::tidy {

std::ostream& operator<<(std::ostream& out, const Rule& rule) { return out << rule.name; }

namespace {

std::string rule_name(const testing::TestParamInfo<Rule>& rule) {
  return std::string(rule.param.name);
}

// --- the project
// ----------------------------------------------------------------------------------

const std::vector<Source>& project() {
  static const std::vector<Source> sources = read_tree(PROJECT_DIR);
  return sources;
}

class TidyProject : public testing::TestWithParam<Rule> {};

TEST_P(TidyProject, Keeps) {
  Findings findings;
  for (const Source& source : project()) GetParam().check(source, findings);
  EXPECT_TRUE(findings.empty()) << to_string(findings);
}

INSTANTIATE_TEST_SUITE_P(Rules, TidyProject, testing::ValuesIn(all_rules()), rule_name);

TEST(TidyTree, HoldsTheProjectAndNothingThatIsMade) {
  const auto has = [](const char* path) {
    return std::ranges::find(project(), path, &Source::path) != project().end();
  };
  EXPECT_TRUE(has("actionflows/base/time.hpp"));
  EXPECT_TRUE(has("tests/tidy/tidy_test.cpp"));
  EXPECT_TRUE(has("CMakeLists.txt"));
  EXPECT_TRUE(has("dev"));
  EXPECT_TRUE(has(".ci/run"));
  for (const Source& source : project()) {
    EXPECT_FALSE(source.path.starts_with("build/")) << source.path;
    EXPECT_FALSE(source.path.starts_with(".deps/")) << source.path;
  }
}

// --- the rules
// ------------------------------------------------------------------------------------

struct Planted {
  std::string rule;
  std::string path;
  std::string text;
  std::size_t line = 0;  // where it is found; 0: it is no violation
};

std::string include(const std::string& path) { return "#include \"" + path + "\"\n"; }

std::string function_of(std::size_t lines) {
  std::string text = "int f() {\n";
  for (std::size_t i = 2; i < lines; ++i) text += "  g(); // }\n";
  return text + "}\n";
}

std::vector<Planted> includes() {
  const std::string arrows = "include_arrows";
  const std::string apart = "drivers_stay_apart";
  const std::string heavy = "heavy_headers_stay_in_sources";
  const std::string memory = include("actionflows/storage/memory/memory_storage.hpp");
  return {
      {arrows, "actionflows/base/a.cpp", "\n" + include("actionflows/json/raw.hpp"), 2},
      {arrows, "actionflows/schema/a.hpp", include("actionflows/model/ids.hpp"), 1},
      {arrows, "actionflows/services/a.cpp", include("server/http/router.hpp"), 1},
      {arrows, "server/a.cpp", include("cli/options.hpp"), 1},
      {arrows, "actionflows/base/a_test.cpp", include("actionflows/json/raw.hpp"), 1},
      {arrows, "actionflows/util/a.cpp", "", 1},
      {arrows, "server/a.cpp", include("tests/support/run.hpp"), 1},
      {arrows, "actionflows/json/a.cpp", include("actionflows/base/time.hpp"), 0},
      {arrows, "actionflows/json/a.cpp", "// " + include("server/http/router.hpp"), 0},
      {arrows, "server/a_test.cpp", include("tests/support/run.hpp"), 0},
      {arrows, "tests/x/a_test.cpp", include("cli/options.hpp"), 0},
      {apart, "actionflows/storage/redis/a.cpp", memory, 1},
      {apart, "actionflows/storage/storage.cpp", memory, 1},
      {apart, "actionflows/services/a.cpp", memory, 1},
      {apart, "cli/serve.cpp", memory, 1},
      {apart, "cli/open_storage.cpp", memory, 0},
      {apart, "actionflows/storage/memory/a.cpp", memory, 0},
      {apart, "actionflows/storage/redis/a_test.cpp", memory, 0},
      {heavy, "server/http/a.hpp", "#include <boost/beast/http.hpp>\n", 1},
      {heavy, "actionflows/base/a.cpp", "#include <boost/beast/core.hpp>\n", 1},
      {heavy, "actionflows/model/a.hpp", "#include <simdjson.h>\n", 1},
      {heavy, "server/http/a.cpp", "#include <boost/beast/http.hpp>\n", 0},
      {heavy, "actionflows/schema/a.hpp", "#include <simdjson.h>\n", 0},
  };
}

std::vector<Planted> calls() {
  const std::string banned = "banned_calls";
  const std::string owned = "owned_memory";
  const std::string any = "actionflows/model/a.cpp";
  return {
      {banned, any, "int a = std::rand();\n", 1},
      {banned, any, "int a = rand ();\n", 1},
      {banned, any, "srand(1);\n", 1},
      {banned, any, "std::random_device seed;\n", 1},
      {banned, any, "int f() {\n  sleep(1);\n}\n", 2},
      {banned, any, "::usleep(1);\n", 1},
      {banned, any, "std::this_thread::sleep_for(1s);\n", 1},
      {banned, any, "std::this_thread::sleep_until(then);\n", 1},
      {banned, any, "auto now = std::chrono::system_clock::now();\n", 1},
      {banned, "actionflows/model/a_test.cpp", "system_clock::now();\n", 1},
      {banned, any, "auto now = std::time(nullptr);\n", 1},
      {banned, any, "printf(\"x\");\n", 1},
      {banned, any, "std::puts(text);\n", 1},
      {banned, any, "fmt::print(\"x\");\n", 1},
      {banned, "server/a.cpp", "std::cout << 1;\n", 1},
      {banned, "server/a.cpp", "std::cerr << 1;\n", 1},
      {banned, any, "return std::getenv(name);\n", 1},
      {banned, any, "std::regex pattern;\n", 1},
      {banned, any, "std::thread(work).detach();\n", 1},
      {banned, any, "co_await clock.sleep(1s); clock->sleep(1s); fake::sleep(1s);\n", 0},
      {banned, any, "Task<void> sleep(Duration);\nint operand(int);\n", 0},
      {banned, any, "// std::rand() is not\nconst char* text = \"std::rand()\";\n", 0},
      {banned, any, "const char* text = R\"(\nsleep(1);\n)\";\n", 0},
      {banned, "actionflows/base/clock.cpp", "system_clock::now();\n", 0},
      {banned, "actionflows/base/a_test.cpp", "std::this_thread::sleep_for(1ms);\n", 0},
      {banned, "server/testing/client.hpp", "std::this_thread::sleep_for(1ms);\n", 0},
      {banned, "cli/tail.cpp", "std::cout << 1; printf(\"x\");\n", 0},
      {owned, any, "auto* a = new int;\n", 1},
      {owned, any, "int b = 1'000;\ndelete a;\n", 2},
      {owned, any, "static auto* const clock = new SystemClock;\n", 0},
      {owned, any, "static const auto& all =\n    *new std::vector<int>;\n", 0},
      {owned, any, "A(const A&) = delete;\nint renew = 1;\n// a new one\n#include <new>\n", 0},
      {owned, any, "new (&field_) Found(*at_);\n", 0},
      {owned, "actionflows/base/bytes.cpp", "auto* a = new int;\n", 0},
  };
}

std::vector<Planted> awaits() {
  const std::string plain = "plain_co_await";
  const std::string any = "services/a.cpp";
  return {
      {plain, any, "co_await f(Query{.limit = 1});\n", 1},
      {plain, any, "g();\nconst Page page = co_await f(\n    {}, {1, 2});\n", 2},
      {plain, any, "co_return co_await f(a ? b : c);\n", 1},
      {plain, any, "co_await f(id, {});\n", 0},
      {plain, any, "if (co_await f(id)) {\n  g(Query{1}, a ? b : c);\n}\n", 0},
      {plain, any, "const Query query{1};\nco_await f(query);  // not f({1})\n", 0},
      {plain, any, "co_await f(g[1], \"{?\");\nQuery{1};\n", 0},
  };
}

std::vector<Planted> forms() {
  const std::string functions = "short_functions";
  const std::string lines = "short_lines";
  const std::string space = "clean_whitespace";
  const std::string headers = "headers_introduce_themselves";
  const std::string any = "cli/a.cpp";
  const std::string header = "// What it is for.\n#pragma once\n";
  return {
      {functions, any, function_of(71), 1},
      {functions, any, function_of(70), 0},
      {functions, any, "\nnamespace a {\nclass B {\n public:\n" + function_of(71) + "};\n}\n", 5},
      {lines, any, "\n" + std::string(101, 'x') + "\n", 2},
      {lines, any, std::string(100, 'x') + "\n", 0},
      {lines, any, std::string(98, 'x') + "\u00e9\u4e2d\n", 0},
      {lines, "README.md", std::string(101, 'x') + "\n", 0},
      {space, any, "int a;\n\tint b;\n", 2},
      {space, any, "int a; \n", 1},
      {space, any, "int a;\r\n", 1},
      {space, any, "int a;", 1},
      {space, any, "int a;\n\n", 2},
      {space, "README.md", "text \n", 1},
      {space, any, "int a;\n", 0},
      {headers, "cli/a.hpp", "#pragma once\n", 1},
      {headers, "cli/a.hpp", "// What it is for.\n", 1},
      {headers, "cli/a.hpp", header + "using namespace std;\n", 3},
      {headers, "cli/a.hpp", header, 0},
      {headers, "cli/a.hpp", header + "using namespace std::chrono_literals;\n", 0},
      {headers, any, "int a;\n", 0},
      {"snake_case_names", "cli/openStorage.cpp", "", 1},
      {"snake_case_names", "cli/open-storage.hpp", "", 1},
      {"snake_case_names", "cli/open_storage.cpp", "", 0},
  };
}

std::vector<Planted> debris() {
  const std::string leftovers = "no_leftovers";
  const std::string code = "no_code_in_comments";
  const std::string any = "server/a.cpp";
  return {
      {leftovers, any, "int a;  // TODO: more\n", 1},
      {leftovers, any, "/* one\n   FIXME */\n", 2},
      {leftovers, "CMakeLists.txt", "# XXX\n", 1},
      {leftovers, any, "const char* mark = \"TODO\";\nint TODOS;\n", 0},
      {code, any, "int a;\n// start();\n", 2},
      {code, any, "// storage->get(id);\n", 1},
      {code, any, "// int a = 1;\n", 1},
      {code, any, "// return a;\n", 1},
      {code, any, "// if (a) b();\n", 1},
      {code, any, "// while (true) {\n", 1},
      {code, any, "// }\n", 1},
      {code, any, "// #include <map>\n", 1},
      {code, any, "/*\nstart();\n*/\n", 2},
      {code, any, "// As in:\n//   co_await storage.get_session(id);\n", 0},
      {code, any, "// Absent is not an error (see above);\n// it never was.\n", 0},
  };
}

std::vector<Planted> all_planted() {
  std::vector<Planted> all;
  for (const auto& part : {includes(), calls(), awaits(), forms(), debris()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

class TidyRule : public testing::TestWithParam<Rule> {};

TEST_P(TidyRule, CatchesWhatItIsForAndSparesTheRest) {
  int caught = 0;
  int spared = 0;
  for (const Planted& planted : all_planted()) {
    if (planted.rule != GetParam().name) continue;
    Findings findings;
    GetParam().check(make_source(planted.path, planted.text), findings);
    std::vector<std::size_t> lines;
    for (const Finding& finding : findings) lines.push_back(finding.line);
    const bool violation = planted.line != 0;
    const auto expected = violation ? std::vector{planted.line} : std::vector<std::size_t>();
    EXPECT_EQ(lines, expected) << planted.path << ":\n" << planted.text << to_string(findings);
    ++(violation ? caught : spared);
  }
  EXPECT_GT(caught, 0) << "no violation is planted for this rule";
  EXPECT_GT(spared, 0) << "nothing shows what this rule has to spare";
}

INSTANTIATE_TEST_SUITE_P(Rules, TidyRule, testing::ValuesIn(all_rules()), rule_name);

// --- what the rules stand on
// ----------------------------------------------------------------------

TEST(TidySource, TellsCodeFromCommentsAndLiterals) {
  const Source source = make_source("a.cpp",
                                    "f(\"a // b\"); // c\n"
                                    "g('\"', 1'000 /* d */);\n"
                                    "h(R\"x(\n}\" )x\");\n"
                                    "i(\"\\\"\");\n");
  EXPECT_EQ(source.code[0], "f(\"      \");     ");
  EXPECT_EQ(source.comments[0], "                c");
  EXPECT_EQ(source.code[1], "g(' ', 1'000        );");
  EXPECT_EQ(source.code[2], "h(R\"  ");
  EXPECT_EQ(source.code[3], "     \");");
  EXPECT_EQ(source.code[4], "i(\"  \");");
  EXPECT_EQ(source.code.size(), source.lines.size());
}

TEST(TidyFunctions, FindsEveryFunctionAndOnlyThose) {
  const Source source = make_source("a.cpp",
                                    "#define BRACE {\n"                   // 0
                                    "namespace a::b {\n"                  // 1
                                    "enum class E { x, y };\n"            // 2
                                    "struct S : B<int> {\n"               // 3
                                    " private:\n"                         // 4
                                    "  S(int a)\n"                        // 5: a function
                                    "      : a_{a}, b_{1} {\n"            // 6
                                    "    if (a) { f([] { g(); }); }\n"    // 7
                                    "  }\n"                               // 8
                                    "  int a_{0};\n"                      // 9
                                    "};\n"                                // 10
                                    "constexpr int table[] = {1, 2};\n"   // 11
                                    "template <class T>\n"                // 12: a function
                                    "[[nodiscard]] bool h(T a = {}) {\n"  // 13
                                    "}\n"                                 // 14
                                    "}\n"                                 // 15
                                    "extern \"C\" {\n"                    // 16
                                    "TEST(A, B) { x(); }\n"               // 17: a function
                                    "}\n");                               // 18
  std::vector<std::pair<std::size_t, std::size_t>> found;
  for (const Function& function : functions_of(source))
    found.emplace_back(function.first_line, function.last_line);
  const std::vector<std::pair<std::size_t, std::size_t>> expected = {{5, 8}, {12, 14}, {17, 17}};
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace actionflows::tidy
