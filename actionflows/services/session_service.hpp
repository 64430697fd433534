// SessionService: the life of a session, and who may speak for it.
#pragma once

#include "actionflows/storage/storage.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows {

struct SessionServiceOptions {
  // A token is refused when its session was not active for this long ...
  std::chrono::milliseconds token_idle_limit = std::chrono::hours{2};
  // ... and in any case this long after it was issued.
  std::chrono::milliseconds token_lifetime = std::chrono::hours{24};
};

// How far apart the moments of a session's activity are that are written down: what is written at
// every request would wear out the backend for nothing, and what is written too seldom would end
// sessions that are active. Also the touch interval of a storage (DriverLimits) that serves them.
std::chrono::milliseconds activity_interval(std::chrono::milliseconds session_ttl,
                                            std::chrono::milliseconds token_idle_limit);

// Who a token stands for.
struct Bearer {
  SessionId session;
  UserId user;
};

struct IssuedToken {
  std::string token;  // a secret: shown once, never stored, never to be logged
  Timestamp expires_at;
};

// Thread-safety: shared objects: safe. The storage must outlive the service.
class SessionService {
 public:
  explicit SessionService(Storage& storage, SessionServiceOptions options = {})
      : storage_(storage), options_(options) {}

  // As the functions of Storage; see there for errors.
  Task<Session> create(UserId user, SessionData data, std::optional<SessionId> id = {},
                       const Context& context = Context::none());
  Task<void> touch(const SessionId& id, const Context& context = Context::none());

  // A session that is in that state already stays as it is. not_found; illegal_transition: it is
  // completed.
  Task<Session> pause(const SessionId& id, const Context& context = Context::none());
  Task<Session> resume(const SessionId& id, const Context& context = Context::none());
  // Its failed chains are archived; chains that have not ended stay until the session expires.
  Task<Session> complete(const SessionId& id, std::optional<std::string> reason = {},
                         const Context& context = Context::none());
  // Revokes the token and deletes the session with its live records, in one commit. The log and the
  // archive stay for their time. not_found.
  Task<void> logout(const SessionId& id, const Context& context = Context::none());

  // A token of 256 random bits; only its SHA-256 is stored. The session's earlier token is refused
  // from this moment on. not_found; illegal_transition (a completed session).
  Task<IssuedToken> issue_token(const SessionId& id, const Context& context = Context::none());
  // A new token in the place of this one, for the rest of its time: rotating never adds to it.
  // nullopt: as from `check`, at the moment of the exchange. illegal_transition (a completed
  // session).
  Task<std::optional<IssuedToken>> rotate_token(std::string_view token,
                                                const Context& context = Context::none());
  // Refused from this moment on, on every instance. Nothing to revoke: nothing happens. not_found.
  Task<void> revoke_token(const SessionId& id, const Context& context = Context::none());
  // nullopt: not a token of a living session, revoked, idle too long, or too old. A backend that
  // can't be asked throws: it is never taken for a yes or a no.
  Task<std::optional<Bearer>> check(std::string_view token);
  // The same, and counts as activity of the session.
  Task<std::optional<Bearer>> authenticate(std::string_view token);

 private:
  // Of a token that is accepted; else nullopt.
  Task<std::optional<Session>> session_of(std::string_view token);
  Task<Session> change_state(const SessionId& id, SessionState state,
                             std::optional<std::string> reason, const Context& context);

  // constant after construction
  Storage& storage_;
  const SessionServiceOptions options_;
};

}  // namespace actionflows
