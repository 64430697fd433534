// A Redis server that answers what a test tells it: errors, silence, nonsense, a cut connection.
#pragma once

#include "actionflows/base/task.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace actionflows::test {

// Thread-safety: shared objects: safe.
class FakeRedis {
 public:
  using Command = std::vector<std::string>;  // its name in capitals, and its arguments

  // What is sent, as it stands on the wire: "-LOADING words\r\n"; the connection may end behind it.
  struct Answer {
    std::string bytes;  // empty: silence
    bool cut = false;
    std::chrono::milliseconds delay{0};  // before it is sent, and whatever is asked behind it
  };
  // nullopt: as FakeRedis itself would answer: what clients say when they connect well, scripts by
  // their digest, anything else by null. Called on its thread, one command at a time.
  using Handler = std::function<std::optional<Answer>(const Command&)>;

  explicit FakeRedis(Handler handler);
  ~FakeRedis();
  FakeRedis(const FakeRedis&) = delete;
  FakeRedis& operator=(const FakeRedis&) = delete;

  [[nodiscard]] RedisAddress address() const;
  [[nodiscard]] RedisOptions storage_options() const;

  // From now on. Meant for a driver that is connected already.
  void answer_by(Handler handler);
  // Whatever it is asked for by a connection that has said hello, but for a sign of life.
  void answer_all_by(Answer answer);

  [[nodiscard]] int connections() const;
  // How often each command came, by its name.
  [[nodiscard]] std::map<std::string, int> commands() const;

 private:
  Task<void> accept();
  Task<void> serve(boost::asio::ip::tcp::socket socket);
  Answer answer_to(const Command& command);

  boost::asio::io_context context_{1};
  boost::asio::ip::tcp::acceptor acceptor_;

  mutable std::mutex mutex_;
  Handler handler_;                      // guarded by mutex_
  int connections_ = 0;                  // guarded by mutex_
  std::map<std::string, int> commands_;  // guarded by mutex_

  std::thread thread_;  // the last: it uses the others
};

// Replies as they stand on the wire.
std::string error_reply(std::string_view text);
std::string bulk_reply(std::string_view text);

// Whether clients send it on their own account: HELLO, AUTH, CLIENT, PING, ...
bool is_of_connection(const FakeRedis::Command& command);

}  // namespace actionflows::test
