#include "server/api/access.hpp"

#include "actionflows/base/encoding.hpp"
#include "actionflows/base/error.hpp"
#include "server/http/problem.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace actionflows::api {
namespace {

constexpr std::size_t digest_length = 64;
constexpr std::size_t max_key_name = 100;

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t\r"), text.size());
  const std::size_t end = text.find_last_not_of(" \t\r");
  return end == std::string_view::npos ? std::string_view() : text.substr(begin, end + 1 - begin);
}

bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string lower_hex(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c + ('a' - 'A'));
  return lower;
}

// What follows "Bearer"; nullopt for another scheme.
std::optional<std::string_view> bearer_credentials(std::string_view header) {
  constexpr std::string_view scheme = "Bearer";
  if (!http::equal_ignoring_case(header.substr(0, scheme.size()), scheme)) return std::nullopt;
  header.remove_prefix(scheme.size());
  if (!header.starts_with(' ')) return std::nullopt;
  return trimmed(header);
}

http::Response unauthenticated(std::string_view detail, std::string_view challenge) {
  http::Response response = http::problem(401, "unauthenticated", detail);
  response.set("WWW-Authenticate", challenge);
  return response;
}

// The session that the path names; nullopt when it names none, or not in a form that could exist.
struct Named {
  SessionId session;
  std::string_view kind;
  std::string_view id;
};

std::optional<Named> named_in(const http::Request& request) {
  for (const http::NamedValue& param : request.params) {
    if (param.name == "sessionId") {
      if (auto id = SessionId::parse(param.value)) return Named{*id, "session", param.value};
    } else if (param.name == "chainId") {
      if (auto id = ChainId::parse(param.value)) return Named{id->session(), "chain", param.value};
    } else if (param.name == "stepId") {
      if (auto id = StepId::parse(param.value)) return Named{id->session(), "step", param.value};
    }
  }
  return std::nullopt;
}

}  // namespace

const std::shared_ptr<const Principal>& principal_of(const http::Request& request) {
  static const auto& anyone =
      *new std::shared_ptr<const Principal>(std::make_shared<const Principal>());
  const auto* principal = std::any_cast<std::shared_ptr<const Principal>>(&request.principal);
  return principal ? *principal : anyone;
}

http::Response credentials_refused() {
  return unauthenticated("these credentials are not accepted (any more)",
                         "Bearer error=\"invalid_token\"");
}

// ---- keys ---------------------------------------------------------------------------------------

ApiKeys ApiKeys::load(const std::filesystem::path& file) {
  const std::string failed = "can't read the API keys from " + file.string() + ": ";
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored))
    throw std::runtime_error(failed + "it is a folder");
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error(failed + std::strerror(errno));
  std::string text;
  try {
    text.assign(std::istreambuf_iterator<char>(in), {});
  } catch (const std::ios_base::failure& error) {  // of the file's buffer, whatever `in` is told
    throw std::runtime_error(failed + error.code().message());
  }
  try {
    return parse(text);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error("the API keys in " + file.string() + ": " + error.what());
  }
}

ApiKeys ApiKeys::parse(std::string_view text) {
  ApiKeys keys;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = trimmed(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    if (line.empty() || line.starts_with('#')) continue;
    const std::size_t colon = line.rfind(':');
    const std::string_view name = line.substr(0, colon);
    std::string digest =
        colon == std::string_view::npos ? std::string() : lower_hex(line.substr(colon + 1));
    const bool is_digest = digest.size() == digest_length &&
                           digest.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!is_digest || name.empty() || name.size() > max_key_name || !is_visible(name))
      throw std::runtime_error("line " + std::to_string(number) +
                               " is not name:sha256, the digest as 64 hexadecimal digits");
    Principal principal;
    principal.name = name;
    principal.proof = std::move(digest);
    keys.keys_.push_back(std::make_shared<const Principal>(std::move(principal)));
  }
  return keys;
}

std::shared_ptr<const Principal> ApiKeys::find(std::string_view key) const {
  return find_digest(hex(sha256(key)));
}

std::shared_ptr<const Principal> ApiKeys::find_digest(std::string_view digest) const {
  std::shared_ptr<const Principal> found;
  for (const auto& key : keys_)
    if (equal_in_constant_time(key->proof, digest)) found = key;
  return found;
}

// ---- access -------------------------------------------------------------------------------------

Access::Access(Storage& storage, SessionService& sessions,
               std::optional<std::filesystem::path> api_keys_file)
    : storage_(storage), sessions_(sessions), file_(std::move(api_keys_file)) {
  // Nobody could get in: more likely the wrong file than meant.
  if (reload() == 0 && file_) throw std::runtime_error("there is no API key in " + file_->string());
}

std::size_t Access::reload() {
  auto keys = std::make_shared<const ApiKeys>(file_ ? ApiKeys::load(*file_) : ApiKeys());
  const std::size_t count = keys->size();
  const std::lock_guard lock(mutex_);
  keys_ = std::move(keys);
  return count;
}

std::shared_ptr<const ApiKeys> Access::keys() {
  const std::lock_guard lock(mutex_);
  return keys_;
}

Task<std::optional<http::Response>> Access::guard(http::Request& request) {
  const auto header = request.header("Authorization");
  if (!header) {
    if (is_open()) co_return std::nullopt;
    co_return unauthenticated("send an API key or a session's token as Authorization: Bearer",
                              "Bearer");
  }
  std::shared_ptr<const Principal> principal;
  const auto credentials = bearer_credentials(*header);
  if (credentials) principal = co_await authenticate(*credentials);
  if (!principal) co_return credentials_refused();
  if (!principal->has_full_access()) {
    const bool theirs = co_await is_theirs(*principal, request);
    if (!theirs) {
      const auto named = named_in(request);
      co_return http::problem(
          failure(ErrorCode::not_found,
                  "there is no " + std::string(named->kind) + " " + std::string(named->id), {}));
    }
  }
  request.principal = std::move(principal);
  co_return std::nullopt;
}

Task<std::shared_ptr<const Principal>> Access::authenticate(std::string_view credentials) {
  if (auto principal = keys()->find(credentials)) co_return principal;
  std::optional<Bearer> bearer = co_await sessions_.authenticate(credentials);
  if (!bearer) co_return nullptr;
  Principal principal;
  principal.name = bearer->user.str();
  principal.bearer = std::move(bearer);
  principal.proof = credentials;
  co_return std::make_shared<const Principal>(std::move(principal));
}

Task<bool> Access::is_still_accepted(const Principal& principal) {
  if (principal.bearer) {
    const std::optional<Bearer> bearer = co_await sessions_.check(principal.proof);
    co_return bearer.has_value();
  }
  co_return principal.proof.empty() || keys()->find_digest(principal.proof) != nullptr;
}

Task<bool> Access::is_theirs(const Principal& principal, const http::Request& request) {
  const auto named = named_in(request);
  // The token's own session has just been found alive.
  if (!named || named->session == principal.bearer->session) co_return true;
  // What is left of a session that has ended is still its user's.
  co_return co_await storage_.owner_of(named->session) == principal.bearer->user;
}

}  // namespace actionflows::api
