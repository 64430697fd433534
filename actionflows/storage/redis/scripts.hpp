// The Lua scripts: whatever has to happen at once on a server. Each touches only the keys it is
// given, which all stand in one slot; arguments and answers are told beside each in scripts.cpp.
#pragma once

#include <string>
#include <string_view>

namespace actionflows::redis {

// A script and its SHA-1, by which the server is asked for it.
class Script {
 public:
  explicit Script(std::string source);
  [[nodiscard]] const std::string& source() const { return source_; }
  [[nodiscard]] const std::string& sha() const { return sha_; }

 private:
  const std::string source_;
  const std::string sha_;
};

// Thread-safety: shared objects: safe; made once.
struct Scripts {
  // On the keys of a session: hash, log, archive.
  Script commit;
  Script touch;
  Script read_events;
  Script prune_events;
  Script erase_session;
  Script drop_log;
  Script drop_chain;
  // On an index.
  Script list;
  Script index_put;
  Script index_remove;
  Script claim;
};

const Scripts& scripts();

}  // namespace actionflows::redis
