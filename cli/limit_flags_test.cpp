#include "cli/limit_flags.hpp"

#include "cli/flags.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace actionflows::cli {
namespace {

using namespace std::chrono_literals;

TEST(LimitFlags, AreWhatTheStorageIsBoundedBy) {
  CLI::App command;
  LimitFlags flags;
  add_limit_flags(command, flags);
  command.parse(
      "--max-events 7 --max-chains 6 --max-steps 5000000000 --max-record-bytes 4KiB "
      "--session-ttl 3h --log-retention 2h --archive-retention 1h");
  const DriverLimits limits = flags.driver_limits();
  EXPECT_EQ(limits.max_events, 7U);
  EXPECT_EQ(limits.max_chains, 6U);
  EXPECT_EQ(limits.max_steps, 4'294'967'295U) << "no number of a step is higher";
  EXPECT_EQ(limits.log_retention, 2h);
  EXPECT_EQ(limits.archive_retention, 1h);
  const StorageOptions options = flags.storage_options();
  EXPECT_EQ(options.session_ttl, 3h);
  EXPECT_EQ(options.record_limits.max_bytes, 4096U);
}

TEST(LimitFlags, AreTheUsualOnesWhereNoneAreGiven) {
  const DriverLimits limits = LimitFlags().driver_limits();
  EXPECT_EQ(limits.max_events, DriverLimits().max_events);
  EXPECT_EQ(limits.max_steps, DriverLimits().max_steps);
  EXPECT_EQ(LimitFlags().storage_options().session_ttl, StorageOptions().session_ttl);
}

TEST(LimitFlags, AreNeverZero) {
  for (const char* name : {"--max-events", "--max-chains", "--max-steps", "--max-record-bytes"}) {
    CLI::App command;
    LimitFlags flags;
    add_limit_flags(command, flags);
    EXPECT_THROW(command.parse(std::string(name) + " 0"), CLI::ValidationError) << name;
  }
}

}  // namespace
}  // namespace actionflows::cli
