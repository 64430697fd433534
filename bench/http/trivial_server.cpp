// The project's HTTP server with one trivial handler, for the HTTP benchmark: what its machinery
// costs beside bare_beast, without storage.
//
//   trivial_server PORT
#include "server/http/server.hpp"

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>

namespace {

using namespace actionflows;
using namespace actionflows::http;

Task<Response> answer(Request& request) {
  static const Bytes body(std::string(400, 'x'));
  Response response = Response::json(body);
  response.add("ETag", "\"1\"");
  response.add("ActionFlows-Source", "memory");
  if (request.param("id").empty()) response.status = 404;
  co_return response;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: trivial_server PORT\n";
    return EXIT_FAILURE;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Router router;
  router.add(Method::get, "/v1/sessions/{id}", answer, {.name = "get_session"});
  Metrics metrics;
  Server server({.port = static_cast<std::uint16_t>(std::stoul(argv[1]))}, std::move(router),
                &metrics);
  server.start();
  int received = 0;
  sigwait(&signals, &received);
  server.stop();
}
