#include "cli/http_client.hpp"

#include "actionflows/base/as_result.hpp"
#include "cli/quantities.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/span_body.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <fmt/core.h>

#include <array>
#include <charconv>

namespace actionflows::cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

// Problem documents of refused streams.
constexpr std::size_t max_refusal_bytes = 1 << 20;

using RequestMessage = beast::http::request<beast::http::span_body<const char>>;

RequestMessage message_of(const HttpRequest& request, const ServerUrl& server,
                          const HttpClientOptions& options) {
  RequestMessage message;
  message.version(11);
  message.method_string(request.method);
  message.target(server.path + request.target);
  message.set(beast::http::field::host, server.authority());
  message.set(beast::http::field::user_agent, "actionflows");
  if (!options.api_key.empty())
    message.set(beast::http::field::authorization, "Bearer " + options.api_key);
  if (!request.content_type.empty())
    message.set(beast::http::field::content_type, request.content_type);
  for (const auto& [name, value] : request.headers) message.set(name, value);
  message.body() = {request.body.data(), request.body.size()};
  message.prepare_payload();
  return message;
}

template <class Message>
HttpAnswer answer_of(const Message& message) {
  HttpAnswer answer;
  answer.status = static_cast<int>(message.result_int());
  answer.content_type = message[beast::http::field::content_type];
  const std::string_view seconds = message[beast::http::field::retry_after];
  std::uint32_t count = 0;
  if (std::from_chars(seconds.data(), seconds.data() + seconds.size(), count).ec == std::errc())
    answer.retry_after = std::chrono::seconds(count);
  const std::string_view source = message["ActionFlows-Source"];
  answer.partial = source.find("; partial") != source.npos;
  return answer;
}

[[noreturn]] void throw_lost(const ServerUrl& server, const error_code& error,
                             std::chrono::milliseconds timeout) {
  if (error == beast::error::timeout) {
    throw ConnectionLost(
        fmt::format("no answer from {} for {}", server.str(), duration_text(timeout)));
  }
  if (error == beast::http::error::body_limit)
    throw Failure(fmt::format("the answer of {} is too large", server.str()));
  // Of the errors of HTTP, these two say that the connection ended; the others, that it is not
  // HTTP that came.
  if (error == beast::http::error::end_of_stream || error == beast::http::error::partial_message)
    throw ConnectionLost(fmt::format("{} closed the connection", server.str()));
  if (error.category() == make_error_code(beast::http::error::end_of_stream).category())
    throw Failure(fmt::format("what answers at {} is no HTTP server", server.str()));
  throw ConnectionLost(fmt::format("lost the connection to {}: {}", server.str(), error.message()));
}

}  // namespace

struct HttpClient::Connection {
  explicit Connection(const asio::any_io_executor& executor) : stream(executor) {}

  beast::tcp_stream stream;
  beast::flat_buffer buffer;
  std::optional<beast::http::response_parser<beast::http::buffer_body>>
      parser;  // of the open stream
  bool used = false;
};

HttpClient::HttpClient(asio::any_io_executor executor, ServerUrl server, HttpClientOptions options)
    : executor_(std::move(executor)), server_(std::move(server)), options_(std::move(options)) {}
HttpClient::~HttpClient() = default;
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;

Task<void> HttpClient::connect() {
  auto connection = std::make_unique<Connection>(executor_);
  connection->stream.expires_after(options_.connect_timeout);
  error_code error;
  const auto address = asio::ip::make_address(server_.host, error);
  if (!error) {
    const tcp::endpoint endpoint(address, server_.port);
    std::tie(error) = co_await connection->stream.async_connect(endpoint, as_result);
  } else {
    tcp::resolver resolver(executor_);
    const auto [unknown, found] =
        co_await resolver.async_resolve(server_.host, std::to_string(server_.port), as_result);
    if (unknown) {
      throw ConnectionLost(
          fmt::format("can't reach {}: no host of that name is known", server_.str()));
    }
    const auto [refused, endpoint] = co_await connection->stream.async_connect(found, as_result);
    error = refused;
  }
  if (error == beast::error::timeout) {
    throw ConnectionLost(fmt::format("can't reach {}: no answer for {}", server_.str(),
                                     duration_text(options_.connect_timeout)));
  }
  if (error == asio::error::connection_refused) {
    throw ConnectionLost(
        fmt::format("can't reach {}: nothing listens there; `actionflows serve` starts a server",
                    server_.str()));
  }
  if (error)
    throw ConnectionLost(fmt::format("can't reach {}: {}", server_.str(), error.message()));
  connection->stream.socket().set_option(tcp::no_delay(true), error);
  connection_ = std::move(connection);
}

// What goes wrong here shows when the answer is read: a server that refuses a request before it has
// taken all of it has answered nevertheless.
Task<void> HttpClient::write(const HttpRequest& request) {
  const RequestMessage message = message_of(request, server_, options_);
  connection_->stream.expires_after(options_.answer_timeout);
  co_await beast::http::async_write(connection_->stream, message, as_result);
}

Task<HttpAnswer> HttpClient::send(HttpRequest request) {
  for (;;) {
    if (!connection_) co_await connect();
    co_await write(request);
    Connection& connection = *connection_;
    beast::http::response_parser<beast::http::string_body> parser;
    parser.body_limit(options_.max_answer_bytes);
    connection.stream.expires_after(options_.answer_timeout);
    const auto [error, size] =
        co_await beast::http::async_read(connection.stream, connection.buffer, parser, as_result);
    if (error) {
      const bool stale = connection.used && !parser.got_some() && error != beast::error::timeout;
      connection_.reset();
      if (stale) continue;
      throw_lost(server_, error, options_.answer_timeout);
    }
    connection.used = true;
    if (!parser.keep_alive()) connection_.reset();
    HttpAnswer answer = answer_of(parser.get());
    answer.body = std::move(parser.get().body());
    co_return answer;
  }
}

Task<HttpAnswer> HttpClient::open_stream(HttpRequest request) {
  connection_.reset();
  co_await connect();
  co_await write(request);
  Connection& connection = *connection_;
  auto& parser = connection.parser.emplace();
  parser.body_limit(boost::none);
  connection.stream.expires_after(options_.answer_timeout);
  const auto [error, size] = co_await beast::http::async_read_header(
      connection.stream, connection.buffer, parser, as_result);
  if (error) throw_lost(server_, error, options_.answer_timeout);
  HttpAnswer answer = answer_of(parser.get());
  if (answer.status == 200) co_return answer;
  while (answer.body.size() < max_refusal_bytes) {
    const auto piece = co_await read_piece(options_.answer_timeout);
    if (!piece) break;
    answer.body += *piece;
  }
  connection_.reset();
  co_return answer;
}

Task<std::optional<std::string>> HttpClient::read_piece(std::chrono::milliseconds timeout) {
  Connection& connection = *connection_;
  auto& parser = *connection.parser;
  std::array<char, 16 << 10> space;
  // Chunk headers alone fill nothing.
  while (!parser.is_done()) {
    parser.get().body().data = space.data();
    parser.get().body().size = space.size();
    connection.stream.expires_after(timeout);
    const auto [error, size] = co_await beast::http::async_read_some(
        connection.stream, connection.buffer, parser, as_result);
    const std::size_t filled = space.size() - parser.get().body().size;
    if (filled > 0) co_return std::string(space.data(), filled);
    if (error && error != beast::http::error::need_buffer) throw_lost(server_, error, timeout);
  }
  co_return std::nullopt;
}

}  // namespace actionflows::cli
