// The suite that every driver and every wrapper of one passes, unchanged.
//
// A driver joins by a file of a few lines (see memory_test.cpp):
//
//   INSTANTIATE_TEST_SUITE_P(Memory, DriverConformance, testing::Values(memory()), name_of_driver);
//
// What is tested is the contract in actionflows/storage/driver.hpp, sentence by sentence, in the
// files *_cases.cpp beside this one. Where a backend can't keep a sentence, a flag of
// DriverUnderTest says so, with the reason; flags default to strict.
//
// The store behind a driver may be persistent and may be shared with other tests: every test uses
// sessions and users of its own, and erases what it stored. Tests happen in the 22nd century
// (retention before all others), so that neither a real clock nor another test's sweep ends their
// records.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/storage/driver.hpp"
#include "tests/conformance/view.hpp"
#include "tests/support/change.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::test {

struct DriverUnderTest {
  std::string name;  // letters, digits and underscores

  // A driver with these limits, on a store that no driver of these tests still has open.
  std::function<std::unique_ptr<StorageDriver>(const DriverLimits&)> open;

  // What this machine lacks for it; empty: nothing. Else its tests are skipped, and fail where CI
  // is set.
  std::function<std::string()> missing = [] { return std::string(); };

  // How many of a subscription's wake-ups the driver keeps before it says `missed`. To be set low,
  // so that the test can exceed it.
  std::size_t max_wakeups = 16;

  // How many random sequences the model-based test runs; a slow backend sets a lower number.
  int sequences = 10'000;

  // Whether an operation id is searched for also where that was not asked, in a commit that only
  // appends. A wrapper that repeats such a commit must: its first sending can still be on the way,
  // and nothing else would keep it from being applied after the second.
  bool searches_appends = false;
};

inline std::ostream& operator<<(std::ostream& out, const DriverUnderTest& driver) {
  return out << driver.name;
}

// Names the tests: Memory/DriverConformance.Reads.../memory
inline std::string name_of_driver(const testing::TestParamInfo<DriverUnderTest>& info) {
  return info.param.name;
}

// The keys that `view` looks at: the session, its credentials, and chains and steps 1 to 4.
std::span<const RecordKey> usual_keys();

class DriverConformance : public testing::TestWithParam<DriverUnderTest> {
 protected:
  ~DriverConformance() override;

  void SetUp() override;

  // The driver, opened at the first call; `open` opens another one in its place, with limits.
  StorageDriver& driver();
  void open(const DriverLimits& limits);

  // Names that no other test uses. What stands under such a session's id is erased in the end.
  SessionId new_session();
  UserId new_user();

  CommitResult commit(const Commit& change) { return run(driver().commit(change)); }
  ReadResult read(const SessionId& session, std::vector<RecordKey> keys = {}) {
    return run(driver().read(session, keys));
  }
  // The record at `key`; nullopt: absent.
  std::optional<StoredRecord> record(const SessionId& session, RecordKey key);
  EventPage events(const SessionId& session, const EventQuery& query = {}) {
    return run(driver().read_events(session, query));
  }
  bool touch(const SessionId& session, Timestamp at, Timestamp expires);
  SessionView view(const SessionId& session) { return view_of(driver(), session, usual_keys()); }
  UserView view(const UserId& user) { return view_of(driver(), user); }

  // A live session with `chains` chains of two steps each; all records in version 1, one event.
  SessionId live_session(const UserId& user, std::uint32_t chains = 0);

  // Expects that the commit is refused with `code` and that nothing has changed: no record, no
  // event, no list, no wake-up.
  void expect_refused(const Commit& change, ErrorCode code);

 private:
  std::unique_ptr<StorageDriver> driver_;
  std::vector<SessionId> sessions_;
  std::vector<UserId> users_;
};

// Expects that `call` throws a StorageError with this code.
#define EXPECT_STORAGE_ERROR(call, error_code)                                    \
  try {                                                                           \
    static_cast<void>(call);                                                      \
    ADD_FAILURE() << #call " was let through";                                    \
  } catch (const ::actionflows::StorageError& error) {                            \
    EXPECT_EQ(to_string(error.code()), to_string(error_code)) << error.message(); \
  }

}  // namespace actionflows::test
