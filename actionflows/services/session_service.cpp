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

// What a token is held against.
struct Standing {
  std::optional<Session> session;  // nullopt: it is gone
  std::optional<Credentials> credentials;
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

std::string new_secret(Random& random) {
  std::array<char, secret_bytes> secret;
  random.fill(std::as_writable_bytes(std::span(secret)));
  return {secret.data(), secret.size()};
}

// The token and what is stored of it, expiring as told.
IssuedToken put_new_token(Transaction& tx, const std::optional<Credentials>& before,
                          std::string_view secret, Timestamp expires_at) {
  Credentials after;
  after.token_sha256 = digest_of(secret);
  after.issued_at = tx.at();
  after.expires_at = expires_at;
  tx.set_credentials(before, after);
  return {std::string(token_prefix) + base64url(tx.session_id().str()) + '.' + base64url(secret),
          expires_at};
}

// A repeated call could not answer with the first one's token, which is stored nowhere.
Context without_operation_id(const Context& context) {
  Context once = context;
  once.operation_id.clear();
  return once;
}

Task<Standing> standing_of(Transaction& tx) {
  co_await tx.load(RecordKey::of_session(), RecordKey::of_credentials());
  Standing found;
  if (!tx.live() || tx.expired()) co_return found;
  found.session = co_await tx.session();
  found.credentials = co_await tx.credentials();
  co_return found;
}

bool accepts(const Token& token, const Standing& found, Timestamp now,
             std::chrono::milliseconds idle_limit) {
  // The digest is compared in every case, so that a refusal's time tells nothing of its reason.
  const std::string nobody(digest_of("").size(), '-');
  const bool right = equal_in_constant_time(
      digest_of(token.secret), found.credentials ? found.credentials->token_sha256 : nobody);
  return right && found.session && found.credentials->expires_at > now &&
         now - found.session->last_activity_at < idle_limit;
}

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
  const std::string secret = new_secret(storage_.random());
  const Context once = without_operation_id(context);
  IssuedToken issued;
  Storage::Change change = [&](Transaction& tx) -> Task<void> {
    co_await tx.load(RecordKey::of_session(), RecordKey::of_credentials());
    check_open(co_await tx.session(), tx.operation());
    const std::optional<Credentials> before = co_await tx.credentials();
    issued = put_new_token(tx, before, secret, tx.at() + options_.token_lifetime);
  };
  co_await storage_.transact(id, "issue_token", once, change);
  co_return issued;
}

Task<std::optional<IssuedToken>> SessionService::rotate_token(std::string_view text,
                                                              const Context& context) {
  const std::optional<Token> token = parse_token(text);
  if (!token) co_return std::nullopt;
  const std::string secret = new_secret(storage_.random());
  const Context once = without_operation_id(context);
  std::optional<IssuedToken> issued;
  // The token is looked at within the exchange: one that is revoked or exchanged meanwhile brings
  // forth no other.
  Storage::Change change = [&](Transaction& tx) -> Task<void> {
    issued.reset();
    const Standing found = co_await standing_of(tx);
    if (!accepts(*token, found, tx.at(), options_.token_idle_limit)) co_return;
    check_open(*found.session, tx.operation());
    const Timestamp expires_at =
        std::min(found.credentials->expires_at, tx.at() + options_.token_lifetime);
    issued = put_new_token(tx, found.credentials, secret, expires_at);
  };
  co_await storage_.transact(token->session, "rotate_token", once, change);
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

Task<std::optional<Session>> SessionService::session_of(std::string_view text) {
  const std::optional<Token> token = parse_token(text);
  if (!token) co_return std::nullopt;
  Standing found;
  Storage::Change look = [&](Transaction& tx) -> Task<void> { found = co_await standing_of(tx); };
  co_await storage_.transact(token->session, "authenticate", Context::none(), look);
  const Timestamp now = storage_.clock().now();
  if (!accepts(*token, found, now, options_.token_idle_limit)) co_return std::nullopt;
  co_return std::move(found.session);
}

Task<std::optional<Bearer>> SessionService::check(std::string_view text) {
  const std::optional<Session> session = co_await session_of(text);
  if (!session) co_return std::nullopt;
  co_return Bearer{session->session_id, session->user_id};
}

Task<std::optional<Bearer>> SessionService::authenticate(std::string_view text) {
  const std::optional<Session> session = co_await session_of(text);
  if (!session) co_return std::nullopt;
  const auto interval =
      activity_interval(storage_.options().session_ttl, options_.token_idle_limit);
  if (storage_.clock().now() - session->last_activity_at >= interval) {
    try {
      co_await storage_.touch_session(session->session_id);
    } catch (const StorageError& error) {
      if (error.code() != ErrorCode::not_found) throw;
      co_return std::nullopt;  // it ended at this very moment
    }
  }
  co_return Bearer{session->session_id, session->user_id};
}

}  // namespace actionflows
