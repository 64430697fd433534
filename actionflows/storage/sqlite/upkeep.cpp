#include "actionflows/storage/sqlite/upkeep.hpp"

#include <algorithm>
#include <utility>

namespace actionflows::sqlite {
namespace {

// Rows that one statement removes: about half a millisecond's work, so that deadlines are kept.
constexpr std::int64_t piece = 128;

// Unused pages that are kept, because new commits use them: an eighth of the file, and 1 MiB.
constexpr std::int64_t spare_pages = 256;

bool past(Deadline deadline) { return std::chrono::steady_clock::now() >= deadline; }

}  // namespace

Upkeep::Upkeep(Connection& connection, const DriverLimits& limits)
    : limits_(limits),
      sessions_(connection),
      delete_events_(connection, "DELETE FROM events WHERE session = ? AND sequence < ?"),
      set_first_(connection, "UPDATE sessions SET first_sequence = ? WHERE id = ?"),
      bury_(connection, "UPDATE sessions SET name = NULL, live = 0, ended_at = NULL WHERE id = ?"),
      delete_archive_of_(connection, "DELETE FROM archive WHERE session = ?"),
      find_erased_(connection, "SELECT id FROM sessions WHERE name IS NULL LIMIT 1"),
      delete_events_of_erased_(connection,
                               "DELETE FROM events WHERE id IN "
                               "(SELECT id FROM events WHERE session = ? LIMIT ?)"),
      delete_records_of_erased_(connection,
                                "DELETE FROM records WHERE id IN "
                                "(SELECT id FROM records WHERE session = ? LIMIT ?)"),
      delete_session_(connection, "DELETE FROM sessions WHERE id = ?"),
      find_expired_(connection,
                    "SELECT name FROM sessions WHERE live = 1 AND expires <= ? "
                    "ORDER BY expires LIMIT ?"),
      find_ended_(connection,
                  "SELECT id, first_sequence, last_sequence FROM sessions "
                  "WHERE ended_at IS NOT NULL AND ended_at <= ? ORDER BY ended_at LIMIT 1"),
      forget_log_(connection,
                  "UPDATE sessions SET first_sequence = 0, last_sequence = 0, ended_at = NULL "
                  "WHERE id = ?"),
      delete_if_empty_(connection,
                       "DELETE FROM sessions "
                       "WHERE id = ? AND live = 0 AND last_sequence = 0 AND last_archived = 0"),
      find_old_chain_(connection,
                      "SELECT session, chain FROM archive WHERE archived_at <= ? "
                      "ORDER BY archived_at LIMIT 1"),
      delete_steps_(connection,
                    "DELETE FROM records WHERE id IN (SELECT id FROM records "
                    "WHERE session = ? AND chain = ? ORDER BY step DESC LIMIT ?)"),
      delete_chain_(connection, "DELETE FROM archive WHERE session = ? AND chain = ?"),
      recount_archive_(connection,
                       "UPDATE sessions SET last_archived = "
                       "(SELECT ifnull(max(chain), 0) FROM archive WHERE session = ?1) "
                       "WHERE id = ?1"),
      free_pages_(connection,
                  "SELECT freelist_count - page_count / 8 "
                  "FROM pragma_freelist_count, pragma_page_count"),
      vacuum_(connection, "PRAGMA incremental_vacuum(64)"),
      add_lives_(connection, "UPDATE totals SET live = live + ?") {}

void Upkeep::add_lives(std::int64_t lives) { add_lives_.run(lives); }

// ---- events -------------------------------------------------------------------------------------

// Removes the oldest before `until`, as far as the deadline allows; returns the oldest that is
// kept.
std::uint64_t Upkeep::remove_events(const Log& log, std::uint64_t until, Deadline deadline) {
  std::uint64_t first = log.first;
  while (first < until) {
    const std::uint64_t next = std::min(until, first + static_cast<std::uint64_t>(piece));
    delete_events_.run(log.session, next);
    first = next;
    if (past(deadline)) break;
  }
  return first;
}

bool Upkeep::prune_events(const SessionId& session, std::uint64_t first_kept, Deadline deadline,
                          std::uint64_t& removed) {
  const SessionRow row = sessions_.find(session);
  if (row.last_sequence == 0) return true;
  const std::uint64_t until = std::min(first_kept, row.last_sequence);
  if (until <= row.first_sequence) return true;
  const std::uint64_t first =
      remove_events({row.id, row.first_sequence, row.last_sequence}, until, deadline);
  set_first_.run(first, row.id);
  removed += first - row.first_sequence;
  return first == until;
}

// ---- erasing ------------------------------------------------------------------------------------

bool Upkeep::erase_session(const SessionId& session) {
  const SessionRow row = sessions_.find(session);
  if (row.id == 0) return false;
  if (row.last_archived != 0) delete_archive_of_.run(row.id);
  bury_.run(row.id);
  if (row.live) --lives_;
  return true;
}

bool Upkeep::remove_erased(Deadline deadline) {
  for (;;) {
    std::int64_t session = 0;
    {
      Statement::Rows rows = find_erased_.query();
      if (!rows.next()) return true;
      session = rows.integer(0);
    }
    while (delete_events_of_erased_.run(session, piece) == piece)
      if (past(deadline)) return false;
    while (delete_records_of_erased_.run(session, piece) == piece)
      if (past(deadline)) return false;
    delete_session_.run(session);
    if (past(deadline)) return false;
  }
}

// ---- sweeping -----------------------------------------------------------------------------------

void Upkeep::name_expired(const SweepQuery& query, SweepResult& result) {
  Statement::Rows rows = find_expired_.query(to_unix_milliseconds(query.now), query.limit + 1);
  while (rows.next()) {
    if (result.expired.size() == query.limit) {
      result.more = true;
      return;
    }
    result.expired.push_back(session_id(rows.text(0)));
  }
}

Upkeep::Log Upkeep::next_log(const SweepQuery& query) {
  Statement::Rows rows = find_ended_.query(to_unix_milliseconds(query.now - limits_.log_retention));
  if (!rows.next()) return {};
  return {rows.integer(0), rows.number(1), rows.number(2)};
}

bool Upkeep::remove_logs(const SweepQuery& query, Deadline deadline, SweepResult& result) {
  for (;;) {
    const Log log = next_log(query);
    if (log.session == 0) return true;
    if (result.logs_removed >= query.limit) {
      result.more = true;
      return true;
    }
    const std::uint64_t first = remove_events(log, log.last + 1, deadline);
    if (first <= log.last) {
      set_first_.run(first, log.session);
      return false;
    }
    forget_log_.run(log.session);
    delete_if_empty_.run(log.session);
    ++result.logs_removed;
    if (past(deadline)) return false;
  }
}

// The last step first and the chain's own record last: what can be seen of it meanwhile is a chain
// that loses its newest steps.
bool Upkeep::remove_chains(const SweepQuery& query, Deadline deadline, SweepResult& result) {
  for (;;) {
    std::int64_t session = 0;
    std::int64_t chain = 0;
    {
      Statement::Rows rows =
          find_old_chain_.query(to_unix_milliseconds(query.now - limits_.archive_retention));
      if (!rows.next()) return true;
      session = rows.integer(0);
      chain = rows.integer(1);
    }
    if (result.chains_removed >= query.limit) {
      result.more = true;
      return true;
    }
    while (delete_steps_.run(session, chain, piece) == piece)
      if (past(deadline)) return false;
    delete_chain_.run(session, chain);
    recount_archive_.run(session);
    delete_if_empty_.run(session);
    ++result.chains_removed;
    if (past(deadline)) return false;
  }
}

bool Upkeep::shrink(Deadline deadline) {
  for (;;) {
    {
      Statement::Rows rows = free_pages_.query();
      if (!rows.next() || rows.integer(0) <= spare_pages) return true;
    }
    vacuum_.run();
    if (past(deadline)) return false;
  }
}

}  // namespace actionflows::sqlite
