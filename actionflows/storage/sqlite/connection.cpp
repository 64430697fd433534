#include "actionflows/storage/sqlite/connection.hpp"

#include <sqlite3.h>

#include <cstring>
#include <limits>
#include <utility>

namespace actionflows::sqlite {
namespace {

[[noreturn]] void throw_error(sqlite3* handle) {
  const int code = sqlite3_extended_errcode(handle);
  std::string message = sqlite3_errmsg(handle);
  if (const int error = sqlite3_system_errno(handle); error != 0 && (code & 0xff) != SQLITE_BUSY)
    message += std::string(": ") + std::strerror(error);
  throw DatabaseError(code, std::move(message));
}

void expect_ok(sqlite3* handle, int result) {
  if (result != SQLITE_OK) throw_error(handle);
}

}  // namespace

StorageError to_storage_error(const DatabaseError& error, std::string operation,
                              std::string record) {
  const auto make = [&](ErrorCode code, const char* message, bool retryable) {
    StorageError made = failure(code, message, std::move(operation), std::move(record));
    made.retryable = retryable;
    made.set_cause(error.what());
    return made;
  };
  switch (error.primary()) {
    case SQLITE_FULL:
      return make(ErrorCode::exhausted, "the disk or the store is full: make room", false);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return make(ErrorCode::corrupt, "the database file is damaged: restore it from a copy",
                  false);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return make(ErrorCode::unavailable, "another program holds the database's lock", true);
    case SQLITE_NOMEM: return make(ErrorCode::unavailable, "there is not enough memory", true);
    default: return make(ErrorCode::unavailable, "the database can't be used", false);
  }
}

// ---- Connection ---------------------------------------------------------------------------------

Connection::Connection(const std::string& path, std::chrono::milliseconds busy_timeout)
    : patience_(std::make_unique<Patience>(Patience{busy_timeout, {}})) {
  sqlite3* handle = nullptr;
  // Each connection is used by one thread at a time, so SQLite need not lock it.
  const int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int result = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  handle_.reset(handle);  // is to be closed even when opening failed
  if (handle == nullptr) throw DatabaseError(SQLITE_NOMEM, "out of memory");
  expect_ok(handle, result);
  sqlite3_busy_handler(handle, wait_for_lock, patience_.get());
}

// SQLite's own way waits longer and longer, up to 100 ms: beside a process that commits all the
// time it hardly ever finds the lock free.
int Connection::wait_for_lock(void* patience, int tries) {
  auto& [timeout, begin] = *static_cast<Patience*>(patience);
  const auto now = std::chrono::steady_clock::now();
  if (tries == 0) begin = now;
  if (now - begin >= timeout) return 0;
  sqlite3_sleep(1);
  return 1;
}

void Connection::Close::operator()(sqlite3* handle) const noexcept { sqlite3_close_v2(handle); }

void Connection::execute(const char* sql) {
  expect_ok(get(), sqlite3_exec(get(), sql, nullptr, nullptr, nullptr));
}

std::int64_t Connection::integer(const char* sql) {
  Statement statement(*this, sql);
  Statement::Rows rows = statement.query();
  return rows.next() ? rows.integer(0) : 0;
}

std::string Connection::text(const char* sql) {
  Statement statement(*this, sql);
  Statement::Rows rows = statement.query();
  return rows.next() ? std::string(rows.text(0)) : std::string();
}

std::int64_t Connection::last_insert_id() const { return sqlite3_last_insert_rowid(get()); }

bool Connection::in_transaction() const { return sqlite3_get_autocommit(get()) == 0; }

void Connection::roll_back() noexcept {
  if (in_transaction()) sqlite3_exec(get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Connection::checkpoint() {
  const int result =
      sqlite3_wal_checkpoint_v2(get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  const int primary = result & 0xff;
  if (primary != SQLITE_OK && primary != SQLITE_BUSY && primary != SQLITE_LOCKED)
    throw_error(get());
}

bool Connection::has_moved() {
  int moved = 0;
  const int result = sqlite3_file_control(get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  return result == SQLITE_OK && moved != 0;  // a VFS need not be able to tell
}

// ---- Statement ----------------------------------------------------------------------------------

Statement::Statement(Connection& connection, const char* sql) : connection_(&connection) {
  sqlite3_stmt* handle = nullptr;
  expect_ok(connection.get(), sqlite3_prepare_v3(connection.get(), sql, -1,
                                                 SQLITE_PREPARE_PERSISTENT, &handle, nullptr));
  handle_.reset(handle);
}

void Statement::Finalize::operator()(sqlite3_stmt* handle) const noexcept {
  sqlite3_finalize(handle);
}

void Statement::bind_integer(int index, std::int64_t value) {
  expect_ok(connection_->get(), sqlite3_bind_int64(handle_.get(), index, value));
}

void Statement::bind(int index, std::string_view text) {
  // A null pointer would be NULL, not the empty text.
  const char* data = text.empty() ? "" : text.data();
  expect_ok(connection_->get(), sqlite3_bind_text64(handle_.get(), index, data, text.size(),
                                                    SQLITE_STATIC, SQLITE_UTF8));
}

void Statement::bind(int index, Blob blob) {
  const char* data = blob.bytes.empty() ? "" : blob.bytes.data();
  expect_ok(connection_->get(),
            sqlite3_bind_blob64(handle_.get(), index, data, blob.bytes.size(), SQLITE_STATIC));
}

void Statement::bind(int index, std::nullptr_t) {
  expect_ok(connection_->get(), sqlite3_bind_null(handle_.get(), index));
}

std::int64_t Statement::run_bound() {
  Rows rows(*this);
  while (rows.next()) continue;
  return sqlite3_changes64(connection_->get());
}

Statement::Rows::~Rows() {
  // An error of the last step has been thrown already.
  sqlite3_reset(statement_->handle_.get());
}

bool Statement::Rows::next() {
  const int result = sqlite3_step(statement_->handle_.get());
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) throw_error(statement_->connection_->get());
  return false;
}

std::int64_t Statement::Rows::integer(int column) const {
  return sqlite3_column_int64(statement_->handle_.get(), column);
}

bool Statement::Rows::is_null(int column) const {
  return sqlite3_column_type(statement_->handle_.get(), column) == SQLITE_NULL;
}

std::string_view Statement::Rows::text(int column) const {
  const auto* text = sqlite3_column_text(statement_->handle_.get(), column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_->handle_.get(), column))};
}

std::string_view Statement::Rows::blob(int column) const {
  const void* data = sqlite3_column_blob(statement_->handle_.get(), column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_->handle_.get(), column))};
}

}  // namespace actionflows::sqlite
