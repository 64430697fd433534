// The durable journal: one table in an SQLite file, one row for each entry, with a checksum over
// the row, because SQLite itself does not notice a flipped bit in a row's content.
#include "actionflows/base/encoding.hpp"
#include "actionflows/base/error.hpp"
#include "actionflows/storage/resilient/commit_text.hpp"
#include "actionflows/storage/resilient/journal.hpp"

#include <sqlite3.h>

#include <filesystem>
#include <mutex>
#include <optional>
#include <utility>

namespace actionflows {
namespace {

constexpr int application_id = 0x41464a4c;  // "AFJL"

struct DatabaseFailure {
  int code;  // SQLite's primary result code
  std::string message;
};

[[noreturn]] void throw_failure(sqlite3* database) {
  throw DatabaseFailure{sqlite3_errcode(database) & 0xff, sqlite3_errmsg(database)};
}

StorageError error_of(const DatabaseFailure& failed) {
  const bool full = failed.code == SQLITE_FULL;
  const bool damaged = failed.code == SQLITE_CORRUPT || failed.code == SQLITE_NOTADB;
  return failure(full      ? ErrorCode::exhausted
                 : damaged ? ErrorCode::corrupt
                           : ErrorCode::unavailable,
                 "the journal can't be used (" + failed.message + ")", "journal");
}

// Calls `work` and tells SQLite's failures as StorageErrors.
template <class Work>
auto telling_failures(const Work& work) {
  try {
    return work();
  } catch (const DatabaseFailure& failed) {
    throw error_of(failed);
  }
}

class Database {
 public:
  explicit Database(const std::string& path) {
    sqlite3* opened = nullptr;
    const int result =
        sqlite3_open_v2(path.c_str(), &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    handle_.reset(opened);  // is to be closed even when opening failed
    if (result != SQLITE_OK) throw_failure(opened);
    sqlite3_busy_timeout(opened, 5'000);
  }

  void execute(const char* sql) {
    if (sqlite3_exec(get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) throw_failure(get());
  }

  [[nodiscard]] sqlite3* get() const { return handle_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* handle) const noexcept { sqlite3_close_v2(handle); }
  };
  std::unique_ptr<sqlite3, Close> handle_;
};

class Query {
 public:
  Query(Database& database, const char* sql) : database_(&database) {
    sqlite3_stmt* prepared = nullptr;
    if (sqlite3_prepare_v2(database.get(), sql, -1, &prepared, nullptr) != SQLITE_OK)
      throw_failure(database.get());
    handle_.reset(prepared);
  }

  Query& bind(int index, std::string_view text) {
    const char* const begin = text.empty() ? "" : text.data();  // without an address it were NULL
    check(sqlite3_bind_text(get(), index, begin, static_cast<int>(text.size()), SQLITE_TRANSIENT));
    return *this;
  }
  Query& bind(int index, std::uint64_t number) {
    check(sqlite3_bind_int64(get(), index, static_cast<sqlite3_int64>(number)));
    return *this;
  }

  // Goes to the next row; false: there is none.
  bool next() {
    const int result = sqlite3_step(get());
    if (result != SQLITE_ROW && result != SQLITE_DONE) throw_failure(database_->get());
    return result == SQLITE_ROW;
  }

  [[nodiscard]] std::uint64_t number(int column) const {
    return static_cast<std::uint64_t>(sqlite3_column_int64(get(), column));
  }
  [[nodiscard]] std::string text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(get(), column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(get(), column));
    return bytes != nullptr ? std::string(bytes, size) : std::string();
  }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const noexcept { sqlite3_finalize(handle); }
  };
  [[nodiscard]] sqlite3_stmt* get() const { return handle_.get(); }
  void check(int result) {
    if (result != SQLITE_OK) throw_failure(database_->get());
  }

