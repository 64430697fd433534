#include "cli/target.hpp"

#include "cli/failure.hpp"
#include "cli/flags.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace actionflows::cli {
namespace {

// Far more than any key has.
constexpr std::size_t max_key_bytes = 4'096;

ServerUrl local_server(const std::string& port) {
  return ServerUrl::parse("http://127.0.0.1:" + (port.empty() ? "3001" : port));
}

std::string checked_key(std::string key, const std::string& from) {
  while (key.ends_with('\n') || key.ends_with('\r')) key.pop_back();
  const auto visible = [](char c) { return c > 0x20 && c < 0x7F; };
  if (key.empty() || key.size() > max_key_bytes || !std::ranges::all_of(key, visible))
    throw UsageError(fmt::format("{} has no API key: a key is visible ASCII on one line", from));
  return key;
}

}  // namespace

// --storage and --server have variables, too, but these have less say than the other's flag: so
// they are looked at in choose_target.
void add_target_flags(CLI::App& command, TargetFlags& flags, bool with_storage) {
  command
      .add_option("--server", flags.server,
                  "the server to talk to [http://127.0.0.1:3001; PORT changes the port] "
                  "(Env:ACTIONFLOWS_SERVER)")
      ->type_name("URL");
  if (with_storage) {
    command
        .add_option("--storage", flags.storage,
                    "open this storage instead of talking to a server: sqlite:PATH or redis://HOST "
                    "(Env:ACTIONFLOWS_STORAGE)")
        ->type_name("URL");
  }
  add_flag(command, "api-key-file", flags.api_key_file, "FILE",
           "file that holds the API key to show to the server; ACTIONFLOWS_API_KEY may hold the "
           "key itself");
}

TargetVariables target_variables() {
  return {.storage = environment("ACTIONFLOWS_STORAGE"),
          .server = environment("ACTIONFLOWS_SERVER"),
          .port = environment("PORT")};
}

Target choose_target(const TargetFlags& flags, const TargetVariables& variables) {
  if (!flags.storage.empty() && !flags.server.empty())
    throw UsageError("give --storage or --server, not both");
  if (!flags.server.empty()) return ServerUrl::parse(flags.server);
  if (!flags.storage.empty()) return StorageTarget{flags.storage};
  if (!variables.storage.empty() && !variables.server.empty()) {
    throw UsageError(
        "both ACTIONFLOWS_STORAGE and ACTIONFLOWS_SERVER are set: give --storage or --server");
  }
  if (!variables.server.empty()) return ServerUrl::parse(variables.server);
  if (!variables.storage.empty()) return StorageTarget{variables.storage};
  return local_server(variables.port);
}

ServerUrl choose_server(const TargetFlags& flags, const TargetVariables& variables) {
  if (!flags.server.empty()) return ServerUrl::parse(flags.server);
  if (!variables.server.empty()) return ServerUrl::parse(variables.server);
  return local_server(variables.port);
}

std::string read_api_key(const TargetFlags& flags) {
  if (flags.api_key_file.empty()) {
    std::string key = environment("ACTIONFLOWS_API_KEY");
    return key.empty() ? key : checked_key(std::move(key), "ACTIONFLOWS_API_KEY");
  }
  std::ifstream in(flags.api_key_file, std::ios::binary);
  std::string key(max_key_bytes + 3, '\0');
  if (in) in.read(key.data(), static_cast<std::streamsize>(key.size()));
  if (!in && !in.eof())
    throw Failure(fmt::format("can't read {}: {}", flags.api_key_file, std::strerror(errno)));
  key.resize(static_cast<std::size_t>(in.gcount()));
  return checked_key(std::move(key), flags.api_key_file);
}

std::optional<UserId> parse_user(const std::string& flag) {
  if (flag.empty()) return std::nullopt;
  auto user = UserId::parse(flag);
  if (!user) throw UsageError(fmt::format("--user is no user id: {}", UserId::rule));
  return user;
}

std::optional<SessionId> parse_session(const std::string& argument) {
  if (argument.empty()) return std::nullopt;
  auto session = SessionId::parse(argument);
  if (!session)
    throw UsageError(fmt::format("\"{}\" is no session id: {}", argument, SessionId::rule));
  return session;
}

}  // namespace actionflows::cli
