// /v1/sessions/{sessionId}/chains, /v1/chains and /v1/archive.
#pragma once

#include "server/api/routes.hpp"
#include "server/api/services.hpp"
#include "server/http/request.hpp"
#include "server/http/response.hpp"

namespace actionflows::api {

// Thread-safety: shared objects: safe. The services must outlive it.
class ChainsApi {
 public:
  explicit ChainsApi(Services& services) : services_(services) {}

  // The object must outlive the router.
  void add_to(Routes& routes);

 private:
  void add_actions_to(Routes& routes);

  Task<http::Response> create(http::Request& request);
  Task<http::Response> list(http::Request& request);
  Task<http::Response> get(http::Request& request);
  Task<http::Response> update(http::Request& request);
  Task<http::Response> remove(http::Request& request);
  Task<http::Response> cancel(http::Request& request);
  Task<http::Response> archive(http::Request& request);
  Task<http::Response> list_archive(http::Request& request);

  // The chain's JSON with its steps in it, as of one moment. Throws not_found; conflict (retryable)
  // when it was changed again and again while it was read.
  Task<std::string> with_steps(const ChainId& id, const Context& context);
  Task<std::string> encode_with_steps(const Chain& chain, const Context& context);

  Services& services_;  // constant after construction
};

}  // namespace actionflows::api
