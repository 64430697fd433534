#include "actionflows/storage/redis/lists.hpp"

#include "actionflows/base/clock.hpp"
#include "actionflows/storage/redis/indexes.hpp"
#include "actionflows/storage/redis/records_sink.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace actionflows::redis {
namespace {

// With a filter, this many more entries are looked at for a page.
constexpr std::size_t looks_beyond_the_page = 200;

// An entry points at nothing, and its time has been over for so long: nobody is about to write what
// it stands for.
constexpr std::chrono::minutes stale_after{1};

bool is_stale(Timestamp time) { return time + stale_after < system_clock().now(); }

std::vector<std::string> all_shards(const Keys& keys,
                                    std::string (Keys::*name)(std::size_t) const) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < shards; ++i) names.push_back((keys.*name)(i));
  return names;
}

// An entry, the reply that tells of it, and the key of the record it points at.
struct Found {
  ListPosition entry;
  std::string key;
  std::string field;
  RecordsSink reply{true};
  Texts kept;
  std::vector<const Command*> commands;  // that the replies are to

  void check(const std::string& operation) const {
    for (const Command* command : commands) command->check(operation, entry.name);
    reply.check(entry.name);
  }
};

bool belongs(const ListQuery& query, const Meta& meta) {
  if (!meta.live) return false;
  return !query.user || meta.user == query.user->str();
}

// Reads what one entry stands for; what of it can't be understood is told in the page, and the
// others are served.
template <class Page, class Reading>
void take(Page& page, const Reading& reading) {
  try {
    reading();
  } catch (const StorageError& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    page.corrupt.push_back(error);
  }
}

// What is found misplaced is put right, for the next reader; not being able to is no failure.
Task<void> repair(Client& client, Commands commands, Call::TimePoint deadline) {
  if (commands.empty()) co_return;
  co_await client.run(commands.all(), deadline);
}

}  // namespace

Task<SessionPage> list_sessions(Client& client, const Keys& keys, ListQuery query,
                                Call::TimePoint deadline) {
  SessionPage page;
  page.provenance.source = Source::redis;
  std::vector<std::string> indexes;
  if (query.user) {
    indexes.push_back(keys.user(*query.user));
  } else {
    indexes = all_shards(keys, &Keys::sessions);
  }
  const std::size_t looks = query.limit + (query.state ? looks_beyond_the_page : 0);
  const Listing listing =
      co_await list_entries(client, indexes, query.after, looks, deadline, "list_sessions");
  std::deque<Found> found;
  Commands commands;
  for (const ListPosition& entry : listing.entries) {
    const auto id = SessionId::parse(entry.name);
    if (!id) continue;
    Found& each =
        found.emplace_back(Found{entry, keys.session(*id), {}, RecordsSink(true), {}, {}});
    Command& command = commands.add(Command("HMGET", each.key, each.reply));
    command.arg(each.key).arg("meta").arg("session");
    each.commands = {&command};
  }
  co_await client.run(commands.all(), deadline);

  Commands repairs;
  const auto read = [&](const Found& each) {
    each.check("list_sessions");
    const SessionId id = *SessionId::parse(each.entry.name);
    const auto meta = each.reply.meta(id.str());
    const std::string index = query.user ? indexes.front() : keys.sessions(shard_of(id));
    if (!meta || !belongs(query, *meta)) {
      if (is_stale(each.entry.time)) remove_entry(repairs, index, id.str(), each.entry.time);
      return;
    }
    if (meta->until != each.entry.time) put_entry(repairs, index, id.str(), meta->until);
    const auto& record = each.reply.records.at(0);
    if (!record || (query.state && meta->state != *query.state)) return;
    page.items.push_back({id, *record, meta->activity()});
  };
  for (const Found& each : found) {
    if (page.items.size() == query.limit) break;
    page.next = each.entry;
    take(page, [&] { read(each); });
  }
  const bool all_seen = !page.next || found.empty() || *page.next == found.back().entry;
  if (all_seen && !listing.more) page.next.reset();
  co_await repair(client, std::move(repairs), deadline);
  co_return page;
}

Task<ArchivePage> list_archive(Client& client, const Keys& keys, ListQuery query,
                               Call::TimePoint deadline) {
  ArchivePage page;
  page.provenance.source = Source::redis;
  std::vector<std::string> indexes;
  if (query.user) {
    indexes.push_back(keys.chains(*query.user));
  } else {
    indexes = all_shards(keys, &Keys::archived);
  }
  const Listing listing =
      co_await list_entries(client, indexes, query.after, query.limit, deadline, "list_archive");
  std::deque<Found> found;
  Commands commands;
  for (const ListPosition& entry : listing.entries) {
    const auto id = ChainId::parse(entry.name);
    if (!id) continue;
    const std::string field = field_of(RecordKey::of_chain(id->number()));
    Found& each = found.emplace_back(
        Found{entry, keys.archive(id->session()), field, RecordsSink(false), {}, {}});
    Command& record = commands.add(Command("HMGET", each.key, each.reply));
    record.arg(each.key).arg(each.field);
    Command& kept = commands.add(Command("HGET", each.key, each.kept));
    kept.arg(each.key).copy({each.field, ".at"});
    each.commands = {&record, &kept};
  }
  co_await client.run(commands.all(), deadline);

  Commands repairs;
  const auto read = [&](const Found& each) {
    each.check("list_archive");
    const ChainId id = *ChainId::parse(each.entry.name);
    Words kept(each.kept.at(0));  // when it was archived, and whose it was
    const Timestamp at = from_unix_milliseconds(kept.number());
    const auto& record = each.reply.records.at(0);
    const bool owned = kept.ok() && (!query.user || kept.rest() == query.user->str());
    const std::string index = query.user ? indexes.front() : keys.archived(shard_of(id.session()));
    if (record && owned) {
      page.items.push_back({id, *record});
      if (at != each.entry.time) put_entry(repairs, index, id.str(), at);
    } else if (is_stale(each.entry.time)) {
      remove_entry(repairs, index, id.str(), each.entry.time);
    }
  };
  for (const Found& each : found) take(page, [&] { read(each); });
  if (listing.more) page.next = listing.entries.back();
  co_await repair(client, std::move(repairs), deadline);
  co_return page;
}

}  // namespace actionflows::redis
