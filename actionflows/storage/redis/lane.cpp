#include "actionflows/storage/redis/lane.hpp"

#include "actionflows/storage/redis/cluster_layout.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <utility>

namespace actionflows::redis {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// How often a cluster is looked at that is being repaired, and commands tried again that it has
// asked to wait.
constexpr auto upkeep_interval = 25ms;
constexpr auto map_interval = 250ms;

// Between two attempts of a command that is asked to wait: doubling from the one to the other.
constexpr std::chrono::milliseconds pause_min = upkeep_interval;
constexpr std::chrono::milliseconds pause_max = 200ms;

void pause(Command::Transit& transit) {
  auto pause = pause_min;
  for (int i = 0; i < transit.pauses && pause < pause_max; ++i) pause *= 2;
  ++transit.pauses;
  transit.again = std::chrono::steady_clock::now() + std::min(pause, pause_max);
  transit.paused_by = std::exchange(transit.error, {});
  transit.tries = 0;
  transit.sent = false;  // nothing of it is applied
}

void mark_closed(Call& call) {
  for (Command* command : call.commands)
    if (!command->transit.done) command->transit.failure = LinkFailure::closed;
}

}  // namespace

Lane::Lane(const RedisOptions& options, std::function<void(const std::string&)> reports)
    : options_(options),
      reports_(std::move(reports)),
      work_(asio::make_work_guard(context_)),
      deadline_timer_(context_),
      upkeep_timer_(context_) {
  if (options_.cluster) {
    asio::co_spawn(context_, upkeep(), asio::detached);
  } else {
    link_to(options_.servers.front());
  }
  thread_ = std::jthread([this] {
    context_.run();
    ended_.set_value();
  });
}

Lane::~Lane() = default;

void Lane::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  asio::post(context_, [this] {
    closing_ = true;
    drain();
    while (!open_.empty()) {
      Call& call = open_.front();
      for (Command* command : call.commands)
        if (!command->transit.done) give_up(*command);
      answer_closed(call);
    }
    for (auto& [address, link] : links_) link->stop();
    deadline_timer_.cancel();
    upkeep_timer_.cancel();
    work_.reset();
  });
}

// Everything was cancelled, and so ends by itself; but what Boost.Redis was about to begin just
// then it may begin all the same.
void Lane::join() {
  if (ended_.get_future().wait_for(1s) == std::future_status::timeout) context_.stop();
  thread_.join();
}

// ---- calls --------------------------------------------------------------------------------------

void Lane::submit(Call& call) {
  bool first = false;
  bool closed = false;
  {
    const std::lock_guard lock(mutex_);
    closed = closed_;
    first = inbox_.empty();
    if (!closed) inbox_.push_back(&call);
  }
  if (closed) {
    mark_closed(call);
    if (call.counter != nullptr) --*call.counter;
    std::move(*call.waiter).resume();
  } else if (first) {
    asio::post(context_, [this] { drain(); });
  }
}

void Lane::hurry() {
  asio::post(context_, [this] {
    for (auto& [address, link] : links_) link->hurry();
  });
}

void Lane::answer_closed(Call& call) {
  mark_closed(call);
  answer(call);
}

void Lane::drain() {
  std::vector<Call*> calls;
  {
    const std::lock_guard lock(mutex_);
    calls.swap(inbox_);
  }
  for (Call* call : calls) {
    enter(*call);
    if (closing_) {
      answer_closed(*call);
      continue;
    }
    // A command may be refused at once, and the last one's end is its call's.
    const auto commands = call->commands;
    // NOLINTNEXTLINE(modernize-loop-convert): what ends with the call is not to be looked at again
    for (std::size_t i = 0, count = commands.size(); i < count; ++i) route(*commands[i]);
  }
  flush_all();
  arm();
}

// In the order of the deadlines; most come in it.
void Lane::enter(Call& call) {
  auto at = open_.end();
  while (at != open_.begin() && std::prev(at)->deadline > call.deadline) --at;
  open_.insert(at, call);
  if (armed_ && &open_.front() == &call) {
    armed_ = false;
    arm();
  }
}

