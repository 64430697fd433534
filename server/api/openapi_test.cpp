#include "server/api/openapi.hpp"

#include "server/api/access.hpp"
#include "server/api/admin_api.hpp"
#include "server/api/chains_api.hpp"
#include "server/api/events_api.hpp"
#include "server/api/sessions_api.hpp"
#include "server/api/steps_api.hpp"
#include "server/testing/served.hpp"
#include "tests/support/folder.hpp"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace actionflows {
namespace {

using simdjson::dom::element;

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c | 0x20);
  return text;
}

std::string text_of(element value) { return std::string(std::string_view(value)); }

class OpenApi : public testing::Test {
 protected:
  void SetUp() override {
    text_ = served_.client().get("/openapi.json").body;
    ASSERT_FALSE(parser_.parse(text_).get(document_));
  }

  // The operations of the document: "get /v1/sessions".
  std::set<std::string> described() {
    std::set<std::string> found;
    for (const auto path : simdjson::dom::object(document_["paths"]))
      for (const auto operation : simdjson::dom::object(path.value))
        found.insert(std::string(operation.key) + ' ' + std::string(path.key));
    return found;
  }

  test::Served served_;
  std::string text_;
  simdjson::dom::parser parser_;
  element document_;
};

// All $ref of a document.
void collect_references(element value, std::set<std::string>& found) {
  if (value.is_object()) {
    for (const auto member : simdjson::dom::object(value)) {
      if (member.key == "$ref") found.insert(text_of(member.value));
      collect_references(member.value, found);
    }
  } else if (value.is_array()) {
    for (const element item : simdjson::dom::array(value)) collect_references(item, found);
  }
}

// "get /v1/sessions" of each.
std::set<std::string> routes_there_are() {
  Storage storage(make_memory_storage());
  api::Services services(storage);
  api::Access access(storage, services.sessions, std::nullopt);
  http::Metrics metrics;
  api::SessionsApi sessions(services);
  api::ChainsApi chains(services);
  api::StepsApi steps(services);
  api::EventsApi events(services, access, std::chrono::seconds(15));
  api::AdminApi admin(services, metrics);
  http::Router router;
  api::Routes routes(router);
  sessions.add_to(routes);
  chains.add_to(routes);
  steps.add_to(routes);
  events.add_to(routes);
  admin.add_to(routes);
  std::set<std::string> there;
  for (const http::Route& route : router.routes())
    there.insert(lower(std::string(to_string(route.method))) + ' ' + route.pattern);
  EXPECT_EQ(there.size(), router.routes().size());
  return there;
}

TEST_F(OpenApi, DescribesExactlyTheRoutesThereAre) { EXPECT_EQ(described(), routes_there_are()); }

// The texts in backticks, in order.
std::vector<std::string> quoted_in(std::string_view text) {
  std::vector<std::string> quoted;
  for (auto open = text.find('`'); open != text.npos; open = text.find('`', open + 1)) {
    const auto close = text.find('`', open + 1);
    quoted.emplace_back(text.substr(open + 1, close - open - 1));
    open = close;
  }
  return quoted;
}

std::string section_of_readme(const std::string& heading) {
  const std::string readme = test::read_file(PROJECT_DIR "/README.md");
  const auto begin = readme.find("\n" + heading + "\n");
  EXPECT_NE(begin, readme.npos) << heading;
  return readme.substr(begin, readme.find("\n#", begin + heading.size()) - begin);
}

