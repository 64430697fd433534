// What the tests of SqliteStorage stand on: a file in a folder of its own, opened again and again.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/storage/sqlite/sqlite_storage.hpp"
#include "tests/support/change.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace actionflows::test {

inline SessionId session_named(const std::string& name) { return SessionId::parse(name).value(); }
inline UserId user_named(const std::string& name) { return UserId::parse(name).value(); }

// The error of a call that has to fail.
template <class Call>
StorageError error_of(Call call) {
  try {
    call();
  } catch (const StorageError& error) {
    return error;
  }
  ADD_FAILURE() << "was let through";
  return {ErrorCode::invalid, "none"};
}

class SqliteStore : public testing::Test {
 protected:
  SqliteStore() {
    options.path = folder.path("a.db");
    options.busy_timeout = std::chrono::milliseconds(50);
    options.poll_interval = std::chrono::milliseconds(20);
  }

  // Opened at the first use.
  StorageDriver& driver() {
    if (!driver_) driver_ = open_sqlite_storage(options);
    return *driver_;
  }
  void close() { driver_.reset(); }

  CommitResult commit(const Commit& change) { return run(driver().commit(change)); }
  SessionId live_session(const std::string& name) {
    const SessionId s = session_named(name);
    commit(Change(s).create(user_named("ann")));
    return s;
  }
  EventPage events(const SessionId& s) { return run(driver().read_events(s, {})); }
  std::uint64_t last_sequence(const SessionId& s) {
    return run(driver().read(s, {})).last_sequence;
  }

  const Folder folder;
  SqliteOptions options;

 private:
  std::unique_ptr<StorageDriver> driver_;
};

}  // namespace actionflows::test
