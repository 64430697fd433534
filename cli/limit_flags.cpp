#include "cli/limit_flags.hpp"

#include "cli/flags.hpp"

#include <algorithm>
#include <limits>

namespace actionflows::cli {
namespace {

// Beyond what numbers of chains and steps can be, there is nothing left to limit.
std::uint32_t highest_number(Count limit) {
  constexpr std::uint64_t highest = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::min(limit.value, highest));
}

}  // namespace

DriverLimits LimitFlags::driver_limits() const {
  return {.max_events = max_events.value,
          .max_chains = highest_number(max_chains),
          .max_steps = highest_number(max_steps),
          .log_retention = log_retention.value,
          .archive_retention = archive_retention.value};
}

StorageOptions LimitFlags::storage_options() const {
  StorageOptions options;
  options.session_ttl = session_ttl.value;
  options.record_limits.max_bytes = max_record_bytes.bytes;
  return options;
}

void add_limit_flags(CLI::App& command, LimitFlags& flags) {
  add_positive_flag(command, "max-events", flags.max_events, "N",
                    "in a session's log, until it is pruned");
  add_positive_flag(command, "max-chains", flags.max_chains, "N",
                    "of a session, deleted ones included");
  add_positive_flag(command, "max-steps", flags.max_steps, "N",
                    "of a chain, deleted ones included");
  add_positive_flag(command, "max-record-bytes", flags.max_record_bytes, "SIZE",
                    "of a session, chain, step or event's data as JSON");
  add_positive_flag(command, "session-ttl", flags.session_ttl, "DURATION",
                    "a session ends so long after its last activity");
  add_positive_flag(command, "log-retention", flags.log_retention, "DURATION",
                    "a log is kept so long after its newest event");
  add_positive_flag(command, "archive-retention", flags.archive_retention, "DURATION",
                    "an archived chain is kept so long");
}

}  // namespace actionflows::cli
