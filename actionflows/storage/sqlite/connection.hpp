// A connection to an SQLite database and its prepared statements, closed by their owners.
#pragma once

#include "actionflows/base/bytes.hpp"
#include "actionflows/base/error.hpp"

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace actionflows::sqlite {

// SQLite refused or failed.
class DatabaseError : public std::exception {
 public:
  DatabaseError(int code, std::string message) : code_(code), message_(std::move(message)) {}

  // SQLite's extended result code, and the primary one in its low byte.
  [[nodiscard]] int code() const noexcept { return code_; }
  [[nodiscard]] int primary() const noexcept { return code_ & 0xff; }
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
  int code_;
  std::string message_;
};

// How a driver tells it.
StorageError to_storage_error(const DatabaseError& error, std::string operation,
                              std::string record = {});

// Thread-safety: none; each connection belongs to one thread at a time.
class Connection {
 public:
  // Makes the file when it is not there. What meets another's lock is tried again until
  // `busy_timeout` has passed. Throws DatabaseError.
  Connection(const std::string& path, std::chrono::milliseconds busy_timeout);

  // SQL without parameters, written in the source; for what runs once.
  void execute(const char* sql);
  // The first column of the only row.
  std::int64_t integer(const char* sql);
  std::string text(const char* sql);

  [[nodiscard]] std::int64_t last_insert_id() const;
  [[nodiscard]] bool in_transaction() const;
  // Ends the transaction, if there is one. It is over even where SQLite finds something to say.
  void roll_back() noexcept;

  // Copies what it can of the log into the database file, without waiting for readers. Throws
  // DatabaseError, but not when another connection is at it.
  void checkpoint();
  // Whether the file is no longer what stands under its path: removed, moved or replaced. What is
  // written is gone then with the last who has it open. One stat().
  [[nodiscard]] bool has_moved();

  [[nodiscard]] sqlite3* get() const { return handle_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* handle) const noexcept;
  };
  struct Patience {
    std::chrono::milliseconds timeout;
    std::chrono::steady_clock::time_point begin;
  };
  static int wait_for_lock(void* patience, int tries);

  std::unique_ptr<Patience> patience_;
  std::unique_ptr<sqlite3, Close> handle_;
};

// Bytes as they are; a text without this is UTF-8.
struct Blob {
  std::string_view bytes;
};

// One statement, prepared once and run with many values. The connection must outlive it; values
// must outlive the rows.
class Statement {
 public:
  // `sql` is a text of the source, never made from input.
  Statement(Connection& connection, const char* sql);

  // The rows of one run; ends it when destroyed.
  class Rows {
   public:
    explicit Rows(Statement& statement) : statement_(&statement) {}
    ~Rows();
    Rows(const Rows&) = delete;
    Rows& operator=(const Rows&) = delete;

    // Goes to the next row, the first time to the first; false: there is none. Throws
    // DatabaseError.
    bool next();

    // Of the present row. Views are valid until the next step.
    [[nodiscard]] std::int64_t integer(int column) const;
    [[nodiscard]] bool is_null(int column) const;
    [[nodiscard]] std::string_view text(int column) const;
    [[nodiscard]] std::string_view blob(int column) const;

    [[nodiscard]] std::uint64_t number(int column) const {
      return static_cast<std::uint64_t>(integer(column));
    }

   private:
    Statement* statement_;
  };

  template <class... Values>
  Rows query(const Values&... values) {
    bind_all(values...);
    return Rows(*this);
  }

  // Runs what returns no rows; how many rows it changed.
  template <class... Values>
  std::int64_t run(const Values&... values) {
    bind_all(values...);
    return run_bound();
  }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const noexcept;
  };

  template <class... Values>
  void bind_all(const Values&... values) {
    int index = 0;
    (bind(++index, values), ...);
  }
  template <std::integral Integer>
  void bind(int index, Integer value) {
    bind_integer(index, static_cast<std::int64_t>(value));
  }
  void bind(int index, std::string_view text);
  void bind(int index, Blob blob);
  void bind(int index, std::nullptr_t);
  template <class T>
  void bind(int index, const std::optional<T>& value) {
    value ? bind(index, *value) : bind(index, nullptr);
  }
  void bind_integer(int index, std::int64_t value);
  std::int64_t run_bound();

  Connection* connection_;
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

}  // namespace actionflows::sqlite
