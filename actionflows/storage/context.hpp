// What a call may be told beside its arguments, and what it tells beside its result.
#pragma once

#include "actionflows/base/clock.hpp"
#include "actionflows/storage/driver.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace actionflows {

// Filled in by the call it was given to. A call that asks the backend several times tells of the
// last time. What the backend did not tell is absent.
struct CallReport {
  std::optional<Provenance> provenance;  // of reads
  std::optional<Durability> durability;  // of writes, also of those that found nothing to do
  bool repeated = false;       // the operation id had been applied before; nothing was applied now
  std::uint64_t sequence = 0;  // of a write's newest event
};

// All of it is optional. Must outlive the await, like every argument by reference.
//
//     Context context;
//     context.operation_id = "req-7f3a";
//     co_await storage.update_session(id, update, context);
struct Context {
  std::string actor;  // who asks: stands in the events; at most 500 characters
  // 1-200 bytes; makes the call safe to repeat. A call that asks for something else under the
  // same one is a `conflict`. Empty: one is minted.
  std::string operation_id;
  std::optional<Clock::Monotonic> deadline;  // past it the call ends with `timeout`
  std::optional<std::uint64_t>
      expected_version;          // of the record named by the call: else `conflict`
  CallReport* report = nullptr;  // the caller's

  // The one to use where nothing is to be said.
  static const Context& none() {
    static const Context context;
    return context;
  }
};

// Throws invalid: the actor or the operation id is too long, or no UTF-8.
void check_context(const Context& context, const std::string& operation);

}  // namespace actionflows