// The paths of README's table: those in the first column, and the last of them with each ending
// ("/touch") of the second.
std::set<std::string> paths_in_readme() {
  std::set<std::string> paths;
  std::istringstream lines(section_of_readme("## HTTP"));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `/")) continue;
    const auto middle = line.find(" | ", 2);
    const auto named = quoted_in(line.substr(0, middle));
    paths.insert(named.begin(), named.end());
    for (const std::string& ending : quoted_in(line.substr(middle)))
      if (ending.starts_with('/')) paths.insert(named.back() + ending);
  }
  return paths;
}

TEST(ReadmeTable, NamesExactlyThePathsThereAre) {
  std::set<std::string> there;
  for (const std::string& route : routes_there_are()) {
    std::string path = route.substr(route.find(' ') + 1);
    if (const auto open = path.find('{'); open != path.npos)
      path.replace(open, path.find('}') + 1 - open, "{id}");
    there.insert(std::move(path));
  }
  EXPECT_EQ(paths_in_readme(), there);
}

// A path with ids that could exist in its places.
std::string filled_in(std::string path) {
  for (const auto& [name, id] : {std::pair{"{sessionId}", "q"}, std::pair{"{chainId}", "q.c1"},
                                 std::pair{"{stepId}", "q.c1.s1"}})
    if (const auto at = path.find(name); at != std::string::npos)
      path.replace(at, std::string(name).size(), id);
  return path;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(c & ~0x20);
  return text;
}

// The table of resources, held against the running server: a route that is described is answered by
// its handler and not by "no such path" or "no such method".
TEST_F(OpenApi, WhatIsDescribedIsServed) {
  test::Client client = served_.client();
  for (const std::string& operation : described()) {
    const std::string method = upper(operation.substr(0, operation.find(' ')));
    const std::string path = filled_in(operation.substr(operation.find(' ') + 1));
    if (path == "/v1/stream") continue;  // never ends
    const test::Reply reply = client.send(method, path, method == "GET" ? "" : "{}");
    EXPECT_NE(reply.status, 405) << operation;
    EXPECT_NE(reply.status / 100, 5) << operation;
    if (reply.status == 404) {
      EXPECT_NE(reply.at("/detail"), "there is no such path") << operation;
    }
  }
}

TEST_F(OpenApi, SaysWhichRequestsTakeAVersionOrAKey) {
  test::Client client = served_.client();
  for (const auto path : simdjson::dom::object(document_["paths"])) {
    for (const auto operation : simdjson::dom::object(path.value)) {
      const std::string method = upper(std::string(operation.key));
      if (method == "GET") continue;
      std::set<std::string> declared;
      for (const element parameter : simdjson::dom::array(operation.value["parameters"]))
        declared.insert(text_of(parameter["name"]));
      for (const auto& [name, value] :
           {std::pair{"If-Match", "\"1\""}, std::pair{"Idempotency-Key", "k"}}) {
        const test::Reply reply =
            client.send(method, filled_in(std::string(path.key)), "{}", {{name, value}});
        const bool refused = reply.body.find("means nothing to this request") != std::string::npos;
        EXPECT_NE(refused, declared.contains(name))
            << method << ' ' << path.key << ' ' << reply.body;
      }
    }
  }
}

// ---- headers ------------------------------------------------------------------------------------

constexpr std::string_view run_line =
    R"({"source":"notes:1","licence":"MIT","session":{"user":null,"cwd":null,"startedAt":null},)"
    R"("chains":[{"title":"Look","source":"flow","steps":[{"action":"Look","inputs":{},)"
    R"("waitsFor":[],"status":"completed","startedAt":null,"completedAt":null,"result":"",)"
    R"("error":null}]}]})";

struct Exchange {
  std::string method;
  std::string pattern;
  int status;
  std::string body = {};
  std::string query = {};
  test::Headers headers = {};
};

// Requests that are done, of every kind, one after the other.
std::vector<Exchange> exchanges() {
  const std::string sessions = "/v1/sessions", session = "/v1/sessions/{sessionId}";
  const std::string chain = "/v1/chains/{chainId}", step = "/v1/steps/{stepId}";
  const test::Headers known{{"If-None-Match", "*"}};
  return {{"post", sessions, 201, R"({"userId":"ann","sessionId":"q"})"},
          {"get", sessions, 200},
          {"get", session, 200},
          {"get", session, 200, "", "", known},
          {"patch", session, 200, R"({"title":"t"})"},
          {"post", session + "/touch", 204},
          {"post", session + "/token", 200},
          {"delete", session + "/token", 204},
          {"post", session + "/chains", 201,
           R"({"title":"t","source":"flow","steps":[{"action":"a"},{"action":"b"}]})"},
          {"get", session + "/chains", 200},
          {"get", chain, 200},
          {"get", chain, 304, "", "", known},
          {"patch", chain, 200, R"({"title":"u"})"},
          {"post", chain + "/steps", 201, R"({"action":"c"})"},
          {"get", chain + "/steps", 200},
          {"get", step, 200},
          {"get", step, 304, "", "", known},
          {"patch", step, 200, R"({"description":"d"})"},
          {"post", step + "/start", 200},
          {"post", step + "/fail", 200, R"({"error":"e"})"},
          {"post", step + "/retry", 200},
          {"post", step + "/skip", 200},
          {"post", chain + "/cancel", 200},
          {"get", "/v1/archive", 200},
          {"post", session + "/events", 201, R"({"type":"note:added"})"},
          {"get", session + "/events", 200},
          {"get", session + "/export", 200},
          {"get", session + "/verify", 200},
          {"delete", session + "/events", 200, "", "?before=2"},
          {"post", "/v1/import", 201, std::string(run_line)},
          {"post", "/v1/import", 200, std::string(run_line)},
          {"get", "/healthz", 200},
          {"get", "/readyz", 200},
          {"get", "/metrics", 200},
          {"get", "/openapi.json", 200},
          {"delete", session, 204}};
}

std::set<std::string> members_of(simdjson::simdjson_result<element> object) {
  std::set<std::string> names;
  if (object.error() == simdjson::SUCCESS)
    for (const auto member : simdjson::dom::object(object)) names.emplace(member.key);
  return names;
}

std::set<std::string> told_in(const test::Reply& reply) {
  std::set<std::string> told;
  for (const char* name : {"ETag", "Location", "ActionFlows-Source", "ActionFlows-Durability"})
    if (!reply.header(name).empty()) told.insert(name);
  return told;
}

TEST_F(OpenApi, DescribesTheHeadersOfAnswers) {
  test::Client client = served_.client();
  for (const Exchange& exchange : exchanges()) {
    const std::string what = exchange.method + ' ' + exchange.pattern;
    const test::Reply reply =
        client.send(upper(exchange.method), filled_in(exchange.pattern) + exchange.query,
                    exchange.body, exchange.headers);
    ASSERT_EQ(reply.status, exchange.status) << what << ' ' << reply.body;
    const auto described = document_["paths"][exchange.pattern][exchange.method]["responses"]
                                    [std::to_string(reply.status)];
    ASSERT_FALSE(described.error()) << what << ' ' << reply.status;
    EXPECT_EQ(members_of(described["headers"]), told_in(reply)) << what;
    EXPECT_EQ(described["content"].error() != simdjson::SUCCESS, reply.body.empty()) << what;
  }
}

TEST_F(OpenApi, DescribesTheHeadersOfStreams) {
  served_.client().post("/v1/sessions", R"({"userId":"ann","sessionId":"q"})");
  for (const char* pattern : {"/v1/sessions/{sessionId}/stream", "/v1/stream"}) {
    const test::EventSource source = served_.stream(filled_in(pattern));
    EXPECT_EQ(members_of(document_["paths"][pattern]["get"]["responses"]["200"]["headers"]),
              told_in(source.head))
        << pattern;
  }
}

TEST_F(OpenApi, DescribesTheHeadersOfRequests) {
  std::set<std::string> resumable;
  std::set<std::string> comparable;
  for (const auto path : simdjson::dom::object(document_["paths"])) {
    for (const auto operation : simdjson::dom::object(path.value)) {
      const std::string name = text_of(operation.value["operationId"]);
      std::set<std::string> headers;
      for (const element parameter : simdjson::dom::array(operation.value["parameters"]))
        if (std::string_view(parameter["in"]) == "header")
          headers.insert(text_of(parameter["name"]));
      EXPECT_EQ(headers.contains("ActionFlows-Actor"), operation.key != "get") << name;
      if (headers.contains("Last-Event-ID")) resumable.insert(name);
      if (headers.contains("If-None-Match")) comparable.insert(name);
    }
  }
  EXPECT_EQ(resumable, std::set<std::string>{"stream_events"});
  EXPECT_EQ(comparable, (std::set<std::string>{"get_chain", "get_step"}));
}

TEST_F(OpenApi, DescribesWhatIsAnsweredWhileTheStorageIsAway) {
  const auto content = document_["paths"]["/readyz"]["get"]["responses"]["503"]["content"];
  EXPECT_EQ(std::string_view(content["application/json"]["schema"]["$ref"]),
            "#/components/schemas/Readiness");
}

TEST_F(OpenApi, HeadersAreNamedInTheReadmeAndAllowedToPages) {
  const auto in_readme = quoted_in(section_of_readme("## HTTP"));
  std::set<std::string> asked;
  std::set<std::string> told;
  for (const auto path : simdjson::dom::object(document_["paths"])) {
    for (const auto operation : simdjson::dom::object(path.value)) {
      for (const element parameter : simdjson::dom::array(operation.value["parameters"]))
        if (std::string_view(parameter["in"]) == "header") asked.insert(text_of(parameter["name"]));
      for (const auto response : simdjson::dom::object(operation.value["responses"]))
        told.merge(members_of(response.value["headers"]));
    }
  }
  const http::CorsOptions cors;
  for (const auto& [names, allowed] :
       {std::pair(asked, cors.request_headers), std::pair(told, cors.exposed_headers)}) {
    EXPECT_GE(names.size(), 4U);
    for (const std::string& name : names) {
      EXPECT_TRUE(std::ranges::count(in_readme, name)) << name;
      EXPECT_NE(allowed.find(name), allowed.npos) << name;
    }
  }
}

TEST_F(OpenApi, WhatNoParameterIsDescribedForIsRefused) {
  test::Client client = served_.client();
  for (const std::string& operation : described()) {
    const std::string method = upper(operation.substr(0, operation.find(' ')));
    const std::string path = filled_in(operation.substr(operation.find(' ') + 1));
    const test::Reply reply =
        client.send(method, path + "?stauts=done", method == "GET" ? "" : "{}");
    EXPECT_EQ(reply.status, 400) << operation;
    EXPECT_NE(reply.body.find("stauts"), std::string::npos) << operation << ' ' << reply.body;
  }
}

TEST_F(OpenApi, IsWellFormed) {
  EXPECT_EQ(std::string_view(document_["openapi"]), "3.1.0");
  EXPECT_FALSE(std::string_view(document_["info"]["title"]).empty());
  EXPECT_FALSE(std::string_view(document_["info"]["version"]).empty());
  std::set<std::string> names;
  for (const auto path : simdjson::dom::object(document_["paths"])) {
    for (const auto entry : simdjson::dom::object(path.value)) {
      const element operation = entry.value;
      const std::string name = text_of(operation["operationId"]);
      EXPECT_TRUE(names.insert(name).second) << name;
      EXPECT_FALSE(std::string_view(operation["summary"]).empty()) << name;
      EXPECT_FALSE(std::string_view(operation["tags"].at(0)).empty()) << name;
      EXPECT_GE(simdjson::dom::object(operation["responses"]).size(), 2U) << name;
      // Every parameter of the path is declared.
      std::set<std::string> declared;
      for (const element parameter : simdjson::dom::array(operation["parameters"]))
        if (std::string_view(parameter["in"]) == "path")
          declared.insert(text_of(parameter["name"]));
      std::set<std::string> used;
      const std::string pattern(path.key);
      for (auto open = pattern.find('{'); open != std::string::npos;
           open = pattern.find('{', open + 1))
        used.insert(pattern.substr(open + 1, pattern.find('}', open) - open - 1));
      EXPECT_EQ(declared, used) << name;
    }
  }
}

TEST_F(OpenApi, EveryReferenceLeadsSomewhere) {
  std::set<std::string> references;
  collect_references(document_, references);
  EXPECT_GE(references.size(), 20U);
  for (const std::string& reference : references) {
    ASSERT_EQ(reference.front(), '#');
    EXPECT_FALSE(document_.at_pointer(reference.substr(1)).error()) << reference;
  }
}

TEST_F(OpenApi, EverySchemaIsUsed) {
  std::set<std::string> references;
  collect_references(document_, references);
  for (const auto schema : simdjson::dom::object(document_["components"]["schemas"]))
    EXPECT_TRUE(references.contains("#/components/schemas/" + std::string(schema.key)))
        << schema.key;
}

TEST_F(OpenApi, AnUndeclaredSchemaIsAMistake) {
  const api::Operation operation{.name = "x", .summary = "x", .tag = "x", .answer = "Nobody"};
  EXPECT_THROW(api::openapi_of({{http::Method::get, "/x", operation}}), std::logic_error);
}

}  // namespace
}  // namespace actionflows
