// A server for a test: an App over a memory storage, on a free port of the loopback.
#pragma once

#include "actionflows/base/fake_clock.hpp"
#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/storage.hpp"
#include "server/app.hpp"
#include "server/testing/client.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace actionflows::test {

class Served {
 public:
  explicit Served(AppOptions options = {},
                  std::unique_ptr<StorageDriver> driver = make_memory_storage(),
                  Clock& clock = system_clock(), StorageOptions storage_options = {})
      : storage(std::move(driver), storage_options, clock) {
    options.http.port = 0;
    app.emplace(storage, std::move(options));
    app->start();
  }

  Client client() { return Client(app->port()); }

  // Sends `credentials` with every request.
  Client client(const std::string& credentials) {
    Client client(app->port());
    client.headers = bearer(credentials);
    return client;
  }

  static Headers bearer(const std::string& credentials) {
    return {{"Authorization", "Bearer " + credentials}};
  }

  EventSource stream(std::string_view target, const Headers& headers = {}) {
    return {app->port(), target, headers};
  }

  Storage storage;
  std::optional<App> app;
};

}  // namespace actionflows::test
