#include "actionflows/model/credentials.hpp"

#include "actionflows/schema/object.hpp"

namespace actionflows {

template <>
const schema::Schema<Credentials>& schema::schema_of<Credentials>() {
  static const auto& schema = *new auto(
      object<Credentials>("Credentials", "What a session's bearer proves itself with.",
                          field("tokenSha256", &Credentials::token_sha256, text().min(64).max(64)),
                          field("issuedAt", &Credentials::issued_at, timestamp()),
                          field("expiresAt", &Credentials::expires_at, timestamp())));
  return schema;
}

}  // namespace actionflows
