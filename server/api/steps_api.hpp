// /v1/chains/{chainId}/steps and /v1/steps.
#pragma once

#include "server/api/routes.hpp"
#include "server/api/services.hpp"
#include "server/http/request.hpp"
#include "server/http/response.hpp"

namespace actionflows::api {

// Thread-safety: shared objects: safe. The services must outlive it.
class StepsApi {
 public:
  explicit StepsApi(Services& services) : services_(services) {}

  // The object must outlive the router.
  void add_to(Routes& routes);

 private:
  Task<http::Response> create(http::Request& request);
  Task<http::Response> list(http::Request& request);
  Task<http::Response> get(http::Request& request);
  Task<http::Response> update(http::Request& request);
  Task<http::Response> remove(http::Request& request);
  Task<http::Response> act(http::Request& request, StepAction action);

  Services& services_;  // constant after construction
};

}  // namespace actionflows::api
