#include "actionflows/storage/sqlite/changes.hpp"

#include "actionflows/storage/commit_checks.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace actionflows::sqlite {
namespace {

[[noreturn]] void refuse(ErrorCode code, std::string why, const Commit& commit) {
  throw failure(code, std::move(why), "commit", commit.session.str());
}

bool puts_chain(const Commit& commit, std::uint32_t number) {
  return std::any_of(commit.puts.begin(), commit.puts.end(),
                     [&](const Put& put) { return put.key == RecordKey::of_chain(number); });
}

void expect_version(std::uint64_t found, std::uint64_t expected, const Commit& commit) {
  if (found == expected) return;
  StorageError error = failure(ErrorCode::conflict,
                               "version " + std::to_string(found) + " stands where " +
                                   std::to_string(expected) + " was expected",
                               "commit", commit.session.str());
  error.current_version = found;
  throw error;
}

}  // namespace

Changes::Changes(Connection& connection, const DriverLimits& limits)
    : connection_(connection),
      limits_(limits),
      sessions_(connection),
      insert_session_(connection,
                      "INSERT INTO sessions(name, live, user, state, last_active, expires, "
                      "first_sequence, last_sequence, last_archived) VALUES(?, 1, ?, ?, ?, ?, "
                      "0, 0, 0)"),
      // Columns that stand in an index are set only where they change: setting one moves its entry.
      relist_session_(connection,
                      "UPDATE sessions SET live = 1, user = ?, state = ?, last_active = ?, "
                      "expires = ?, ended_at = NULL WHERE id = ?"),
      advance_session_(connection,
                       "UPDATE sessions SET first_sequence = ?, last_sequence = ?, "
                       "last_archived = ? WHERE id = ?"),
      end_session_(connection, "UPDATE sessions SET live = 0, ended_at = ? WHERE id = ?"),
      find_record_(connection,
                   "SELECT id, version FROM records WHERE session = ? AND chain = ? AND step = ?"),
      insert_record_(connection,
                     "INSERT INTO records(session, chain, step, version, bytes) "
                     "VALUES(?, ?, ?, ?, ?)"),
      update_record_(connection, "UPDATE records SET version = ?, bytes = ? WHERE id = ?"),
      delete_record_(connection, "DELETE FROM records WHERE id = ?"),
      delete_records_(connection, "DELETE FROM records WHERE session = ?"),
      delete_live_records_(connection,
                           "DELETE FROM records WHERE session = ?1 AND chain NOT IN "
                           "(SELECT chain FROM archive WHERE session = ?1)"),
      find_archived_(connection, "SELECT 1 FROM archive WHERE session = ? AND chain = ?"),
      insert_archived_(connection,
                       "INSERT INTO archive(session, chain, archived_at, user, name) "
                       "VALUES(?, ?, ?, ?, ?)"),
      find_operation_(connection,
                      "SELECT max(sequence) FROM events "
                      "WHERE session = ? AND sequence > ? AND operation = ?"),
      find_earlier_(connection, "SELECT operation FROM events WHERE session = ? AND sequence = ?"),
      insert_event_(connection,
                    "INSERT INTO events(session, sequence, operation, bytes) VALUES(?, ?, ?, ?)") {}

CommitResult Changes::apply(const Commit& commit) {
  SessionRow row = sessions_.find(commit.session);
  // A repeat is looked for before anything is checked: its own first run changed the versions.
  if (commit.may_repeat) {
    if (auto earlier = find_operation(row, commit)) return *std::move(earlier);
  }
  check_session(row, commit);
  check_limits(row, commit);
  check_records(row, commit);
  check_archive(row, commit);

  // From here on nothing is refused.
  write(row, commit);
  wakeups_.push_back({commit.session, UserId::parse(row.user).value_or(UserId()), row.last_sequence,
                      commit.events[0].type});
  CommitResult result;
  result.last_sequence = row.last_sequence;
  result.first_sequence = row.last_sequence - commit.events.size() + 1;
  result.activity = row.activity;
  result.durability.level = DurabilityLevel::fsynced;
  return result;
}

