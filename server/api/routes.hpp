// The routes of the API, each with what /openapi.json says of it: one declaration for both.
#pragma once

#include "server/api/query.hpp"
#include "server/http/router.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace actionflows::api {

enum class Audience {
  everyone,    // no credentials asked
  users,       // a key, or a token for what is its user's
  full_access  // a key; a token is answered 403
};

// Views of literals all; schemas are named as in /openapi.json's components.
struct Operation {
  std::string_view name;     // "get_session"
  std::string_view summary;  // one line
  std::string_view tag;      // "sessions"
  Audience audience = Audience::users;

  std::string_view body = {};  // the request's; empty: none
  std::string_view body_type = "application/json";
  bool body_optional = false;
  std::size_t body_limit = 0;  // bytes; 0: the server's
  std::span<const Parameter> query = {};
  bool takes_version = false;  // If-Match
  bool repeatable = false;     // Idempotency-Key

  bool resumable = false;   // Last-Event-ID
  bool comparable = false;  // If-None-Match: 304 where the version is known

  int status = 200;              // of success
  std::string_view answer = {};  // the response's; empty: no content
  std::string_view answer_type = "application/json";
  bool locates = false;         // Location: of what was made or is there already
  bool tells_of_store = true;   // ActionFlows-Source of a read, ActionFlows-Durability of a write
  int other_status = 0;         // of the same answer, where it says something else; 0: none
  std::string_view other = {};  // what it says then
};

// One route, described.
struct Endpoint {
  http::Method method;
  std::string pattern;
  Operation operation;
};

// Gathers the routes of a router. Used while the server is put together.
//
// What a request asks beside its body is refused (400) where its operation does not declare it: a
// filter, a condition or a key must not be passed over in silence. Only safe methods, which change
// nothing whatever the headers say, may carry any.
class Routes {
 public:
  explicit Routes(http::Router& router) : router_(router) {}

  void add(http::Method method, std::string_view pattern, Operation operation,
           http::Handler handler);

  // The same with a member function of `api`, which must outlive the router.
  template <class Api>
  void add(http::Method method, std::string_view pattern, Operation operation, Api& api,
           Task<http::Response> (Api::*handler)(http::Request&)) {
    add(method, pattern, operation,
        [&api, handler](http::Request& request) { return (api.*handler)(request); });
  }

  [[nodiscard]] const std::vector<Endpoint>& endpoints() const noexcept { return endpoints_; }

 private:
  http::Router& router_;
  std::vector<Endpoint> endpoints_;
};

}  // namespace actionflows::api
