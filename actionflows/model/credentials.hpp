// What a session's bearer proves itself with. Kept with the session, in a record of its own that no
// list, export or event ever shows.
#pragma once

#include "actionflows/base/time.hpp"
#include "actionflows/schema/schema.hpp"

#include <string>

namespace actionflows {

struct Credentials {
  std::string token_sha256;  // of the token's random part, in hexadecimal; the token itself is
                             // never stored
  Timestamp issued_at;
  Timestamp expires_at;  // the absolute limit
};

namespace schema {
template <>
const Schema<Credentials>& schema_of<Credentials>();
}  // namespace schema

}  // namespace actionflows
