// Who may do what: API keys give full access, a session's token that of its user.
//
// What belongs to someone else looks exactly as if it were not there.
#pragma once

#include "actionflows/services/session_service.hpp"
#include "actionflows/storage/storage.hpp"
#include "server/http/request.hpp"
#include "server/http/response.hpp"

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::api {

// Who asks.
struct Principal {
  std::string name = {};              // of the key, or the user's id; empty: anyone, on loopback
  std::optional<Bearer> bearer = {};  // a token's; absent: full access
  std::string proof = {};             // the token, a secret, or the key's digest: for asking again

  [[nodiscard]] bool has_full_access() const { return !bearer; }
  [[nodiscard]] bool may_see(const UserId& user) const { return !bearer || bearer->user == user; }
};

// Whom Access::guard found out. Without a guard: anyone, with full access.
const std::shared_ptr<const Principal>& principal_of(const http::Request& request);

// 401: they were accepted never, or once.
http::Response credentials_refused();

// The file of API keys: `name:sha256` a line, the digest of the key in hexadecimal; lines that are
// empty or begin with # are passed over. Several keys may share a name, so that one can be replaced
// without a moment of refusal.
class ApiKeys {
 public:
  // Throws std::runtime_error, in words for the user and without any content of the file.
  static ApiKeys load(const std::filesystem::path& file);
  static ApiKeys parse(std::string_view text);

  // nullptr: none of them. Takes the same time whichever key it is.
  [[nodiscard]] std::shared_ptr<const Principal> find(std::string_view key) const;
  [[nodiscard]] std::shared_ptr<const Principal> find_digest(std::string_view digest) const;

  [[nodiscard]] std::size_t size() const noexcept { return keys_.size(); }

 private:
  std::vector<std::shared_ptr<const Principal>> keys_;  // proved by digests, in lower case
};

// Thread-safety: shared objects: safe. Storage and service must outlive it.
class Access {
 public:
  // Without a file everyone has full access. Throws as ApiKeys::load does, and for a file without
  // a key.
  Access(Storage& storage, SessionService& sessions,
         std::optional<std::filesystem::path> api_keys_file);

  // Whether everyone has full access: then only this machine may reach the server.
  [[nodiscard]] bool is_open() const noexcept { return !file_; }

  // Reads the file again and returns how many keys there are: none is fine, only tokens count then.
  // Throws as ApiKeys::load does; the keys of before then stay.
  std::size_t reload();

  // The guard of the router: says who asks, and refuses what is not theirs. Every path that names a
  // session, a chain or a step is checked here, before its handler: none can forget it.
  // Throws unavailable, timeout: whoever can't be checked is not let in.
  Task<std::optional<http::Response>> guard(http::Request& request);

  // Whether the guard would still let them in: for what goes on for long. Counts as no activity of
  // a token's session, which an open stream must not keep alive. Throws as the guard does.
  Task<bool> is_still_accepted(const Principal& principal);

 private:
  std::shared_ptr<const ApiKeys> keys();
  Task<std::shared_ptr<const Principal>> authenticate(std::string_view credentials);
  Task<bool> is_theirs(const Principal& principal, const http::Request& request);

  // constant after construction
  Storage& storage_;
  SessionService& sessions_;
  const std::optional<std::filesystem::path> file_;

  std::mutex mutex_;
  std::shared_ptr<const ApiKeys> keys_;  // guarded by mutex_
};

}  // namespace actionflows::api