void Lane::route(Command& command) {
  if (!options_.cluster) return link_to(options_.servers.front()).send(command);
  const auto owner = map_.owner(command.slot());
  if (owner) return link_to(*owner).send(command);
  map_stale_ = true;
  (map_known_ ? delayed_ : unrouted_).push_back(&command);
}

Link& Lane::link_to(const RedisAddress& address) {
  auto& link = links_[address];
  if (!link) {
    link = std::make_unique<Link>(context_, options_, address, *this);
    link->start();
  }
  return *link;
}

void Lane::finished(Command& command, Link& link) {
  auto& transit = command.transit;
  if (transit.error.empty()) return conclude(command);
  if (command.is_script() && !transit.whole_script && transit.error.starts_with("NOSCRIPT")) {
    transit.whole_script = true;
    transit.error.clear();
    transit.failure.reset();
    command.sink().restart();
    link.send(command);
    return flush_soon();
  }
  if (classify(transit.error).reconnect) link.drop();
  if (!options_.cluster) return conclude(command);
  follow(command, link, decide(transit.error, transit.tries, link.address()));
}

void Lane::follow(Command& command, Link& link, const Decision& decision) {
  if (decision.refresh) map_stale_ = true;
  if (decision.action == Decision::Action::answer) return conclude(command);
  auto& transit = command.transit;
  transit.failure.reset();  // the reply is known, however the connection ended
  transit.asking = decision.action == Decision::Action::resend_asking;
  command.sink().restart();
  if (decision.action == Decision::Action::wait_and_resend) {
    pause(transit);
    delayed_.push_back(&command);
    return;
  }
  transit.error.clear();
  if (decision.action == Decision::Action::resend && decision.to != link.address())
    map_.move(command.slot(), decision.to);
  link_to(decision.to).send(command);
  flush_soon();
}

void Lane::conclude(Command& command) {
  command.transit.done = true;
  Call& call = *command.transit.call;
  if (--call.open == 0) answer(call);
}

// Who is answered goes on once all that has just arrived is read: so their threads are woken once.
void Lane::answer(Call& call) {
  call.unlink();
  if (call.counter != nullptr) --*call.counter;
  if (answered_.empty())
    asio::post(context_, [this] { Waiter::resume_all(std::exchange(answered_, {})); });
  answered_.push_back(std::move(*call.waiter));
}

// Inside of a connection's own work nothing new is begun on it.
void Lane::flush_soon() {
  if (std::exchange(flushing_, true)) return;
  asio::post(context_, [this] {
    flushing_ = false;
    flush_all();
  });
}

void Lane::flush_all() {
  for (auto& [address, link] : links_) link->flush();
}

// ---- deadlines ----------------------------------------------------------------------------------

void Lane::arm() {
  if (armed_ || open_.empty() || closing_) return;
  armed_ = true;
  deadline_timer_.expires_at(open_.front().deadline);
  deadline_timer_.async_wait([this](boost::system::error_code error) {
    if (error) return;  // another wait has taken its place
    armed_ = false;
    expire();
    arm();
  });
}

void Lane::expire() {
  const auto now = std::chrono::steady_clock::now();
  while (!open_.empty() && open_.front().deadline <= now) {
    Call& call = open_.front();
    for (Command* command : call.commands) {
      if (command->transit.done) continue;
      give_up(*command);
      auto& transit = command->transit;
      if (!transit.sent && !transit.paused_by.empty()) {
        transit.error = transit.paused_by;
      } else {
        transit.failure = transit.sent ? LinkFailure::deadline_sent : LinkFailure::deadline_unsent;
      }
    }
    answer(call);
  }
}

void Lane::give_up(Command& command) {
  if (command.transit.link != nullptr) command.transit.link->withdraw(command);
  std::erase(unrouted_, &command);
  std::erase(delayed_, &command);
}

// ---- the servers --------------------------------------------------------------------------------

