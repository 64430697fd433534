// One connection to a server: requests and their answers, one after another, over HTTP/1.1.
#pragma once

#include "actionflows/base/task.hpp"
#include "cli/failure.hpp"
#include "cli/server_url.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace actionflows::cli {

// The server can't be reached, went away, or did not answer in time.
class ConnectionLost : public Failure {
 public:
  using Failure::Failure;
};

struct HttpRequest {
  std::string_view method = "GET";
  std::string target;  // "/v1/sessions?limit=50", without the path of the server's URL
  std::string_view body = {};
  std::string_view content_type = {};
  std::vector<std::pair<std::string, std::string>> headers = {};  // further ones
};

struct HttpAnswer {
  int status = 0;
  std::string body;
  std::string content_type;
  std::optional<std::chrono::seconds> retry_after;
  bool partial = false;  // a list that may lack some: the server's storage is away
};

struct HttpClientOptions {
  std::string api_key = {};  // sent as `Authorization: Bearer`; empty: none
  std::chrono::milliseconds connect_timeout{5'000};
  // For a request to be taken, and again for its answer to come whole.
  std::chrono::milliseconds answer_timeout{120'000};
  std::size_t max_answer_bytes = std::size_t{1} << 30;
};

// The connection is made with the first request and kept for the next. Not for sharing between
// threads; one call at a time.
class HttpClient {
 public:
  HttpClient(boost::asio::any_io_executor executor, ServerUrl server,
             HttpClientOptions options = {});
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;

  // The answer, whatever its status. A kept connection that the server has closed in the meantime
  // is made anew, and the request sent once more: only for requests that may arrive twice. What
  // `request` refers to must outlive the await. Throws ConnectionLost; Failure for an answer that
  // is not HTTP or too large.
  Task<HttpAnswer> send(HttpRequest request);

  // Asks for an endless answer on a connection of its own. With status 200 the body is empty and
  // comes by `read_piece`; with any other, it is whole. Throws as `send`.
  Task<HttpAnswer> open_stream(HttpRequest request);

  // The next bytes of the open stream, at least one; nullopt: it ended as it should. Throws
  // ConnectionLost when it was cut, or when nothing came for `timeout`.
  Task<std::optional<std::string>> read_piece(std::chrono::milliseconds timeout);

 private:
  struct Connection;

  Task<void> connect();
  Task<void> write(const HttpRequest& request);

  boost::asio::any_io_executor executor_;
  ServerUrl server_;
  HttpClientOptions options_;
  std::unique_ptr<Connection> connection_;  // null: none yet, or it broke
};

}  // namespace actionflows::cli
