#include "actionflows/storage/sqlite/session_row.hpp"

namespace actionflows::sqlite {

SessionRows::SessionRows(Connection& connection)
    : find_(connection,
            "SELECT id, live, user, state, last_active, expires, first_sequence, last_sequence, "
            "last_archived FROM sessions WHERE name = ?") {}

SessionRow SessionRows::find(const SessionId& session) {
  SessionRow row;
  Statement::Rows rows = find_.query(session.str());
  if (!rows.next()) return row;
  row.id = rows.integer(0);
  row.live = rows.integer(1) != 0;
  row.user = rows.text(2);
  row.state = rows.text(3);
  row.activity = {from_unix_milliseconds(rows.integer(4)), from_unix_milliseconds(rows.integer(5))};
  row.first_sequence = rows.number(6);
  row.last_sequence = rows.number(7);
  row.last_archived = static_cast<std::uint32_t>(rows.integer(8));
  return row;
}

}  // namespace actionflows::sqlite
