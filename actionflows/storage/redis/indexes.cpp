#include "actionflows/storage/redis/indexes.hpp"

#include "actionflows/base/clock.hpp"
#include "actionflows/storage/redis/meta.hpp"

#include <algorithm>
#include <charconv>

namespace actionflows::redis {
namespace {

// A score is a time with the other sign, so that the latest stand first.
std::optional<Timestamp> time_of(std::string_view score) {
  double value = 0;
  const auto [end, error] = std::from_chars(score.data(), score.data() + score.size(), value);
  if (error != std::errc() || end != score.data() + score.size()) return std::nullopt;
  return from_unix_milliseconds(-static_cast<std::int64_t>(value));
}

bool comes_before(const ListPosition& a, const ListPosition& b) {
  return a.time != b.time ? a.time > b.time : a.name < b.name;
}

}  // namespace

void put_entry(Commands& commands, const std::string& key, const std::string& name, Timestamp time,
               Entry mode, Sink& reply) {
  commands.add(Command(scripts().index_put, key, reply))
      .number(-to_unix_milliseconds(time))
      .copy({name})
      .number(to_unix_milliseconds(std::max(time, system_clock().now()) + index_kept))
      .arg(mode == Entry::if_absent ? "NX" : "");
}

void remove_entry(Commands& commands, const std::string& key, const std::string& name) {
  commands.add(Command("ZREM", key, nothing())).copy({key}).copy({name});
}

void remove_entry(Commands& commands, const std::string& key, const std::string& name,
                  Timestamp seen) {
  const std::int64_t score = -to_unix_milliseconds(seen);
  commands.add(Command(scripts().index_remove, key, nothing()))
      .copy({name})
      .number(score)
      .number(score);
}

void remove_due_entry(Commands& commands, const std::string& key, const std::string& name,
                      Timestamp until) {
  commands.add(Command(scripts().index_remove, key, nothing()))
      .copy({name})
      .number(-to_unix_milliseconds(until))
      .arg("");
}

Task<Listing> list_entries(Client& client, std::vector<std::string> keys,
                           std::optional<ListPosition> after, std::size_t count,
                           Call::TimePoint deadline, std::string operation) {
  std::vector<Texts> replies(keys.size());
  Commands commands;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Command command(scripts().list, keys[i], replies[i]);
    if (after) {
      command.number(-to_unix_milliseconds(after->time)).copy({after->name});
    } else {
      command.arg("-inf").arg("");
    }
    command.count(count + 1);
    commands.add(std::move(command));
  }
  co_await client.run(commands.all(), deadline);
  commands.check(operation, {});

  Listing listing;
  for (const Texts& reply : replies) {
    for (std::size_t i = 0; i + 1 < reply.texts.size(); i += 2) {
      const auto time = time_of(reply.at(i + 1));
      if (time) listing.entries.push_back({*time, std::string(reply.at(i))});
    }
  }
  std::ranges::sort(listing.entries, comes_before);
  listing.more = listing.entries.size() > count;
  if (listing.more) listing.entries.resize(count);
  co_return listing;
}

}  // namespace actionflows::redis
