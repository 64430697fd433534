// One request on its way through a handler: what it says, in the terms of the services, and the
// answer, with what the services told beside their results.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/model/ids.hpp"
#include "actionflows/model/session.hpp"
#include "actionflows/schema/schema.hpp"
#include "actionflows/storage/context.hpp"
#include "server/api/access.hpp"
#include "server/api/services.hpp"
#include "server/http/request.hpp"
#include "server/http/response.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace actionflows::api {

// "3", quoted: the entity tag of a record's version.
std::string etag_of(std::uint64_t version);

// What `value` looks like to clients.
template <class T>
std::string json_of(const T& value) {
  std::string text;
  text.reserve(512);
  schema::schema_of<T>().encode(value, schema::Form::full, text);
  return text;
}

// Thread-safety: none; for one request, which must outlive it.
class Call {
 public:
  // Of requests that change something, takes Idempotency-Key, If-Match and, with full access,
  // ActionFlows-Actor into the context. Throws invalid where one is malformed.
  // Begins nothing any more once the services' request timeout has passed since.
  Call(http::Request& request, const Services& services);
  // The same without a timeout: for what takes as long as there is to read or to write.
  explicit Call(http::Request& request);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  [[nodiscard]] const Context& context() const noexcept { return context_; }
  [[nodiscard]] const Principal& principal() const noexcept { return principal_; }

  // ---- what is asked. These throw invalid, with every issue.

  [[nodiscard]] SessionId session_id() const { return id<SessionId>("sessionId"); }
  [[nodiscard]] ChainId chain_id() const { return id<ChainId>("chainId"); }
  [[nodiscard]] StepId step_id() const { return id<StepId>("stepId"); }

  template <class T>
  [[nodiscard]] T body() const {
    return schema::schema_of<T>().decode(request_.body, schema::Form::create, body_limits);
  }
  // The same for a body that may be left out.
  template <class T>
  [[nodiscard]] T optional_body() const {
    return request_.body.empty() ? T() : body<T>();
  }
  template <class T>
  [[nodiscard]] schema::Partial<T> patch() const {
    return schema::schema_of<T>().decode_update(request_.body, body_limits);
  }

  // ---- what is answered

  // Of a read: 200, or 304 where If-None-Match has the record's version.
  template <class T>
  http::Response record(const T& value) const {
    const auto known = request_.header("If-None-Match");
    const bool fresh = known && http::etag_in(*known, etag_of(value.version));
    return tagged(fresh ? http::Response(304) : http::Response::json(json_of(value)),
                  value.version);
  }
  // Of a read of a session: always 200. Its activity moves without a new version, so that who knows
  // the version need not know the session.
  http::Response record(const Session& value) const {
    return tagged(http::Response::json(json_of(value)), value.version);
  }
  // Of a read of anything else.
  [[nodiscard]] http::Response read(std::string json) const;

  // Of a write: the record as it is now.
  template <class T>
  http::Response written(const T& value, int status = 200) const {
    http::Response response = http::Response::json(json_of(value), status);
    response.add("ETag", etag_of(value.version));
    return with_durability(std::move(response));
  }
  template <class T>
  http::Response created(const T& value, std::string_view collection, std::string_view id) const {
    return written(value, 201).add("Location", std::string(collection).append(id));
  }
  [[nodiscard]] http::Response done() const { return with_durability(http::Response(204)); }

  // With what the storage told of this call, where it told something.
  [[nodiscard]] http::Response with_source(http::Response response) const;
  [[nodiscard]] http::Response with_durability(http::Response response) const;

 private:
  // The records in a body have bounds of their own, and a body its size.
  static constexpr json::Limits body_limits{.max_bytes = std::size_t{64} << 20, .max_depth = 64};

  template <class Id>
  [[nodiscard]] Id id(std::string_view name) const {
    auto id = Id::parse(request_.param(name));
    if (!id) refuse(name, Id::rule);
    return *std::move(id);
  }
  [[noreturn]] static void refuse(std::string_view name, std::string_view rule);

  [[nodiscard]] http::Response tagged(http::Response response, std::uint64_t version) const {
    response.add("ETag", etag_of(version));
    return with_source(std::move(response));
  }

  http::Request& request_;
  const Principal& principal_;  // kept by the request
  CallReport report_;
  Context context_;
};

}  // namespace actionflows::api
