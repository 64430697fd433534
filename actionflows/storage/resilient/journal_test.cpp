#include "actionflows/storage/resilient/journal.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/base/random.hpp"
#include "actionflows/storage/resilient/commit_text.hpp"
#include "tests/support/change.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/run.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace actionflows {
namespace {

using test::chain;
using test::Change;
using test::Folder;
using test::read_file;
using test::run;
using test::shared;
using test::step;
using test::test_start;

const SessionId session = *SessionId::parse("s-1");
const UserId ann = *UserId::parse("ann");

void write(const std::string& path, std::string_view content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

// A commit in which everything is said.
Commit full_commit() {
  Change change(session);
  change.operation("op").create(ann).put(chain(1), 0, Bytes(R"({"title":"a\u0000b","n":1.50})"));
  change.put(step(1, 2), 3, Bytes(std::string_view("\x00\xff{", 3))).expect(step(1, 1), 7);
  change.erase(step(1, 3), 2).move_to_archive(2).repeat().after_event(41);
  change.event("step:completed", R"({"type":"step:completed"})", "other-op").event("run:noted", "");
  change.only_if(Precondition::expired).first_event(12);
  change.end_session = true;
  return change;
}

TEST(CommitText, KeepsEverything) {
  const Commit commit = full_commit();
  const std::string text = text_of_commit(commit);
  const Commit back = commit_of_text(text);
  EXPECT_EQ(text_of_commit(back), text);
  ASSERT_EQ(back.puts.size(), 3u);
  EXPECT_EQ(back.puts[1].bytes, commit.puts[1].bytes);
  EXPECT_EQ(back.puts[2].bytes, commit.puts[2].bytes);
  EXPECT_EQ(back.puts[2].expected_version, 3u);
  EXPECT_EQ(back.events[0].operation_id, "other-op");
  EXPECT_EQ(back.activity, commit.activity);
  EXPECT_EQ(back.listed, commit.listed);
  EXPECT_EQ(back.expected_last_sequence, 41u);
  EXPECT_EQ(back.precondition, Precondition::expired);
}

TEST(CommitText, RefusesWhatIsNone) {
  for (const char* text : {"", "{}", "null", R"({"session":"a"})"})
    EXPECT_THROW(commit_of_text(text), StorageError) << text;
}

// What both journals keep.
class JournalTest : public testing::TestWithParam<bool> {
 protected:
  std::unique_ptr<Journal> open() {
    return GetParam() ? open_journal(folder_.path("journal.db")) : make_memory_journal();
  }
  Folder folder_ = Folder::in_memory();
};

TEST_P(JournalTest, KeepsEntriesInOrderUntilTheyAreRemoved) {
  const auto journal = open();
  EXPECT_EQ(journal->durable(), GetParam());
  const auto first = run(journal->append(JournalKind::base, shared(Change(session)), test_start));
  const auto second = run(journal->append(JournalKind::change, shared(full_commit()), test_start));
  const auto third = run(journal->append(JournalKind::touch, shared(Change(session)), test_start));
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  run(journal->remove(std::vector{first, third}));
  const auto entries = journal->entries();
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].id, second);
  EXPECT_EQ(entries[0].kind, JournalKind::change);
  EXPECT_EQ(entries[0].at, test_start);
  EXPECT_EQ(text_of_commit(*entries[0].commit), text_of_commit(full_commit()));
}

TEST_P(JournalTest, SetsAsideAndRetries) {
  const auto journal = open();
  const auto id = run(journal->append(JournalKind::change, shared(Change(session)), test_start));
  EXPECT_FALSE(journal->retry(id));
  run(journal->poison(id, "does not fit"));
  EXPECT_EQ(journal->entries().at(0).poison, "does not fit");
  EXPECT_TRUE(journal->retry(id));
  EXPECT_EQ(journal->entries().at(0).poison, "");
  EXPECT_FALSE(journal->retry(id + 1));
}

INSTANTIATE_TEST_SUITE_P(Memory, JournalTest, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Sqlite, JournalTest, testing::Values(true));

class SqliteJournalTest : public testing::Test {
 protected:
  static std::uint64_t append(Journal& journal, int n) {
    const Change change = Change(session).operation("op " + std::to_string(n));
    return run(journal.append(JournalKind::change, shared(change), test_start));
  }
  // Appends entries named by their operation ids.
  void fill(int count) {
    const auto journal = open_journal(path);
    for (int n = 0; n < count; ++n) append(*journal, n);
  }

  Folder folder = Folder::in_memory();
  std::string path = folder.path("journal.db");
};

TEST_F(SqliteJournalTest, KeepsItsEntriesBeyondTheProcess) {
  fill(3);
  const auto journal = open_journal(path);
  EXPECT_EQ(journal->damage(), "");
  const auto entries = journal->entries();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[2].commit->operation_id, "op 2");
  run(journal->remove(std::vector{entries[2].id}));
  EXPECT_GT(append(*journal, 3), entries[2].id);
}

