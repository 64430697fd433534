#include "actionflows/storage/sqlite/foreign_commits.hpp"

#include "actionflows/storage/sqlite/session_row.hpp"

namespace actionflows::sqlite {
namespace {

// How many rows are kept. Who looks less often than every so many commits has missed some.
constexpr std::int64_t kept = 4'096;

}  // namespace

ForeignCommits::ForeignCommits(Connection& connection, WakeupHub& hub)
    : hub_(hub),
      data_version_(connection, "PRAGMA data_version"),
      bounds_(connection, "SELECT ifnull(min(id), 0), ifnull(max(id), 0) FROM recent"),
      newer_(connection,
             "SELECT session, user, sequence, type FROM recent WHERE id > ? ORDER BY id"),
      insert_(connection,
              "INSERT INTO recent(id, session, user, sequence, type) VALUES(?, ?, ?, ?, ?)"),
      trim_(connection, "DELETE FROM recent WHERE id <= ?") {
  Statement::Rows rows = bounds_.query();
  if (rows.next()) seen_ = rows.integer(1);
}

void ForeignCommits::look() {
  {
    Statement::Rows rows = data_version_.query();
    if (!rows.next() || rows.integer(0) == version_) return;
    version_ = rows.integer(0);
  }
  read_new();
}

void ForeignCommits::read_new() {
  std::int64_t oldest = 0;
  std::int64_t newest = 0;
  {
    Statement::Rows rows = bounds_.query();
    if (!rows.next()) return;
    oldest = rows.integer(0);
    newest = rows.integer(1);
  }
  if (newest == seen_) return;
  if (!hub_.idle()) {
    if (oldest > seen_ + 1) hub_.miss();
    Statement::Rows rows = newer_.query(seen_);
    while (rows.next()) {
      hub_.publish({session_id(rows.text(0)), UserId::parse(rows.text(1)).value_or(UserId()),
                    rows.number(2), std::string(rows.text(3))});
    }
  }
  seen_ = newest;
}

void ForeignCommits::add(const std::vector<Wakeup>& own) {
  read_new();
  seen_before_ = seen_;
  for (const Wakeup& wakeup : own)
    insert_.run(++seen_, wakeup.session.str(), wakeup.user.str(), wakeup.sequence, wakeup.type);
  if (seen_ > kept) trim_.run(seen_ - kept);
}

}  // namespace actionflows::sqlite
