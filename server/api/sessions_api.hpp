// /v1/sessions: sessions and their tokens.
#pragma once

#include "server/api/routes.hpp"
#include "server/api/services.hpp"
#include "server/http/request.hpp"
#include "server/http/response.hpp"

namespace actionflows::api {

// Thread-safety: shared objects: safe. The services must outlive it.
class SessionsApi {
 public:
  explicit SessionsApi(Services& services) : services_(services) {}

  // The object must outlive the router.
  void add_to(Routes& routes);

 private:
  void add_actions_to(Routes& routes);

  Task<http::Response> create(http::Request& request);
  Task<http::Response> list(http::Request& request);
  Task<http::Response> get(http::Request& request);
  Task<http::Response> update(http::Request& request);
  Task<http::Response> remove(http::Request& request);
  Task<http::Response> touch(http::Request& request);
  Task<http::Response> issue_token(http::Request& request);
  Task<http::Response> revoke_token(http::Request& request);
  Task<http::Response> logout(http::Request& request);

  Services& services_;  // constant after construction
};

}  // namespace actionflows::api
