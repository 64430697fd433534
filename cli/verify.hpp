// Verify: holds sessions' logs against their stored state.
#pragma once

#include "cli/backend.hpp"
#include "cli/progress.hpp"

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace actionflows::cli {

struct VerifyReport {
  std::uint64_t sessions = 0;
  std::uint64_t equal = 0;
  std::uint64_t pruned = 0;  // the beginning of the log is gone: nothing to compare with
  std::uint64_t failed = 0;  // differ, can't be read in time or at all, or changed all the time
  std::uint64_t events = 0;
  std::uint64_t records = 0;
  std::vector<std::string> findings;  // lines about what is not equal, in order of session ids
};

// All sessions, or `only` that one. Throws StorageError(unavailable) when the backend does not
// work, timeout when it does not list its sessions in time; not_found for an `only` that is not
// there.
VerifyReport verify_sessions(boost::asio::io_context& context, Backend& backend,
                             const std::optional<SessionId>& only,
                             const std::function<void(const Advance&)>& advanced);

// "272 of 272 sessions rebuilt equal (8,411 records from 14,902 events)".
std::string summary_of(const VerifyReport& report);

}  // namespace actionflows::cli
