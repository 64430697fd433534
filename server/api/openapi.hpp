// The description of the API for programs: OpenAPI 3.1.
#pragma once

#include "server/api/routes.hpp"

#include <string>
#include <vector>

namespace actionflows::api {

// The document for these endpoints. Throws std::logic_error for an endpoint that names a schema
// which is not declared.
std::string openapi_of(const std::vector<Endpoint>& endpoints);

}  // namespace actionflows::api
