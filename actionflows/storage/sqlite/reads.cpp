#include "actionflows/storage/sqlite/reads.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace actionflows::sqlite {
namespace {

Provenance provenance() { return {Source::sqlite, std::chrono::milliseconds(0)}; }

// Where the first page begins: before everything.
ListPosition start_of(const ListQuery& query) {
  if (query.after) return *query.after;
  return {from_unix_milliseconds(std::numeric_limits<std::int64_t>::max()), std::string()};
}

// The parameters of these are: user (a list of one user only), time, name (same time only), state
// (sessions only), limit.
constexpr const char* user_sessions_same_time =
    "SELECT s.name, s.last_active, s.expires, r.version, r.bytes FROM sessions s "
    "JOIN records r ON r.session = s.id AND r.chain = 0 AND r.step = 0 "
    "WHERE s.live = 1 AND s.user = ?1 AND s.expires = ?2 AND s.name > ?3 "
    "AND (?4 IS NULL OR s.state = ?4) ORDER BY s.name LIMIT ?5";
constexpr const char* user_sessions_earlier =
    "SELECT s.name, s.last_active, s.expires, r.version, r.bytes FROM sessions s "
    "JOIN records r ON r.session = s.id AND r.chain = 0 AND r.step = 0 "
    "WHERE s.live = 1 AND s.user = ?1 AND s.expires < ?2 "
    "AND (?3 IS NULL OR s.state = ?3) ORDER BY s.expires DESC, s.name LIMIT ?4";
constexpr const char* all_sessions_same_time =
    "SELECT s.name, s.last_active, s.expires, r.version, r.bytes FROM sessions s "
    "JOIN records r ON r.session = s.id AND r.chain = 0 AND r.step = 0 "
    "WHERE s.live = 1 AND s.expires = ?1 AND s.name > ?2 "
    "AND (?3 IS NULL OR s.state = ?3) ORDER BY s.name LIMIT ?4";
constexpr const char* all_sessions_earlier =
    "SELECT s.name, s.last_active, s.expires, r.version, r.bytes FROM sessions s "
    "JOIN records r ON r.session = s.id AND r.chain = 0 AND r.step = 0 "
    "WHERE s.live = 1 AND s.expires < ?1 "
    "AND (?2 IS NULL OR s.state = ?2) ORDER BY s.expires DESC, s.name LIMIT ?3";
constexpr const char* user_archive_same_time =
    "SELECT a.name, a.archived_at, r.version, r.bytes FROM archive a "
    "JOIN records r ON r.session = a.session AND r.chain = a.chain AND r.step = 0 "
    "WHERE a.user = ?1 AND a.archived_at = ?2 AND a.name > ?3 ORDER BY a.name LIMIT ?4";
constexpr const char* user_archive_earlier =
    "SELECT a.name, a.archived_at, r.version, r.bytes FROM archive a "
    "JOIN records r ON r.session = a.session AND r.chain = a.chain AND r.step = 0 "
    "WHERE a.user = ?1 AND a.archived_at < ?2 ORDER BY a.archived_at DESC, a.name LIMIT ?3";
constexpr const char* all_archive_same_time =
    "SELECT a.name, a.archived_at, r.version, r.bytes FROM archive a "
    "JOIN records r ON r.session = a.session AND r.chain = a.chain AND r.step = 0 "
    "WHERE a.archived_at = ?1 AND a.name > ?2 ORDER BY a.name LIMIT ?3";
constexpr const char* all_archive_earlier =
    "SELECT a.name, a.archived_at, r.version, r.bytes FROM archive a "
    "JOIN records r ON r.session = a.session AND r.chain = a.chain AND r.step = 0 "
    "WHERE a.archived_at < ?1 ORDER BY a.archived_at DESC, a.name LIMIT ?2";

// Adds rows to the page; false: there was one more than it holds.
template <class Page, class Item>
bool fill(Page& page, std::size_t limit, Statement::Rows&& rows, const Item& add) {
  while (rows.next()) {
    if (page.items.size() == limit) return false;
    page.next = add(rows);  // where a following page would begin
  }
  return true;
}

ListPosition add_session(SessionPage& page, const Statement::Rows& rows) {
  const Activity activity{from_unix_milliseconds(rows.integer(1)),
                          from_unix_milliseconds(rows.integer(2))};
  page.items.push_back(
      {session_id(rows.text(0)), {Bytes(rows.blob(4)), rows.number(3), false}, activity});
  return {activity.expires, page.items.back().id.str()};
}

ListPosition add_chain(ArchivePage& page, const Statement::Rows& rows) {
  auto id = ChainId::parse(rows.text(0));
  if (!id) throw failure(ErrorCode::corrupt, "a stored chain id is none", "list_archive");
  page.items.push_back({*std::move(id), {Bytes(rows.blob(3)), rows.number(2), true}});
  return {from_unix_milliseconds(rows.integer(1)), page.items.back().id.str()};
}

}  // namespace

