// All that a driver shows of a session and of a user, in a form that can be compared and printed.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <iosfwd>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace actionflows {

// How GoogleTest shows it.
void PrintTo(const Activity& activity, std::ostream* out);

}  // namespace actionflows

namespace actionflows::test {

struct SessionView {
  std::map<RecordKey, StoredRecord> records;  // of the keys asked for; the absent left out
  bool live = false;
  Activity activity;  // of a live session
  std::uint32_t last_archived = 0;
  std::optional<UserId> owner;
  std::uint64_t first_sequence = 0;
  std::uint64_t last_sequence = 0;
  std::vector<StoredEvent> events;
};

bool operator==(const SessionView& a, const SessionView& b);
std::ostream& operator<<(std::ostream& out, const SessionView& view);

// What a user's lists hold, in their order, one line per item.
struct UserView {
  std::vector<std::string> sessions;
  std::vector<std::string> archive;

  friend bool operator==(const UserView&, const UserView&) = default;
};

std::ostream& operator<<(std::ostream& out, const UserView& view);

// The sessions or the archive of one user, or of all, in pages of this size.
inline ListQuery pages_of(std::optional<UserId> user, std::size_t limit = 50) {
  ListQuery query;
  query.user = std::move(user);
  query.limit = limit;
  return query;
}

std::string line_of(const ListedSession& session);
std::string line_of(const ArchivedChain& chain);

// As the driver tells it now. What one answer says twice, or two answers say both (the newest
// sequence in `read` and in `read_events`), must agree: throws std::logic_error when it doesn't.
SessionView view_of(StorageDriver& driver, const SessionId& session,
                    std::span<const RecordKey> keys);
// In pages of this size; the sessions of all states, or of one.
UserView view_of(StorageDriver& driver, const UserId& user, std::size_t page = 50,
                 const std::optional<std::string>& state = std::nullopt);

// Every page from `query.after` on. Throws std::logic_error when a page is longer than asked for or
// when the pages don't come to an end.
std::vector<ListedSession> all_sessions(StorageDriver& driver, ListQuery query);
std::vector<ArchivedChain> all_archived(StorageDriver& driver, ListQuery query);

}  // namespace actionflows::test
