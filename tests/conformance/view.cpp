#include "tests/conformance/view.hpp"

#include "tests/support/change.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest-printers.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <stdexcept>
#include <tuple>

namespace actionflows {

void PrintTo(const Activity& activity, std::ostream* out) {
  *out << "active " << format_rfc3339(activity.last_active) << ", expires "
       << format_rfc3339(activity.expires);
}

}  // namespace actionflows

namespace actionflows::test {
namespace {

// Long or binary bytes are told by their length and hash.
std::string show(const Bytes& bytes) {
  const std::string_view text = bytes.view();
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c >= ' '; });
  if (plain && text.size() <= 80) return "'" + std::string(text) + "'";
  return std::to_string(text.size()) + " bytes #" +
         std::to_string(std::hash<std::string_view>()(text));
}

std::string show(const StoredRecord& record) {
  return "v" + std::to_string(record.version) + (record.archived ? " archived " : " live ") +
         show(record.bytes);
}

std::string show(const Activity& activity) { return testing::PrintToString(activity); }

bool equal(const StoredRecord& a, const StoredRecord& b) {
  return std::tie(a.bytes, a.version, a.archived) == std::tie(b.bytes, b.version, b.archived);
}

bool equal(const StoredEvent& a, const StoredEvent& b) {
  return std::tie(a.sequence, a.bytes, a.operation_id) ==
         std::tie(b.sequence, b.bytes, b.operation_id);
}

void require(bool holds, const std::string& rule) {
  if (!holds) throw std::logic_error("the driver contradicts itself: " + rule);
}

template <class Item, class Page>
std::vector<Item> all_pages(ListQuery query, const std::function<Page(const ListQuery&)>& list) {
  std::vector<Item> items;
  for (int pages = 0;; ++pages) {
    require(pages < 100'000, "pages without end");
    Page page = list(query);
    require(page.items.size() <= query.limit, "a page longer than its limit");
    std::move(page.items.begin(), page.items.end(), std::back_inserter(items));
    if (!page.next) return items;
    query.after = std::move(page.next);
  }
}

}  // namespace

bool operator==(const SessionView& a, const SessionView& b) {
  const auto same_event = [](const StoredEvent& x, const StoredEvent& y) { return equal(x, y); };
  const auto same_record = [](const auto& x, const auto& y) {
    return x.first == y.first && equal(x.second, y.second);
  };
  const auto told = [](const SessionView& view) {
    return std::tie(view.live, view.activity, view.last_archived, view.owner, view.first_sequence,
                    view.last_sequence);
  };
  return told(a) == told(b) && std::ranges::equal(a.records, b.records, same_record) &&
         std::ranges::equal(a.events, b.events, same_event);
}

std::ostream& operator<<(std::ostream& out, const SessionView& view) {
  out << (view.live ? "live, " + show(view.activity) : "not live") << ", log "
      << view.first_sequence << " to " << view.last_sequence << ", archived up to "
      << view.last_archived << '\n';
  for (const auto& [key, record] : view.records)
    out << "  " << to_string(key) << ": " << show(record) << '\n';
  for (const StoredEvent& event : view.events)
    out << "  " << event.sequence << " by " << event.operation_id << ": " << show(event.bytes)
        << '\n';
  return out;
}

std::ostream& operator<<(std::ostream& out, const UserView& view) {
  for (const std::string& line : view.sessions) out << "  session " << line << '\n';
  for (const std::string& line : view.archive) out << "  archived " << line << '\n';
  return out;
}

std::string line_of(const ListedSession& session) {
  return session.id.str() + " " + show(session.record) + " " + show(session.activity);
}

std::string line_of(const ArchivedChain& chain) {
  return chain.id.str() + " " + show(chain.record);
}

SessionView view_of(StorageDriver& driver, const SessionId& session,
                    std::span<const RecordKey> keys) {
  ReadResult read = run(driver.read(session, keys));
  require(read.records.size() == keys.size(), "as many answers as keys");
  SessionView view;
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (read.records[i]) view.records.emplace(keys[i], std::move(*read.records[i]));
  view.live = read.live;
  if (read.live) view.activity = read.activity;
  view.last_archived = read.last_archived;
  view.owner = std::move(read.owner);
  view.last_sequence = read.last_sequence;

  EventQuery query;
  do {
    EventPage page = run(driver.read_events(session, query));
    require(page.last_sequence == view.last_sequence, "read and read_events on the last sequence");
    require(page.events.size() <= query.limit, "a page of events longer than its limit");
    view.first_sequence = page.first_sequence;
    std::move(page.events.begin(), page.events.end(), std::back_inserter(view.events));
    require(!page.events.empty() || view.last_sequence == 0, "a log with no event in it");
    if (!view.events.empty()) query.after = view.events.back().sequence;
  } while (query.after < view.last_sequence);
  return view;
}

UserView view_of(StorageDriver& driver, const UserId& user, std::size_t page,
                 const std::optional<std::string>& state) {
  ListQuery query = pages_of(user, page);
  UserView view;
  for (const ArchivedChain& chain : all_archived(driver, query))
    view.archive.push_back(line_of(chain));
  query.state = state;
  for (const ListedSession& session : all_sessions(driver, query))
    view.sessions.push_back(line_of(session));
  return view;
}

std::vector<ListedSession> all_sessions(StorageDriver& driver, ListQuery query) {
  return all_pages<ListedSession, SessionPage>(
      std::move(query), [&](const ListQuery& page) { return run(driver.list_sessions(page)); });
}

std::vector<ArchivedChain> all_archived(StorageDriver& driver, ListQuery query) {
  return all_pages<ArchivedChain, ArchivePage>(
      std::move(query), [&](const ListQuery& page) { return run(driver.list_archive(page)); });
}

}  // namespace actionflows::test
