// The driver: each of its calls as commands and scripts, and what has to be done around them.
//
// A session's own keys change only by scripts, which are atomic. The indexes are written around
// them; indexes.hpp tells in which order, and why that is enough.
#include "actionflows/storage/redis/redis_storage.hpp"

#include "actionflows/base/encoding.hpp"
#include "actionflows/base/random.hpp"
#include "actionflows/storage/commit_checks.hpp"
#include "actionflows/storage/redis/commit_command.hpp"
#include "actionflows/storage/redis/indexes.hpp"
#include "actionflows/storage/redis/lists.hpp"
#include "actionflows/storage/redis/records_sink.hpp"
#include "actionflows/storage/redis/store_watch.hpp"
#include "actionflows/storage/redis/subscriber.hpp"
#include "actionflows/storage/redis/sweeps.hpp"
#include "actionflows/storage/redis/wakeups.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <deque>
#include <map>
#include <utility>

namespace actionflows {
namespace redis {
namespace {

namespace asio = boost::asio;

// How often the names on the servers are looked at: a loss is noticed within five seconds.
constexpr std::chrono::seconds store_interval{2};

// How many followed sessions are looked at in one call.
constexpr std::size_t looks_per_call = 500;

std::string instance_name() {
  std::array<std::uint8_t, 8> bytes{};
  system_random().fill(std::as_writable_bytes(std::span(bytes)));
  return hex(bytes);
}

// What the data take, without what the server needs for connections and the like.
constexpr std::string_view dataset_field = "used_memory_dataset";

// A value of INFO's reply; empty: there is none such.
std::string info_field(std::string_view info, std::string_view name) {
  const std::string line = std::string("\n").append(name).append(":");
  const std::size_t at = info.find(line);
  if (at == info.npos) return {};
  const std::string_view value = info.substr(at + line.size());
  return std::string(value.substr(0, value.find('\r')));
}

std::uint64_t to_count(const std::string& text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Whether a commit's entries for its session were new. Else something stood there, of an earlier
// life or of a commit that was refused, and its time may be another; or nothing could be written.
struct Entered {
  Texts of_user;
  Texts of_all;

  [[nodiscard]] bool anew() const { return of_user.at(0) == "1" && of_all.at(0) == "1"; }
};

class RedisStorage final : public StorageDriver {
 public:
  explicit RedisStorage(RedisOptions options);
  ~RedisStorage() override;
  RedisStorage(const RedisStorage&) = delete;
  RedisStorage& operator=(const RedisStorage&) = delete;

  Task<ReadResult> read(const SessionId& session, std::span<const RecordKey> keys) override;
  Task<CommitResult> commit(const Commit& commit) override;
  Task<SessionPage> list_sessions(const ListQuery& query) override;
  Task<ArchivePage> list_archive(const ListQuery& query) override;
  Task<EventPage> read_events(const SessionId& session, const EventQuery& query) override;
  Task<std::unique_ptr<Subscription>> subscribe(std::optional<SessionId> session) override;
  Task<bool> touch(const SessionId& session, const Activity& activity) override;
  Task<std::uint64_t> prune_events(const SessionId& session, std::uint64_t first_kept) override;
  Task<SweepResult> sweep(const SweepQuery& query) override;
  Task<bool> erase_session(const SessionId& session) override;
  Task<Health> health() override;

 private:
  [[nodiscard]] SessionKeys keys_of(const SessionId& id) const {
    return {keys_.session(id), keys_.log(id), keys_.archive(id)};
  }

  Task<bool> read_archived(const SessionKeys& names, const SessionId& session,
                           std::span<const RecordKey> keys, const RecordsSink& live,
                           Call::TimePoint deadline, ReadResult& result);
  Task<std::optional<UserId>> owner_of(const SessionKeys& names, Call::TimePoint deadline,
                                       const std::string& session);
  void enter(Commands& commands, const Commit& commit, const std::optional<UserId>& owner,
             Entered& entered) const;
  Task<void> settle(const Commit& commit, const CommitAnswer::Applied& done,
                    std::optional<UserId> owner, bool entered, Call::TimePoint deadline);
  Task<void> look_after();
  Task<void> look_at_followed();
  void report(const std::string& line) const {
    if (options_.log) options_.log(line);
  }

  // constant after construction
  const RedisOptions options_;
  const Keys keys_;
  const std::string channel_;
  const std::string instance_;

  // with locks of their own
  Wakeups wakeups_;
  Client client_;
  StoreWatch store_;
  Subscriber subscriber_;

  std::atomic<bool> untold_{false};  // and reported

  // the first lane's
  asio::steady_timer pause_;
  bool stopped_ = false;
};

RedisStorage::RedisStorage(RedisOptions options)
    : options_(std::move(options)),
      keys_(options_.prefix),
      channel_(keys_.wakeups(options_.database)),
      instance_(instance_name()),
      wakeups_(options_.max_wakeups),
      client_(options_, [this](const std::string& line) { report(line); }),
      store_(client_, options_, keys_, [this](const std::string& line) { report(line); }),
      subscriber_(client_.first_lane(), options_, channel_, instance_, wakeups_),
      pause_(client_.first_lane().context()) {
  asio::post(client_.first_lane().context(), [this] {
    subscriber_.start();
    asio::co_spawn(client_.first_lane().context(), look_after(), asio::detached);
  });
}

// The members are destroyed only once the lanes' threads have ended.
RedisStorage::~RedisStorage() {
  asio::post(client_.first_lane().context(), [this] {
    stopped_ = true;
    pause_.cancel();
    subscriber_.stop();
  });
  client_.close();
  client_.join();
}

// ---- reading ------------------------------------------------------------------------------------

Task<ReadResult> RedisStorage::read(const SessionId& session, std::span<const RecordKey> keys) {
  const auto deadline = client_.deadline();
  const SessionKeys names = keys_of(session);
  for (;;) {
    RecordsSink reply;
    Command command("HMGET", names.hash, reply);
    command.arg(names.hash).arg("meta");
    for (const RecordKey key : keys) command.copy({field_of(key)});
    co_await client_.run(command, deadline, "read", session.str());

    ReadResult result;
    result.provenance.source = Source::redis;
    reply.check(session.str());
    result.records = std::move(reply.records);
    const auto meta = reply.meta(session.str());
    if (!meta) {
      co_await store_.confirm_absence(deadline, "read", session.str());
      co_return result;
    }
    result.live = meta->live;
    if (meta->live) result.activity = meta->activity();
    result.last_sequence = meta->last_sequence;
    result.last_archived = meta->last_archived;
    result.owner = UserId::parse(meta->user);
    if (co_await read_archived(names, session, keys, reply, deadline, result)) co_return result;
  }
}

// Fills in what is not live from the archive. False: something has changed meanwhile, so that live
// and archived records are not of one moment.
Task<bool> RedisStorage::read_archived(const SessionKeys& names, const SessionId& session,
                                       std::span<const RecordKey> keys, const RecordsSink& live,
                                       Call::TimePoint deadline, ReadResult& result) {
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (!result.records.at(i) && keys[i].chain != 0 && keys[i].chain <= result.last_archived)
      missing.push_back(i);
  if (missing.empty()) co_return true;
  RecordsSink archived(false);
  Texts meta;
  Commands commands;
  Command& command = commands.add(Command("HMGET", names.archive, archived));
  command.arg(names.archive);
  for (const std::size_t i : missing) command.copy({field_of(keys[i])});
  commands.add(Command("HGET", names.hash, meta)).arg(names.hash).arg("meta");
  co_await client_.run(commands.all(), deadline);
  commands.check("read", session.str());
  archived.check(session.str());
  if (meta.at(0) != live.meta_text()) co_return false;
  for (std::size_t n = 0; n < missing.size(); ++n)
    result.records[missing[n]] = std::move(archived.records.at(n));
  co_return true;
}

// An entry is "<sequence> <length of the operation id> <operation id><event>".
std::optional<StoredEvent> parse_event(std::string_view entry) {
  Words words(entry);
  StoredEvent event;
  event.sequence = words.count();
  const std::uint64_t length = words.count();
  const std::string_view rest = words.rest();
  if (!words.ok() || rest.size() < length) return std::nullopt;
  event.operation_id = rest.substr(0, length);
  event.bytes = Bytes(rest.substr(length));
  return event;
}

Task<EventPage> RedisStorage::read_events(const SessionId& session, const EventQuery& query) {
  const auto deadline = client_.deadline();
  const SessionKeys names = keys_of(session);
  EventPage page;
  page.provenance.source = Source::redis;
  Texts reply;
  Command command(scripts().read_events, {names.hash, names.log, names.archive}, reply);
  // Beyond what a double holds there is nothing.
  command.count(std::min(query.after, std::uint64_t{1} << 53));
  command.count(std::max<std::size_t>(query.limit, 1)).count(query.max_bytes);
  co_await client_.run(command, deadline, "read_events", session.str());
  if (reply.texts.empty()) {
    co_await store_.confirm_absence(deadline, "read_events", session.str());
    co_return page;
  }
  const auto damaged = [&] {
    return failure(ErrorCode::corrupt, "the session's log can't be read", "read_events",
                   session.str());
  };
  const auto meta = parse_meta(reply.at(0));
  if (!meta) throw damaged();
  page.first_sequence = meta->first_sequence;
  page.last_sequence = meta->last_sequence;
  std::uint64_t expected = std::max(query.after + 1, meta->first_sequence);
  for (std::size_t i = 1; i < reply.texts.size(); ++i) {
    auto event = parse_event(reply.at(i));
    if (!event || event->sequence != expected++) throw damaged();
    page.events.push_back(*std::move(event));
  }
  const bool missing = page.events.empty() && query.after < meta->last_sequence;
  if (missing) throw damaged();
  co_return page;
}

// A list without what was lost would tell it as absent.
Task<SessionPage> RedisStorage::list_sessions(const ListQuery& query) {
  const auto deadline = client_.deadline();
  SessionPage page = co_await redis::list_sessions(client_, keys_, query, deadline);
  if (page.items.empty() || store_.loss())
    co_await store_.confirm_absence(deadline, "list_sessions", {});
  co_return page;
}

Task<ArchivePage> RedisStorage::list_archive(const ListQuery& query) {
  const auto deadline = client_.deadline();
  ArchivePage page = co_await redis::list_archive(client_, keys_, query, deadline);
  if (page.items.empty() || store_.loss())
    co_await store_.confirm_absence(deadline, "list_archive", {});
  co_return page;
}

// ---- commit -------------------------------------------------------------------------------------

Task<CommitResult> RedisStorage::commit(const Commit& commit) {
  check_shape(commit);
  const auto deadline = client_.deadline();
  const SessionKeys names = keys_of(commit.session);
  // Whose archive it goes to is in the record; who changes that at the same time makes the entry
  // void, and it is made again below.
  std::optional<UserId> owner;
  if (commit.listed) owner = commit.listed->user;
  if (!commit.archive.empty() && !owner)
    owner = co_await owner_of(names, deadline, commit.session.str());

  Entered entered;
  CommitAnswer answer(commit, wakeups_);
  Commands commands;
  enter(commands, commit, owner, entered);
  // To one server they go together; the nodes of a cluster know nothing of each other's order.
  if (options_.cluster && !commands.empty()) {
    co_await client_.run(commands.all(), deadline);
    // The end of a session needs no entry: it makes room where there is none for one.
    if (!commit.end_session || commands.closed()) commands.check("commit", commit.session.str());
    commands = Commands();
  }
  const CommitCommandOptions with{options_, names, channel_, instance_};
  Command& command = commands.add(commit_command(commit, with, answer));
  if (options_.wait_replicas > 0) command.wait_for_replicas();
  co_await client_.run(commands.all(), deadline);
  if (command.failed() && !command.closed()) wakeups_.doubt(commit.session, commit.operation_id);
  command.check("commit", commit.session.str());

  CommitAnswer::Applied done = answer.applied();
  if (done.untold && !untold_.exchange(true))
    report("wake-ups can't be published: may this user do so, on the channels of the prefix?");
  done.result.durability.level = DurabilityLevel::redis;
  if (options_.wait_replicas > 0 && command.replicas() >= options_.wait_replicas)
    done.result.durability.replicas = command.replicas();
  co_await settle(commit, done, owner, entered.anew(), deadline);
  co_return done.result;
}

// nullopt: nothing stands under this id.
Task<std::optional<UserId>> RedisStorage::owner_of(const SessionKeys& names,
                                                   Call::TimePoint deadline,
                                                   const std::string& session) {
  Texts reply;
  Command command("HGET", names.hash, reply);
  command.arg(names.hash).arg("meta");
  co_await client_.run(command, deadline, "commit", session);
  const auto meta = parse_meta(reply.at(0));
  if (!meta) co_return std::nullopt;
  co_return UserId::parse(meta->user);
}

// The entries that a commit will need, before it is applied. It may be refused: so what stands
// there already stays as it is.
void RedisStorage::enter(Commands& commands, const Commit& commit,
                         const std::optional<UserId>& owner, Entered& entered) const {
  const std::string& name = commit.session.str();
  const std::size_t shard = shard_of(commit.session);
  if (commit.listed && commit.activity) {
    const Timestamp until = commit.activity->expires;
    put_entry(commands, keys_.user(commit.listed->user), name, until, Entry::if_absent,
              entered.of_user);
    put_entry(commands, keys_.sessions(shard), name, until, Entry::if_absent, entered.of_all);
  }
  if (owner) {
    for (const std::uint32_t number : commit.archive) {
      const std::string chain = ChainId(commit.session, number).str();
      put_entry(commands, keys_.chains(*owner), chain, commit.at, Entry::if_absent);
      put_entry(commands, keys_.archived(shard), chain, commit.at, Entry::if_absent);
    }
  }
  if (commit.end_session)
    put_entry(commands, keys_.ended(shard), name, commit.at + options_.limits.log_retention,
              Entry::if_absent);
}

// What a commit leaves to do. It has been applied, so nothing here can fail it: what is not done is
// put right by readers and sweeps.
Task<void> RedisStorage::settle(const Commit& commit, const CommitAnswer::Applied& done,
                                std::optional<UserId> owner, bool entered,
                                Call::TimePoint deadline) {
  if (done.result.repeated) co_return;
  const std::string& name = commit.session.str();
  const std::size_t shard = shard_of(commit.session);
  Commands commands;
  if (done.old_user) remove_entry(commands, keys_.user(*done.old_user), name);
  if (commit.end_session) {
    put_entry(commands, keys_.ended(shard), name, commit.at + options_.limits.log_retention);
    // Only this life's: its id may be in use again.
    const Timestamp until = done.result.activity.expires;
    remove_entry(commands, keys_.user(done.user), name, until);
    remove_entry(commands, keys_.sessions(shard), name, until);
  } else if ((done.moved && !(entered && creates_session(commit))) || done.old_user) {
    put_entry(commands, keys_.user(done.user), name, done.result.activity.expires);
    put_entry(commands, keys_.sessions(shard), name, done.result.activity.expires);
  }
  for (const std::uint32_t number : commit.archive) {
    const std::string chain = ChainId(commit.session, number).str();
    if (owner && owner != done.user) remove_entry(commands, keys_.chains(*owner), chain);
    put_entry(commands, keys_.chains(done.user), chain, commit.at);
    put_entry(commands, keys_.archived(shard), chain, commit.at);
  }
  if (commands.empty()) co_return;
  try {
    co_await client_.run(commands.all(), deadline);
  } catch (const StorageError&) {
    // Too many calls wait.
  }
}

Task<bool> RedisStorage::touch(const SessionId& session, const Activity& activity) {
  const auto deadline = client_.deadline();
  const SessionKeys names = keys_of(session);
  Texts reply;
  Command command(scripts().touch, {names.hash, names.log, names.archive}, reply);
  command.number(to_unix_milliseconds(activity.last_active))
      .number(to_unix_milliseconds(activity.expires));
  command.number(options_.limits.touch_interval.count());
  command.number(options_.limits.log_retention.count());
  co_await client_.run(command, deadline, "touch", session.str());
  Words words(reply.at(0));
  if (words.next() != "1") {
    co_await store_.confirm_absence(deadline, "touch", session.str());
    co_return false;
  }
  if (words.next() != "1") co_return true;
  const Timestamp until = from_unix_milliseconds(words.number());
  Commands commands;
  if (const auto user = UserId::parse(words.rest()))
    put_entry(commands, keys_.user(*user), session.str(), until);
  put_entry(commands, keys_.sessions(shard_of(session)), session.str(), until);
  co_await client_.run(commands.all(), deadline);
  co_return true;
}

// ---- upkeep -------------------------------------------------------------------------------------

Task<std::uint64_t> RedisStorage::prune_events(const SessionId& session, std::uint64_t first_kept) {
  const auto deadline = client_.deadline();
  const SessionKeys names = keys_of(session);
  Texts reply;
  Command command(scripts().prune_events, {names.hash, names.log, names.archive}, reply);
  command.count(std::min(first_kept, std::uint64_t{1} << 53));
  co_await client_.run(command, deadline, "prune_events", session.str());
  co_return static_cast<std::uint64_t>(reply.number(0));
}

Task<SweepResult> RedisStorage::sweep(const SweepQuery& query) {
  co_return co_await redis::sweep(client_, keys_, options_.limits, instance_, query);
}

Task<bool> RedisStorage::erase_session(const SessionId& session) {
  const auto deadline = client_.deadline();
  const SessionKeys names = keys_of(session);
  Texts reply;
  Command command(scripts().erase_session, {names.hash, names.log, names.archive}, reply);
  co_await client_.run(command, deadline, "erase_session", session.str());
  if (reply.texts.empty()) {
    co_await store_.confirm_absence(deadline, "erase_session", session.str());
    co_return false;
  }
  const std::size_t shard = shard_of(session);
  Commands commands;
  if (const auto user = UserId::parse(reply.at(0)))
    remove_entry(commands, keys_.user(*user), session.str());
  remove_entry(commands, keys_.sessions(shard), session.str());
  remove_entry(commands, keys_.ended(shard), session.str());
  for (std::size_t i = 1; i + 1 < reply.texts.size(); i += 2) {
    const auto number = static_cast<std::uint32_t>(reply.number(i));
    const std::string chain = ChainId(session, number).str();
    remove_entry(commands, keys_.archived(shard), chain);
    if (const auto user = UserId::parse(reply.at(i + 1)))
      remove_entry(commands, keys_.chains(*user), chain);
  }
  co_await client_.run(commands.all(), deadline);
  co_return true;
}

// Whoever asks wants to know how it is now, and not how it was at the last attempt to connect.
Task<Health> RedisStorage::health() {
  const auto deadline = client_.deadline();
  client_.hurry();
  Health health;
  health.driver = "redis";
  health.durability.level = DurabilityLevel::redis;
  const auto tell = [&](std::string why) {
    health.ok = false;
    health.detail = std::move(why);
  };
  try {
    std::array<Texts, shards> counts;
    Commands commands;
    for (std::size_t i = 0; i < shards; ++i) {
      const std::string key = keys_.sessions(i);
      commands.add(Command("ZCARD", key, counts[i])).copy({key});
    }
    // Each node of a cluster is asked through the shards that it has; a server that is asked more
    // than once is known by its run id.
    std::array<Texts, shards> infos;
    const std::size_t asked = options_.cluster ? shards : 1;
    Commands asks;
    for (std::size_t i = 0; i < asked; ++i) asks.add(Command("INFO", keys_.store(i), infos[i]));
    co_await client_.run(commands.all(), deadline);
    commands.check("health", {});
    co_await store_.probe(deadline);
    for (const Texts& count : counts)
      health.sessions += static_cast<std::uint64_t>(count.number(0));
    co_await client_.run(asks.all(), deadline);  // which a user of the server may not be allowed
    std::map<std::string, std::uint64_t> bytes;
    for (const Texts& info : infos)
      bytes[info_field(info.at(0), "run_id")] = to_count(info_field(info.at(0), dataset_field));
    for (const auto& [server, size] : bytes) health.bytes += size;
    // Calls are served without, so it is no reason to turn away from this server.
    if (const auto deaf = subscriber_.trouble())
      health.detail = "wake-ups are not heard: " + deaf->message();
    if (const auto loss = store_.loss()) tell(*loss);
  } catch (const StorageError& error) {
    tell(error.message());
  }
  co_return health;
}

// ---- live ---------------------------------------------------------------------------------------

Task<std::unique_ptr<Subscription>> RedisStorage::subscribe(std::optional<SessionId> session) {
  const auto deadline = client_.deadline();
  if (!subscriber_.listening()) {
    const std::optional<StorageError> refused =
        co_await asio::co_spawn(client_.first_lane().context(),
                                subscriber_.wait_until_listening(deadline), asio::use_awaitable);
    if (refused) throw *refused;
  }
  if (!session) co_return wakeups_.subscribe(std::nullopt);
  // From where it stands now its log is looked at, too: so a wake-up that is lost is found. It is
  // followed before that look: what is committed after it is told.
  auto subscription = wakeups_.subscribe(session);
  const SessionKeys names = keys_of(*session);
  Texts reply;
  Command command("HGET", names.hash, reply);
  command.arg(names.hash).arg("meta");
  co_await client_.run(command, deadline, "subscribe", session->str());
  const auto meta = parse_meta(reply.at(0));
  wakeups_.remember(*session, meta ? meta->last_sequence : 0);
  co_return subscription;
}

Task<void> RedisStorage::look_at_followed() {
  const auto deadline = client_.deadline();
  const std::vector<Wakeups::Followed> sessions = wakeups_.followed();
  for (std::size_t begin = 0; begin < sessions.size(); begin += looks_per_call) {
    const std::size_t end = std::min(sessions.size(), begin + looks_per_call);
    std::deque<Texts> replies;
    Commands commands;
    for (std::size_t i = begin; i < end; ++i) {
      const std::string key = keys_.session(sessions[i].session);
      commands.add(Command("HGET", key, replies.emplace_back())).copy({key}).arg("meta");
    }
    co_await client_.run(commands.all(), deadline);
    for (std::size_t i = begin; i < end; ++i) {
      const auto meta = parse_meta(replies[i - begin].at(0));
      const auto user = meta ? UserId::parse(meta->user) : std::nullopt;
      const auto& [session, told] = sessions[i];
      if (user) wakeups_.looked({session, *user, meta->last_sequence, {}}, told);
    }
  }
}

// Runs on the first lane's thread from the beginning to the end.
Task<void> RedisStorage::look_after() {
  auto next_store = std::chrono::steady_clock::time_point();
  while (!stopped_) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= next_store) {
      next_store = now + store_interval;
      co_await store_.look();
    }
    try {
      co_await look_at_followed();
    } catch (const StorageError&) {
      // Too many calls wait: the next look finds what this one would have.
    }
    if (stopped_) break;
    pause_.expires_after(options_.look_interval);
    boost::system::error_code ignored;
    co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

}  // namespace
}  // namespace redis

std::unique_ptr<StorageDriver> make_redis_storage(RedisOptions options) {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw failure(ErrorCode::invalid, what, "open");
  };
  require(!options.servers.empty(), "no Redis server is named");
  require(options.cluster || options.servers.size() == 1,
          "several servers are named; is it a "
          "cluster (redis+cluster://)?");
  require(redis::is_key_prefix(options.prefix), "the prefix of keys is none: see RedisOptions");
  require(options.timeout.count() > 0, "the timeout must be positive");
  require(options.wait_replicas >= 0, "wait_replicas must not be negative");
  // Else a commit would be a time-out before it is known how many have confirmed it, or the
  // connection be given up meanwhile.
  const bool in_time = options.wait_timeout.count() > 0 && options.wait_timeout < options.timeout &&
                       options.wait_timeout < 2 * options.health_interval;
  require(options.wait_replicas == 0 || in_time,
          "wait_timeout must be positive, less than timeout and than twice health_interval");
  require(options.user.empty() || !options.password.empty(), "a user is named without a password");
  redis::check_tls(options);
  return std::make_unique<redis::RedisStorage>(std::move(options));
}

}  // namespace actionflows
