// One thread that talks to the servers: takes calls, sends each command to the node that has its
// key, follows redirections, and answers every call by its deadline.
#pragma once

#include "actionflows/storage/redis/link.hpp"
#include "actionflows/storage/redis/slots.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>

#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace actionflows::redis {

// Thread-safety: `submit`: from any thread; the rest as said.
class Lane final : public Link::Owner {
 public:
  // `reports`: told of connections made and lost; empty: nobody is.
  Lane(const RedisOptions& options, std::function<void(const std::string&)> reports);
  // After `close`.
  ~Lane() override;

  // The call is answered on this lane's thread, which resumes its waiter.
  void submit(Call& call);

  // Tries now to connect to whom it is not connected: calls that are submitted next wait for that.
  void hurry();

  // Answers all calls that wait, and every later one, as closed. From any thread, once.
  void close();
  // Returns once the thread has ended; after `close`.
  void join();

  // ---- for what else runs on this lane's thread
  [[nodiscard]] boost::asio::io_context& context() { return context_; }
  // Where to connect next: the servers in turn, of a cluster the masters as far as they are known.
  RedisAddress next_server();

 private:
  void finished(Command& command, Link& link) override;
  void changed(Link& link) override;
  void report(const std::string& line) override;

  void drain();
  void enter(Call& call);
  void answer_closed(Call& call);
  void route(Command& command);
  void route_to(const RedisAddress& address, Command& command);
  void conclude(Command& command);
  void answer(Call& call);
  void follow(Command& command, Link& link, const Decision& decision);
  Link& link_to(const RedisAddress& address);
  void flush_soon();
  void flush_all();

  void arm();
  void expire();
  void give_up(Command& command);

  Task<void> upkeep();
  bool wants_map() const;
  Task<void> learn_map();
  Task<bool> learn_map_from(const RedisAddress& address);
  void adopt(const SlotMap& map);
  void fail_unrouted();
  void look_at_links();

  // constant after construction
  const RedisOptions& options_;
  const std::function<void(const std::string&)> reports_;

  std::mutex mutex_;
  // guarded by mutex_
  std::vector<Call*> inbox_;
  bool closed_ = false;

  // the thread's
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  bool reachable_ = false;  // a connection to every node that is needed stands
  boost::asio::steady_timer deadline_timer_;
  boost::asio::steady_timer upkeep_timer_;
  std::vector<Waiter> answered_;  // who goes on when this thread's present work is done
  bool closing_ = false;
  bool armed_ = false;
  bool flushing_ = false;
  boost::intrusive::list<Call, boost::intrusive::constant_time_size<false>> open_;
  std::map<RedisAddress, std::unique_ptr<Link>> links_;
  std::vector<std::unique_ptr<Link>> retired_;  // of nodes that are no masters any more
  SlotMap map_;
  bool map_known_ = false;
  bool map_stale_ = true;
  bool learning_ = false;
  std::size_t turn_ = 0;
  std::vector<Command*> unrouted_;  // until the map is known
  std::vector<Command*> delayed_;   // until the cluster has sorted itself

  std::promise<void> ended_;
  std::jthread thread_;  // the last, so that it finds everything made
};

}  // namespace actionflows::redis
