#include "tests/outage/outage.hpp"

#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/sqlite/sqlite_storage.hpp"
#include "tests/support/wait_until.hpp"

#include <algorithm>
#include <stdexcept>

namespace actionflows::test {

using std::chrono::nanoseconds;

InstanceOptions::InstanceOptions(RedisOptions of_redis, std::chrono::milliseconds timeout)
    : redis(std::move(of_redis)) {
  redis.timeout = timeout;
  redis.limits.max_events = 1'000'000;
  redis.max_waiting = 10'000;
  resilient.primary_timeout = timeout;
  resilient.primary_supersedes = true;
  resilient.attempt_timeout = timeout;
  resilient.call_timeout = 5 * timeout / 2;
  resilient.breaker.first_open = 300ms;
  resilient.breaker.longest_open = 1s;
  resilient.breaker.probe_lease = 2 * timeout;
  resilient.keeper_interval = 20ms;
}

std::unique_ptr<StorageDriver> open_store(const RedisServer& server) {
  RedisOptions options = server.storage_options();
  options.timeout = 10s;
  return make_redis_storage(options);
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

Task<void> Client::write_until(const std::atomic<bool>& stop, std::chrono::milliseconds pause,
                               std::chrono::milliseconds first) {
  co_await system_clock().sleep_for(first);
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
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      const auto first = pause * static_cast<int>(i) / static_cast<int>(clients_.size());
      tasks.push_back(clients_[i]->write_until(stop_, pause, first));
    }
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

}  // namespace actionflows::test