TEST_F(SqliteJournalTest, SeesWhatAnotherProcessLetWaitAgain) {
  const auto journal = open_journal(path);
  const auto id = run(journal->append(JournalKind::change, shared(Change(session)), test_start));
  run(journal->poison(id, "no"));
  EXPECT_FALSE(run(journal->changed_by_others()));
  EXPECT_TRUE(open_journal(path)->retry(id));
  EXPECT_TRUE(run(journal->changed_by_others()));
  EXPECT_FALSE(run(journal->changed_by_others()));
  EXPECT_EQ(journal->entries().at(0).poison, "");
}

// Two servers on one journal would each replay what the other has acknowledged.
TEST_F(SqliteJournalTest, HasOneServerAtATime) {
  const auto can_be_opened_elsewhere = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        open_journal(path);
        ::_exit(0);
      } catch (const StorageError& error) {
        const bool told = error.message() == "the journal can't be used: another process uses it";
        ::_exit(told ? 1 : 2);
      }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 0;
  };
  auto journal = open_journal(path);
  EXPECT_FALSE(can_be_opened_elsewhere());
  EXPECT_TRUE(open_journal(path, JournalUse::beside_its_server)->entries().empty());
  journal.reset();
  EXPECT_TRUE(can_be_opened_elsewhere());
}