  Database* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

std::uint64_t number_of(Database& database, const char* sql) {
  Query query(database, sql);
  return query.next() ? query.number(0) : 0;
}

std::string checksum_of(std::uint64_t id, std::string_view kind, std::string_view at,
                        std::string_view text, std::string_view poison) {
  std::string row = std::to_string(id);
  for (const std::string_view part : {kind, at, text, poison}) row.append("\n").append(part);
  return hex(sha256(row));
}

std::optional<JournalKind> parse_kind(std::string_view text) {
  for (const JournalKind kind : {JournalKind::base, JournalKind::change, JournalKind::touch})
    if (text == to_string(kind)) return kind;
  return std::nullopt;
}

// Takes the shape of this process's journal, or refuses a file that is something else.
void set_up(Database& database, const std::string& path) {
  const std::uint64_t is = number_of(database, "PRAGMA application_id");
  const std::uint64_t tables = number_of(database, "SELECT count(*) FROM sqlite_master");
  if (is != application_id && tables != 0)
    throw failure(ErrorCode::invalid, path + " is a database of something else, not a journal",
                  "journal");
  database.execute("PRAGMA journal_mode=WAL");
  database.execute("PRAGMA synchronous=FULL");
  static_assert(application_id == 1095125580);
  database.execute("PRAGMA application_id=1095125580");
  database.execute(
      "CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
      " at TEXT NOT NULL, text TEXT NOT NULL, checksum TEXT NOT NULL, poison TEXT NOT NULL)");
}

struct Found {
  std::vector<JournalEntry> sound;
  std::size_t damaged = 0;              // rows whose content is not what was written
  std::size_t sound_before = 0;         // how many of `sound` come before the first of them
  std::optional<DatabaseFailure> ends;  // the file can't be read any further
};

std::optional<JournalEntry> entry_of(const Query& row) {
  JournalEntry entry;
  entry.id = row.number(0);
  const std::string kind = row.text(1);
  const std::string at = row.text(2);
  const std::string text = row.text(3);
  if (row.text(4) != checksum_of(entry.id, kind, at, text, row.text(5))) return std::nullopt;
  const auto known = parse_kind(kind);
  const auto when = parse_rfc3339(at);
  if (!known || !when) return std::nullopt;
  entry.kind = *known;
  entry.at = *when;
  entry.poison = row.text(5);
  try {
    entry.commit = commit_of_text(text);
  } catch (const StorageError&) {
    return std::nullopt;
  }
  return entry;
}

Found read_all(Database& database) {
  Found found;
  try {
    Query rows(database, "SELECT id, kind, at, text, checksum, poison FROM entry ORDER BY id");
    while (rows.next()) {
      if (auto entry = entry_of(rows)) {
        found.sound.push_back(*std::move(entry));
      } else {
        if (found.damaged++ == 0) found.sound_before = found.sound.size();
      }
    }
  } catch (const DatabaseFailure& failed) {
    found.ends = failed;
  }
  return found;
}

// A page whose bits have flipped can hold fewer rows than it did, and reading it tells nothing.
std::optional<DatabaseFailure> damage_in(Database& database) {
  try {
    Query check(database, "PRAGMA integrity_check(1)");
    const std::string verdict = check.next() ? check.text(0) : std::string("no answer");
    if (verdict == "ok") return std::nullopt;
    return DatabaseFailure{SQLITE_CORRUPT, verdict};
  } catch (const DatabaseFailure& failed) {
    return failed;
  }
}

// Moves a damaged file out of the way; returns where to.
std::string keep_aside(const std::string& path) {
  int n = 1;
  while (std::filesystem::exists(path + ".damaged-" + std::to_string(n))) ++n;
  std::string kept_as = path + ".damaged-" + std::to_string(n);
  for (const char* suffix : {"", "-wal", "-shm"})
    if (std::filesystem::exists(path + suffix))
      std::filesystem::rename(path + suffix, kept_as + suffix);
  return kept_as;
}

class SqliteJournal final : public Journal {
 public:
  SqliteJournal(const std::string& path, JournalUse use) : path_(path), use_(use) {
    try {
      open();
    } catch (const DatabaseFailure& failed) {
      if (use_ == JournalUse::beside_its_server) throw;
      if (failed.code != SQLITE_NOTADB && failed.code != SQLITE_CORRUPT) throw;
      database_.reset();
      damage_ = "the journal was damaged beyond reading (" + failed.message + ") and is kept as " +
                keep_aside(path_);
      open();
    }
    take_stock();
  }

  std::uint64_t append(JournalKind kind, const Commit& commit, Timestamp at) override {
    const std::string text = text_of_commit(commit);
    const std::string when = format_rfc3339(at);
    const std::lock_guard lock(mutex_);
    return telling_failures([&] {
      // The id is part of what is checked, so it is chosen first; this journal has one writer.
      const std::uint64_t id = ++last_id_;
      insert(id, to_string(kind), when, text, {});
      return id;
    });
  }

  void remove(std::span<const std::uint64_t> ids) override {
    const std::lock_guard lock(mutex_);
    telling_failures([&] {
      in_transaction([&] {
        for (const std::uint64_t id : ids)
          Query(*database_, "DELETE FROM entry WHERE id = ?").bind(1, id).next();
      });
    });
  }

  void poison(std::uint64_t id, std::string_view reason) override {
    const std::lock_guard lock(mutex_);
    telling_failures([&] { set_poison(id, reason); });
  }

