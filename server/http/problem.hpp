// Errors as problem documents (RFC 9457): what every failed request is answered with.
//
//   {"type":"urn:actionflows:problem:not_found","title":"Not found","status":404,
//    "detail":"session s1 does not exist","issues":[{"path":["title"],"code":"too_big",...}]}
#pragma once

#include "actionflows/base/error.hpp"
#include "server/http/response.hpp"

#include <string_view>

namespace actionflows::http {

// The error's code decides the status: invalid 400, not_found 404, conflict 409 (412 where the
// version is not the expected one, with the current one as ETag and "currentVersion"),
// illegal_transition 409, timeout 504, unavailable 503, exhausted 429 when a retry can help and 507
// when not. 503 and 429 carry Retry-After. corrupt is a 500 that tells nothing but `error_id`,
// which says where to find it in the log.
Response problem(const StorageError& error, std::string_view error_id = {});

// `code` as in the type: "too_large". `detail` is for a person.
Response problem(int status, std::string_view code, std::string_view detail);

// What an unexpected exception is answered with: 500 and the id, no text of the exception.
Response internal_problem(std::string_view error_id);

}  // namespace actionflows::http