bool Changes::touch(const SessionId& session, const Activity& activity) {
  const SessionRow row = sessions_.find(session);
  if (!row.live || row.activity.expires <= activity.last_active) return false;
  if (const auto moved = moved_activity(row.activity, activity, limits_.touch_interval))
    relist_session_.run(row.user, row.state, to_unix_milliseconds(moved->last_active),
                        to_unix_milliseconds(moved->expires), row.id);
  return true;
}

// ---- what can refuse ----------------------------------------------------------------------------

std::optional<CommitResult> Changes::find_operation(const SessionRow& row, const Commit& commit) {
  if (row.last_sequence == 0) return std::nullopt;
  const std::uint64_t before =
      row.last_sequence > operation_memory ? row.last_sequence - operation_memory : 0;
  CommitResult result;
  {
    Statement::Rows rows = find_operation_.query(row.id, before, commit.operation_id);
    if (!rows.next() || rows.is_null(0)) return std::nullopt;
    result.first_sequence = result.last_sequence = rows.number(0);
  }
  // Its events stand together, and may begin before those that are searched.
  while (result.first_sequence > row.first_sequence) {
    Statement::Rows rows = find_earlier_.query(row.id, result.first_sequence - 1);
    if (!rows.next() || rows.text(0) != commit.operation_id) break;
    --result.first_sequence;
  }
  result.repeated = true;
  result.activity = row.activity;
  result.durability.level = DurabilityLevel::fsynced;
  return result;
}

void Changes::check_session(const SessionRow& row, const Commit& commit) const {
  const auto conflict = [&](const char* why) { refuse(ErrorCode::conflict, why, commit); };
  const bool expired = row.live && row.activity.expires <= commit.at;
  if (!row.live && !creates_session(commit)) conflict("there is no such session");
  if (expired && !commit.end_session) conflict("the session has expired");
  if (commit.precondition == Precondition::fresh && !row.fresh())
    conflict("something stands under this session id");
  if (commit.precondition == Precondition::expired && !expired)
    conflict("the session has not expired");
  if (commit.first_sequence != 0 && row.last_sequence != 0) conflict("the log is not empty");
  if (commit.expected_last_sequence && *commit.expected_last_sequence != row.last_sequence)
    conflict("the log has gone on");
}

Changes::Standing Changes::look_up(const SessionRow& row, RecordKey key) {
  if (row.id == 0) return {};
  Statement::Rows rows = find_record_.query(row.id, key.chain, key.step);
  if (!rows.next()) return {};
  return {rows.integer(0), rows.number(1)};
}

bool Changes::is_archived(const SessionRow& row, std::uint32_t chain) {
  if (chain == 0 || chain > row.last_archived) return false;
  return find_archived_.query(row.id, chain).next();
}

void Changes::check_records(const SessionRow& row, const Commit& commit) {
  const auto must_be_live = [&](std::uint32_t chain) {
    if (is_archived(row, chain))
      refuse(ErrorCode::conflict, "an archived chain is immutable", commit);
  };
  for (const Expect& expect : commit.expects)
    expect_version(look_up(row, expect.key).version, expect.version, commit);
  replaced_.clear();
  for (const Put& put : commit.puts) {
    must_be_live(put.key.chain);
    replaced_.push_back(look_up(row, put.key));
    expect_version(replaced_.back().version, put.expected_version, commit);
  }
  erased_.clear();
  for (const Expect& erase : commit.erases) {
    must_be_live(erase.key.chain);
    erased_.push_back(look_up(row, erase.key));
    expect_version(erased_.back().version, erase.version, commit);
    if (erase.version == 0) refuse(ErrorCode::conflict, "what is erased must exist", commit);
  }
}

void Changes::check_archive(const SessionRow& row, const Commit& commit) {
  for (const std::uint32_t number : commit.archive) {
    if (is_archived(row, number))
      refuse(ErrorCode::conflict, "an archived chain is immutable", commit);
    if (!puts_chain(commit, number) && look_up(row, RecordKey::of_chain(number)).version == 0)
      refuse(ErrorCode::conflict, "there is no such chain to archive", commit);
  }
}