void Lane::changed(Link& link) {
  if (options_.cluster && link.state() == Link::State::down) map_stale_ = true;
  look_at_links();
}

void Lane::look_at_links() {
  const auto stands = [&](const RedisAddress& address) {
    const auto found = links_.find(address);
    return found != links_.end() && found->second->state() == Link::State::up;
  };
  if (!options_.cluster) {
    reachable_ = stands(options_.servers.front());
    return;
  }
  const std::vector<RedisAddress> masters = map_.masters();
  reachable_ = map_known_ && map_.covers_all() && std::ranges::all_of(masters, stands);
}

void Lane::report(const std::string& line) {
  if (reports_) reports_(line);
}

RedisAddress Lane::next_server() {
  const std::vector<RedisAddress> masters = map_.masters();
  const auto& from = masters.empty() ? options_.servers : masters;
  return from[turn_++ % from.size()];
}

Task<void> Lane::upkeep() {
  auto looked = std::chrono::steady_clock::time_point();
  while (!closing_) {
    const auto now = std::chrono::steady_clock::now();
    for (Command* command : std::exchange(delayed_, {})) {
      if (command->transit.again <= now) {
        route(*command);
      } else {
        delayed_.push_back(command);
      }
    }
    flush_all();
    if (wants_map() && (!map_known_ || now - looked >= map_interval)) {
      looked = now;
      co_await learn_map();
      if (closing_) break;
    }
    upkeep_timer_.expires_after(upkeep_interval);
    boost::system::error_code ignored;
    co_await upkeep_timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

bool Lane::wants_map() const { return map_stale_ || !reachable_; }

// Asks whom it knows, one after the other, until one answers.
Task<void> Lane::learn_map() {
  std::vector<RedisAddress> known = map_.masters();
  for (const RedisAddress& server : options_.servers)
    if (std::ranges::find(known, server) == known.end()) known.push_back(server);
  std::ranges::rotate(known, known.begin() + static_cast<std::ptrdiff_t>(turn_++ % known.size()));
  for (const RedisAddress& address : known) {
    if (closing_) co_return;
    if (co_await learn_map_from(address)) co_return;
  }
  if (!map_known_) fail_unrouted();
}

Task<bool> Lane::learn_map_from(const RedisAddress& address) {
  LayoutSink layout(address);
  Command command("CLUSTER", "", layout);
  command.arg("SLOTS");
  const std::array<Command*, 1> commands{&command};
  Call call(commands, std::chrono::steady_clock::now() + std::min(options_.timeout, 500ms));
  struct Enter {
    Lane* lane;
    Call* call;
    Link* link;
    void operator()(Waiter::Handler handler) const {
      call->waiter.emplace(lane->context_.get_executor(), std::move(handler));
      lane->enter(*call);
      link->send(*call->commands.front());
      lane->flush_soon();
      lane->arm();
    }
  };
  Enter enter{this, &call, &link_to(address)};
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(enter, asio::use_awaitable);
  if (command.failed() || !layout.complete()) co_return false;
  adopt(layout.map());
  co_return true;
}

void Lane::adopt(const SlotMap& map) {
  map_ = map;
  map_known_ = true;
  map_stale_ = false;
  const std::vector<RedisAddress> masters = map_.masters();
  for (const RedisAddress& master : masters) link_to(master);
  for (auto at = links_.begin(); at != links_.end();) {
    const bool needed = std::ranges::find(masters, at->first) != masters.end();
    if (needed || at->second->state() != Link::State::down) {
      ++at;
      continue;
    }
    at->second->stop();
    retired_.push_back(std::move(at->second));
    at = links_.erase(at);
  }
  look_at_links();
  for (Command* command : std::exchange(unrouted_, {})) route(*command);
  flush_soon();
}

void Lane::fail_unrouted() {
  for (Command* command : std::exchange(unrouted_, {})) {
    command->transit.failure = LinkFailure::refused;
    conclude(*command);
  }
}

}  // namespace actionflows::redis
