// A proxy on this machine between a client and a server, which does to their connections what
// networks do: cuts them, delays them, lets them trickle, or forgets them without a word.
#pragma once

#include "actionflows/base/task.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace actionflows::test {

// Thread-safety: shared objects: safe.
class FaultProxy {
 public:
  // What it does from now on, to the connections that there are and to those to come.
  struct Fault {
    // Of what the client sends, each n-th piece that holds `marked` is passed on; the first of what
    // is answered then is dropped, and the connection is cut. 0: none.
    int cut_reply_each = 0;
    std::string marked = {};

    std::chrono::milliseconds latency{0};  // of each piece that the server sends
    std::size_t trickle = 0;  // bytes of what the server sends, each millisecond; 0: all at once

    // Passes nothing on any more and closes nothing: whoever waits is told nothing.
    bool silent = false;
  };

  // In front of `server`.
  explicit FaultProxy(const RedisAddress& server);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  [[nodiscard]] RedisAddress address() const;

  void set(Fault fault);
  // New connections are as good as any. Those that have been silent stay so.
  void heal() { set({}); }

  [[nodiscard]] int connections() const { return connections_; }
  [[nodiscard]] int cuts() const { return cuts_; }

 private:
  struct Way;  // one connection, and its other half to the server

  Task<void> accept();
  Task<void> serve(std::shared_ptr<Way> way);
  Task<void> pass_requests(std::shared_ptr<Way> way);
  Task<void> pass_replies(std::shared_ptr<Way> way);
  Task<bool> pass_slowly(std::shared_ptr<Way> way, std::string piece, Fault fault);
  void keep_silent(const std::shared_ptr<Way>& way);
  [[nodiscard]] Fault fault() const;
  // Whether the answer to this piece is to be cut.
  bool is_marked(const Fault& fault, const std::string& piece);

  const boost::asio::ip::tcp::endpoint server_;
  mutable std::mutex mutex_;
  Fault fault_;  // guarded by mutex_
  std::atomic<int> connections_{0};
  std::atomic<int> cuts_{0};
  boost::asio::io_context context_{1};
  boost::asio::ip::tcp::acceptor acceptor_;
  // of its thread
  int marked_ = 0;
  std::vector<std::shared_ptr<Way>> silent_;  // open until the proxy ends
  std::thread thread_;                        // the last: it uses the others
};

}  // namespace actionflows::test
