#include "cli/backend.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/services/interchange.hpp"
#include "cli/open_storage.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace actionflows::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t page_size = 1'000;

class StorageBackend final : public Backend {
 public:
  explicit StorageBackend(Storage& storage) : storage_(storage), log_(storage) {}
  explicit StorageBackend(std::unique_ptr<Storage> storage) : StorageBackend(*storage) {
    owned_ = std::move(storage);
  }

  Task<bool> import_line(std::string line, std::optional<UserId> user) override {
    ImportDefaults defaults;
    if (user) defaults.user = std::move(*user);
    const SessionImage image =
        image_of_line(line, storage_.clock().now(), storage_.options().session_ttl, defaults);
    co_return co_await storage_.restore(image);
  }

  Task<SessionNames> list_sessions(std::optional<UserId> user,
                                   std::optional<std::string> cursor) override {
    SessionFilter filter{.user = std::move(user), .state = {}};
    PageQuery query{.limit = page_size, .cursor = std::move(cursor)};
    Page<Session> page = co_await storage_.list_sessions(std::move(filter), std::move(query));
    SessionNames names;
    for (Session& session : page.items) names.ids.push_back(std::move(session.session_id));
    for (StorageError& error : page.corrupt) names.corrupt.push_back(std::move(error.record));
    names.next_cursor = std::move(page.next_cursor);
    co_return names;
  }

  Task<std::optional<std::string>> export_line(SessionId id) override {
    const std::optional<SessionImage> image = co_await read_image(storage_, id);
    if (!image) co_return std::nullopt;
    co_return line_of_image(*image);
  }

  Task<Verification> verify(SessionId id) override { co_return co_await log_.verify(id); }

  std::size_t parallelism() const override { return 1; }

 private:
  std::unique_ptr<Storage> owned_;  // null: someone else owns it
  Storage& storage_;
  EventLog log_;
};

class ServerBackend final : public Backend {
 public:
  ServerBackend(boost::asio::any_io_executor executor, ServerUrl server, HttpClientOptions options)
      : executor_(std::move(executor)), server_(std::move(server)), options_(std::move(options)) {}

  Task<bool> import_line(std::string line, std::optional<UserId> user) override {
    HttpRequest request{.method = "POST",
                        .target = "/v1/import",
                        .body = line,
                        .content_type = "application/x-ndjson"};
    if (user) request.target += "?userId=" + percent_encoded(user->str());
    const HttpAnswer answer = co_await ask(request);
    co_return stored_of(answer.body);
  }

  Task<SessionNames> list_sessions(std::optional<UserId> user,
                                   std::optional<std::string> cursor) override {
    HttpRequest request{.target = fmt::format("/v1/sessions?limit={}", page_size)};
    if (user) request.target += "&userId=" + percent_encoded(user->str());
    if (cursor) request.target += "&cursor=" + percent_encoded(*cursor);
    const HttpAnswer answer = co_await ask(request);
    if (answer.partial)
      throw failure(ErrorCode::unavailable,
                    "the server's storage is away: it knows only a part of the sessions", "list");
    co_return session_names_of(answer.body);
  }

  Task<std::optional<std::string>> export_line(SessionId id) override {
    HttpRequest request{.target = "/v1/sessions/" + id.str() + "/export"};
    HttpAnswer answer = co_await ask(request, 404);
    if (answer.status == 404) co_return std::nullopt;
    if (answer.body.ends_with('\n')) answer.body.pop_back();
    co_return std::move(answer.body);
  }

  Task<Verification> verify(SessionId id) override {
    HttpRequest request{.target = "/v1/sessions/" + id.str() + "/verify"};
    const HttpAnswer answer = co_await ask(request);
    co_return verification_of(answer.body);
  }

  std::size_t parallelism() const override { return 4; }

 private:
  Task<HttpAnswer> ask(const HttpRequest& request, int also_fine = 200);
  Task<HttpAnswer> ask_once(HttpRequest request);

  const boost::asio::any_io_executor executor_;
  const ServerUrl server_;
  const HttpClientOptions options_;
  std::vector<HttpClient> idle_;
};

// `request` and what it refers to must outlive the await.
Task<HttpAnswer> ServerBackend::ask(const HttpRequest& request, int also_fine) {
  constexpr int max_tries = 8;
  for (int attempt = 1;; ++attempt) {
    HttpAnswer answer = co_await ask_once(request);
    if (answer.status / 100 == 2 || answer.status == also_fine) co_return answer;
    const StorageError error = error_of(answer);
    if (answer.status == 401 || answer.status == 403)
      throw Failure(fmt::format("{} refuses: {}; is ACTIONFLOWS_API_KEY right?", server_.str(),
                                error.message()));
    const bool busy = answer.status == 503 || (answer.status == 429 && answer.retry_after);
    if (!busy || attempt == max_tries) throw error;
    const std::chrono::milliseconds pause =
        std::max<std::chrono::milliseconds>(answer.retry_after.value_or(0s), 100ms * attempt);
    co_await system_clock().sleep_for(std::min<std::chrono::milliseconds>(pause, 8s));
  }
}

// Each call has a connection to itself; they are kept for the next ones.
Task<HttpAnswer> ServerBackend::ask_once(HttpRequest request) {
  if (idle_.empty()) idle_.emplace_back(executor_, server_, options_);
  HttpClient client = std::move(idle_.back());
  idle_.pop_back();
  HttpAnswer answer = co_await client.send(std::move(request));
  idle_.push_back(std::move(client));
  co_return answer;
}

}  // namespace

Task<SessionNames> Backend::all_sessions(std::optional<UserId> user) {
  SessionNames all;
  std::optional<std::string> cursor;
  do {
    SessionNames page = co_await list_sessions(user, std::move(cursor));
    std::ranges::move(page.ids, std::back_inserter(all.ids));
    std::ranges::move(page.corrupt, std::back_inserter(all.corrupt));
    cursor = std::move(page.next_cursor);
  } while (cursor);
  // A session that was active in the meantime may have been met twice.
  std::ranges::sort(all.ids);
  all.ids.erase(std::ranges::unique(all.ids).begin(), all.ids.end());
  std::ranges::sort(all.corrupt);
  co_return all;
}

std::unique_ptr<Backend> make_storage_backend(Storage& storage) {
  return std::make_unique<StorageBackend>(storage);
}

std::unique_ptr<Backend> make_server_backend(boost::asio::any_io_executor executor,
                                             ServerUrl server, HttpClientOptions options) {
  return std::make_unique<ServerBackend>(std::move(executor), std::move(server),
                                         std::move(options));
}

std::unique_ptr<Backend> open_backend(boost::asio::any_io_executor executor, const Target& target,
                                      const TargetFlags& flags, Opening opening,
                                      const LimitFlags& limits) {
  if (const auto* const storage = std::get_if<StorageTarget>(&target)) {
    if (is_memory(storage->url)) {
      throw UsageError(
          "a storage in memory is empty at first and gone with this command: give --server URL to "
          "work on what a server keeps, or a storage that lasts, for example sqlite:PATH");
    }
    StorageBounds bounds;
    bounds.limits = limits.driver_limits();
    return std::make_unique<StorageBackend>(std::make_unique<Storage>(
        open_storage(storage->url, bounds, opening), limits.storage_options()));
  }
  HttpClientOptions options;
  options.api_key = read_api_key(flags);
  return make_server_backend(std::move(executor), std::get<ServerUrl>(target), std::move(options));
}

}  // namespace actionflows::cli