void Changes::check_limits(const SessionRow& row, const Commit& commit) const {
  const auto exhausted = [&](const std::string& what, std::uint64_t limit) {
    refuse(ErrorCode::exhausted, what + " (limit " + std::to_string(limit) + ")", commit);
  };
  for (const Put& put : commit.puts) {
    if (put.key.chain > limits_.max_chains)
      exhausted("the session has too many chains", limits_.max_chains);
    if (put.key.chain > 0 && put.key.step > limits_.max_steps)
      exhausted("the chain has too many steps", limits_.max_steps);
  }
  // What makes room is let through.
  if (row.logged() + commit.events.size() > limits_.max_events && !commit.end_session)
    exhausted("the session's log is full: prune it", limits_.max_events);
}

// ---- what changes -------------------------------------------------------------------------------

void Changes::write(SessionRow& row, const Commit& commit) {
  write_session(row, commit);
  for (std::size_t i = 0; i < commit.puts.size(); ++i) {
    const Put& put = commit.puts[i];
    const Blob bytes{put.bytes.view()};
    if (replaced_[i].id != 0) {
      update_record_.run(put.version, bytes, replaced_[i].id);
    } else {
      insert_record_.run(row.id, put.key.chain, put.key.step, put.version, bytes);
    }
  }
  for (const Standing& record : erased_) delete_record_.run(record.id);
  archive(row, commit);
  // Before the events, which then find room in a store that is full.
  if (commit.end_session) end(row, commit);
  write_events(row, commit);
}

// Brings it to life, or moves it where its deadline, its user and its state say.
void Changes::write_session(SessionRow& row, const Commit& commit) {
  const bool comes = !row.live;
  std::optional<Activity> moved = commit.activity;
  if (commit.activity && !comes)
    moved = moved_activity(row.activity, *commit.activity, limits_.touch_interval);
  const bool relisted = commit.listed && (comes || commit.listed->user.str() != row.user ||
                                          commit.listed->state != row.state);
  if (moved) row.activity = *moved;
  if (relisted) {
    row.user = commit.listed->user.str();
    row.state = commit.listed->state;
  }
  if (comes) {
    row.live = true;
    ++lives_;
  }
  if (row.id == 0) {
    insert_session_.run(commit.session.str(), row.user, row.state,
                        to_unix_milliseconds(row.activity.last_active),
                        to_unix_milliseconds(row.activity.expires));
    row.id = connection_.last_insert_id();
  } else if (comes || moved || relisted) {
    relist_session_.run(row.user, row.state, to_unix_milliseconds(row.activity.last_active),
                        to_unix_milliseconds(row.activity.expires), row.id);
  }
}

void Changes::archive(SessionRow& row, const Commit& commit) {
  for (const std::uint32_t number : commit.archive) {
    const ChainId id(commit.session, number);
    insert_archived_.run(row.id, number, to_unix_milliseconds(commit.at), row.user, id.str());
    row.last_archived = std::max(row.last_archived, number);
  }
}

void Changes::end(const SessionRow& row, const Commit& commit) {
  if (row.last_archived == 0) {
    delete_records_.run(row.id);
  } else {
    delete_live_records_.run(row.id);
  }
  end_session_.run(to_unix_milliseconds(commit.at), row.id);
  --lives_;
}

void Changes::write_events(SessionRow& row, const Commit& commit) {
  if (row.last_sequence == 0) {
    row.first_sequence = std::max<std::uint64_t>(commit.first_sequence, 1);
    row.last_sequence = row.first_sequence - 1;
  }
  for (const NewEvent& event : commit.events) {
    const std::string& own = event.operation_id;
    insert_event_.run(row.id, ++row.last_sequence, own.empty() ? commit.operation_id : own,
                      Blob{event.bytes.view()});
  }
  advance_session_.run(row.first_sequence, row.last_sequence, row.last_archived, row.id);
}

}  // namespace actionflows::sqlite
