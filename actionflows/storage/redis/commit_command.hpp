// A commit as the call of its script, and what the script answers.
#pragma once

#include "actionflows/storage/redis/command.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"
#include "actionflows/storage/redis/wakeups.hpp"

#include <optional>
#include <string>

namespace actionflows::redis {

struct SessionKeys {
  std::string hash;
  std::string log;
  std::string archive;
};

struct CommitCommandOptions {
  const RedisOptions& options;
  const SessionKeys& keys;
  const std::string& channel;
  const std::string& instance;
};

// Takes the answer, and wakes who follows this process: in the order in which the server answers,
// which is that of the commits.
class CommitAnswer final : public Sink {
 public:
  CommitAnswer(const Commit& commit, Wakeups& wakeups) : commit_(commit), wakeups_(wakeups) {}

  void restart() override { text_.clear(); }
  void add(const ReplyPart& part) override;

  struct Applied {
    CommitResult result;
    bool moved = false;              // the deadline
    std::optional<UserId> old_user;  // whose it was, when it became another's
    UserId user;
    bool untold = false;  // other processes: the server refused to publish it
  };
  // Throws conflict, exhausted, or corrupt when it can't be understood.
  [[nodiscard]] Applied applied() const;

 private:
  const Commit& commit_;
  Wakeups& wakeups_;
  std::string text_;
};

// The commit, the keys and the answer must outlive the call.
Command commit_command(const Commit& commit, const CommitCommandOptions& with,
                       CommitAnswer& answer);

}  // namespace actionflows::redis
