#include "server/http/router.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>
#include <vector>

namespace actionflows::http {

// A tree over the segments of all patterns.
struct Router::Node {
  std::vector<std::pair<std::string, std::unique_ptr<Node>>> literals;
  std::unique_ptr<Node> parameter;
  std::string parameter_name;  // where `parameter` is set

  std::array<const Route*, static_cast<std::size_t>(Method::unknown)> routes{};
  std::string allow;  // empty where no pattern ends

  const Route* route(Method method) const {
    if (method == Method::unknown) return nullptr;
    if (method == Method::head) method = Method::get;
    return routes[static_cast<std::size_t>(method)];
  }

  Node& literal(std::string_view text) {
    for (const auto& [name, node] : literals) {
      if (name == text) return *node;
    }
    return *literals.emplace_back(text, std::make_unique<Node>()).second;
  }

  Node& parameter_named(std::string_view name) {
    if (!parameter) {
      parameter = std::make_unique<Node>();
      parameter_name = name;
    } else if (parameter_name != name) {
      throw std::logic_error("two names for one place: {" + parameter_name + "} and {" +
                             std::string(name) + "}");
    }
    return *parameter;
  }

  // The node where `path` ("/a/b" or "") ends, or nullptr; sets request.params. A segment that
  // can't be decoded ends the search and sets `malformed`.
  const Node* find(std::string_view path, Request& request, bool& malformed) const;

  // "GET, HEAD, POST, OPTIONS", from the routes.
  void write_allow();
};

const Router::Node* Router::Node::find(std::string_view path, Request& request,
                                       bool& malformed) const {
  if (path.empty()) return allow.empty() ? nullptr : this;
  path.remove_prefix(1);  // the slash
  std::string_view segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  if (segment.find('%') != std::string_view::npos) {
    auto plain = percent_decode(segment);
    malformed = !plain;
    if (malformed) return nullptr;
    segment = request.keep(std::move(*plain));
  }
  for (const auto& [name, node] : literals) {
    if (name != segment) continue;
    if (const Node* const found = node->find(path, request, malformed)) return found;
    if (malformed) return nullptr;
  }
  if (!parameter || segment.empty()) return nullptr;
  request.params.push_back({parameter_name, segment});
  const Node* const found = parameter->find(path, request, malformed);
  if (!found) request.params.pop_back();
  return found;
}

void Router::Node::write_allow() {
  allow.clear();
  for (const Method method :
       {Method::get, Method::head, Method::post, Method::put, Method::patch, Method::del}) {
    if (route(method)) allow.append(to_string(method)).append(", ");
  }
  allow += "OPTIONS";
}

Router::Router() : root_(std::make_unique<Node>()) {}
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;
Router::~Router() = default;

void Router::add(Method method, std::string_view pattern, Handler handler, RouteOptions options) {
  const auto refuse = [&](const char* why) {
    throw std::logic_error("route " + std::string(to_string(method)) + " " + std::string(pattern) +
                           ": " + why);
  };
  if (method == Method::head || method == Method::options || method == Method::unknown)
    refuse("the method is the server's to answer");
  if (!handler) refuse("no handler");
  if (!pattern.starts_with('/')) refuse("a pattern starts with a slash");
  for (const Route& route : routes_) {
    if (!options.name.empty() && route.options.name == options.name) refuse("its name is taken");
  }

  Node* node = root_.get();
  std::string_view rest = pattern;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const std::string_view segment = rest.substr(0, rest.find('/'));
    rest.remove_prefix(segment.size());
    const bool is_parameter =
        segment.size() > 2 && segment.starts_with('{') && segment.ends_with('}');
    if (!is_parameter && segment.find_first_of("{}%?") != std::string_view::npos)
      refuse("a segment is a literal or a whole {parameter}");
    if (segment.empty() && pattern != "/") refuse("an empty segment");
    node = is_parameter ? &node->parameter_named(segment.substr(1, segment.size() - 2))
                        : &node->literal(segment);
  }
  const Route*& place = node->routes[static_cast<std::size_t>(method)];
  if (place) refuse("it is there already");
  place = &routes_.emplace_back(Route{.method = method,
                                      .pattern = std::string(pattern),
                                      .options = std::move(options),
                                      .handler = std::move(handler),
                                      .index = routes_.size()});
  node->write_allow();
}

Router::Match Router::find(Request& request) const {
  request.params.clear();
  Match match;
  if (!request.path.starts_with('/')) return match;
  const Node* const node = root_->find(request.path, request, match.malformed);
  if (!node) return match;
  match.allow = node->allow;
  match.route = node->route(request.method);
  return match;
}

}  // namespace actionflows::http
