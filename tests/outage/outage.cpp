#include "tests/outage/outage.hpp"

#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/sqlite/sqlite_storage.hpp"

#include <algorithm>
#include <stdexcept>

namespace actionflows::test {
namespace {

using std::chrono::nanoseconds;

// Coroutines take by value what has to outlive whoever makes them.

Task<void> read(StorageDriver& driver, SessionId session) {
  const std::vector<RecordKey> keys = {session_record};
  co_await driver.read(session, keys);
}

Task<void> commit(StorageDriver& driver, SessionId session) {
  const Change change(session);
  co_await driver.commit(change);
}

Task<void> list_sessions(StorageDriver& driver) {
  const ListQuery query;
  co_await driver.list_sessions(query);
}

Task<void> list_archive(StorageDriver& driver) {
  const ListQuery query;
  co_await driver.list_archive(query);
}

Task<void> read_events(StorageDriver& driver, SessionId session) {
  const EventQuery query;
  co_await driver.read_events(session, query);
}

Task<void> subscribe(StorageDriver& driver, SessionId session) {
  co_await driver.subscribe(session);
}

Task<void> touch(StorageDriver& driver, SessionId session) {
  const Activity activity{test_start + 1s, test_start + 2h};
  co_await driver.touch(session, activity);
}

Task<void> prune_events(StorageDriver& driver, SessionId session) {
  co_await driver.prune_events(session, 1);
}

Task<void> sweep(StorageDriver& driver) {
  SweepQuery query;
  query.now = test_start;
  co_await driver.sweep(query);
}

Task<void> erase_another(StorageDriver& driver) {
  const SessionId another = session_named("never-there");
  co_await driver.erase_session(another);
}

Task<void> health(StorageDriver& driver) { co_await driver.health(); }

Task<void> watch(Task<void> call, Taken& taken) {
  const SteadyTime begin = steady_now();
  try {
    co_await std::move(call);
  } catch (const StorageError& error) {
    taken.error = error.code();
  }
  taken.took = steady_now() - begin;
}

}  // namespace

InstanceOptions::InstanceOptions(RedisOptions of_redis, std::chrono::milliseconds timeout)
    : redis(std::move(of_redis)) {
  redis.timeout = timeout;
  redis.limits.max_events = 1'000'000;
  redis.max_waiting = 10'000;
  resilient.primary_timeout = timeout;
  resilient.attempt_timeout = timeout;
  resilient.call_timeout = 5 * timeout / 2;
  resilient.breaker.first_open = 300ms;
  resilient.breaker.longest_open = 1s;
  resilient.breaker.probe_lease = 2 * timeout;
  resilient.keeper_interval = 20ms;
}

Instance::Instance(const InstanceOptions& options) {
  RedisOptions redis = options.redis;
  redis.log = [this](std::string_view line) { say(line); };
  ResilientOptions resilient = options.resilient;
  resilient.log = [this](std::string_view line) { say(line); };
  std::unique_ptr<StorageDriver> fallback;
  if (options.fallback.empty()) {
    MemoryOptions memory;
    memory.limits = redis.limits;
    fallback = make_memory_storage(memory);
  } else {
    SqliteOptions sqlite;
    sqlite.path = options.fallback;
    sqlite.limits = redis.limits;
    fallback = open_sqlite_storage(sqlite);
  }
  auto journal = options.journal.empty() ? make_memory_journal() : open_journal(options.journal);
  driver_ = make_resilient_storage(make_redis_storage(std::move(redis)), std::move(fallback),
                                   std::move(journal), std::move(resilient));
}

bool Instance::wait_until_open() {
  return wait_until([&] {
    static_cast<void>(error_of(driver_->list_archive({})));
    return resilience().breaker != "closed";
  });
}

bool Instance::wait_until_replayed() {
  return wait_until([&] {
    const Resilience now = resilience();
    return now.breaker == "closed" && now.journal_entries == 0;
  });
}

std::string Instance::log() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

void Instance::say(std::string_view line) {
  const std::lock_guard lock(mutex_);
  lines_.append(line).append("\n");
}

// ---- Client -------------------------------------------------------------------------------------

Task<void> Client::until_acknowledged(Change change) {
  for (;;) {
    const SteadyTime begin = steady_now();
    std::optional<StorageError> error;
    try {
      co_await driver_->commit(change);
    } catch (const StorageError& thrown) {
      error = thrown;
    }
    times_.push_back(steady_now() - begin);
    if (!error) break;
    ++errors_;
    const bool open =
        error->code() == ErrorCode::timeout || error->code() == ErrorCode::unavailable;
    if (!open) throw std::logic_error(session_.str() + ": " + error->message());
    change.repeat();
    co_await system_clock().sleep_for(5ms);
  }
  acknowledged_.push_back(change.operation_id);
  ++count_;
}

Task<void> Client::create() {
  Change change(session_);
  change.create(ann).only_if(Precondition::fresh);
  version_ = 1;
  co_await until_acknowledged(std::move(change));
}

Task<void> Client::write_one() {
  Change change(session_);
  if (acknowledged_.size() % 2 == 1) {
    change.put(session_record, version_);
    ++version_;
  }
  co_await until_acknowledged(std::move(change));
}

Task<void> Client::write(std::size_t changes, std::chrono::milliseconds pause) {
  for (std::size_t i = 0; i < changes; ++i) {
    if (pause > 0ms) co_await system_clock().sleep_for(pause);
    co_await write_one();
  }
}

Task<void> Client::write_until(const std::atomic<bool>& stop, std::chrono::milliseconds pause) {
  while (!stop) co_await write(1, pause);
}

Task<void> Client::read_once() {
  const std::vector<RecordKey> keys = {session_record};
  const SteadyTime begin = steady_now();
  try {
    const ReadResult read = co_await driver_->read(session_, keys);
    if (!read.records[0]) throw std::logic_error(session_.str() + " was told as absent");
  } catch (const StorageError&) {
    ++errors_;
  }
  times_.push_back(steady_now() - begin);
}

void Client::expect_in(StorageDriver& store) const {
  const std::map<std::string, int> found = operations_in(store, session_);
  EXPECT_EQ(found.size(), acknowledged_.size()) << session_.str();
  for (const auto& [operation, times] : found)
    EXPECT_EQ(times, 1) << session_.str() << ": " << operation << " was applied twice";
  for (const std::string& operation : acknowledged_)
    EXPECT_TRUE(found.contains(operation)) << session_.str() << ": " << operation << " is lost";
  const std::vector<RecordKey> keys = {session_record};
  const ReadResult read = run(store.read(session_, keys));
  ASSERT_TRUE(read.records[0]) << session_.str();
  EXPECT_EQ(read.records[0]->version, version_) << session_.str();
}

// ---- Clients ------------------------------------------------------------------------------------

Clients::Clients(StorageDriver& driver, std::size_t count, const std::string& name) {
  for (std::size_t i = 0; i < count; ++i)
    clients_.push_back(
        std::make_unique<Client>(driver, session_named(name + "-" + std::to_string(i))));
}

void Clients::create() {
  std::vector<Task<void>> tasks;
  for (const auto& client : clients_) tasks.push_back(client->create());
  run_together(std::move(tasks), 1);
}

void Clients::write(std::size_t changes, std::chrono::milliseconds pause) {
  std::vector<Task<void>> tasks;
  for (const auto& client : clients_) tasks.push_back(client->write(changes, pause));
  run_together(std::move(tasks), 1);
}

void Clients::read_once() {
  std::vector<Task<void>> tasks;
  for (const auto& client : clients_) tasks.push_back(client->read_once());
  run_together(std::move(tasks), 1);
}

void Clients::start(std::chrono::milliseconds pause) {
  thread_ = std::thread([this, pause] {
    std::vector<Task<void>> tasks;
    for (const auto& client : clients_) tasks.push_back(client->write_until(stop_, pause));
    try {
      run_together(std::move(tasks), 1);
    } catch (const std::exception& error) {
      ADD_FAILURE() << "a client gave up: " << error.what();
    }
  });
}

void Clients::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

std::size_t Clients::acknowledged() const {
  std::size_t sum = 0;
  for (const auto& client : clients_) sum += client->acknowledged_count();
  return sum;
}

int Clients::errors() const {
  int sum = 0;
  for (const auto& client : clients_) sum += client->errors();
  return sum;
}

std::vector<nanoseconds> Clients::take_times() {
  std::vector<nanoseconds> all;
  for (const auto& client : clients_) {
    const std::vector<nanoseconds> times = client->take_times();
    all.insert(all.end(), times.begin(), times.end());
  }
  return all;
}

void Clients::expect_in(StorageDriver& store) const {
  for (const auto& client : clients_) client->expect_in(store);
}

// ---- looking ------------------------------------------------------------------------------------

std::map<std::string, int> operations_in(StorageDriver& store, const SessionId& session) {
  std::map<std::string, int> found;
  EventQuery query;
  for (;;) {
    const EventPage page = run(store.read_events(session, query));
    if (page.events.empty()) return found;
    for (const StoredEvent& event : page.events) {
      EXPECT_EQ(event.sequence, query.after + 1) << session.str() << " has a gap";
      query.after = event.sequence;
      ++found[event.operation_id];
    }
  }
}

double percentile_ms(std::vector<nanoseconds> times, double percent) {
  if (times.empty()) return 0;
  const auto last = static_cast<double>(times.size() - 1);
  const auto at = times.begin() + static_cast<std::ptrdiff_t>(last * percent / 100);
  std::nth_element(times.begin(), at, times.end());
  return std::chrono::duration<double, std::milli>(*at).count();
}

double seconds_since(SteadyTime begin) {
  return std::chrono::duration<double>(steady_now() - begin).count();
}

std::vector<Taken> call_everything(StorageDriver& driver, const SessionId& session) {
  std::vector<std::pair<std::string, Task<void>>> calls;
  calls.emplace_back("read", read(driver, session));
  calls.emplace_back("commit", commit(driver, session));
  calls.emplace_back("list_sessions", list_sessions(driver));
  calls.emplace_back("list_archive", list_archive(driver));
  calls.emplace_back("read_events", read_events(driver, session));
  calls.emplace_back("subscribe", subscribe(driver, session));
  calls.emplace_back("touch", touch(driver, session));
  calls.emplace_back("prune_events", prune_events(driver, session));
  calls.emplace_back("sweep", sweep(driver));
  calls.emplace_back("erase_session", erase_another(driver));
  calls.emplace_back("health", health(driver));
  std::vector<Taken> taken(calls.size());
  std::vector<Task<void>> tasks;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    taken[i].call = calls[i].first;
    tasks.push_back(watch(std::move(calls[i].second), taken[i]));
  }
  run_together(std::move(tasks), 1);
  return taken;
}

}  // namespace actionflows::test
