// Many coroutines on several threads: no update lost, the log dense, every answer of one moment.
#include "tests/conformance/conformance.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <set>

namespace actionflows::test {
namespace {

constexpr std::size_t threads = 4;
constexpr int writers = 16;
constexpr int changes_each = 40;

std::uint64_t number_in(const Bytes& bytes) {
  std::uint64_t number = 0;
  const std::string_view text = bytes.view();
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Bytes counted(std::uint64_t number) { return Bytes(std::to_string(number)); }

// Adds one to the counters in both chains, by read and compare-and-set. Returns how often it met
// another.
Task<int> add_one(StorageDriver& driver, SessionId session, std::string operation) {
  for (int met = 0;; ++met) {
    const RecordKey keys[] = {chain(1), step(1, 1)};
    const ReadResult read = co_await driver.read(session, keys);
    Change change(session);
    change.operation(operation).no_events().event("counter:moved", operation);
    for (std::size_t i = 0; i < 2; ++i) {
      const StoredRecord& record = read.records[i].value();
      change.put(keys[i], record.version, counted(number_in(record.bytes) + 1));
    }
    // Whoever read before this and commits after it must be refused.
    co_await boost::asio::post(boost::asio::use_awaitable);
    bool done = true;
    try {
      static_cast<void>(co_await driver.commit(change));
    } catch (const StorageError& error) {
      if (error.code() != ErrorCode::conflict) throw;
      done = false;
    }
    if (done) co_return met;
  }
}

Task<void> add_many(StorageDriver& driver, SessionId session, int writer) {
  for (int i = 0; i < changes_each; ++i) {
    const std::string operation = std::to_string(writer) + "/" + std::to_string(i);
    static_cast<void>(co_await add_one(driver, session, operation));
  }
}

// The two counters always move together: a read that tells them apart is not of one moment.
Task<void> watch(StorageDriver& driver, SessionId session, const std::atomic<bool>& stop,
                 std::atomic<int>& torn) {
  const RecordKey keys[] = {chain(1), step(1, 1)};
  while (!stop) {
    const ReadResult read = co_await driver.read(session, keys);
    const std::uint64_t first = number_in(read.records[0].value().bytes);
    if (first != number_in(read.records[1].value().bytes) || read.last_sequence != first + 1)
      ++torn;
    co_await boost::asio::post(boost::asio::use_awaitable);
  }
}

Task<void> count_down(Task<void> task, std::atomic<int>& left, std::atomic<bool>& stop) {
  std::exception_ptr error;
  try {
    co_await std::move(task);
  } catch (...) {
    error = std::current_exception();
  }
  if (--left == 0) stop = true;
  if (error) std::rethrow_exception(error);
}

TEST_P(DriverConformance, LosesNoUpdateOfConcurrentWriters) {
  const SessionId s = new_session();
  Change create(s);
  create.create(new_user()).put(chain(1), 0, counted(0)).put(step(1, 1), 0, counted(0));
  commit(create);

  std::atomic<bool> stop{false};
  std::atomic<int> left{writers};
  std::atomic<int> torn{0};
  std::vector<Task<void>> tasks;
  for (int writer = 0; writer < writers; ++writer)
    tasks.push_back(count_down(add_many(driver(), s, writer), left, stop));
  tasks.push_back(watch(driver(), s, stop, torn));
  run_together(std::move(tasks), threads);

  constexpr std::uint64_t changes = std::uint64_t{writers} * changes_each;
  EXPECT_EQ(torn, 0);
  for (const RecordKey key : {chain(1), step(1, 1)}) {
    EXPECT_EQ(record(s, key)->bytes.view(), std::to_string(changes));
    EXPECT_EQ(record(s, key)->version, changes + 1);
  }
  const SessionView seen = view(s);
  EXPECT_EQ(seen.first_sequence, 1u);
  EXPECT_EQ(seen.last_sequence, changes + 1);
  ASSERT_EQ(seen.events.size(), changes + 1);
  std::set<std::string_view> operations;
  for (std::size_t i = 0; i < seen.events.size(); ++i) {
    EXPECT_EQ(seen.events[i].sequence, i + 1);
    EXPECT_TRUE(operations.insert(seen.events[i].operation_id).second) << "an event told twice";
  }
}

Task<void> repeat_one(StorageDriver& driver, Commit commit, std::atomic<int>& applied) {
  const CommitResult result = co_await driver.commit(commit);
  if (!result.repeated) ++applied;
}

TEST_P(DriverConformance, AppliesConcurrentRepeatsOnce) {
  const SessionId s = live_session(new_user());
  for (int round = 0; round < 20; ++round) {
    const Change change = Change(s).event_count(2).repeat();
    std::atomic<int> applied{0};
    std::vector<Task<void>> tasks;
    for (int i = 0; i < 8; ++i) tasks.push_back(repeat_one(driver(), change, applied));
    run_together(std::move(tasks), threads);
    EXPECT_EQ(applied, 1);
  }
  EXPECT_EQ(read(s).last_sequence, 41u);
}

Task<void> create_one(StorageDriver& driver, Commit commit, std::atomic<int>& created) {
  try {
    static_cast<void>(co_await driver.commit(commit));
    ++created;
  } catch (const StorageError& error) {
    if (error.code() != ErrorCode::conflict) throw;
  }
}

TEST_P(DriverConformance, LetsOnlyOneCreate) {
  const UserId ann = new_user();
  for (int round = 0; round < 20; ++round) {
    const SessionId s = new_session();
    std::atomic<int> created{0};
    std::vector<Task<void>> tasks;
    for (int i = 0; i < 8; ++i) {
      const Change change = Change(s).create(ann).only_if(Precondition::fresh);
      tasks.push_back(create_one(driver(), change, created));
    }
    run_together(std::move(tasks), threads);
    EXPECT_EQ(created, 1);
    EXPECT_EQ(events(s).last_sequence, 1u);
  }
  EXPECT_EQ(view(ann).sessions.size(), 20u);
}

// A session's whole life, again and again.
Task<void> live_and_end(StorageDriver& driver, SessionId session, UserId user, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    Change create(session);
    const auto number = static_cast<std::uint32_t>(round + 1);
    create.create(user).put(chain(number)).put(step(number, 1));
    static_cast<void>(co_await driver.commit(create));
    const Activity later{test_start + 1min, test_start + 2h};
    static_cast<void>(co_await driver.touch(session, later));
    Change end(session);
    end.put(chain(number), 1).move_to_archive(number).end();
    static_cast<void>(co_await driver.commit(end));
    const std::uint64_t newest = 2 * std::uint64_t{number};
    static_cast<void>(co_await driver.prune_events(session, newest - 3));
  }
}

// Reads everything there is, as long as the others write.
Task<void> roam(StorageDriver& driver, UserId user, const std::atomic<bool>& stop) {
  const auto subscription = co_await driver.subscribe(std::nullopt);
  const std::vector<ListQuery> queries = {pages_of(user, 3), pages_of(std::nullopt, 3)};
  SweepQuery sweep;
  sweep.now = test_start - 24h * 365;
  while (!stop) {
    for (const ListQuery& query : queries) {
      static_cast<void>(co_await driver.list_sessions(query));
      static_cast<void>(co_await driver.list_archive(query));
    }
    static_cast<void>(co_await driver.sweep(sweep));
    static_cast<void>(co_await driver.health());
    static_cast<void>(co_await subscription->next(1ms));
  }
}

TEST_P(DriverConformance, ServesManySessionsAndTheirReadersAtOnce) {
  constexpr int sessions = 12;
  constexpr std::uint32_t rounds = 15;
  const UserId ann = new_user();
  std::atomic<bool> stop{false};
  std::atomic<int> left{sessions};
  std::vector<SessionId> ids;
  std::vector<Task<void>> tasks;
  for (int i = 0; i < sessions; ++i) {
    ids.push_back(new_session());
    tasks.push_back(count_down(live_and_end(driver(), ids.back(), ann, rounds), left, stop));
  }
  for (int i = 0; i < 3; ++i) tasks.push_back(roam(driver(), ann, stop));
  run_together(std::move(tasks), threads);

  EXPECT_TRUE(view(ann).sessions.empty());
  EXPECT_EQ(view(ann).archive.size(), sessions * rounds);
  for (const SessionId& s : ids) {
    const EventPage page = events(s);
    EXPECT_EQ(page.last_sequence, 2u * rounds);
    EXPECT_EQ(page.events.size(), page.last_sequence - page.first_sequence + 1);
    EXPECT_EQ(read(s).last_archived, rounds);
  }
}

// Reads on from wake-up to wake-up, until event `last` was seen.
Task<void> follow_all(StorageDriver& driver, SessionId session, std::uint64_t last,
                      std::vector<std::uint64_t>& seen) {
  const auto subscription = co_await driver.subscribe(session);
  EventQuery query;
  for (int idle = 0; query.after < last && idle < 100;) {
    const EventPage page = co_await driver.read_events(session, query);
    for (const StoredEvent& event : page.events) seen.push_back(event.sequence);
    if (!seen.empty()) query.after = seen.back();
    if (query.after >= last) break;
    const Subscription::Batch batch = co_await subscription->next(100ms);
    idle = batch.wakeups.empty() && !batch.missed ? idle + 1 : 0;
  }
}

TEST_P(DriverConformance, FollowersSeeEveryEventOnce) {
  const SessionId s = new_session();
  Change create(s);
  create.create(new_user()).put(chain(1), 0, counted(0)).put(step(1, 1), 0, counted(0));
  commit(create);
  constexpr std::uint64_t last = 1 + 4 * changes_each;
  std::vector<std::uint64_t> expected(last);
  for (std::uint64_t i = 0; i < last; ++i) expected[i] = i + 1;

  std::vector<std::vector<std::uint64_t>> seen(4);
  std::vector<Task<void>> tasks;
  for (auto& follower : seen) tasks.push_back(follow_all(driver(), s, last, follower));
  for (int writer = 0; writer < 4; ++writer) tasks.push_back(add_many(driver(), s, writer));
  run_together(std::move(tasks), threads);
  for (const auto& follower : seen) EXPECT_EQ(follower, expected);
}

}  // namespace
}  // namespace actionflows::test
