// ResilientStorage: keeps working while its primary does not, and loses nothing it has
// acknowledged.
//
// Every call to the primary has a deadline; failures that may pass are tried again; a circuit
// breaker keeps calls away from a primary that is down. Meanwhile commits go to a journal, then to
// a fallback driver, and are acknowledged; sessions that this process has lately seen are served
// from memory and say so (Source::fallback, with their age). What is not known here is unavailable,
// never absent. Credentials are neither read nor written meanwhile: who asks is refused.
//
// When the primary is back the journal is replayed, session by session in order, under the
// operation ids of then; where the primary has moved on, the changes are merged and a
// `session:reconciled` event tells of it. What can't be merged is set aside in the journal. Writes
// to a session wait for its replay, all others don't.
#pragma once

#include "actionflows/base/clock.hpp"
#include "actionflows/base/random.hpp"
#include "actionflows/storage/driver.hpp"
#include "actionflows/storage/resilient/circuit_breaker.hpp"
#include "actionflows/storage/resilient/journal.hpp"
#include "actionflows/storage/resilient/retry_policy.hpp"
#include "actionflows/storage/resilient/shadow.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

namespace actionflows {

struct ResilientOptions {
  RetryOptions retry;
  BreakerOptions breaker;
  ShadowOptions shadow;

  std::chrono::milliseconds attempt_timeout{2'000};
  std::chrono::milliseconds call_timeout{5'000};  // of all attempts and the waits between them

  // By when the primary ends each call by itself, so that attempts which may take as long need no
  // timer. 0: it never waits. nullopt: it may hang.
  std::optional<std::chrono::milliseconds> primary_timeout;

  // The primary heeds Commit::supersedes. Else what only appends is looked for at each attempt.
  bool primary_supersedes = false;

  // More acknowledged commits than this don't wait in the journal: the next is `exhausted`.
  std::size_t max_journal = 100'000;

  // How often it is looked whether there is something to probe or to replay.
  std::chrono::milliseconds keeper_interval{50};

  // How long what the primary has lost, as the shadow knows, is `unavailable` instead of absent.
  // Then the loss is taken as a fact.
  std::chrono::milliseconds loss_hold{30'000};

  // How many of each subscription's wake-ups wait before it has `missed` some.
  std::size_t max_wakeups = 1'024;

  // Told of every change of state: one line, without secrets. Called on any thread; must not throw.
  std::function<void(std::string_view)> log;

  // Where probes and replays run; it must have stopped before the driver is destroyed. Empty: on a
  // thread of the driver's own.
  boost::asio::any_io_executor executor;
};

// What waits in `journal` from an earlier process is replayed from now on. `fallback` is this
// driver's alone: what else it held is forgotten. The clock and the random must outlive the driver.
// Throws what the journal and the fallback throw.
//
// Thread-safety of the driver: shared objects: safe. Durability: the primary's; while that is away,
// journal or memory, as the journal is.
std::unique_ptr<StorageDriver> make_resilient_storage(std::shared_ptr<StorageDriver> primary,
                                                      std::unique_ptr<StorageDriver> fallback,
                                                      std::unique_ptr<Journal> journal,
                                                      ResilientOptions options = {},
                                                      Clock& clock = system_clock(),
                                                      Random& random = system_random());

}  // namespace actionflows
