// What import, export and verify work on: a server, or a storage opened by the program itself.
#pragma once

#include "actionflows/model/ids.hpp"
#include "cli/server_url.hpp"

#include <optional>
#include <string>
#include <variant>

namespace CLI {
class App;
}

namespace actionflows::cli {

// The flags, as given; empty ones were not.
struct TargetFlags {
  std::string storage;
  std::string server;
  std::string api_key_file;
};

// --server and --api-key-file; --storage, too, with `storage`.
void add_target_flags(CLI::App& command, TargetFlags& flags, bool with_storage);

// The variables that have a say; empty ones are not set.
struct TargetVariables {
  std::string storage;  // ACTIONFLOWS_STORAGE
  std::string server;   // ACTIONFLOWS_SERVER
  std::string port;     // PORT
};
TargetVariables target_variables();

struct StorageTarget {
  std::string url;

  friend bool operator==(const StorageTarget&, const StorageTarget&) = default;
};
using Target = std::variant<StorageTarget, ServerUrl>;

// A flag decides before a variable; without either it is the server on this machine, at PORT or
// 3001. Throws UsageError where both a storage and a server are named alike.
Target choose_target(const TargetFlags& flags, const TargetVariables& variables);
// The same where only a server will do.
ServerUrl choose_server(const TargetFlags& flags, const TargetVariables& variables);

// The key to show to the server: of the file, else of ACTIONFLOWS_API_KEY, else none. Throws
// Failure for a file that can't be read, UsageError for what can be no key.
std::string read_api_key(const TargetFlags& flags);

// A --user; nullopt: not given. Throws UsageError for what is no user id.
std::optional<UserId> parse_user(const std::string& flag);
// A SESSION; nullopt: not given. Throws UsageError for what is no session id.
std::optional<SessionId> parse_session(const std::string& argument);

}  // namespace actionflows::cli
