#include "actionflows/storage/redis/sweeps.hpp"

#include "actionflows/storage/redis/indexes.hpp"
#include "actionflows/storage/redis/meta.hpp"

#include <array>
#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace actionflows::redis {
namespace {

using namespace std::chrono_literals;

constexpr auto claim_time = 10s;

using Replies = std::array<Texts, shards>;

struct Sweep {
  Client& client;
  const Keys& keys;
  const DriverLimits& limits;
  const SweepQuery query;
  const Call::TimePoint deadline;  // of all its parts
  SweepResult result;
  std::optional<StorageError> error;  // the first that a part has failed with
  bool closed = false;                // nothing of the driver may be used any more
};

Task<void> run(Sweep& sweep, const Commands& commands) {
  co_await sweep.client.run(commands.all(), sweep.deadline);
  if (!commands.closed()) co_return;
  sweep.closed = true;
  throw to_storage_error(LinkFailure::closed, "sweep", {});
}

// What can't be understood is looked at again after so long, and does not hold up the others.
constexpr auto damaged_again = 1h;

// Whether a command failed because what stands there can't be understood. Throws all else.
bool damaged(const Command& command, const std::string& record) {
  try {
    command.check("sweep", record);
  } catch (const StorageError& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    return true;
  }
  return false;
}

// The members of an index's shards at or before a time: of each shard the earliest, one more than
// are asked for.
Task<std::vector<std::string>> due_members(Sweep& sweep,
                                           std::string (Keys::*index)(std::size_t) const,
                                           Timestamp until) {
  Replies replies;
  Commands commands;
  for (std::size_t i = 0; i < shards; ++i) {
    const std::string key = (sweep.keys.*index)(i);
    commands.add(Command("ZREVRANGEBYSCORE", key, replies[i]))
        .copy({key})
        .arg("+inf")
        .number(-to_unix_milliseconds(until))
        .arg("LIMIT")
        .arg("0")
        .count(sweep.query.limit + 1);
  }
  co_await run(sweep, commands);
  commands.check("sweep", {});
  std::vector<std::string> members;
  for (const Texts& reply : replies)
    for (std::size_t i = 0; i < reply.texts.size(); ++i) members.emplace_back(reply.at(i));
  co_return members;
}

// Those that are ids, as many as one call does.
template <class Id>
std::vector<Id> take_ids(Sweep& sweep, const std::vector<std::string>& members) {
  std::vector<Id> ids;
  for (const std::string& member : members) {
    auto id = Id::parse(member);
    if (!id) continue;
    if (ids.size() == sweep.query.limit) {
      sweep.result.more = true;
      break;
    }
    ids.push_back(*std::move(id));
  }
  return ids;
}

// A script that removes something of a session, and what it says.
struct Drop {
  Drop(const Keys& keys, const SessionId& session)
      : hash(keys.session(session)), log(keys.log(session)), archive(keys.archive(session)) {}

  Command& add_to(Commands& commands, const Script& script) {
    Command& added = commands.add(Command(script, {hash, log, archive}, verdict));
    command = &added;
    return added;
  }

