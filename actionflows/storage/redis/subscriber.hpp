// Listens for wake-ups on a connection of its own and hands them to those who follow.
#pragma once

#include "actionflows/base/task.hpp"
#include "actionflows/storage/redis/lane.hpp"
#include "actionflows/storage/redis/wakeups.hpp"

#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace boost::redis {
class connection;
}

namespace actionflows::redis {

// Thread-safety: `listening` and `trouble` from any thread; the rest on the lane's thread. Must not
// be destroyed before that thread has ended.
class Subscriber {
 public:
  // What this instance has published itself it has told its own followers already: that is passed
  // over.
  Subscriber(Lane& lane, const RedisOptions& options, std::string channel, std::string instance,
             Wakeups& wakeups);
  ~Subscriber();

  void start();
  void stop();

  // From now on whatever is published is heard, as long as this is true.
  [[nodiscard]] bool listening() const { return listening_; }

  // What the last attempt to listen was refused with; nullopt: it listens, or knows no more than
  // that nobody answers.
  [[nodiscard]] std::optional<StorageError> trouble() const;

  // Returns once it listens, or when the time is over: then why it does not. On the lane's thread;
  // by the time the caller goes on, this may be gone.
  Task<std::optional<StorageError>> wait_until_listening(
      std::chrono::steady_clock::time_point deadline);

 private:
  friend struct PushAdapter;

  Task<void> run();
  Task<void> attempt();
  Task<void> watch();
  void ping();
  Task<void> receive(std::shared_ptr<boost::redis::connection> connection);
  void take(std::string_view message);
  void heard();
  void refused(std::string_view reply);
  void fail(LinkFailure failure);

  // constant after construction
  Lane& lane_;
  const RedisOptions& options_;
  const std::string channel_;
  const std::string instance_;
  Wakeups& wakeups_;

  std::atomic<bool> listening_{false};

  mutable std::mutex mutex_;
  std::optional<StorageError> trouble_;  // guarded by mutex_

  // the thread's
  bool stopped_ = false;
  bool heard_before_ = false;
  int failures_ = 0;
  std::shared_ptr<boost::redis::connection> connection_;
  bool owes_sign_ = false;                        // of life
  std::chrono::steady_clock::time_point pinged_;  // or begun to connect
  boost::asio::steady_timer pause_;
  boost::asio::steady_timer health_;
  boost::asio::steady_timer listening_changed_;  // waits forever; cancelled when it listens
  std::vector<std::string> push_;                // the texts of the push that is arriving
};

}  // namespace actionflows::redis