TEST_F(SqliteJournalTest, RefusesADatabaseOfSomethingElse) {
  {
    const auto journal = open_journal(path);
  }
  std::string content = read_file(path);
  content[68] ^= 1;  // the application id in SQLite's header
  write(path, content);
  EXPECT_THROW(open_journal(path), StorageError);
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(SqliteJournalTest, ReplacesWhatIsNoDatabaseAtAllAndKeepsIt) {
  write(path, std::string(10'000, 'x'));
  const auto journal = open_journal(path);
  EXPECT_NE(journal->damage().find(".damaged-1"), std::string::npos) << journal->damage();
  EXPECT_TRUE(journal->entries().empty());
  EXPECT_EQ(read_file(path + ".damaged-1").size(), 10'000u);
}

// Every sound entry before the first damage waits; nothing that was written comes back otherwise.
void expect_sound_prefix(Journal& journal, std::size_t written, bool damaged) {
  std::size_t expected = 0;
  for (const JournalEntry& entry : journal.entries()) {
    if (!entry.poison.empty()) continue;
    EXPECT_EQ(entry.commit->operation_id, "op " + std::to_string(expected++));
  }
  EXPECT_LE(expected, written);
  if (expected < written && damaged) {
    EXPECT_NE(journal.damage(), "");
  }
}

TEST_F(SqliteJournalTest, ReplaysTheSoundPrefixWhereverABitFlips) {
  constexpr std::size_t written = 40;
  fill(written);
  const std::string sound = read_file(path);
  SeededRandom random(test::test_seed());
  for (int round = 0; round < 200; ++round) {
    std::string content = sound;
    // Behind the header, so that it still is a journal.
    const std::size_t at = 100 + random.below(content.size() - 100);
    content[at] = static_cast<char>(content[at] ^ (1 << random.below(8)));
    const Folder other = Folder::in_memory();
    const std::string copy = other.file("journal.db", content);
    SCOPED_TRACE("byte " + std::to_string(at));
    const auto journal = open_journal(copy);
    expect_sound_prefix(*journal, written, true);
  }
}

TEST_F(SqliteJournalTest, ABitFlippedInTheDefinitionOfATableDoesNotKeepItFromBeingOpened) {
  constexpr std::size_t written = 40;
  fill(written);
  const std::string sound = read_file(path);
  const std::size_t definition = sound.find("sqlite_sequence(name,seq)");
  ASSERT_LT(definition, 4'096u);
  for (std::size_t at = definition; at < definition + 25; ++at) {
    std::string content = sound;
    content[at] = static_cast<char>(content[at] ^ 2);
    const Folder other = Folder::in_memory();
    const auto journal = open_journal(other.file("journal.db", content));
    SCOPED_TRACE("byte " + std::to_string(at));
    expect_sound_prefix(*journal, written, true);
    EXPECT_NE(journal->damage(), "");
    const std::size_t kept = journal->entries().size();
    EXPECT_GT(append(*journal, written), kept);
  }
}

TEST_F(SqliteJournalTest, ATableUnderAnotherNameIsNoEmptyJournal) {
  fill(3);
  std::string content = read_file(path);
  content[content.find("CREATE TABLE entry") + 13] ^= 1;
  write(path, content);
  const auto journal = open_journal(path);
  EXPECT_NE(journal->damage(), "");
  EXPECT_TRUE(std::filesystem::exists(path + ".damaged-1"));
}

// The table's root refers to its leaves: with a bit flipped there, a leaf can be shown twice.
TEST_F(SqliteJournalTest, APageThatIsReferredToTwiceIsReadOnce) {
  constexpr std::size_t written = 40;
  fill(written);
  const std::string sound = read_file(path);
  constexpr std::size_t root = 4'096;
  ASSERT_EQ(sound[root], 5) << "has leaves";
  std::size_t opened = 0;
  for (std::size_t at = root; at < 2 * root; ++at) {
    if (at >= root + 32 && sound[at] == 0 && at < 2 * root - 64) continue;  // in use by nothing
    for (const int bit : {0, 1, 2}) {
      std::string content = sound;
      content[at] = static_cast<char>(content[at] ^ (1 << bit));
      const Folder other = Folder::in_memory();
      SCOPED_TRACE("byte " + std::to_string(at));
      const auto journal = open_journal(other.file("journal.db", content));
      expect_sound_prefix(*journal, written, true);
      ++opened;
    }
  }
  EXPECT_GT(opened, 100u);
}

// Its own note of the last id is not covered by any checksum.
TEST_F(SqliteJournalTest, NeverGivesAnIdTwiceWhateverSqliteHasNoted) {
  for (const char* noted : {"1", "-5", "'x'", "NULL", "9223372036854775807"}) {
    const Folder other = Folder::in_memory();
    path = other.path("journal.db");
    fill(3);
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
    const std::string sql = std::string("UPDATE sqlite_sequence SET seq = ") + noted;
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(database);
    const auto journal = open_journal(path);
    EXPECT_EQ(append(*journal, 3), 4u) << noted;
    ASSERT_EQ(journal->entries().size(), 4u) << noted;
    EXPECT_EQ(journal->entries()[3].commit->operation_id, "op 3");
  }
}

TEST_F(SqliteJournalTest, ReplaysTheSoundPrefixWhereverItsLogIsCut) {
  constexpr int written = 5;
  const auto writer = open_journal(path);  // stays open: what it wrote is still in the log
  for (int n = 0; n < written; ++n) append(*writer, n);
  const std::string file = read_file(path);
  const std::string log = read_file(path + "-wal");
  ASSERT_GT(log.size(), 8'192u);
  std::size_t most = 0;
  for (std::size_t length = log.size() - 8'192; length <= log.size(); length += 31) {
    const Folder other = Folder::in_memory();
    write(other.path("journal.db-wal"), std::string_view(log).substr(0, length));
    const auto journal = open_journal(other.file("journal.db", file));
    // A commit that is cut off is none, as after a crash while it was written: no damage.
    expect_sound_prefix(*journal, written, false);
    most = std::max(most, journal->entries().size());
  }
  EXPECT_GE(most, written - 1);
}

// SQLite says nothing of what stands behind damage in its log: acknowledged entries were missing,
// and nobody was told.
TEST_F(SqliteJournalTest, TellsOfDamageInItsLog) {
  constexpr std::size_t written = 12;
  const auto writer = open_journal(path);  // stays open: what it wrote is still in the log
  for (std::size_t n = 0; n < written; ++n) append(*writer, static_cast<int>(n));
  const std::string file = read_file(path);
  const std::string log = read_file(path + "-wal");
  SeededRandom random(test::test_seed());
  std::size_t cut_short = 0;
  for (int round = 0; round < 100; ++round) {
    std::string damaged = log;
    const std::size_t at = random.below(damaged.size());
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << random.below(8)));
    const Folder other = Folder::in_memory();
    write(other.path("journal.db-wal"), damaged);
    SCOPED_TRACE("byte " + std::to_string(at));
    const auto journal = open_journal(other.file("journal.db", file));
    // In the last commit it can't be told from one that a crash cut off.
    const std::size_t kept = journal->entries().size();
    expect_sound_prefix(*journal, written, kept + 1 < written);
    if (kept + 1 >= written) continue;
    ++cut_short;
    EXPECT_NE(journal->damage().find("journal.db.damaged-1"), std::string::npos);
    EXPECT_EQ(read_file(other.path("journal.db.damaged-1-wal")), damaged);
  }
  EXPECT_GT(cut_short, 10u);
}

TEST_F(SqliteJournalTest, ReplaysTheSoundPrefixWhereverTheFileIsCut) {
  constexpr std::size_t written = 60;
  fill(written);
  const std::string sound = read_file(path);
  for (std::size_t length = sound.size() - 8'192; length < sound.size(); length += 61) {
    const Folder other = Folder::in_memory();
    const auto journal =
        open_journal(other.file("journal.db", std::string_view(sound).substr(0, length)));
    SCOPED_TRACE("cut to " + std::to_string(length));
    expect_sound_prefix(*journal, written, true);
  }
}

}  // namespace
}  // namespace actionflows