Reads::Reads(Connection& connection)
    : sessions_(connection),
      find_record_(connection,
                   "SELECT version, bytes FROM records "
                   "WHERE session = ? AND chain = ? AND step = ?"),
      find_archived_(connection, "SELECT 1 FROM archive WHERE session = ? AND chain = ?"),
      find_events_(connection,
                   "SELECT sequence, operation, bytes FROM events "
                   "WHERE session = ? AND sequence > ? ORDER BY sequence LIMIT ?"),
      sessions_of_user_{{connection, user_sessions_same_time}, {connection, user_sessions_earlier}},
      sessions_of_all_{{connection, all_sessions_same_time}, {connection, all_sessions_earlier}},
      archive_of_user_{{connection, user_archive_same_time}, {connection, user_archive_earlier}},
      archive_of_all_{{connection, all_archive_same_time}, {connection, all_archive_earlier}},
      live_(connection, "SELECT live FROM totals"),
      pages_(connection, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size") {
}

std::optional<StoredRecord> Reads::find(const SessionRow& row, RecordKey key) {
  Statement::Rows rows = find_record_.query(row.id, key.chain, key.step);
  if (!rows.next()) return std::nullopt;
  const bool archived = key.chain > 0 && key.chain <= row.last_archived &&
                        find_archived_.query(row.id, key.chain).next();
  return StoredRecord{Bytes(rows.blob(1)), rows.number(0), archived};
}

ReadResult Reads::read(const SessionId& session, std::span<const RecordKey> keys) {
  ReadResult result;
  result.provenance = provenance();
  const SessionRow row = sessions_.find(session);
  if (row.id == 0) {
    result.records.resize(keys.size());
    return result;
  }
  result.records.reserve(keys.size());
  for (const RecordKey key : keys) result.records.push_back(find(row, key));
  if (!row.fresh()) result.owner = UserId::parse(row.user);
  result.live = row.live;
  if (row.live) result.activity = row.activity;
  result.last_sequence = row.last_sequence;
  result.last_archived = row.last_archived;
  return result;
}

SessionPage Reads::list_sessions(const ListQuery& query) {
  SessionPage page;
  const ListPosition from = start_of(query);
  const std::int64_t time = to_unix_milliseconds(from.time);
  const std::size_t most = query.limit + 1;  // one more tells whether there is a next page
  const auto add = [&](const Statement::Rows& rows) { return add_session(page, rows); };
  bool ends = false;
  if (query.user) {
    const std::string& user = query.user->str();
    List& list = sessions_of_user_;
    ends = fill(page, query.limit, list.same_time.query(user, time, from.name, query.state, most),
                add) &&
           fill(page, query.limit, list.earlier.query(user, time, query.state, most), add);
  } else {
    List& list = sessions_of_all_;
    ends = fill(page, query.limit, list.same_time.query(time, from.name, query.state, most), add) &&
           fill(page, query.limit, list.earlier.query(time, query.state, most), add);
  }
  if (ends) page.next.reset();
  page.provenance = provenance();
  return page;
}

ArchivePage Reads::list_archive(const ListQuery& query) {
  ArchivePage page;
  const ListPosition from = start_of(query);
  const std::int64_t time = to_unix_milliseconds(from.time);
  const std::size_t most = query.limit + 1;
  const auto add = [&](const Statement::Rows& rows) { return add_chain(page, rows); };
  bool ends = false;
  if (query.user) {
    const std::string& user = query.user->str();
    List& list = archive_of_user_;
    ends = fill(page, query.limit, list.same_time.query(user, time, from.name, most), add) &&
           fill(page, query.limit, list.earlier.query(user, time, most), add);
  } else {
    List& list = archive_of_all_;
    ends = fill(page, query.limit, list.same_time.query(time, from.name, most), add) &&
           fill(page, query.limit, list.earlier.query(time, most), add);
  }
  if (ends) page.next.reset();
  page.provenance = provenance();
  return page;
}

EventPage Reads::read_events(const SessionId& session, const EventQuery& query) {
  EventPage page;
  page.provenance = provenance();
  const SessionRow row = sessions_.find(session);
  if (row.last_sequence == 0) return page;
  page.first_sequence = row.first_sequence;
  page.last_sequence = row.last_sequence;
  // Beyond what SQLite's numbers hold there is nothing.
  if (query.after >= row.last_sequence) return page;
  std::size_t bytes = 0;
  const std::size_t most = std::max<std::size_t>(query.limit, 1);
  Statement::Rows rows = find_events_.query(row.id, query.after, most);
  while (rows.next()) {
    const std::string_view event = rows.blob(2);
    bytes += event.size();
    if (bytes > query.max_bytes && !page.events.empty()) break;
    page.events.push_back({rows.number(0), Bytes(event), std::string(rows.text(1))});
  }
  return page;
}

std::uint64_t Reads::live_sessions() {
  Statement::Rows rows = live_.query();
  return rows.next() ? rows.number(0) : 0;
}

std::uint64_t Reads::bytes() {
  Statement::Rows rows = pages_.query();
  return rows.next() ? rows.number(0) : 0;
}

}  // namespace actionflows::sqlite
