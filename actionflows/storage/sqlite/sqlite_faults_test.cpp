// Files that are no store, disks that fail: each is told as what it is, and nothing that was
// acknowledged is lost.
#include "actionflows/storage/sqlite/connection.hpp"
#include "actionflows/storage/sqlite/testing/faulty_disk.hpp"
#include "actionflows/storage/sqlite/testing/store.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/small_disk.hpp"

#include <gmock/gmock.h>

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

namespace actionflows::test {
namespace {

using sqlite::Connection;
using testing::HasSubstr;

StorageError refusal_to_open(const SqliteOptions& options) {
  return error_of([&] { open_sqlite_storage(options); });
}

// ---- opening ------------------------------------------------------------------------------------

TEST_F(SqliteStore, APlaceWhereNoFileCanBeIsRefused) {
  for (const std::string& path :
       {folder.path("absent/a.db"), folder.path(""), std::string("/proc/a.db")}) {
    options.path = path;
    const StorageError error = refusal_to_open(options);
    EXPECT_EQ(error.code(), ErrorCode::unavailable) << path;
    EXPECT_THAT(error.message(), HasSubstr("its folder must exist and be writable")) << path;
    EXPECT_THAT(error.message(), testing::Not(HasSubstr(path)));
  }
}

TEST_F(SqliteStore, AFileThatCantBeWrittenIsRefused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everything";
  live_session("s");
  close();
  ::chmod(options.path.c_str(), 0400);
  const StorageError error = refusal_to_open(options);
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_THAT(error.message(), HasSubstr("must be writable"));
}

TEST_F(SqliteStore, AFileThatIsNoDatabaseIsRefusedAndLeftAlone) {
  const std::string text(10'000, 'x');
  std::ofstream(options.path) << text;
  const StorageError error = refusal_to_open(options);
  EXPECT_EQ(error.code(), ErrorCode::corrupt);
  EXPECT_THAT(error.message(), HasSubstr("is no SQLite database: give another path"));
  EXPECT_EQ(read_file(options.path), text);
}

TEST_F(SqliteStore, TheDatabaseOfAnotherProgramIsRefused) {
  Connection(options.path, 1s).execute("CREATE TABLE shopping(item TEXT)");
  const StorageError error = refusal_to_open(options);
  EXPECT_EQ(error.code(), ErrorCode::invalid);
  EXPECT_THAT(error.message(), HasSubstr("another program"));
}

TEST_F(SqliteStore, ANewerDatabaseIsRefused) {
  live_session("s");
  close();
  Connection(options.path, 1s).execute("PRAGMA user_version = 1000");
  const StorageError error = refusal_to_open(options);
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_THAT(error.message(), HasSubstr("a newer version of this program"));
}

TEST_F(SqliteStore, ALockedDatabaseIsToldAsSuch) {
  const SessionId s = live_session("s");
  Connection other(options.path, 1s);
  other.execute("BEGIN IMMEDIATE");
  const StorageError error = error_of([&] { commit(Change(s)); });
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_TRUE(error.retryable);
  EXPECT_THAT(error.message(), HasSubstr("another program holds the database's lock"));
  EXPECT_EQ(last_sequence(s), 1u);  // readers go on
  other.execute("COMMIT");
  commit(Change(s));

  close();
  other.execute("PRAGMA locking_mode = EXCLUSIVE");
  other.execute("BEGIN EXCLUSIVE");
  EXPECT_EQ(refusal_to_open(options).code(), ErrorCode::unavailable);
}

// ---- damage -------------------------------------------------------------------------------------

TEST_F(SqliteStore, ADamagedPageIsNeverToldAsAbsence) {
  const SessionId s = live_session("s");
  close();
  std::int64_t page = 0;
  {
    Connection connection(options.path, 1s);
    page = connection.integer("SELECT rootpage FROM sqlite_schema WHERE name = 'records'");
  }
  {
    std::fstream file(options.path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp((page - 1) * 4096);
    file << std::string(4096, '\x5a');
  }
  const std::array keys = {session_record};
  EXPECT_EQ(error_of([&] { run(driver().read(s, keys)); }).code(), ErrorCode::corrupt);
  EXPECT_EQ(error_of([&] { run(driver().list_sessions({})); }).code(), ErrorCode::corrupt);
  EXPECT_EQ(error_of([&] { commit(Change(s).put(session_record, 1)); }).code(), ErrorCode::corrupt);
  EXPECT_EQ(events(s).events.size(), 1u);  // what stands elsewhere is served
  commit(Change(s));
}

// ---- failing disks ------------------------------------------------------------------------------

TEST_F(SqliteStore, AfterAFailedFsyncNothingIsAcknowledgedUntilItIsOpenedAgain) {
  FaultyDisk disk;
  const SessionId s = live_session("s");
  disk.syncs_left = 0;
  const StorageError first = error_of([&] { commit(Change(s)); });
  EXPECT_EQ(first.code(), ErrorCode::unavailable);
  EXPECT_THAT(first.what(), HasSubstr("(disk I/O error"));  // whose words never reach a client
  EXPECT_THAT(first.message(), testing::Not(HasSubstr("I/O")));
  disk.syncs_left = FaultyDisk::never;
  const StorageError second = error_of([&] { commit(Change(s)); });
  EXPECT_EQ(second.code(), ErrorCode::unavailable);
  EXPECT_FALSE(second.retryable);
  EXPECT_THAT(second.message(), HasSubstr("until the storage is opened again"));
  EXPECT_EQ(error_of([&] { run(driver().touch(s, {test_start, test_start + 9h})); }).code(),
            ErrorCode::unavailable);
  EXPECT_EQ(error_of([&] { run(driver().erase_session(s)); }).code(), ErrorCode::unavailable);
  const Health health = run(driver().health());
  EXPECT_FALSE(health.ok);
  EXPECT_THAT(health.detail, HasSubstr("until the storage is opened again"));
  EXPECT_EQ(last_sequence(s), 1u);  // what is there can be read

  close();
  EXPECT_TRUE(run(driver().health()).ok);
  const std::uint64_t last = last_sequence(s);
  EXPECT_GE(last, 1u);  // whether the unanswered one is there is open
  EXPECT_LE(last, 2u);
  EXPECT_EQ(commit(Change(s)).first_sequence, last + 1);
  close();
}

TEST_F(SqliteStore, AGroupWhoseFsyncFailsIsNotAcknowledgedAtAll) {
  FaultyDisk disk;
  const SessionId s = live_session("s");
  disk.syncs_left = 3;
  std::atomic<int> acknowledged{0};
  const auto attempt = [](StorageDriver& driver, SessionId id,
                          std::atomic<int>& count) -> Task<void> {
    try {
      for (int i = 0; i < 20; ++i) {
        const Change change(id);
        static_cast<void>(co_await driver.commit(change));
        ++count;
      }
    } catch (const StorageError& error) {
      EXPECT_EQ(error.code(), ErrorCode::unavailable);
    }
  };
  std::vector<Task<void>> tasks;
  for (int i = 0; i < 16; ++i) tasks.push_back(attempt(driver(), s, acknowledged));
  run_together(std::move(tasks), 2);
  EXPECT_EQ(last_sequence(s), 1u + static_cast<std::uint64_t>(acknowledged));
  close();
  disk.syncs_left = FaultyDisk::never;
  EXPECT_GE(last_sequence(s), 1u + static_cast<std::uint64_t>(acknowledged));
  close();
}

// The log is copied into the file after the answer; when that can't be made durable the log must
// not be overwritten.
TEST_F(SqliteStore, AFailedFsyncOfTheFileItselfStopsWriting) {
  FaultyDisk disk;
  const SessionId s = live_session("s");
  const Bytes large(std::string(1'000'000, 'x'));
  std::uint32_t stored = 0;
  bool failed = false;
  for (; stored < 80 && !failed; ++stored) {
    // One for the commit itself; copying needs two more.
    disk.syncs_left = 2;
    try {
      commit(Change(s).put(chain(stored + 1), 0, large));
    } catch (const StorageError&) {
      failed = true;
      --stored;
    }
  }
  EXPECT_TRUE(failed);
  EXPECT_FALSE(run(driver().health()).ok);
  disk.syncs_left = FaultyDisk::never;
  close();
  for (std::uint32_t i = 1; i <= stored; ++i) {
    const std::array keys = {chain(i)};
    EXPECT_EQ(run(driver().read(s, keys)).records[0]->bytes, large) << i;
  }
  commit(Change(s));
  close();
}

TEST_F(SqliteStore, AFailedWriteStopsWriting) {
  FaultyDisk disk;
  const SessionId s = live_session("s");
  disk.writes_left = 1;
  EXPECT_EQ(error_of([&] { commit(Change(s)); }).code(), ErrorCode::unavailable);
  disk.writes_left = FaultyDisk::never;
  EXPECT_EQ(error_of([&] { commit(Change(s)); }).code(), ErrorCode::unavailable);
  close();
  EXPECT_EQ(last_sequence(s), 1u);
  commit(Change(s));
  close();
}

// It once was acknowledged as durable, into a file that was gone with the process.
TEST_F(SqliteStore, NothingIsAcknowledgedOnceTheFileIsRemoved) {
  const std::string& file = options.path;
  const SessionId s = live_session("s");
  std::filesystem::rename(file, file + "-elsewhere");
  const StorageError error = error_of([&] { commit(Change(s)); });
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_FALSE(run(driver().health()).ok);
  std::filesystem::rename(file + "-elsewhere", file);
  EXPECT_EQ(error_of([&] { commit(Change(s)); }).code(), ErrorCode::unavailable);
  close();
  EXPECT_EQ(last_sequence(s), 1u);
  commit(Change(s));
  close();
}

TEST_F(SqliteStore, AFullDiskRefusesAndGoesOnOnceThereIsRoom) {
  FaultyDisk disk;
  disk.write_error = SQLITE_FULL;
  const SessionId s = live_session("s");
  for (const std::int64_t room : {0, 1, 2, 3}) {
    disk.writes_left = room;
    EXPECT_EQ(error_of([&] { commit(Change(s).put(chain(1))); }).code(), ErrorCode::exhausted);
    EXPECT_EQ(last_sequence(s), 1u);
  }
  disk.writes_left = FaultyDisk::never;
  EXPECT_TRUE(run(driver().health()).ok);
  EXPECT_EQ(commit(Change(s).put(chain(1))).first_sequence, 2u);
  close();
  EXPECT_EQ(last_sequence(s), 2u);
  close();
}

TEST_F(SqliteStore, AFullDiskLosesNothingThatWasAcknowledged) {
  const SmallDisk disk(folder.path("disk"));
  if (!disk.mounted()) GTEST_SKIP() << "only who may mount can have a small disk";
  options.path = folder.path("disk/a.db");
  std::ofstream(folder.path("disk/ballast")) << std::string(4 << 20, 'b');
  const SessionId s = live_session("s");
  const Bytes part(std::string(50'000, 'x'));
  std::uint64_t acknowledged = 1;
  const auto fill = [&] {
    for (;;) {
      commit(Change(s).put(chain(static_cast<std::uint32_t>(acknowledged)), 0, part));
      ++acknowledged;
    }
  };
  EXPECT_EQ(error_of(fill).code(), ErrorCode::exhausted);
  EXPECT_GT(acknowledged, 10u);
  EXPECT_EQ(last_sequence(s), acknowledged);
  EXPECT_EQ(error_of(fill).code(), ErrorCode::exhausted);
  EXPECT_EQ(events(s).events.size(), acknowledged);

  std::filesystem::remove(folder.path("disk/ballast"));
  commit(Change(s));
  close();
  EXPECT_EQ(last_sequence(s), acknowledged + 1);
  for (std::uint32_t n = 1; n < acknowledged; ++n) {
    const std::array keys = {chain(n)};
    ASSERT_EQ(run(driver().read(s, keys)).records[0]->bytes, part) << n;
  }
  close();
}

}  // namespace
}  // namespace actionflows::test
