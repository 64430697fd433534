// The row of a session as the writing side needs it, and how values stand in the database.
#pragma once

#include "actionflows/storage/driver.hpp"
#include "actionflows/storage/sqlite/connection.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace actionflows::sqlite {

// What the database says that only this program writes. Throws corrupt.
inline SessionId session_id(std::string_view text) {
  if (auto id = SessionId::parse(text)) return *std::move(id);
  throw failure(ErrorCode::corrupt, "a stored session id is none", "read");
}

struct SessionRow {
  std::int64_t id = 0;  // 0: there is none
  bool live = false;
  std::string user;
  std::string state;
  Activity activity;
  std::uint64_t first_sequence = 0;  // 0: no log
  std::uint64_t last_sequence = 0;
  std::uint32_t last_archived = 0;

  [[nodiscard]] bool fresh() const { return !live && last_sequence == 0 && last_archived == 0; }
  [[nodiscard]] std::uint64_t logged() const {
    return last_sequence == 0 ? 0 : last_sequence - first_sequence + 1;
  }
};

// Finds rows by the session's name.
class SessionRows {
 public:
  explicit SessionRows(Connection& connection);
  SessionRow find(const SessionId& session);

 private:
  Statement find_;
};

}  // namespace actionflows::sqlite
