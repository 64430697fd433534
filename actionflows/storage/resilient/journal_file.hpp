// JournalFile: the durable journal's SQLite file. One row for each entry, with a checksum over the
// row, because SQLite itself does not notice a flipped bit in a row's content.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/storage/resilient/journal.hpp"
#include "actionflows/storage/resilient/process_lock.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows {

// SQLite refused or failed.
struct DatabaseFailure {
  int code;  // SQLite's primary result code
  std::string message;
};

// How the journal tells it.
StorageError journal_error(const DatabaseFailure& failed);

// Thread-safety: none. All throw DatabaseFailure.
class JournalFile {
 public:
  // Throws StorageError as `open_journal` does, too.
  JournalFile(const std::string& path, JournalUse use);
  ~JournalFile();
  JournalFile(const JournalFile&) = delete;
  JournalFile& operator=(const JournalFile&) = delete;

  [[nodiscard]] const std::string& damage() const { return damage_; }

  // What is done between is durable when `commit` returns, or has not happened.
  void begin();
  void commit();
  void roll_back() noexcept;

  // In a transaction or on their own.
  std::uint64_t append(std::string_view kind, std::string_view at, std::string_view text);
  void remove(std::uint64_t id);
  void set_poison(std::uint64_t id, std::string_view reason);
  bool retry(std::uint64_t id);

  std::vector<JournalEntry> entries();
  bool changed_by_others();

  // Copies SQLite's log into the file where it has grown long. For after the answer; here, so that
  // an fsync that fails is seen.
  void keep_log_short();

 private:
  class Database;

  void lock();
  bool open();
  void take_stock(bool tables_are_sound);
  void insert(std::uint64_t id, std::string_view kind, std::string_view at, std::string_view text,
              std::string_view reason);
  std::string renew(std::span<const JournalEntry> sound);

  const std::string path_;
  const JournalUse use_;
  std::optional<ProcessLock> lock_;  // its server's
  std::string damage_;               // constant after construction
  std::unique_ptr<Database> database_;
  std::uint64_t last_id_ = 0;
  std::uint64_t last_kept_id_ = 0;  // as of the last commit
  std::uint64_t data_version_ = 0;
};

}  // namespace actionflows
