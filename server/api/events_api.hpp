// /v1/sessions/{sessionId}/events, and the live streams of Server-Sent Events.
#pragma once

#include "server/api/access.hpp"
#include "server/api/routes.hpp"
#include "server/api/services.hpp"
#include "server/http/request.hpp"
#include "server/http/response.hpp"

#include <chrono>

namespace actionflows::api {

// Thread-safety: shared objects: safe. Services and access must outlive it, and it every stream.
class EventsApi {
 public:
  // Every `heartbeat` a stream that has nothing to say sends a comment, so that neither side and
  // nobody in between takes the connection for dead.
  EventsApi(Services& services, Access& access, std::chrono::milliseconds heartbeat)
      : services_(services), access_(access), heartbeat_(heartbeat) {}

  // The object must outlive the router.
  void add_to(Routes& routes);

 private:
  Task<http::Response> append(http::Request& request);
  Task<http::Response> list(http::Request& request);
  Task<http::Response> prune(http::Request& request);
  Task<http::Response> stream(http::Request& request);
  Task<http::Response> stream_all(http::Request& request);

  // constant after construction
  Services& services_;
  Access& access_;
  const std::chrono::milliseconds heartbeat_;
};

}  // namespace actionflows::api
