#include "server/http/request_parser.hpp"

#include <boost/beast/http/basic_parser.hpp>

#include <utility>

namespace actionflows::http {
namespace {

namespace beast = boost::beast;

using beast::http::error;

constexpr Refusal malformed_line{400, "malformed_request", "the request line is malformed"};
constexpr Refusal malformed_header{400, "malformed_request", "a header line is malformed"};
constexpr Refusal malformed_length{400, "malformed_request",
                                   "Content-Length is malformed or repeated, or contradicts "
                                   "Transfer-Encoding"};
constexpr Refusal malformed_chunk{400, "malformed_request", "the chunked body is malformed"};
constexpr Refusal bad_host{400, "malformed_request", "HTTP/1.1 wants exactly one Host header"};
constexpr Refusal unknown_coding{501, "not_implemented",
                                 "the only transfer coding known here is chunked, in HTTP/1.1"};
constexpr Refusal unknown_expectation{417, "expectation_failed",
                                      "the only expectation known here is 100-continue"};
constexpr Refusal long_target{414, "too_large", "the request line is too long"};
constexpr Refusal long_head{431, "too_large", "the headers are too large"};

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

bool holds(std::string_view whole, std::string_view part) {
  return part.empty() || (std::less_equal<>()(whole.data(), part.data()) &&
                          std::less<>()(part.data(), whole.data() + whole.size()));
}

}  // namespace

// One message's parser: Beast's own, told what to do with the pieces.
class RequestParser::Beast final : public beast::http::basic_parser<true> {
 public:
  Beast(std::string_view input, Request& request, const Limits& limits)
      : input_(input), request_(&request), limits_(limits) {
    header_limit(static_cast<std::uint32_t>(limits.header_bytes));
    body_limit(boost::none);  // each route has its own, known only after the head
  }

  void append_body_to(std::string& body, std::size_t limit) {
    body_ = &body;
    limit_ = limit;
  }

  RequestHead head;
  int hosts = 0;
  bool strange_coding = false;
  bool strange_expectation = false;
  bool too_many_lines = false;
  bool body_too_large = false;

 private:
  using ErrorCode = beast::error_code;

  void on_request_impl(beast::http::verb /*verb*/, beast::string_view method,
                       beast::string_view target, int version, ErrorCode& /*ec*/) override {
    request_->method = http::parse_method(view(method));
    request_->target = view(target);
    head.http_1_1 = version == 11;
  }

  void on_response_impl(int /*status*/, beast::string_view /*reason*/, int /*version*/,
                        ErrorCode& /*ec*/) override {}

  void on_field_impl(beast::http::field name, beast::string_view name_text,
                     beast::string_view value_text, ErrorCode& ec) override {
    if (!request_) return;  // a trailer: nothing here asks for one
    const std::string_view value = view(value_text);
    // A folded line is put together in the parser's own memory, which is gone after this call.
    // RFC 9112 has a server refuse it.
    if (!holds(input_, value)) {
      ec = error::bad_obs_fold;
      return;
    }
    if (request_->headers.size() == limits_.header_lines) {
      too_many_lines = true;
      ec = error::header_limit;
      return;
    }
    request_->headers.push_back({view(name_text), value});
    using beast::http::field;
    if (name == field::host) {
      ++hosts;
      head.host = value;
    } else if (name == field::origin) {
      head.origin = value;
    } else if (name == field::content_encoding) {
      head.encoded_body |= !value.empty() && !equal_ignoring_case(value, "identity");
    } else if (name == field::transfer_encoding) {
      strange_coding |= !equal_ignoring_case(value, "chunked");
    } else if (name == field::expect) {
      head.expects_continue = equal_ignoring_case(value, "100-continue");
      strange_expectation |= !head.expects_continue;
    }
  }

  void on_header_impl(ErrorCode& /*ec*/) override { request_ = nullptr; }

  void on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/,
                         ErrorCode& /*ec*/) override {}

  std::size_t on_body_impl(beast::string_view /*body*/, ErrorCode& /*ec*/) override { return 0; }

  void on_chunk_header_impl(std::uint64_t size, beast::string_view /*extensions*/,
                            ErrorCode& ec) override {
    if (size <= limit_ - body_->size()) return;
    body_too_large = true;
    ec = error::body_limit;
  }

  std::size_t on_chunk_body_impl(std::uint64_t /*remain*/, beast::string_view text,
                                 ErrorCode& /*ec*/) override {
    body_->append(text.data(), text.size());
    return text.size();
  }

  void on_finish_impl(ErrorCode& /*ec*/) override {}

  const std::string_view input_;
  Request* request_;  // nullptr once the head is done
  const Limits& limits_;
  std::string* body_ = nullptr;
  std::size_t limit_ = 0;
};

RequestParser::RequestParser(Limits limits) : limits_(limits) {}
RequestParser::~RequestParser() = default;

RequestParser::Outcome RequestParser::parse_head(std::string_view input, Request& request) {
  request.target = {};
  request.headers.clear();
  beast_ = std::make_unique<Beast>(input, request, limits_);
  beast::error_code ec;
  const std::size_t size = beast_->put(boost::asio::const_buffer(input.data(), input.size()), ec);
  const auto refuse = [this](const Refusal& refusal) {
    refusal_ = refusal;
    return Outcome::refused;
  };
  if (ec == error::need_more) return Outcome::need_more;
  if (ec == error::header_limit) {
    const bool in_first_line = input.find('\n') == std::string_view::npos;
    return refuse(in_first_line ? long_target : long_head);
  }
  if (ec == error::bad_content_length || ec == error::multiple_content_length ||
      ec == error::bad_transfer_encoding)
    return refuse(malformed_length);
  if (ec) return refuse(request.target.empty() ? malformed_line : malformed_header);

  head_ = beast_->head;
  head_.size = size;
  head_.keep_alive = beast_->keep_alive();
  head_.chunked = beast_->chunked();
  head_.content_length.reset();
  if (const auto length = beast_->content_length()) head_.content_length = *length;
  if (beast_->strange_coding || (head_.chunked && !head_.http_1_1)) return refuse(unknown_coding);
  if (beast_->hosts > 1 || (beast_->hosts == 0 && head_.http_1_1)) return refuse(bad_host);
  if (beast_->strange_expectation) return refuse(unknown_expectation);
  return Outcome::done;
}

RequestParser::Outcome RequestParser::parse_chunks(std::string_view input, std::size_t limit,
                                                   std::string& body, std::size_t& consumed) {
  beast_->append_body_to(body, limit);
  consumed = 0;
  while (!beast_->is_done()) {
    const std::string_view rest = input.substr(consumed);
    if (rest.empty()) return Outcome::need_more;  // inside a chunk, Beast would not say so
    beast::error_code ec;
    consumed += beast_->put(boost::asio::const_buffer(rest.data(), rest.size()), ec);
    if (ec == error::need_more) return Outcome::need_more;
    if (ec) {
      refusal_ = beast_->body_too_large ? long_body : malformed_chunk;
      return Outcome::refused;
    }
  }
  return Outcome::done;
}

}  // namespace actionflows::http
