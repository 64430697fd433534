#include "actionflows/storage/resilient/journal_file.hpp"

#include "actionflows/base/encoding.hpp"
#include "actionflows/storage/resilient/commit_text.hpp"
#include "actionflows/storage/resilient/log_damage.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

namespace actionflows {
namespace {

constexpr int application_id = 0x41464a4c;  // "AFJL"

// Pages of the log (of 4 KiB) from which on it is copied into the file.
constexpr int long_log = 1'000;

// As the file keeps them: another text there is damage.
constexpr const char* entry_table =
    "CREATE TABLE entry (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
    " at TEXT NOT NULL, text TEXT NOT NULL, checksum TEXT NOT NULL, poison TEXT NOT NULL)";
constexpr const char* sequence_table = "CREATE TABLE sqlite_sequence(name,seq)";

[[noreturn]] void throw_failure(sqlite3* database) {
  throw DatabaseFailure{sqlite3_errcode(database) & 0xff, sqlite3_errmsg(database)};
}

}  // namespace

StorageError journal_error(const DatabaseFailure& failed) {
  const bool full = failed.code == SQLITE_FULL;
  const bool damaged = failed.code == SQLITE_CORRUPT || failed.code == SQLITE_NOTADB;
  StorageError told =
      failure(full      ? ErrorCode::exhausted
              : damaged ? ErrorCode::corrupt
                        : ErrorCode::unavailable,
              full ? "the journal's disk is full" : "the journal can't be used", "journal");
  told.set_cause(failed.message);
  return told;
}

class JournalFile::Database {
 public:
  explicit Database(const std::string& path) {
    sqlite3* opened = nullptr;
    const int result =
        sqlite3_open_v2(path.c_str(), &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    handle_.reset(opened);  // is to be closed even when opening failed
    if (result != SQLITE_OK) throw_failure(opened);
    sqlite3_busy_timeout(opened, 5'000);
    sqlite3_wal_hook(opened, count_pages, &log_pages);
  }

  void execute(const char* sql) {
    if (sqlite3_exec(get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) throw_failure(get());
  }

  [[nodiscard]] sqlite3* get() const { return handle_.get(); }

  int log_pages = 0;  // in SQLite's log, as of the last commit

 private:
  static int count_pages(void* pages, sqlite3*, const char*, int in_log) {
    *static_cast<int*>(pages) = in_log;
    return SQLITE_OK;
  }
  struct Close {
    void operator()(sqlite3* handle) const noexcept { sqlite3_close_v2(handle); }
  };
  std::unique_ptr<sqlite3, Close> handle_;
};

namespace {

// What is bound must outlive it.
class Query {
 public:
  Query(sqlite3* database, const char* sql) : database_(database) {
    sqlite3_stmt* prepared = nullptr;
    if (sqlite3_prepare_v2(database, sql, -1, &prepared, nullptr) != SQLITE_OK)
      throw_failure(database);
    handle_.reset(prepared);
  }

  Query& bind(int index, std::string_view text) {
    const char* const begin = text.empty() ? "" : text.data();  // without an address it were NULL
    check(sqlite3_bind_text64(get(), index, begin, text.size(), SQLITE_STATIC, SQLITE_UTF8));
    return *this;
  }
  Query& bind(int index, std::uint64_t number) {
    check(sqlite3_bind_int64(get(), index, static_cast<sqlite3_int64>(number)));
    return *this;
  }

  // Goes to the next row; false: there is none.
  bool next() {
    const int result = sqlite3_step(get());
    if (result != SQLITE_ROW && result != SQLITE_DONE) throw_failure(database_);
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
    if (result != SQLITE_OK) throw_failure(database_);
  }

  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

std::uint64_t number_of(sqlite3* database, const char* sql) {
  Query query(database, sql);
  return query.next() ? query.number(0) : 0;
}

// A flipped bit in a table's definition makes it another table, which SQLite does not mind.
bool tables_are_sound(sqlite3* database) {
  const std::array<std::array<std::string, 2>, 2> expected = {
      {{"entry", entry_table}, {"sqlite_sequence", sequence_table}}};
  Query tables(database, "SELECT name, tbl_name, sql FROM sqlite_schema ORDER BY name");
  for (const auto& [name, sql] : expected) {
    const bool as_made =
        tables.next() && tables.text(0) == name && tables.text(1) == name && tables.text(2) == sql;
    if (!as_made) return false;
  }
  return !tables.next();
}

// The greatest id that was given, as SQLite has noted it; 0: it can't be told, or makes no sense.
std::uint64_t noted_last_id(sqlite3* database) {
  constexpr std::uint64_t beyond_sense = std::uint64_t{1} << 62;
  try {
    const std::uint64_t noted =
        number_of(database, "SELECT seq FROM sqlite_sequence WHERE name = 'entry'");
    return noted < beyond_sense ? noted : 0;
  } catch (const DatabaseFailure&) {
    return 0;
  }
}

std::string checksum_of(std::uint64_t id, std::string_view kind, std::string_view at,
                        std::string_view text, std::string_view poison) {
  std::string row = std::to_string(id);
  for (const std::string_view part : {kind, at, text, poison}) row.append("\n").append(part);
  return hex(sha256(row));
}

std::optional<JournalKind> parse_kind(std::string_view text) {
  for (const JournalKind kind :
       {JournalKind::base, JournalKind::change, JournalKind::touch, JournalKind::retried})
    if (text == to_string(kind)) return kind;
  return std::nullopt;
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
    entry.commit = std::make_shared<const Commit>(commit_of_text(text));
  } catch (const StorageError&) {
    return std::nullopt;
  }
  return entry;
}

Found read_all(sqlite3* database) {
  Found found;
  try {
    Query rows(database, "SELECT id, kind, at, text, checksum, poison FROM entry ORDER BY id");
    while (rows.next()) {
      auto entry = entry_of(rows);
      // Pages that refer to a wrong one show its rows a second time.
      const bool ascends = entry && (found.sound.empty() || entry->id > found.sound.back().id);
      if (ascends) {
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
std::optional<DatabaseFailure> damage_in(sqlite3* database) {
  try {
    Query check(database, "PRAGMA integrity_check(1)");
    const std::string verdict = check.next() ? check.text(0) : std::string("no answer");
    if (verdict == "ok") return std::nullopt;
    return DatabaseFailure{SQLITE_CORRUPT, verdict};
  } catch (const DatabaseFailure& failed) {
    return failed;
  }
}

std::string name_to_keep(const std::string& path) {
  int n = 1;
  while (std::filesystem::exists(path + ".damaged-" + std::to_string(n))) ++n;
  return path + ".damaged-" + std::to_string(n);
}

// Moves a damaged file out of the way; returns where to.
std::string keep_aside(const std::string& path) {
  std::string kept_as = name_to_keep(path);
  for (const char* suffix : {"", "-wal", "-shm"})
    if (std::filesystem::exists(path + suffix))
      std::filesystem::rename(path + suffix, kept_as + suffix);
  return kept_as;
}

// Before SQLite cuts off what it can't use of the log. Returns what to tell; empty: it is sound.
std::string keep_damaged_log(const std::string& path) {
  std::string damage = log_damage(path);
  if (damage.empty()) return damage;
  const std::string kept_as = name_to_keep(path);
  for (const char* suffix : {"", "-wal"})
    if (std::filesystem::exists(path + suffix))
      std::filesystem::copy_file(path + suffix, kept_as + suffix);
  return damage + "; the damaged file is kept as " + kept_as;
}

}  // namespace

JournalFile::JournalFile(const std::string& path, JournalUse use) : path_(path), use_(use) {
  std::string of_log;
  if (use_ == JournalUse::of_its_server) {
    lock();
    of_log = keep_damaged_log(path_);
  }
  bool sound = false;
  try {
    sound = open();
  } catch (const DatabaseFailure& failed) {
    const bool damaged = failed.code == SQLITE_NOTADB || failed.code == SQLITE_CORRUPT;
    if (!damaged || use_ == JournalUse::beside_its_server) throw;
    database_.reset();
    damage_ = "the journal was damaged beyond reading (" + failed.message + ") and is kept as " +
              keep_aside(path_);
    sound = open();
  }
  take_stock(sound);
  if (!of_log.empty()) damage_ = damage_.empty() ? of_log : of_log + "; " + damage_;
}

JournalFile::~JournalFile() = default;

// Two servers would replay the same entries and give the same numbers to others.
void JournalFile::lock() {
  try {
    lock_.emplace(path_ + "-lock");
  } catch (const StorageError& refused) {
    StorageError told = failure(ErrorCode::unavailable,
                                "the journal can't be used: " + refused.message(), "journal");
    told.set_cause(path_);
    throw StorageError(told);
  }
}

// Makes the tables of a new file, or refuses a file that is something else. False: its tables are
// damaged.
bool JournalFile::open() {
  database_ = std::make_unique<Database>(path_);
  sqlite3* const database = database_->get();
  const bool is_journal = number_of(database, "PRAGMA application_id") == application_id;
  const std::uint64_t tables = number_of(database, "SELECT count(*) FROM sqlite_schema");
  if (!is_journal && tables != 0)
    throw failure(ErrorCode::invalid, path_ + " is a database of something else, not a journal",
                  "journal");
  const bool sound = !is_journal || tables_are_sound(database);
  database_->execute("PRAGMA journal_mode=WAL");
  database_->execute("PRAGMA synchronous=FULL");
  if (!is_journal) {
    begin();
    static_assert(application_id == 1095125580);
    database_->execute("PRAGMA application_id=1095125580");
    database_->execute(entry_table);
    commit();
  }
  last_id_ = noted_last_id(database);
  data_version_ = number_of(database, "PRAGMA data_version");
  return sound;
}

// ---- changes ------------------------------------------------------------------------------------

void JournalFile::begin() { database_->execute("BEGIN IMMEDIATE"); }

void JournalFile::commit() {
  database_->execute("COMMIT");
  last_kept_id_ = last_id_;
}

void JournalFile::roll_back() noexcept {
  last_id_ = last_kept_id_;
  if (sqlite3_get_autocommit(database_->get()) == 0)
    sqlite3_exec(database_->get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

// The id is part of what is checked, so it is chosen first; a journal has one writer.
std::uint64_t JournalFile::append(std::string_view kind, std::string_view at,
                                  std::string_view text) {
  insert(last_id_ + 1, kind, at, text, {});
  return ++last_id_;
}

void JournalFile::insert(std::uint64_t id, std::string_view kind, std::string_view at,
                         std::string_view text, std::string_view reason) {
  const std::string checksum = checksum_of(id, kind, at, text, reason);
  Query(database_->get(), "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)")
      .bind(1, id)
      .bind(2, kind)
      .bind(3, at)
      .bind(4, text)
      .bind(5, checksum)
      .bind(6, reason)
      .next();
}

void JournalFile::remove(std::uint64_t id) {
  Query(database_->get(), "DELETE FROM entry WHERE id = ?").bind(1, id).next();
}

void JournalFile::set_poison(std::uint64_t id, std::string_view reason) {
  std::string kind;
  std::string checksum;
  {
    Query row(database_->get(), "SELECT kind, at, text FROM entry WHERE id = ?");
    if (!row.bind(1, id).next()) return;
    kind = row.text(0);
    if (reason.empty() && kind == to_string(JournalKind::change))
      kind = to_string(JournalKind::retried);
    checksum = checksum_of(id, kind, row.text(1), row.text(2), reason);
  }
  Query(database_->get(), "UPDATE entry SET kind = ?, poison = ?, checksum = ? WHERE id = ?")
      .bind(1, kind)
      .bind(2, reason)
      .bind(3, checksum)
      .bind(4, id)
      .next();
}

bool JournalFile::retry(std::uint64_t id) {
  bool set_aside = false;
  {
    Query row(database_->get(), "SELECT poison FROM entry WHERE id = ?");
    set_aside = row.bind(1, id).next() && !row.text(0).empty();
  }
  if (set_aside) set_poison(id, {});
  return set_aside;
}

void JournalFile::keep_log_short() {
  if (database_->log_pages < long_log) return;
  database_->log_pages = 0;  // where another process reads it can't be copied: then later
  const int result = sqlite3_wal_checkpoint_v2(database_->get(), nullptr, SQLITE_CHECKPOINT_PASSIVE,
                                               nullptr, nullptr);
  const int primary = result & 0xff;
  if (primary != SQLITE_OK && primary != SQLITE_BUSY && primary != SQLITE_LOCKED)
    throw_failure(database_->get());
}

// ---- reading ------------------------------------------------------------------------------------

std::vector<JournalEntry> JournalFile::entries() {
  Found found = read_all(database_->get());
  if (found.ends) throw DatabaseFailure(*found.ends);
  return std::move(found.sound);
}

bool JournalFile::changed_by_others() {
  const std::uint64_t version = number_of(database_->get(), "PRAGMA data_version");
  return std::exchange(data_version_, version) != version;
}

// What was damaged while nobody had the file open.
void JournalFile::take_stock(bool tables_are_sound) {
  Found found = read_all(database_->get());
  if (found.damaged == 0) found.sound_before = found.sound.size();
  if (!found.ends) {
    found.ends = damage_in(database_->get());
    // Entries may be missing, and nothing tells where: all are suspect.
    if (found.ends) found.sound_before = 0;
  }
  if (!found.sound.empty()) last_id_ = std::max(last_id_, found.sound.back().id);
  last_kept_id_ = last_id_;
  if (found.damaged == 0 && !found.ends && tables_are_sound) return;
  if (use_ == JournalUse::beside_its_server)
    throw failure(ErrorCode::corrupt, "the journal is damaged: its server mends it at its start",
                  "journal");
  std::size_t set_aside = 0;
  for (std::size_t i = found.sound_before; i < found.sound.size(); ++i) {
    if (!found.sound[i].poison.empty()) continue;
    found.sound[i].poison = "follows a damaged entry of the journal";
    ++set_aside;
  }
  const std::string kept_as = renew(found.sound);
  damage_ = "the journal was damaged: " + std::to_string(found.sound.size()) +
            " entries are sound, " + std::to_string(set_aside) +
            " of them follow a damaged one and are set aside; " + std::to_string(found.damaged) +
            " could not be understood";
  if (found.ends) damage_ += ", and the file could not be read to its end: " + found.ends->message;
  if (!tables_are_sound) damage_ += ", and its tables are not what they were";
  damage_ += "; the damaged file is kept as " + kept_as;
}

// A new file with the sound entries. Returns where the damaged one is kept.
std::string JournalFile::renew(std::span<const JournalEntry> sound) {
  const std::uint64_t last_id = last_id_;
  database_.reset();
  std::string kept_as = keep_aside(path_);
  open();
  begin();
  for (const JournalEntry& entry : sound) {
    const std::string at = format_rfc3339(entry.at);
    const std::string text = text_of_commit(*entry.commit);
    insert(entry.id, to_string(entry.kind), at, text, entry.poison);
  }
  last_id_ = last_id;
  commit();
  return kept_as;
}

}  // namespace actionflows
