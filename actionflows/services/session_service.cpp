#include "actionflows/services/session_service.hpp"

#include "actionflows/base/encoding.hpp"
#include "actionflows/base/error.hpp"
#include "actionflows/storage/storage_checks.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace actionflows {
namespace {

// A token: this, the session's id and the secret, the latter two in base64url. The prefix lets
// scanners for leaked secrets find it.
constexpr std::string_view token_prefix = "aft.";
constexpr std::size_t secret_bytes = 32;

struct Token {
  SessionId session;
  std::string secret;
};

std::optional<Token> parse_token(std::string_view text) {
  if (!text.starts_with(token_prefix)) return std::nullopt;
  text.remove_prefix(token_prefix.size());
  const std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto id = from_base64url(text.substr(0, dot));
  auto secret = from_base64url(text.substr(dot + 1));
  if (!id || !secret || secret->size() != secret_bytes) return std::nullopt;
  auto session = SessionId::parse(*id);
  if (!session) return std::nullopt;
  return Token{*std::move(session), *std::move(secret)};
}

std::string operation_of(SessionState state) {
  switch (state) {
    case SessionState::active: return "resume_session";
    case SessionState::paused: return "pause_session";
    case SessionState::completed: return "complete_session";
  }
  return "update_session";
}

std::string digest_of(std::string_view secret) { return hex(sha256(secret)); }

}  // namespace

std::chrono::milliseconds activity_interval(std::chrono::milliseconds session_ttl,
                                            std::chrono::milliseconds token_idle_limit) {
  constexpr std::chrono::milliseconds often_enough = std::chrono::minutes(1);
  return std::min({often_enough, session_ttl / 10, token_idle_limit / 4});
}

Task<Session> SessionService::create(UserId user, SessionData data, std::optional<SessionId> id,
                                     const Context& context) {
  return storage_.create_session(std::move(user), std::move(data), std::move(id), context);
}

Task<void> SessionService::touch(const SessionId& id, const Context& context) {
  return storage_.touch_session(id, context);
}

Task<Session> SessionService::change_state(const SessionId& id, SessionState state,
                                           std::optional<std::string> reason,
                                           const Context& context) {
  const std::string operation = operation_of(state);
  SessionUpdate update;
  update.set(&Session::state, state);
  if (reason) update.set(&Session::end_reason, *std::move(reason));
  check_update(update, operation, id.str());
  Session after;
  Storage::Change change = [&](Transaction& tx) -> Task<void> {
    const Session before = co_await tx.session();
    check_version(context, before.version, tx.operation(), id.str());
    after = before;
    if (before.state != state) after = co_await change_session(tx, before, update);
  };
  const Storage::Outcome outcome = co_await storage_.transact(id, operation, context, change);
  if (outcome.result.repeated) {
    check_repeated_update(outcome, {event_of(state)}, {}, update, operation);
    co_return co_await storage_.present_session(id, operation);
  }
  co_return active_as(outcome.result, std::move(after));
}

Task<Session> SessionService::pause(const SessionId& id, const Context& context) {
  return change_state(id, SessionState::paused, std::nullopt, context);
}

Task<Session> SessionService::resume(const SessionId& id, const Context& context) {
  return change_state(id, SessionState::active, std::nullopt, context);
}

Task<Session> SessionService::complete(const SessionId& id, std::optional<std::string> reason,
                                       const Context& context) {
  return change_state(id, SessionState::completed, std::move(reason), context);
}

Task<void> SessionService::logout(const SessionId& id, const Context& context) {
  return storage_.delete_session(id, context);  // the credentials are one of its live records
}

Task<IssuedToken> SessionService::issue_token(const SessionId& id, const Context& context) {
  std::array<char, secret_bytes> secret;
  storage_.random().fill(std::as_writable_bytes(std::span(secret)));
  const std::string_view secret_view(secret.data(), secret.size());
  IssuedToken issued;
  issued.token = std::string(token_prefix) + base64url(id.str()) + '.' + base64url(secret_view);
  // A repeated call could not answer with the first one's token, which is stored nowhere.
  Context once = context;
  once.operation_id.clear();
  Storage::Change change = [&](Transaction& tx) -> Task<void> {
    co_await tx.load(RecordKey::of_session(), RecordKey::of_credentials());
    const Session session = co_await tx.session();
    if (session.state == SessionState::completed)
      throw failure(ErrorCode::illegal_transition, "session " + id.str() + " is completed",
                    tx.operation(), id.str());
    const std::optional<Credentials> before = co_await tx.credentials();
    Credentials after;
    after.token_sha256 = digest_of(secret_view);
    after.issued_at = tx.at();
    after.expires_at = issued.expires_at = tx.at() + options_.token_lifetime;
    tx.set_credentials(before, after);
  };
  co_await storage_.transact(id, "issue_token", once, change);
  co_return issued;
}

Task<void> SessionService::revoke_token(const SessionId& id, const Context& context) {
  Storage::Change change = [](Transaction& tx) -> Task<void> {
    co_await tx.load(RecordKey::of_session(), RecordKey::of_credentials());
    co_await tx.session();
    const std::optional<Credentials> credentials = co_await tx.credentials();
    if (credentials) tx.erase_credentials();
  };
  const Storage::Outcome outcome = co_await storage_.transact(id, "revoke_token", context, change);
  if (outcome.result.repeated)
    repeated_event(outcome, {"session:token_revoked"}, {}, "revoke_token");
}

Task<std::optional<Bearer>> SessionService::authenticate(std::string_view text) {
  const std::optional<Token> token = parse_token(text);
  if (!token) co_return std::nullopt;
  std::optional<Session> session;
  std::optional<Credentials> credentials;
  Storage::Change look = [&](Transaction& tx) -> Task<void> {
    co_await tx.load(RecordKey::of_session(), RecordKey::of_credentials());
    if (!tx.live() || tx.expired()) co_return;
    session = co_await tx.session();
    credentials = co_await tx.credentials();
  };
  co_await storage_.transact(token->session, "authenticate", Context::none(), look);

  const Timestamp now = storage_.clock().now();
  // The digest is compared in every case, so that a refusal's time tells nothing of its reason.
  const std::string nobody(digest_of("").size(), '-');
  const bool right = equal_in_constant_time(digest_of(token->secret),
                                            credentials ? credentials->token_sha256 : nobody);
  if (!right || !session || credentials->expires_at <= now) co_return std::nullopt;
  if (now - session->last_activity_at >= options_.token_idle_limit) co_return std::nullopt;
  if (now - session->last_activity_at >=
      activity_interval(storage_.options().session_ttl, options_.token_idle_limit)) {
    try {
      co_await storage_.touch_session(token->session);
    } catch (const StorageError& error) {
      if (error.code() != ErrorCode::not_found) throw;
      co_return std::nullopt;  // it ended at this very moment
    }
  }
  co_return Bearer{token->session, session->user_id};
}

}  // namespace actionflows
