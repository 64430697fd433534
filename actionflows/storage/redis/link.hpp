// The connection to one server: made, watched, lost and made again. What is to be sent meanwhile
// waits while an attempt to connect is under way, and is refused at once while none is.
#pragma once

#include "actionflows/base/task.hpp"
#include "actionflows/storage/redis/command.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace boost::redis {
class connection;
struct config;
}  // namespace boost::redis

namespace actionflows::redis {

struct Batch;

// Thread-safety: none; belongs to the thread of its io_context. Once started it must not be
// destroyed before that context has run out of work after `stop`.
class Link {
 public:
  // Who is told what happens; must outlive the context's work.
  class Owner {
   public:
    virtual ~Owner() = default;
    // Answered, or failed. May send it, or others, again.
    virtual void finished(Command& command, Link& link) = 0;
    // It came up or went down.
    virtual void changed(Link& link) = 0;
    virtual void report(const std::string& line) = 0;
  };

  enum class State { connecting, up, down };

  Link(boost::asio::io_context& context, const RedisOptions& options, RedisAddress address,
       Owner& owner);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void start();
  void stop();

  [[nodiscard]] const RedisAddress& address() const { return address_; }
  [[nodiscard]] State state() const { return state_; }

  // Sends it with the next `flush`. Where there is no connection and none is being made, it is
  // finished before this returns.
  void send(Command& command);
  void flush();

  // The caller does not wait any more.
  void withdraw(Command& command);

  // This connection is of no use any more: makes another.
  void drop();

  // Tries to connect now, if it waits for another time to do so.
  void hurry();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  Task<void> run();
  Task<void> attempt();
  Task<void> watch();
  void came_up();
  void went_down();
  void fail(Command& command, LinkFailure failure);
  void completed(const std::shared_ptr<Batch>& batch, bool lost);
  void ping();

  // constant after construction
  boost::asio::io_context& context_;
  const RedisOptions& options_;
  const RedisAddress address_;
  Owner& owner_;

  State state_ = State::connecting;
  bool stopped_ = false;
  int failures_ = 0;                        // attempts in a row
  LinkFailure why_ = LinkFailure::refused;  // the last of them failed
  std::string trouble_;                     // why none could be begun, as it was reported
  std::shared_ptr<boost::redis::connection> connection_;
  TimePoint pinged_;
  boost::asio::steady_timer pause_;
  boost::asio::steady_timer health_;
  std::vector<Command*> queue_;
  std::deque<std::shared_ptr<Batch>> in_flight_;
  std::vector<std::string_view> words_;
};

// For TLS as the options say. Throws unavailable where `ca_file` can't be read.
void check_tls(const RedisOptions& options);

// A connection that is not connected yet, and what it is run with. Used by subscribers, too.
std::shared_ptr<boost::redis::connection> make_connection(boost::asio::io_context& context,
                                                          const RedisOptions& options,
                                                          const RedisAddress& address);
boost::redis::config connection_config(const RedisOptions& options, const RedisAddress& address);

// How long to wait after so many failed attempts: exponential, with full jitter.
std::chrono::milliseconds reconnect_pause(const RedisOptions& options, int failures);

std::string name_of(const RedisAddress& address);

}  // namespace actionflows::redis
