#include "server/http/request_reader.hpp"

#include <algorithm>
#include <utility>

namespace actionflows::http {
namespace {

constexpr std::size_t first_input_size = 4096;
constexpr std::size_t chunk_input_size = 16 << 10;

constexpr Refusal slow_head{408, "request_timeout", "the headers did not arrive in time"};
constexpr Refusal slow_body{408, "request_timeout", "the body did not arrive in time"};
constexpr Refusal short_body{400, "malformed_request", "the body ended before its announced end"};
constexpr Refusal no_memory{503, "unavailable", "too many large bodies at once"};
constexpr Refusal long_chunk_line{400, "malformed_request", "the chunked body is malformed"};

}  // namespace

RequestReader::RequestReader(const ServerOptions& options, Wire& wire, Usage& usage)
    : options_(options),
      wire_(wire),
      parser_({.header_bytes = options.header_limit, .header_lines = options.max_headers}),
      input_(first_input_size, '\0'),
      body_memory_(usage.body_bytes) {}

Task<RequestReader::Next> RequestReader::read_head(Request& request) {
  begin_next();
  request.clear();
  idle_ = begin_ == end_;
  Monotonic deadline =
      std::chrono::steady_clock::now() + (idle_ ? options_.idle_timeout : options_.header_timeout);
  for (;;) {
    if (!idle_) {
      const auto outcome = parser_.parse_head(input(), request);
      if (outcome == RequestParser::Outcome::done) break;
      refusal_ = parser_.refusal();
      if (outcome == RequestParser::Outcome::refused) co_return Next::refused;
    }
    make_room();
    const std::size_t count =
        co_await wire_.read_some(input_.data() + end_, input_.size() - end_, deadline);
    if (count == 0) {
      refusal_ = slow_head;
      const bool late = wire_.timed_out() && !idle_;
      idle_ = false;
      co_return late ? Next::refused : Next::closed;
    }
    end_ += count;
    if (std::exchange(idle_, false))
      deadline = std::chrono::steady_clock::now() + options_.header_timeout;
  }
  begin_ += head().size;
  body_pending_ = head().chunked || head().content_length.value_or(0) > 0;
  co_return Next::request;
}

void RequestReader::begin_next() {
  if (!next_input_.empty()) {
    input_ = std::exchange(next_input_, {});
    begin_ = 0;
    end_ = input_.size();
    input_.resize(std::max(end_, first_input_size));
  } else if (begin_ == end_) {
    begin_ = end_ = 0;
  }
  if (body_.capacity() > kept_capacity) body_ = std::string();
  body_.clear();
  body_memory_.release();
}

// The parser starts anew with every piece of a head, so what there is of it may move.
void RequestReader::make_room() {
  if (begin_ > 0) {
    input_.erase(0, begin_);
    end_ -= std::exchange(begin_, 0);
    input_.resize(std::max(input_.size(), first_input_size));
  }
  // The parser refuses a head that reaches the limit, so this ends there.
  if (end_ == input_.size()) input_.resize(2 * input_.size());
}

Task<std::optional<Refusal>> RequestReader::read_body(Request& request, std::size_t limit) {
  if (!body_pending_) co_return std::nullopt;
  body_begun_ = std::chrono::steady_clock::now();
  std::optional<Refusal> refusal;
  if (head().chunked) {
    refusal = co_await read_chunked_body(request, limit);
  } else if (*head().content_length > limit) {
    refusal = long_body;
  } else {
    refusal = co_await read_sized_body(request, static_cast<std::size_t>(*head().content_length));
  }
  body_pending_ = refusal.has_value();
  co_return refusal;
}

Task<std::optional<Refusal>> RequestReader::read_sized_body(Request& request, std::size_t size) {
  const std::size_t there = std::min(size, end_ - begin_);
  if (there == size) {
    request.body = input().substr(0, size);
    begin_ += size;
    co_return std::nullopt;
  }
  body_.assign(input().substr(0, there));
  begin_ += there;
  if (!body_memory_.take(there, options_.max_buffered_bodies)) co_return no_memory;
  for (std::size_t filled = there; filled < size;) {
    // Memory follows what has come, not what was announced: else announcing would be enough to keep
    // others out.
    if (filled == body_.size()) {
      const std::size_t grown = std::min(size, std::max(2 * filled, kept_capacity));
      if (!body_memory_.take(grown - filled, options_.max_buffered_bodies)) co_return no_memory;
      body_.resize(grown);
    }
    const std::size_t count = co_await wire_.read_some(body_.data() + filled, body_.size() - filled,
                                                       body_deadline(filled));
    if (count == 0) co_return broken_off();
    filled += count;
  }
  request.body = body_;
  co_return std::nullopt;
}

Task<std::optional<Refusal>> RequestReader::read_chunked_body(Request& request, std::size_t limit) {
  std::string chunks(input());
  begin_ = end_;
  for (;;) {
    std::size_t consumed = 0;
    const std::size_t decoded = body_.size();
    const auto outcome = parser_.parse_chunks(chunks, limit, body_, consumed);
    chunks.erase(0, consumed);
    if (outcome == RequestParser::Outcome::refused) co_return parser_.refusal();
    if (!body_memory_.take(body_.size() - decoded, options_.max_buffered_bodies))
      co_return no_memory;
    if (outcome == RequestParser::Outcome::done) break;
    // What the parser leaves is the beginning of a line; no honest one is that long.
    const std::size_t filled = chunks.size();
    if (filled >= chunk_input_size) co_return long_chunk_line;
    chunks.resize(2 * chunk_input_size);
    const std::size_t count = co_await wire_.read_some(
        chunks.data() + filled, chunks.size() - filled, body_deadline(body_.size()));
    if (count == 0) co_return broken_off();
    chunks.resize(filled + count);
  }
  next_input_ = std::move(chunks);
  request.body = body_;
  co_return std::nullopt;
}

bool RequestReader::skip_body() noexcept {
  if (!body_pending_) return true;
  if (head().chunked || *head().content_length > end_ - begin_) return false;
  begin_ += static_cast<std::size_t>(*head().content_length);
  body_pending_ = false;
  return true;
}

Monotonic RequestReader::body_deadline(std::size_t received) const {
  return body_begun_ + options_.body_timeout + allowance(received);
}

Refusal RequestReader::broken_off() const noexcept {
  return wire_.timed_out() ? slow_body : short_body;
}

}  // namespace actionflows::http
