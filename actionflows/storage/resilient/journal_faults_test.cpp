// The durable journal on disks that fail or are full, and cut anywhere: what was acknowledged
// is there, what is damaged is told, and nothing is acknowledged that was not kept.
#include "actionflows/base/error.hpp"
#include "actionflows/storage/resilient/journal.hpp"
#include "actionflows/storage/sqlite/testing/faulty_disk.hpp"
#include "tests/support/change.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/run.hpp"
#include "tests/support/small_disk.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace actionflows {
namespace {

using test::Change;
using test::FaultyDisk;
using test::Folder;
using test::read_file;
using test::run;
using test::shared;
using test::SmallDisk;
using test::test_start;

// Named by its operation id.
Change entry(std::size_t n) {
  return Change(*SessionId::parse("s-1")).operation("op " + std::to_string(n));
}

std::uint64_t append(Journal& journal, std::size_t n) {
  const Change change = entry(n);
  return run(journal.append(JournalKind::change, shared(change), test_start));
}

// What the call fails with.
template <class Call>
StorageError error_of(const Call& call) {
  try {
    call();
  } catch (const StorageError& error) {
    return error;
  }
  ADD_FAILURE() << "was acknowledged";
  return {ErrorCode::invalid, "none"};
}

// Those that wait to be replayed are the first ones, without a gap; how many.
std::size_t prefix_of(Journal& journal) {
  std::size_t count = 0;
  for (const JournalEntry& kept : journal.entries()) {
    if (!kept.poison.empty()) continue;
    EXPECT_EQ(kept.commit->operation_id, "op " + std::to_string(count));
    ++count;
  }
  return count;
}

class JournalFaultsTest : public testing::Test {
 protected:
  const Folder folder = Folder::in_memory();
  std::string path = folder.path("journal.db");
};

// ---- failing disks ------------------------------------------------------------------------------

TEST_F(JournalFaultsTest, AfterAFailedFsyncNothingIsAcknowledgedUntilItIsOpenedAgain) {
  FaultyDisk disk;
  auto journal = open_journal(path);
  const std::uint64_t first = append(*journal, 0);
  disk.syncs_left = 0;
  EXPECT_EQ(error_of([&] { append(*journal, 1); }).code(), ErrorCode::unavailable);
  disk.syncs_left = FaultyDisk::never;
  const StorageError second = error_of([&] { append(*journal, 2); });
  EXPECT_EQ(second.code(), ErrorCode::unavailable);
  EXPECT_FALSE(second.retryable);
  EXPECT_NE(second.message().find("until it is opened again"), std::string::npos);
  EXPECT_EQ(error_of([&] { run(journal->remove(std::vector{first})); }).code(),
            ErrorCode::unavailable);
  EXPECT_EQ(error_of([&] { run(journal->poison(first, "no")); }).code(), ErrorCode::unavailable);
  EXPECT_EQ(error_of([&] { journal->retry(first); }).code(), ErrorCode::unavailable);
  EXPECT_EQ(prefix_of(*journal), 1u);  // what is there can be read

  journal.reset();
  journal = open_journal(path);
  EXPECT_EQ(journal->damage(), "");
  const std::size_t kept = prefix_of(*journal);
  EXPECT_GE(kept, 1u);  // whether the unanswered one is there is open
  EXPECT_LE(kept, 2u);
  append(*journal, kept);
  EXPECT_EQ(prefix_of(*journal), kept + 1);
}

TEST_F(JournalFaultsTest, AFailedWriteIsNotAcknowledgedAndStopsWriting) {
  for (const std::int64_t writes : {0, 1, 2}) {
    const Folder other = Folder::in_memory();
    FaultyDisk disk;
    auto journal = open_journal(other.path("journal.db"));
    append(*journal, 0);
    disk.writes_left = writes;
    EXPECT_EQ(error_of([&] { append(*journal, 1); }).code(), ErrorCode::unavailable);
    disk.writes_left = FaultyDisk::never;
    EXPECT_EQ(error_of([&] { append(*journal, 1); }).code(), ErrorCode::unavailable);
    journal.reset();
    journal = open_journal(other.path("journal.db"));
    EXPECT_EQ(prefix_of(*journal), 1u);
  }
}

Task<void> append_until_it_fails(Journal& journal, std::vector<std::string>& acknowledged) {
  try {
    for (int n = 0; n < 20; ++n) {
      const Change change(*SessionId::parse("s-1"));
      auto commit = shared(change);
      static_cast<void>(
          co_await journal.append(JournalKind::change, std::move(commit), test_start));
      acknowledged.push_back(change.operation_id);
    }
  } catch (const StorageError& error) {
    EXPECT_EQ(error.code(), ErrorCode::unavailable);
  }
}

TEST_F(JournalFaultsTest, AGroupWhoseFsyncFailsIsNotAcknowledgedAtAll) {
  FaultyDisk disk;
  auto journal = open_journal(path);
  disk.syncs_left = 3;
  std::vector<std::string> acknowledged;
  std::vector<Task<void>> tasks;
  for (int n = 0; n < 16; ++n) tasks.push_back(append_until_it_fails(*journal, acknowledged));
  test::run_together(std::move(tasks), 1);
  disk.syncs_left = FaultyDisk::never;
  const auto expect_acknowledged = [&](bool exactly) {
    std::set<std::string> kept;
    for (const JournalEntry& each : journal->entries()) kept.insert(each.commit->operation_id);
    for (const std::string& operation : acknowledged) EXPECT_TRUE(kept.contains(operation));
    if (exactly) {
      EXPECT_EQ(kept.size(), acknowledged.size());
    }
  };
  expect_acknowledged(true);
  journal.reset();
  journal = open_journal(path);
  expect_acknowledged(false);
}

// SQLite's log is copied into the file after the answer; when that can't be made durable the log
// must not be overwritten.
TEST_F(JournalFaultsTest, AFailedFsyncOfTheFileItselfStopsWriting) {
  FaultyDisk disk;
  auto journal = open_journal(path);
  const Bytes large(std::string(500'000, 'x'));
  std::size_t acknowledged = 0;
  for (bool failed = false; !failed && acknowledged < 100;) {
    disk.syncs_left = 2;  // one for the change itself; copying needs more
    const Change change = entry(acknowledged).put(test::chain(1), 0, large);
    try {
      run(journal->append(JournalKind::change, shared(change), test_start));
      ++acknowledged;
    } catch (const StorageError&) {
      failed = true;
    }
  }
  EXPECT_GT(acknowledged, 1u);
  EXPECT_LT(acknowledged, 100u);
  disk.syncs_left = FaultyDisk::never;
  EXPECT_EQ(error_of([&] { append(*journal, 0); }).code(), ErrorCode::unavailable);
  journal.reset();
  journal = open_journal(path);
  EXPECT_EQ(journal->damage(), "");
  EXPECT_EQ(prefix_of(*journal), acknowledged);
}

TEST_F(JournalFaultsTest, ChangesThatWaitTogetherShareAnFsync) {
  FaultyDisk disk;
  const auto journal = open_journal(path);
  std::vector<std::string> acknowledged;
  std::vector<Task<void>> tasks;
  for (int n = 0; n < 64; ++n) tasks.push_back(append_until_it_fails(*journal, acknowledged));
  const std::uint64_t before = disk.syncs;
  test::run_together(std::move(tasks), 1);
  EXPECT_EQ(acknowledged.size(), 64u * 20);
  EXPECT_LT(disk.syncs - before, acknowledged.size() / 4);
}

// ---- full disks ---------------------------------------------------------------------------------

TEST_F(JournalFaultsTest, AFullDiskRefusesAndGoesOnOnceThereIsRoom) {
  FaultyDisk disk;
  disk.write_error = SQLITE_FULL;
  auto journal = open_journal(path);
  append(*journal, 0);
  for (const std::int64_t room : {0, 1, 2}) {
    disk.writes_left = room;
    EXPECT_EQ(error_of([&] { append(*journal, 1); }).code(), ErrorCode::exhausted);
    EXPECT_EQ(prefix_of(*journal), 1u);
  }
  disk.writes_left = FaultyDisk::never;
  append(*journal, 1);
  journal.reset();
  journal = open_journal(path);
  EXPECT_EQ(journal->damage(), "");
  EXPECT_EQ(prefix_of(*journal), 2u);
}

TEST_F(JournalFaultsTest, AFullDiskLosesNothingThatWasAcknowledged) {
  const SmallDisk disk(folder.path("disk"));
  if (!disk.mounted()) GTEST_SKIP() << "only who may mount can have a small disk";
  path = folder.path("disk/journal.db");
  std::ofstream(folder.path("disk/ballast")) << std::string(4 << 20, 'b');
  auto journal = open_journal(path);
  const Bytes part(std::string(50'000, 'x'));
  std::size_t acknowledged = 0;
  const auto fill = [&] {
    for (;;) {
      const Change change = entry(acknowledged).put(test::chain(1), 0, part);
      run(journal->append(JournalKind::change, shared(change), test_start));
      ++acknowledged;
    }
  };
  EXPECT_EQ(error_of(fill).code(), ErrorCode::exhausted);
  EXPECT_GT(acknowledged, 5u);
  EXPECT_EQ(prefix_of(*journal), acknowledged);
  std::filesystem::remove(folder.path("disk/ballast"));
  append(*journal, acknowledged);
  journal.reset();
  journal = open_journal(path);
  EXPECT_EQ(journal->damage(), "");
  EXPECT_EQ(prefix_of(*journal), acknowledged + 1);
}

// ---- files that end too early -------------------------------------------------------------------

TEST_F(JournalFaultsTest, ReplaysTheSoundPrefixWhereverItsLastPageIsCut) {
  constexpr std::size_t written = 20;
  {
    const auto journal = open_journal(path);
    for (std::size_t n = 0; n < written; ++n) append(*journal, n);
  }
  const std::string sound = read_file(path);
  for (std::size_t length = sound.size() - 4'096; length < sound.size(); length += 7) {
    const Folder other = Folder::in_memory();
    const auto journal =
        open_journal(other.file("journal.db", std::string_view(sound).substr(0, length)));
    SCOPED_TRACE("cut to " + std::to_string(length));
    EXPECT_LT(prefix_of(*journal), written);
    EXPECT_NE(journal->damage(), "");
    if (HasFailure()) return;
  }
}

// As after a crash in the middle of a write: whole transactions are kept, and it is no damage.
TEST_F(JournalFaultsTest, ReplaysWhatWasAcknowledgedWhereverItsLogIsCut) {
  constexpr std::size_t written = 4;
  const auto writer = open_journal(path);  // stays open: what it wrote is still in the log
  std::vector<std::size_t> lengths;        // of the log, after each
  for (std::size_t n = 0; n < written; ++n) {
    append(*writer, n);
    lengths.push_back(read_file(path + "-wal").size());
  }
  const std::string file = read_file(path);
  const std::string log = read_file(path + "-wal");
  constexpr std::size_t frame = 4'096 + 24;  // a page and its head
  for (std::size_t length = lengths[2]; length <= log.size(); ++length) {
    // At every byte where frames begin, here and there between.
    const bool between = (length - 32) % frame > 32 && (length - 32) % frame < frame - 8;
    if (between && length % 61 != 0) continue;
    const Folder other = Folder::in_memory();
    static_cast<void>(other.file("journal.db-wal", std::string_view(log).substr(0, length)));
    const auto journal = open_journal(other.file("journal.db", file));
    const auto whole = std::count_if(lengths.begin(), lengths.end(),
                                     [&](std::size_t after) { return after <= length; });
    SCOPED_TRACE("cut to " + std::to_string(length));
    EXPECT_EQ(journal->damage(), "");
    EXPECT_GE(prefix_of(*journal), static_cast<std::size_t>(whole));
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace actionflows
