#include "server/api/call.hpp"

#include "actionflows/base/encoding.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>

namespace actionflows::api {
namespace {

constexpr std::size_t max_key = 200;
constexpr std::size_t max_actor = 500;

[[noreturn]] void refuse_header(std::string_view name, std::string message) {
  Issue issue;
  issue.path = {std::string(name)};
  issue.code = IssueCode::invalid_string;
  issue.message = std::move(message);
  throw invalid_input({std::move(issue)});
}

bool is_visible(std::string_view text, std::size_t max_size) {
  return !text.empty() && text.size() <= max_size &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

// Two principals that choose the same key must not meet each other's results.
std::string operation_id(const Principal& principal, std::string_view key) {
  if (!is_visible(key, max_key))
    refuse_header("Idempotency-Key", "must be 1 to 200 visible ASCII characters");
  if (principal.name.empty()) return std::string(key);
  const std::string_view kind = principal.bearer ? "user " : "key ";
  const Sha256 digest = sha256(std::string(kind).append(principal.name).append("\n").append(key));
  return base64url({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

// nullopt: "*", any version.
std::optional<std::uint64_t> version_in(std::string_view tag) {
  if (tag == "*") return std::nullopt;
  std::uint64_t version = 0;
  const bool quoted = tag.size() > 2 && tag.front() == '"' && tag.back() == '"';
  const char* const last = quoted ? tag.data() + tag.size() - 1 : tag.data();
  const auto [end, error] = std::from_chars(quoted ? tag.data() + 1 : last, last, version);
  if (!quoted || error != std::errc() || end != last)
    refuse_header("If-Match", "must be the record's version in quotes, as in ETag: \"3\", or *");
  return version;
}

}  // namespace

std::string etag_of(std::uint64_t version) { return '"' + std::to_string(version) + '"'; }

Call::Call(http::Request& request, const Services& services) : Call(request) {
  context_.deadline = services.storage.clock().monotonic() + services.request_timeout;
}

Call::Call(http::Request& request) : request_(request), principal_(*principal_of(request)) {
  context_.report = &report_;
  if (request.method == http::Method::get || request.method == http::Method::head) return;
  context_.actor = principal_.name;
  if (const auto key = request.header("Idempotency-Key"))
    context_.operation_id = operation_id(principal_, *key);
  if (const auto tag = request.header("If-Match")) context_.expected_version = version_in(*tag);
  const auto actor = request.header("ActionFlows-Actor");
  if (!actor || !principal_.has_full_access()) return;
  if (!is_visible(*actor, max_actor))
    refuse_header("ActionFlows-Actor", "must be 1 to 500 visible ASCII characters");
  context_.actor = *actor;
}

void Call::refuse(std::string_view name, std::string_view rule) {
  Issue issue;
  issue.path = {std::string(name)};
  issue.code = IssueCode::invalid_string;
  issue.message = "must be " + std::string(rule);
  issue.expected = rule;
  throw invalid_input({std::move(issue)});
}

http::Response Call::read(std::string json) const {
  return with_source(http::Response::json(std::move(json)));
}

http::Response Call::with_source(http::Response response) const {
  if (!report_.provenance) return response;
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(report_.provenance->age);
  std::string source(to_string(report_.provenance->source));
  source.append("; age=").append(std::to_string(age.count()));
  if (report_.provenance->partial) source.append("; partial");
  response.add("ActionFlows-Source", std::move(source));
  return response;
}

http::Response Call::with_durability(http::Response response) const {
  if (report_.durability) response.add("ActionFlows-Durability", to_string(*report_.durability));
  return response;
}

}  // namespace actionflows::api
