#include "actionflows/storage/redis/sweeps.hpp"

#include "actionflows/storage/redis/indexes.hpp"
#include "actionflows/storage/redis/meta.hpp"

#include <array>
#include <chrono>
#include <deque>
#include <utility>

namespace actionflows::redis {
namespace {

using namespace std::chrono_literals;

constexpr auto claim_time = 10s;

using Replies = std::array<Texts, shards>;

// Asks every shard of an index for entries at or before a time, the earliest first.
void ask_due(Commands& commands, const std::string& key, Timestamp until, std::size_t count,
             Texts& reply) {
  commands.add(Command("ZREVRANGEBYSCORE", key, reply))
      .copy({key})
      .arg("+inf")
      .number(-milliseconds(until))
      .arg("LIMIT")
      .arg("0")
      .count(count);
}

struct Sweep {
  Client& client;
  const Keys& keys;
  const DriverLimits& limits;
  const SweepQuery query;
  SweepResult result;
};

// ---- sessions past their deadline

struct Due {
  SessionId id;
  std::string key;
  Texts meta;
};

// An entry may be late or early: the session itself tells.
Task<void> confirm_expired(Sweep& sweep, std::deque<Due>& due) {
  Commands commands;
  for (Due& each : due)
    commands.add(Command("HGET", each.key, each.meta)).arg(each.key).arg("meta");
  co_await sweep.client.run(commands.all(), sweep.client.deadline());
  commands.check("sweep", {});
  Commands repairs;
  for (const Due& each : due) {
    const std::string index = sweep.keys.sessions(shard_of(each.id));
    const auto meta = parse_meta(each.meta.at(0));
    if (!meta || !meta->live) {
      remove_entry(repairs, index, each.id.str());
    } else if (meta->until > sweep.query.now) {
      put_entry(repairs, index, each.id.str(), meta->until);
    } else {
      sweep.result.expired.push_back(each.id);
    }
  }
  co_await sweep.client.run(repairs.all(), sweep.client.deadline());
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
        .number(milliseconds(query.now))
        .count(query.limit)
        .arg(instance)
        .number(milliseconds(query.now + claim_time));
  }
  co_await sweep.client.run(commands.all(), sweep.client.deadline());
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
      due.push_back({*std::move(id), std::move(key), {}});
    }
  }
  if (!due.empty()) co_await confirm_expired(sweep, due);
}

// ---- logs past their retention

struct Log {
  SessionId id;
  std::string hash;
  std::string log;
  std::string archive;
  Texts verdict;
};

Task<void> remove_logs(Sweep& sweep) {
  Replies replies;
  Commands asks;
  for (std::size_t i = 0; i < shards; ++i)
    ask_due(asks, sweep.keys.ended(i), sweep.query.now, sweep.query.limit + 1, replies[i]);
  co_await sweep.client.run(asks.all(), sweep.client.deadline());
  asks.check("sweep", {});
  std::deque<Log> logs;
  for (const Texts& reply : replies) {
    for (std::size_t i = 0; i < reply.texts.size(); ++i) {
      auto id = SessionId::parse(reply.at(i));
      if (!id) continue;
      if (logs.size() == sweep.query.limit) {
        sweep.result.more = true;
        break;
      }
      const Keys& keys = sweep.keys;
      Log log{*id, keys.session(*id), keys.log(*id), keys.archive(*id), {}};
      logs.push_back(std::move(log));
    }
  }
  Commands drops;
  for (Log& log : logs)
    drops.add(Command(scripts().drop_log, {log.hash, log.log, log.archive}, log.verdict))
        .number(milliseconds(sweep.query.now));
  co_await sweep.client.run(drops.all(), sweep.client.deadline());
  drops.check("sweep", {});
  Commands removals;
  for (const Log& log : logs) {
    const std::string index = sweep.keys.ended(shard_of(log.id));
    if (log.verdict.at(0) == "removed") ++sweep.result.logs_removed;
    if (log.verdict.at(0) == "early") {  // it has ended once more since
      put_entry(removals, index, log.id.str(), timestamp(log.verdict.number(1)));
    } else {
      remove_entry(removals, index, log.id.str());
    }
  }
  co_await sweep.client.run(removals.all(), sweep.client.deadline());
}

// ---- archived chains past their retention

struct Archived {
  ChainId id;
  std::string hash;
  std::string log;
  std::string archive;
  Texts verdict;
};

Task<void> remove_chains(Sweep& sweep) {
  const Timestamp until = sweep.query.now - sweep.limits.archive_retention;
  Replies replies;
  Commands asks;
  for (std::size_t i = 0; i < shards; ++i)
    ask_due(asks, sweep.keys.archived(i), until, sweep.query.limit + 1, replies[i]);
  co_await sweep.client.run(asks.all(), sweep.client.deadline());
  asks.check("sweep", {});
  std::deque<Archived> chains;
  for (const Texts& reply : replies) {
    for (std::size_t i = 0; i < reply.texts.size(); ++i) {
      auto id = ChainId::parse(reply.at(i));
      if (!id) continue;
      if (chains.size() == sweep.query.limit) {
        sweep.result.more = true;
        break;
      }
      const Keys& keys = sweep.keys;
      const SessionId session = id->session();
      Archived chain{*id, keys.session(session), keys.log(session), keys.archive(session), {}};
      chains.push_back(std::move(chain));
    }
  }
  Commands drops;
  for (Archived& chain : chains)
    drops.add(Command(scripts().drop_chain, {chain.hash, chain.log, chain.archive}, chain.verdict))
        .count(chain.id.number())
        .number(milliseconds(until));
  co_await sweep.client.run(drops.all(), sweep.client.deadline());
  drops.check("sweep", {});
  Commands removals;
  for (const Archived& chain : chains) {
    if (chain.verdict.at(0) == "early") continue;
    remove_entry(removals, sweep.keys.archived(shard_of(chain.id.session())), chain.id.str());
    if (chain.verdict.at(0) != "removed") continue;
    ++sweep.result.chains_removed;
    if (const auto user = UserId::parse(chain.verdict.at(1)))
      remove_entry(removals, sweep.keys.chains(*user), chain.id.str());
  }
  co_await sweep.client.run(removals.all(), sweep.client.deadline());
}

}  // namespace

Task<SweepResult> sweep(Client& client, const Keys& keys, const DriverLimits& limits,
                        std::string instance, SweepQuery query) {
  Sweep sweep{client, keys, limits, query, {}};
  co_await name_expired(sweep, instance);
  co_await remove_logs(sweep);
  co_await remove_chains(sweep);
  co_return std::move(sweep.result);
}

}  // namespace actionflows::redis
