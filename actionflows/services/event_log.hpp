// EventLog: what happened, to be read, followed, replayed and held against the stored state.
#pragma once

#include "actionflows/services/replay.hpp"
#include "actionflows/storage/storage.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace actionflows {

// Follows the events of one session from a sequence number on: everything once, in order, whatever
// wake-ups get lost. One caller at a time. The storage must outlive it.
class EventFollower {
 public:
  struct Gap {
    std::uint64_t from = 0;  // the first and the last event that were pruned before they were read
    std::uint64_t to = 0;
  };
  struct Batch {
    // The log is another one than was read, or its events behind `resumes_after` have got other
    // numbers: from there on it is read again.
    bool restarted = false;
    std::uint64_t resumes_after = 0;
    std::optional<Gap> gap;  // lies before the events
    std::vector<Event> events;
    std::vector<StorageError> corrupt;  // events that could not be read, and were passed over
  };

  // Use EventLog::follow.
  EventFollower(Storage& storage, SessionId session, std::uint64_t after,
                std::unique_ptr<Subscription> subscription);

  // The next events, at most `limit`; waits for some up to `timeout`, then returns none.
  // Throws unavailable, timeout; calling it again goes on where it was, on a new subscription
  // where the old one has broken.
  Task<Batch> next(std::chrono::milliseconds timeout, std::size_t limit = 100);

  // The number of the last event that was handed out.
  [[nodiscard]] std::uint64_t position() const { return after_; }

 private:
  Task<Batch> read(std::size_t limit);

  Storage& storage_;
  const SessionId session_;
  std::uint64_t after_;
  std::unique_ptr<Subscription> subscription_;  // nullptr: it has broken
};

// What holding the log against the stored state showed.
struct Verification {
  enum class Outcome {
    equal,      // every record is as the log says
    different,  // `differences` tells where not
    pruned,     // the log's beginning is gone: there is nothing to hold the state against
    busy,       // the session was changed again and again in the meantime
  };

  SessionId session;
  Outcome outcome = Outcome::equal;
  std::uint64_t events = 0;
  std::uint64_t records = 0;
  std::vector<std::string> differences;  // "run-7.c1.s2: the log says {...}": one per record
};

std::string_view to_string(Verification::Outcome outcome);

// Thread-safety: shared objects: safe. The storage must outlive it.
class EventLog {
 public:
  explicit EventLog(Storage& storage) : storage_(storage) {}

  // As the functions of Storage; see there for errors.
  Task<Event> append(const SessionId& session, EventData data,
                     const Context& context = Context::none());
  Task<EventList> read(const SessionId& session, EventFilter filter = {},
                       const Context& context = Context::none());
  Task<std::uint64_t> prune(const SessionId& session, std::uint64_t first_kept,
                            const Context& context = Context::none());

  // From the event after `after` on; the session need not exist yet.
  Task<std::unique_ptr<EventFollower>> follow(const SessionId& session, std::uint64_t after);

  // The records as the log tells them, up to event `until` (0: all there are). Throws corrupt when
  // the log does not begin with its first event or does not fit together.
  Task<Replay> replay(const SessionId& session, std::uint64_t until = 0,
                      const Context& context = Context::none());

  // Rebuilds the session from its log and compares every record, archived ones included. A record
  // that can't be read is a difference, and so is a log that can't be replayed: then the only one.
  // not_found: there is neither a session nor a log.
  Task<Verification> verify(const SessionId& session, const Context& context = Context::none());

 private:
  Task<Verification> compare(const SessionId& session, const Context& context);
  Task<void> compare_chain(const ChainId& id, const Replay& replay, Verification& found,
                           const Context& context);

  Storage& storage_;  // constant after construction
};

}  // namespace actionflows