  const std::string hash;
  const std::string log;
  const std::string archive;
  Texts verdict;
  const Command* command = nullptr;
};

// ---- sessions past their deadline

struct Due {
  SessionId id;
  std::string key;
  Texts meta;
  const Command* command = nullptr;
};

// An entry may be late or early: the session itself tells.
Task<void> confirm_expired(Sweep& sweep, std::deque<Due>& due) {
  Commands commands;
  for (Due& each : due) {
    Command& command = commands.add(Command("HGET", each.key, each.meta));
    each.command = &command.arg(each.key).arg("meta");
  }
  co_await run(sweep, commands);
  Commands repairs;
  for (const Due& each : due) {
    const std::string index = sweep.keys.sessions(shard_of(each.id));
    const bool unreadable = damaged(*each.command, each.id.str());
    const auto meta = unreadable ? std::nullopt : parse_meta(each.meta.at(0));
    if (unreadable || (!meta && !each.meta.at(0).empty())) {
      put_entry(repairs, index, each.id.str(), sweep.query.now + damaged_again);
    } else if (!meta || !meta->live) {
      remove_due_entry(repairs, index, each.id.str(), sweep.query.now);
    } else if (meta->until > sweep.query.now) {
      put_entry(repairs, index, each.id.str(), meta->until);
    } else {
      sweep.result.expired.push_back(each.id);
    }
  }
  co_await run(sweep, repairs);
}

Task<void> name_expired(Sweep& sweep, const std::string& instance) {
  const SweepQuery& query = sweep.query;
  Replies replies;
  std::deque<std::string> names;
  Commands commands;
  for (std::size_t i = 0; i < shards; ++i) {
    const std::string& index = names.emplace_back(sweep.keys.sessions(i));
    const std::string& claims = names.emplace_back(sweep.keys.claims(i));
    commands.add(Command(scripts().claim, {index, claims}, replies[i]))
        .number(to_unix_milliseconds(query.now))
        .count(query.limit)
        .arg(instance)
        .number(to_unix_milliseconds(query.now + claim_time));
  }
  co_await run(sweep, commands);
  commands.check("sweep", {});
  std::deque<Due> due;
  for (const Texts& reply : replies) {
    if (reply.number(0) > 0) sweep.result.more = true;
    for (std::size_t i = 1; i < reply.texts.size(); ++i) {
      auto id = SessionId::parse(reply.at(i));
      if (!id) continue;
      if (due.size() == query.limit) {
        sweep.result.more = true;
        break;
      }
      std::string key = sweep.keys.session(*id);
      due.push_back({*std::move(id), std::move(key), {}, nullptr});
    }
  }
  if (!due.empty()) co_await confirm_expired(sweep, due);
}

// ---- logs past their retention

Task<void> remove_logs(Sweep& sweep) {
  const auto members = co_await due_members(sweep, &Keys::ended, sweep.query.now);
  const auto ids = take_ids<SessionId>(sweep, members);
  std::deque<Drop> drops;
  Commands commands;
  for (const SessionId& id : ids)
    drops.emplace_back(sweep.keys, id)
        .add_to(commands, scripts().drop_log)
        .number(to_unix_milliseconds(sweep.query.now));
  co_await run(sweep, commands);
  Commands entries;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::string& name = ids[i].str();
    const std::string index = sweep.keys.ended(shard_of(ids[i]));
    const Texts& verdict = drops[i].verdict;
    if (damaged(*drops[i].command, name)) {
      put_entry(entries, index, name, sweep.query.now + damaged_again);
    } else if (verdict.at(0) == "early") {  // it has ended once more since
      put_entry(entries, index, name, from_unix_milliseconds(verdict.number(1)));
    } else {
      remove_due_entry(entries, index, name, sweep.query.now);
      if (verdict.at(0) == "removed") ++sweep.result.logs_removed;
    }
  }
  co_await run(sweep, entries);
}

// ---- archived chains past their retention

Task<void> remove_chains(Sweep& sweep) {
  const Timestamp until = sweep.query.now - sweep.limits.archive_retention;
  const auto members = co_await due_members(sweep, &Keys::archived, until);
  const auto ids = take_ids<ChainId>(sweep, members);
  std::deque<Drop> drops;
  Commands commands;
  for (const ChainId& id : ids)
    drops.emplace_back(sweep.keys, id.session())
        .add_to(commands, scripts().drop_chain)
        .count(id.number())
        .number(to_unix_milliseconds(until));
  co_await run(sweep, commands);
  Commands entries;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::string name = ids[i].str();
    const std::string index = sweep.keys.archived(shard_of(ids[i].session()));
    const Texts& verdict = drops[i].verdict;
    if (damaged(*drops[i].command, name)) {
      put_entry(entries, index, name, until + damaged_again);
      continue;
    }
    if (verdict.at(0) == "early") {  // the entry is of an earlier life
      put_entry(entries, index, name, from_unix_milliseconds(verdict.number(1)));
      continue;
    }
    remove_due_entry(entries, index, name, until);
    if (verdict.at(0) != "removed") continue;
    ++sweep.result.chains_removed;
    if (const auto user = UserId::parse(verdict.at(1)))
      remove_due_entry(entries, sweep.keys.chains(*user), name, until);
  }
  co_await run(sweep, entries);
}

// Does one part; what it fails with does not keep the others from being done.
Task<void> go_on(Sweep& sweep, Task<void> part) {
  try {
    co_await std::move(part);
  } catch (const StorageError& error) {
    if (sweep.closed) throw;
    if (!sweep.error) sweep.error = error;
  }
}

}  // namespace

Task<SweepResult> sweep(Client& client, const Keys& keys, const DriverLimits& limits,
                        std::string instance, SweepQuery query) {
  Sweep sweep{client, keys, limits, query, client.deadline(), {}, {}, false};
  Task<void> naming = name_expired(sweep, instance);
  co_await go_on(sweep, std::move(naming));
  Task<void> of_logs = remove_logs(sweep);
  co_await go_on(sweep, std::move(of_logs));
  Task<void> of_chains = remove_chains(sweep);
  co_await go_on(sweep, std::move(of_chains));
  const SweepResult& done = sweep.result;
  const bool nothing = done.expired.empty() && done.logs_removed == 0 && done.chains_removed == 0;
  if (sweep.error && nothing) throw *sweep.error;
  co_return std::move(sweep.result);
}

}  // namespace actionflows::redis
