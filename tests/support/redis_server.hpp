// A real Redis server for tests: Debian's, on a port of its own, with a folder of its own.
#pragma once

#include "actionflows/storage/redis/redis_storage.hpp"
#include "tests/support/certificates.hpp"
#include "tests/support/child.hpp"
#include "tests/support/folder.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::test {

// Why there is no Redis server on this machine; empty: there is one.
std::string redis_is_missing();

// Ends the test where there is none: skipped on a laptop, failed where CI is set, so that a green
// run means something there.
#define NEEDS_REDIS()                                                                         \
  if (const std::string missing = ::actionflows::test::redis_is_missing(); missing.empty()) { \
  } else if (::actionflows::test::in_ci()) {                                                  \
    FAIL() << missing;                                                                        \
  } else                                                                                      \
    GTEST_SKIP() << missing

bool in_ci();

// A reply as it came. Integers are text.
struct RedisReply {
  char kind = '_';  // '+', '-', ':', '$', '*'; '_': null
  std::string text;
  std::vector<RedisReply> items;
};

struct RedisServerOptions {
  bool tls = false;  // TLS alone; no port without
  // Whom its certificate is for.
  std::string certificate_names = "IP:127.0.0.1,DNS:localhost";
  bool appendonly = false;               // keeps what it has acknowledged over kill -9
  bool cluster = false;                  // a node of a cluster, which knows no other yet
  std::vector<std::string> config = {};  // more lines of redis.conf
};

// Thread-safety: one caller at a time; `call` and `text`: shared objects: safe. The thread that
// starts or restarts it has to outlive it.
class RedisServer {
 public:
  // Returns when it answers. Throws std::runtime_error, with its log, when it does not.
  explicit RedisServer(RedisServerOptions options = {});
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  [[nodiscard]] RedisAddress address() const { return {"127.0.0.1", port_}; }
  // Of its certificate; empty without TLS.
  [[nodiscard]] const std::string& ca_file() const { return certificates_.ca; }
  // For make_redis_storage: this server, and whom to trust. The prefix stays "af".
  [[nodiscard]] RedisOptions storage_options() const;
  // The same as a URL: "redis://127.0.0.1:20001".
  [[nodiscard]] std::string url() const;

  // What it answers to a command of its default user, past its port: through a socket in its
  // folder. Throws std::runtime_error when it does not answer within ten seconds.
  [[nodiscard]] RedisReply call(const std::vector<std::string>& words) const;
  // The text of that reply. Throws std::runtime_error for an error and for a list.
  std::string text(const std::vector<std::string>& words) const;  // NOLINT(modernize-use-nodiscard)
  // Of INFO or CLUSTER INFO: the value behind "field:"; empty: there is none.
  [[nodiscard]] std::string info(const std::string& field) const;
  [[nodiscard]] std::string cluster_info(const std::string& field) const;

  // kill -9.
  void kill() { child_.reset(); }
  // SIGSTOP and SIGCONT.
  void stop();
  void go_on();
  // Neither killed nor stopped.
  [[nodiscard]] bool runs() const { return child_ && !stopped_; }

  enum class Data { kept, dropped };
  // On the same port again; killed before, if it still runs. Kept is what the server has on disk:
  // all with `appendonly`, else nothing.
  void restart(Data data);

  [[nodiscard]] std::string log() const;

 private:
  class Port;  // held for as long as this object lives

  [[nodiscard]] std::string write_config() const;  // its path
  void start();
  // False: it has ended.
  [[nodiscard]] bool wait_until_it_answers();

  const RedisServerOptions options_;
  const Folder folder_ = Folder::in_memory();
  Certificates certificates_;
  std::unique_ptr<Port> port_lock_;
  std::uint16_t port_ = 0;
  std::optional<Child> child_;
  bool stopped_ = false;
};

}  // namespace actionflows::test
