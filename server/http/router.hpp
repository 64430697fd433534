// Which handler answers which method and path.
#pragma once

#include "actionflows/base/task.hpp"
#include "server/http/request.hpp"
#include "server/http/response.hpp"

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows::http {

// Answers one request. The request lives until the handler has returned; the handler lives as long
// as the server. What it throws becomes a problem document: StorageError by its code, anything else
// a 500 without its text.
using Handler = std::function<Task<Response>(Request&)>;

// Runs before the body of a request is read: returns the refusal, or nullopt to go on; may set
// request.principal. Throws as a handler does.
using Guard = std::function<Task<std::optional<Response>>(Request&)>;

// Whether a request to a route comes with a body.
enum class BodyRule {
  by_method,  // required for POST, PUT and PATCH, else optional
  optional,
  required,  // 411 without Content-Length or chunked coding; the body itself may be empty
};

struct RouteOptions {
  std::string name = {};     // "get_session": unique; for OpenAPI and logs
  std::string summary = {};  // one line for OpenAPI
  bool guarded = true;       // whether the guard is asked
  BodyRule body = BodyRule::by_method;
  std::size_t body_limit = 0;  // bytes; 0: the server's
};

struct Route {
  Method method;
  std::string pattern;  // "/v1/sessions/{id}": what metrics and logs call it
  RouteOptions options;
  Handler handler;
  std::size_t index;  // its place in Router::routes()
};

// Thread-safety: shared objects: safe once nothing is added any more.
class Router {
 public:
  Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;
  ~Router();

  // Patterns consist of literal segments and whole-segment parameters, "/v1/chains/{id}/steps". A
  // literal wins over a parameter. HEAD is answered through GET and OPTIONS by the server; neither
  // is added. Throws std::logic_error for a malformed pattern, for one that is there already and
  // for two parameter names at one place.
  void add(Method method, std::string_view pattern, Handler handler, RouteOptions options = {});

  // Asked for every guarded route; at most one, set before the server starts.
  void set_guard(Guard guard) { guard_ = std::move(guard); }
  [[nodiscard]] const Guard& guard() const noexcept { return guard_; }

  // In order of addition; addresses are stable.
  [[nodiscard]] const std::deque<Route>& routes() const noexcept { return routes_; }

  struct Match {
    const Route* route = nullptr;  // nullptr: no such path (404) or no such method there (405)
    std::string_view allow = {};   // the path's methods, "GET, HEAD, OPTIONS"; empty: no such path
    bool malformed = false;        // a broken percent-escape (400)
  };

  // Finds the route of request.method and request.path and sets request.params. Segments are split
  // before they are decoded: an encoded slash belongs to its segment.
  [[nodiscard]] Match find(Request& request) const;

 private:
  struct Node;

  std::deque<Route> routes_;
  std::unique_ptr<Node> root_;
  Guard guard_;
};

}  // namespace actionflows::http
