// SqliteStorage keeps the contract.
#include "actionflows/storage/sqlite/sqlite_storage.hpp"

#include "tests/conformance/conformance.hpp"
#include "tests/support/folder.hpp"

namespace actionflows::test {
namespace {

DriverUnderTest sqlite() {
  DriverUnderTest sqlite;
  sqlite.name = "sqlite";
  // Each call goes to another thread and back, and most commits stand alone: 10,000 take some
  // minutes.
  sqlite.sequences = 2'000;
  // One file for all tests of the process: each opens what the one before has left.
  sqlite.open = [max_wakeups = sqlite.max_wakeups](const DriverLimits& limits) {
    static const Folder folder = Folder::in_memory();
    SqliteOptions options;
    options.path = folder.path("conformance.db");
    options.limits = limits;
    options.max_wakeups = max_wakeups;
    return open_sqlite_storage(options);
  };
  return sqlite;
}

INSTANTIATE_TEST_SUITE_P(Sqlite, DriverConformance, testing::Values(sqlite()), name_of_driver);

}  // namespace
}  // namespace actionflows::test
