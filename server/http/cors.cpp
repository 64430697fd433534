#include "server/http/cors.hpp"

#include <algorithm>

namespace actionflows::http {

bool is_allowed_origin(const CorsOptions& options, std::string_view origin) noexcept {
  return !origin.empty() &&
         std::find(options.allowed_origins.begin(), options.allowed_origins.end(), origin) !=
             options.allowed_origins.end();
}

bool is_foreign_origin(const CorsOptions& options, std::string_view origin,
                       std::string_view host) noexcept {
  if (origin.empty() || is_allowed_origin(options, origin)) return false;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme) && !host.empty() &&
        equal_ignoring_case(origin.substr(scheme.size()), host))
      return false;
  }
  return true;
}

bool is_allowed_host(const std::vector<std::string>& allowed, std::string_view host) noexcept {
  if (allowed.empty()) return true;
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != std::string_view::npos && !host.ends_with(']');
  const std::string_view name = has_port ? host.substr(0, colon) : host;
  return std::any_of(allowed.begin(), allowed.end(),
                     [&](const std::string& known) { return equal_ignoring_case(name, known); });
}

void add_cors(const CorsOptions& options, std::string_view origin, Response& response) {
  if (options.allowed_origins.empty()) return;
  // Also without an origin, or a cache would serve that answer to a page.
  response.add("Vary", "Origin");
  if (!is_allowed_origin(options, origin)) return;
  response.add("Access-Control-Allow-Origin", origin);
  response.add("Access-Control-Expose-Headers", options.exposed_headers);
}

Response answer_options(const CorsOptions& options, std::string_view origin,
                        std::string_view methods) {
  Response response(204);
  response.add("Allow", methods);
  if (is_allowed_origin(options, origin)) {
    response.add("Access-Control-Allow-Methods", methods);
    response.add("Access-Control-Allow-Headers", options.request_headers);
    response.add("Access-Control-Max-Age", "600");
  }
  return response;
}

}  // namespace actionflows::http