  bool retry(std::uint64_t id) override {
    const std::lock_guard lock(mutex_);
    return telling_failures([&] {
      Query row(*database_, "SELECT poison FROM entry WHERE id = ?");
      const bool set_aside = row.bind(1, id).next() && !row.text(0).empty();
      if (set_aside) set_poison(id, {});
      return set_aside;
    });
  }

  std::vector<JournalEntry> entries() override {
    const std::lock_guard lock(mutex_);
    Found found = read_all(*database_);
    if (found.ends) throw error_of(*found.ends);
    return std::move(found.sound);
  }

  bool changed_by_others() override {
    const std::lock_guard lock(mutex_);
    return telling_failures([&] {
      const std::uint64_t version = number_of(*database_, "PRAGMA data_version");
      return std::exchange(data_version_, version) != version;
    });
  }

  [[nodiscard]] const std::string& damage() const override { return damage_; }
  [[nodiscard]] bool durable() const override { return true; }

 private:
  void open() {
    database_.emplace(path_);
    set_up(*database_, path_);
    last_id_ = number_of(*database_, "SELECT seq FROM sqlite_sequence WHERE name = 'entry'");
    data_version_ = number_of(*database_, "PRAGMA data_version");
  }

  template <class Work>
  void in_transaction(const Work& work) {
    database_->execute("BEGIN IMMEDIATE");
    try {
      work();
      database_->execute("COMMIT");
    } catch (...) {
      sqlite3_exec(database_->get(), "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
  }

  void insert(std::uint64_t id, std::string_view kind, std::string_view at, std::string_view text,
              std::string_view reason) {
    Query(*database_, "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)")
        .bind(1, id)
        .bind(2, kind)
        .bind(3, at)
        .bind(4, text)
        .bind(5, checksum_of(id, kind, at, text, reason))
        .bind(6, reason)
        .next();
  }

  void set_poison(std::uint64_t id, std::string_view reason) {
    Query row(*database_, "SELECT kind, at, text FROM entry WHERE id = ?");
    if (!row.bind(1, id).next()) return;
    Query(*database_, "UPDATE entry SET poison = ?, checksum = ? WHERE id = ?")
        .bind(1, reason)
        .bind(2, checksum_of(id, row.text(0), row.text(1), row.text(2), reason))
        .bind(3, id)
        .next();
  }

  // What was damaged while nobody had the file open.
  void take_stock() {
    Found found = read_all(*database_);
    const bool read_to_its_end = !found.ends;
    if (read_to_its_end) found.ends = damage_in(*database_);
    if (found.damaged == 0 && !found.ends) return;
    if (use_ == JournalUse::beside_its_server)
      throw failure(ErrorCode::corrupt, "the journal is damaged: its server mends it at its start",
                    "journal");
    // Entries are missing, and nothing tells where: all are suspect.
    if (found.damaged == 0) found.sound_before = read_to_its_end ? 0 : found.sound.size();
    const std::string kept_as = renew(found.sound);
    constexpr const char* reason = "follows a damaged entry of the journal";
    std::size_t set_aside = 0;
    for (std::size_t i = found.sound_before; i < found.sound.size(); ++i) {
      const JournalEntry& entry = found.sound[i];
      if (!entry.poison.empty()) continue;
      set_poison(entry.id, reason);
      ++set_aside;
    }
    damage_ = "the journal was damaged: " + std::to_string(found.sound.size()) +
              " entries are sound, " + std::to_string(set_aside) +
              " of them follow a damaged one and are set aside; " + std::to_string(found.damaged) +
              " could not be understood";
    if (found.ends)
      damage_ += ", and the file could not be read to its end: " + found.ends->message;
    damage_ += "; the damaged file is kept as " + kept_as;
  }

  // A new file with the sound entries. Returns where the damaged one is kept.
  std::string renew(const std::vector<JournalEntry>& sound) {
    database_.reset();
    std::string kept_as = keep_aside(path_);
    open();
    in_transaction([&] {
      for (const JournalEntry& entry : sound)
        insert(entry.id, to_string(entry.kind), format_rfc3339(entry.at),
               text_of_commit(entry.commit), entry.poison);
    });
    last_id_ = sound.empty() ? 0 : sound.back().id;
    return kept_as;
  }

  const std::string path_;
  const JournalUse use_;
  std::string damage_;  // constant after construction
  std::mutex mutex_;
  // guarded by mutex_
  std::optional<Database> database_;
  std::uint64_t last_id_ = 0;
  std::uint64_t data_version_ = 0;
};

}  // namespace

std::unique_ptr<Journal> open_journal(const std::string& path, JournalUse use) {
  return telling_failures([&] { return std::make_unique<SqliteJournal>(path, use); });
}

}  // namespace actionflows
