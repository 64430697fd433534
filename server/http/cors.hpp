// Which web pages may use the server (the Fetch standard's CORS protocol). Internal to the server.
#pragma once

#include "server/http/response.hpp"
#include "server/http/server.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace actionflows::http {

// `origin` is the request's Origin header, empty when it has none.
bool is_allowed_origin(const CorsOptions& options, std::string_view origin) noexcept;

// Neither allowed nor the page's own server, as its Host header names it. A browser sends a page's
// simple requests without asking first, so such an origin must not be let to change anything.
bool is_foreign_origin(const CorsOptions& options, std::string_view origin,
                       std::string_view host) noexcept;

// Whether `host`, a Host header with or without port, is one of `allowed`; any is when that is
// empty.
bool is_allowed_host(const std::vector<std::string>& allowed, std::string_view host) noexcept;

// Lets the page at `origin` read the response, when it is allowed.
void add_cors(const CorsOptions& options, std::string_view origin, Response& response);

// The answer to OPTIONS on a path with those methods, a preflight or not.
Response answer_options(const CorsOptions& options, std::string_view origin,
                        std::string_view methods);

}  // namespace actionflows::http
