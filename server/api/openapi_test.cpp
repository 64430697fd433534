#include "server/api/openapi.hpp"

#include "server/api/access.hpp"
#include "server/api/admin_api.hpp"
#include "server/api/chains_api.hpp"
#include "server/api/events_api.hpp"
#include "server/api/sessions_api.hpp"
#include "server/api/steps_api.hpp"
#include "server/testing/served.hpp"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <chrono>
#include <set>
#include <stdexcept>
#include <string>

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

TEST_F(OpenApi, DescribesExactlyTheRoutesThereAre) {
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
  EXPECT_EQ(described(), there);
  EXPECT_EQ(there.size(), router.routes().size());
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
