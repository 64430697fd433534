// One command to a server and its reply; and a call: commands that a caller sends together.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/storage/redis/errors.hpp"
#include "actionflows/storage/redis/scripts.hpp"
#include "actionflows/storage/waiter.hpp"

#include <boost/container/small_vector.hpp>
#include <boost/intrusive/list_hook.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::redis {

// A part of a reply, in the order of arrival. An array comes before its elements, which are one
// deeper.
struct ReplyPart {
  enum class Kind { text, integer, null, array };
  Kind kind = Kind::null;
  std::size_t depth = 0;
  std::string_view text;  // of a text or an integer; valid during the call
};

// Takes a reply apart as it arrives. Called on a thread of the driver while the caller waits.
class Sink {
 public:
  virtual ~Sink() = default;
  // The command is sent again: what came before does not count.
  virtual void restart() = 0;
  virtual void add(const ReplyPart& part) = 0;
};

// Keeps the texts and integers of a reply, in order; what is absent as nullopt. Arrays are
// flattened.
class Texts final : public Sink {
 public:
  void restart() override { texts.clear(); }
  void add(const ReplyPart& part) override;
  // Empty where there is none.
  [[nodiscard]] std::string_view at(std::size_t index) const;
  // 0 where it is no number.
  [[nodiscard]] std::int64_t number(std::size_t index) const;

  std::vector<std::optional<std::string>> texts;
};

class Call;
class Link;

// Thread-safety: none. While its call waits it belongs to the driver's thread.
class Command {
 public:
  // `key` decides which node of a cluster it goes to. The sink must outlive the call.
  Command(std::string_view name, std::string_view key, Sink& sink);
  // A script with its keys, all of one slot. What the keys point at must outlive the call.
  Command(const Script& script, std::initializer_list<std::string_view> keys, Sink& sink);
  // The same with one key, which is copied.
  Command(const Script& script, const std::string& key, Sink& sink);
  Command(Command&&) noexcept = default;

  // A text that must outlive the call; one that is copied, joined from parts; a number.
  Command& arg(std::string_view text);
  Command& copy(std::initializer_list<std::string_view> parts);
  Command& number(std::int64_t value);
  Command& count(std::uint64_t value);

  // It is answered once replicas have confirmed it, or not in time; see RedisOptions.
  Command& wait_for_replicas();

  // ---- afterwards

  // The server's error reply; empty: there was none.
  [[nodiscard]] const std::string& error() const { return transit.error; }
  [[nodiscard]] bool failed() const { return !transit.error.empty() || transit.failure; }
  // Because the driver is being destroyed: from then on nothing of it may be used.
  [[nodiscard]] bool closed() const { return transit.failure == LinkFailure::closed; }
  // How many replicas have confirmed it.
  [[nodiscard]] int replicas() const { return transit.replicas; }
  // Throws what it failed with.
  void check(const std::string& operation, const std::string& record) const;

  // ---- for the driver's thread

  // The command as it is to be sent now.
  void words(std::vector<std::string_view>& out) const;
  [[nodiscard]] std::uint16_t slot() const { return slot_; }
  [[nodiscard]] bool waits() const { return waits_; }
  [[nodiscard]] bool is_script() const { return script_ != nullptr; }
  [[nodiscard]] Sink& sink() const { return *sink_; }

  struct Transit {
    Call* call = nullptr;
    Link* link = nullptr;  // who has it; nullptr: nobody
    int tries = 0;
    bool whole_script = false;  // the server does not know the script: send its source
    bool asking = false;        // the node serves the slot for this command only
    bool sent = false;
    bool done = false;
    std::string error;
    int pauses = 0;                               // that the cluster has asked for
    std::string paused_by;                        // the last reply that did
    std::chrono::steady_clock::time_point again;  // when it is sent after that
    std::optional<LinkFailure> failure;
    int replicas = 0;
  };
  Transit transit;

 private:
  struct Arg {
    const char* text;  // nullptr: in owned_, from `offset`
    std::size_t offset;
    std::size_t size;
  };

  std::uint16_t slot_;
  const Script* script_ = nullptr;
  Sink* sink_;
  bool waits_ = false;
  boost::container::small_vector<Arg, 12> args_;
  std::string owned_;
};

// In the frame of the coroutine that waits for it.
class Call : public boost::intrusive::list_base_hook<
                 boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // Commands that go to the same node are sent, and done, in their order.
  Call(std::span<Command* const> commands, TimePoint deadline);

  const std::span<Command* const> commands;
  const TimePoint deadline;
  std::size_t open;  // of the commands
  // Where it is counted as long as it is not answered. By the driver's thread: once the caller goes
  // on, the driver may be gone.
  std::atomic<std::size_t>* counter = nullptr;
  std::optional<Waiter> waiter;
};

}  // namespace actionflows::redis
