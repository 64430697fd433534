// Where a cluster keeps a key: slots, the map of who owns them, and what to do about a reply that
// sends a call elsewhere. Pure: no network, no clock.
//
// https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
#pragma once

#include "actionflows/storage/redis/redis_storage.hpp"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace actionflows::redis {

inline constexpr std::uint16_t slot_count = 16'384;

// CRC16 (XMODEM: polynomial 0x1021, begins with 0) of the key, or of its hash tag: what stands
// between the first { and the first } after it, where that is not empty.
std::uint16_t slot_of(std::string_view key);

// A MOVED or ASK: another node serves the slot.
struct Redirect {
  enum class Kind { moved, ask } kind = Kind::moved;
  std::uint16_t slot = 0;
  RedisAddress to;  // an empty host: that of the node that answered

  friend bool operator==(const Redirect&, const Redirect&) = default;
};

// `error_reply` without its "-": "MOVED 3999 10.0.0.1:6381". nullopt: it is none, or names nobody.
std::optional<Redirect> parse_redirect(std::string_view error_reply);

// Who owns which slot, as far as it is known. Thread-safety: as an int.
class SlotMap {
 public:
  SlotMap() : owners_(slot_count, nobody) {}

  // nullopt: nobody is known to own it.
  [[nodiscard]] std::optional<RedisAddress> owner(std::uint16_t slot) const;

  // The slots from `first` to `last`, both included.
  void set(std::uint16_t first, std::uint16_t last, const RedisAddress& address);
  void move(std::uint16_t slot, const RedisAddress& address) { set(slot, slot, address); }

  // Each address that owns a slot, once, in order.
  [[nodiscard]] std::vector<RedisAddress> masters() const;

  [[nodiscard]] bool covers_all() const;

 private:
  static constexpr std::uint16_t nobody = 0xFFFF;

  std::vector<RedisAddress> addresses_;
  std::vector<std::uint16_t> owners_;  // by slot: an index of addresses_, or `nobody`
};

// What to do about an error reply to a call that was sent to a node.
struct Decision {
  enum class Action {
    answer,           // hand it to the caller
    resend,           // send the call to `to`
    resend_asking,    // the same, with ASKING right before it
    wait_and_resend,  // pause, then send it to whoever owns the slot by then
  };
  Action action = Action::answer;
  RedisAddress to;       // of resend and resend_asking
  bool refresh = false;  // the slot map is out of date: ask for a new one

  friend bool operator==(const Decision&, const Decision&) = default;
};

// How often a call is sent from node to node, without a pause, before it is handed to its caller.
inline constexpr int max_tries = 16;

// `tries`: how often the call was sent since its last pause, this time included; `from`: who
// answered. None of the replies that lead to sending again leave anything applied. One that leads
// to a pause does so always: the call's own deadline ends that.
Decision decide(std::string_view error_reply, int tries, const RedisAddress& from,
                int most = max_tries);

}  // namespace actionflows::redis
