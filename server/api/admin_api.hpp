// What operators and the command line use: health, metrics, and sessions as a whole.
#pragma once

#include "actionflows/base/bytes.hpp"
#include "server/api/routes.hpp"
#include "server/api/services.hpp"
#include "server/http/metrics.hpp"
#include "server/http/request.hpp"
#include "server/http/response.hpp"

#include <mutex>

namespace actionflows::api {

// Thread-safety: shared objects: safe. Services and metrics must outlive it.
class AdminApi {
 public:
  AdminApi(Services& services, http::Metrics& metrics) : services_(services), metrics_(metrics) {}

  // The object must outlive the router. Last of all: /openapi.json tells of what is there.
  void add_to(Routes& routes);

 private:
  void add_probes_to(Routes& routes);

  Task<http::Response> import(http::Request& request);
  Task<http::Response> export_session(http::Request& request);
  Task<http::Response> verify(http::Request& request);
  Task<http::Response> healthz(http::Request& request);
  Task<http::Response> readyz(http::Request& request);
  Task<http::Response> metrics(http::Request& request);
  Task<http::Response> openapi(http::Request& request);

  Services& services_;       // constant after construction
  http::Metrics& metrics_;   // likewise
  std::mutex totals_mutex_;  // held while a counter is brought up to a total
  Bytes openapi_;            // constant after add_to
};

}  // namespace actionflows::api
