#include "server/http/connection.hpp"

#include "server/http/cors.hpp"
#include "server/http/problem.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <charconv>
#include <utility>

namespace actionflows::http {
namespace {

namespace asio = boost::asio;

// Bodies up to this size are copied behind their head, which is cheaper than a second buffer.
constexpr std::size_t small_body = 8 << 10;
constexpr std::chrono::milliseconds linger{2000};
constexpr std::size_t max_turned_away = 256;

template <class Number>
void append_number(std::string& out, Number number, int base = 10) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
  out.append(digits.data(), end);
}

bool changes_something(Method method) noexcept {
  return method != Method::get && method != Method::head && method != Method::options;
}

bool has_no_body(int status) noexcept { return status == 204 || status == 304; }

bool needs_length(const Route& route) noexcept {
  if (route.options.body != BodyRule::by_method) return route.options.body == BodyRule::required;
  return route.method == Method::post || route.method == Method::put ||
         route.method == Method::patch;
}

Response to_response(const Refusal& refusal) {
  return problem(refusal.status, refusal.code, refusal.detail);
}

// The stream was told to end, or its peer went away: no failure.
bool is_cancellation(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& error) {
    return error.code() == asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

std::string text_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

// Of two of these nobody knows which was meant, nor which of them somebody on the way has added.
std::optional<std::string_view> repeated_header(const Request& request) {
  for (const std::string_view name :
       {"Authorization", "If-Match", "Idempotency-Key", "Last-Event-ID", "ActionFlows-Actor"}) {
    const auto same = [&](const NamedValue& field) {
      return equal_ignoring_case(field.name, name);
    };
    if (std::count_if(request.headers.begin(), request.headers.end(), same) > 1) return name;
  }
  return std::nullopt;
}

}  // namespace

Connection::Connection(Shared& shared, Worker& worker, asio::ip::tcp::socket socket,
                       const asio::ip::address& remote)
    : shared_(shared),
      worker_(worker),
      wire_(std::move(socket)),
      reader_(shared.options, wire_, *shared.usage),
      remote_(remote.to_string()),
      place_(shared.usage->connections) {
  request_.remote_address = remote_;
}

Task<void> Connection::run(std::shared_ptr<Connection> self) {
  self->worker_.connections.push_back(*self);
  if (self->place_.take(1, self->shared_.options.max_connections)) {
    co_await self->serve();
  } else {
    co_await self->turn_away();
  }
}

Connection::~Connection() {
  place_.release();
  if (!shared_.stopping) return;
  {
    const std::lock_guard lock(shared_.mutex);
  }  // whoever checks is now past it or waiting
  shared_.connection_ended.notify_all();
}

void Connection::wind_down() {
  if (reader_.idle() || closing_) wire_.cancel_read();
  if (streaming_) end_stream_.emit(asio::cancellation_type::terminal);
}

Task<void> Connection::serve() {
  while (keep_alive_ && !shared_.stopping.load(std::memory_order_relaxed)) {
    const auto next = co_await reader_.read_head(request_);
    if (next == RequestReader::Next::closed) co_return wire_.close();
    if (next == RequestReader::Next::refused) {
      co_await refuse(reader_.refusal());
    } else {
      co_await answer();
    }
  }
  co_await close_gently();
}

Task<void> Connection::turn_away() {
  constexpr Refusal no_room{503, "unavailable", "the server has too many connections"};
  Share place(shared_.usage->turned_away);
  if (!place.take(1, max_turned_away)) co_return wire_.close();
  co_await refuse(no_room);
  co_await close_gently();
}

Task<void> Connection::close_gently() {
  if (!wire_.is_open()) co_return;
  closing_ = true;
  const bool in_haste = shared_.stopping;
  const std::chrono::milliseconds patience = in_haste ? std::chrono::milliseconds(100) : linger;
  co_await wire_.close_gently(patience);
}

Task<void> Connection::refuse(Refusal refusal) {
  begin_exchange();
  keep_alive_ = false;
  const Response response = to_response(refusal);
  co_await send(response);
  log();
}

Task<void> Connection::answer() {
  begin_exchange();
  Response response = co_await respond();
  if (response.status < 200 || response.status > 599) response = fault("a status out of range");
  keep_alive_ = reader_.skip_body() && reader_.head().keep_alive &&
                !shared_.stopping.load(std::memory_order_relaxed);
  Share stream_place(shared_.usage->streams);
  const bool is_stream = std::holds_alternative<Stream>(response.body);
  if (is_stream && !stream_place.take(1, shared_.options.max_streams))
    response = problem(503, "unavailable", "the server has too many streams");
  add_cors(shared_.options.cors, reader_.head().origin, response);
  if (std::holds_alternative<Stream>(response.body)) {
    co_await send_stream(response);
  } else {
    co_await send(response);
  }
  log();
}

void Connection::begin_exchange() {
  exchange_ = Exchange();
  exchange_.begun = std::chrono::steady_clock::now();
  request_.id = shared_.next_request_id.fetch_add(1, std::memory_order_relaxed);
}

Task<Response> Connection::respond() {
  if (!request_.set_target(request_.target) && request_.target != "*")
    co_return problem(400, "malformed_request", "the request target is malformed");
  const Router::Match match = shared_.router.find(request_);
  if (auto answered = answer_without_route(match)) co_return std::move(*answered);
  exchange_.route = match.route;

  std::exception_ptr failure;
  try {
    co_return co_await handle(*match.route);
  } catch (const StorageError& error) {
    if (error.code() == ErrorCode::corrupt) co_return fault(error.what());
    if (error.has_cause()) report_fault(error.what());
    co_return problem(error);
  } catch (...) {
    failure = std::current_exception();
  }
  co_return fault(text_of(failure));
}

std::optional<Response> Connection::answer_without_route(const Router::Match& match) {
  const CorsOptions& cors = shared_.options.cors;
  const RequestHead& head = reader_.head();
  if (request_.method == Method::unknown)
    return problem(501, "not_implemented", "the method is not known here");
  // Health checks speak HTTP/1.0 and name no host; browsers, whom this is about, always do.
  if (head.host && !is_allowed_host(shared_.options.allowed_hosts, *head.host))
    return problem(421, "misdirected", "this server does not go by the name in the Host header");
  if (const auto name = repeated_header(request_))
    return problem(400, "malformed_request", std::string(*name) + " is given more than once");
  if (changes_something(request_.method) &&
      is_foreign_origin(cors, head.origin, head.host.value_or("")))
    return problem(403, "forbidden_origin", "pages of this origin may not change anything here");
  if (request_.method == Method::options && request_.target == "*")
    return answer_options(cors, {}, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  if (match.malformed)
    return problem(400, "malformed_request", "the path has a malformed percent-escape");
  if (match.allow.empty()) return problem(404, "not_found", "there is no such path");
  if (request_.method == Method::options) return answer_options(cors, head.origin, match.allow);
  if (match.route) return std::nullopt;
  Response response = problem(405, "method_not_allowed", "the path does not have this method");
  response.add("Allow", match.allow);
  return response;
}

// A body on its way takes no share of the requests in flight: clients that announce one and send
// nothing would keep all others out. What has come of it is bounded by its memory.
Task<Response> Connection::handle(const Route& route) {
  constexpr Refusal busy{503, "unavailable", "the server has too many requests in flight"};
  const std::size_t most = shared_.options.max_in_flight;
  Share in_flight(shared_.usage->in_flight);
  if (route.options.guarded && shared_.router.guard()) {
    if (!in_flight.take(1, most)) co_return to_response(busy);
    auto refused = co_await shared_.router.guard()(request_);
    if (refused) co_return std::move(*refused);
    in_flight.release();
  }
  if (reader_.head().chunked || reader_.head().content_length) {
    const auto refusal = co_await receive_body(route);
    if (refusal) co_return to_response(*refusal);
  } else if (needs_length(route)) {
    co_return problem(411, "length_required", "a body is expected: send Content-Length");
  }
  if (!in_flight.take(1, most)) co_return to_response(busy);
  co_return co_await route.handler(request_);
}

Task<std::optional<Refusal>> Connection::receive_body(const Route& route) {
  if (reader_.head().encoded_body)
    co_return Refusal{415, "unsupported_media_type",
                      "bodies are taken as they are: send none with a Content-Encoding"};
  const std::size_t limit =
      route.options.body_limit > 0 ? route.options.body_limit : shared_.options.body_limit;
  // Refused here already, so that a client that waits for "100 Continue" keeps its body.
  if (reader_.head().content_length.value_or(0) > limit)
    co_return Refusal{413, "too_large", "the body is too large"};
  if (reader_.head().expects_continue && reader_.head().http_1_1) {
    constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await wire_.write(go_on, shared_.options.write_timeout);
  }
  auto refusal = co_await reader_.read_body(request_, limit);
  exchange_.bytes_in = request_.body.size();
  co_return refusal;
}

Response Connection::fault(std::string_view what) {
  report_fault(what);
  return internal_problem(request_id(request_.id));
}

void Connection::report_fault(std::string_view what) {
  if (!shared_.options.on_fault) return;
  shared_.options.on_fault(
      {.request_id = request_.id,
       .method = to_string(request_.method),
       .route = exchange_.route ? std::string_view(exchange_.route->pattern) : std::string_view(),
       .what = what});
}

Task<void> Connection::send(const Response& response) {
  std::string_view body = response.content();
  begin_head(response);
  if (has_no_body(response.status)) {
    body = {};
  } else {
    output_ += "Content-Length: ";
    append_number(output_, body.size());
    output_ += line_end;
    if (request_.method == Method::head) body = {};
  }
  end_head();
  exchange_.bytes_out = output_.size() + body.size();
  if (body.size() <= small_body) {
    output_ += body;
    body = {};
  }
  const bool sent = co_await wire_.write(output_, body, shared_.options.write_timeout);
  if (!sent) keep_alive_ = false;
  count();
}

void Connection::begin_head(const Response& response) {
  exchange_.status = response.status;
  if (output_.capacity() > kept_capacity) output_ = std::string();
  output_ = "HTTP/1.1 ";
  append_number(output_, response.status);
  output_.append(" ").append(reason_phrase(response.status)).append(line_end);
  output_ += worker_.date.at(exchange_.begun);
  output_ += response.header_lines();
}

void Connection::end_head() {
  if (!keep_alive_) {
    output_ += "Connection: close\r\n";
  } else if (!reader_.head().http_1_1) {
    output_ += "Connection: keep-alive\r\n";
  }
  output_ += line_end;
}

Task<void> Connection::send_stream(const Response& response) {
  keep_alive_ = false;
  begin_head(response);
  const bool chunked = reader_.head().http_1_1;
  if (chunked) output_ += "Transfer-Encoding: chunked\r\n";
  end_head();
  exchange_.bytes_out = output_.size();
  const auto timeout = shared_.options.write_timeout;
  const bool sent = co_await wire_.write(output_, timeout);
  count();
  if (!sent || request_.method == Method::head) co_return;

  const std::exception_ptr failure = co_await run_stream(std::get<Stream>(response.body));
  if (failure && !is_cancellation(failure)) {
    fault(text_of(failure));
    // Without the last chunk the client knows that something is missing.
    wire_.close();
  } else if (chunked && !peer_gone_) {
    constexpr std::string_view last_chunk = "0\r\n\r\n";
    co_await wire_.write(last_chunk, timeout);
  }
}

Task<std::exception_ptr> Connection::run_stream(const Stream& stream) {
  // Later than this check, wind_down would find the stream running and end it.
  if (shared_.stopping) co_return nullptr;
  wire_.bound_unread(shared_.options.stream_buffer, shared_.options.write_timeout);
  streaming_ = true;
  wire_.watch(shared_from_this(), [this] {
    peer_gone_ = true;
    if (streaming_) end_stream_.emit(asio::cancellation_type::terminal);
  });
  const auto executor = co_await asio::this_coro::executor;
  const auto [failure] = co_await asio::co_spawn(
      executor, feed(stream),
      asio::bind_cancellation_slot(end_stream_.slot(), asio::as_tuple(asio::use_awaitable)));
  streaming_ = false;
  wire_.cancel_read();
  co_return failure;
}

// A coroutine of its own, so that what `stream` throws before its first suspension is a failure of
// the stream and not of the connection.
Task<void> Connection::feed(const Stream& stream) { co_await stream(*this); }

Task<bool> Connection::write(std::string_view chunk) {
  if (!open()) co_return false;
  if (chunk.empty()) co_return true;
  output_.clear();
  if (reader_.head().http_1_1) {
    append_number(output_, chunk.size(), 16);
    output_.append(line_end).append(chunk).append(line_end);
  } else {
    output_ = chunk;
  }
  exchange_.bytes_out += output_.size();
  const bool sent = co_await wire_.write(output_, shared_.options.write_timeout);
  if (!sent) peer_gone_ = true;
  co_return open();
}

bool Connection::open() const noexcept { return !peer_gone_ && !shared_.stopping; }

void Connection::count() {
  if (!shared_.instruments) return;
  const auto duration = std::chrono::steady_clock::now() - exchange_.begun;
  shared_.instruments->count(exchange_.route, exchange_.status, duration);
}

void Connection::log() const {
  if (!shared_.options.on_access) return;
  const Route* const route = exchange_.route;
  shared_.options.on_access({.method = to_string(request_.method),
                             .route = route ? std::string_view(route->pattern) : std::string_view(),
                             .path = request_.path,
                             .remote_address = remote_,
                             .status = exchange_.status,
                             .duration = std::chrono::steady_clock::now() - exchange_.begun,
                             .bytes_in = exchange_.bytes_in,
                             .bytes_out = exchange_.bytes_out,
                             .request_id = request_.id});
}

}  // namespace actionflows::http
