// Two instances of the program on one Redis: what one writes, the followers of the other see, every
// event once and in order, whatever happens to the connections.
#include "tests/redis/redis_store.hpp"
#include "tests/support/redis_cluster.hpp"
#include "tests/support/redis_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

namespace actionflows::test {
namespace {

constexpr int events_each = 1'000;

Task<void> write_events(StorageDriver& driver, SessionId session, std::string name) {
  for (int i = 0; i < events_each; ++i) {
    Change change(session);
    change.event("test:written", name + " " + std::to_string(i));
    for (;;) {
      std::optional<StorageError> error;
      try {
        co_await driver.commit(change);
        break;
      } catch (const StorageError& thrown) {
        error = thrown;
      }
      if (!error->retryable) throw StorageError(*error);
      change.repeat();
      co_await system_clock().sleep_for(10ms);
    }
  }
}

// What a stream does: is woken, reads the log after the last number it has.
Task<void> follow(StorageDriver& driver, SessionId session, std::size_t wanted,
                  std::vector<StoredEvent>& seen) {
  const auto end = std::chrono::steady_clock::now() + 120s;
  std::unique_ptr<Subscription> subscription;
  while (seen.size() < wanted && std::chrono::steady_clock::now() < end) {
    try {
      if (!subscription) subscription = co_await driver.subscribe(session);
      EventQuery query;
      query.after = seen.empty() ? 0 : seen.back().sequence;
      EventPage page = co_await driver.read_events(session, query);
      std::ranges::move(page.events, std::back_inserter(seen));
      if (page.events.empty()) co_await subscription->next(60s);
    } catch (const StorageError& error) {
      if (!error.retryable) throw;
      subscription.reset();
    }
  }
}

void expect_each_once_in_order(const std::vector<StoredEvent>& seen) {
  ASSERT_EQ(seen.size(), 2u * events_each + 1);
  std::array<int, 2> next{};
  for (std::size_t i = 0; i < seen.size(); ++i) {
    ASSERT_EQ(seen[i].sequence, i + 1);
    if (i == 0) continue;  // its creation
    const std::string_view text = seen[i].bytes.view();
    int& expected = next.at(text.starts_with("second") ? 1 : 0);
    const std::string name = text.starts_with("second") ? "second " : "first ";
    ASSERT_EQ(text, name + std::to_string(expected));
    ++expected;
  }
}

// Both write to one session and both follow it, while `meanwhile` is done.
template <class Meanwhile>
void write_and_follow(const RedisOptions& options, Meanwhile meanwhile) {
  const auto first = make_redis_storage(options);
  const auto second = make_redis_storage(options);
  const SessionId s = session_named("shared");
  run(first->commit(Change(s).create(user_named("ann"))));
  std::vector<StoredEvent> by_first;
  std::vector<StoredEvent> by_second;
  std::atomic<bool> done{false};
  std::thread working([&] {
    std::vector<Task<void>> tasks;
    tasks.push_back(write_events(*first, s, "first"));
    tasks.push_back(write_events(*second, s, "second"));
    tasks.push_back(follow(*first, s, 2 * events_each + 1, by_first));
    tasks.push_back(follow(*second, s, 2 * events_each + 1, by_second));
    try {
      run_together(std::move(tasks), 2);
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
    done = true;
  });
  while (!done) {
    meanwhile();
    std::this_thread::sleep_for(50ms);
  }
  working.join();
  expect_each_once_in_order(by_first);
  expect_each_once_in_order(by_second);
}

TEST(RedisStreams, TwoInstancesSeeEveryEventOnceAndInOrder) {
  NEEDS_REDIS();
  const RedisServer server;
  write_and_follow(server.storage_options(), [] {});
}

TEST(RedisStreams, OfAClusterAsWell) {
  NEEDS_REDIS();
  const RedisCluster cluster;
  write_and_follow(cluster.storage_options(), [] {});
}

TEST(RedisStreams, LostConnectionsLoseNoEvent) {
  NEEDS_REDIS();
  const RedisServer server;
  int round = 0;
  write_and_follow(server.storage_options(), [&] {
    server.text({"CLIENT", "KILL", "TYPE", "pubsub"});
    if (++round % 10 == 0) server.text({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  });
}

// The subscriber's connection is there, but wake-ups don't come through: the user may not hear them
// any more.
TEST(RedisStreams, ALostWakeUpIsFoundByALook) {
  NEEDS_REDIS();
  const RedisServer server;
  RedisOptions options = server.storage_options();
  options.look_interval = 500ms;
  const auto follower = make_redis_storage(options);
  const SessionId s = session_named("s");
  run(follower->commit(Change(s).create(user_named("ann"))));
  const auto subscription = run(follower->subscribe(s));
  // An event that nobody is woken for: as of a commit whose PUBLISH got lost.
  server.text({"RPUSH", "af:{s}:log", "2 2 op{}"});
  const std::string meta = server.text({"HGET", "af:{s}", "meta"});
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < meta.size();) {
    const std::size_t end = std::min(meta.find(' ', begin), meta.size());
    words.push_back(meta.substr(begin, end - begin));
    begin = end + 1;
  }
  words.at(4) = "2";  // the newest event's number
  std::string changed;
  for (const std::string& word : words) changed.append(changed.empty() ? "" : " ").append(word);
  server.text({"HSET", "af:{s}", "meta", changed});

  const auto start = std::chrono::steady_clock::now();
  const Subscription::Batch batch = run(subscription->next(10s));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 9s) << "it was looked for only at the end";
  EXPECT_TRUE(batch.missed || !batch.wakeups.empty());
  EXPECT_EQ(run(follower->read_events(s, {})).last_sequence, 2u);
}

TEST(RedisStreams, AWakeUpComesAtOnce) {
  NEEDS_REDIS();
  const RedisServer server;
  const auto writer = make_redis_storage(server.storage_options());
  const auto follower = make_redis_storage(server.storage_options());
  const SessionId s = session_named("s");
  // Before the session is made: its own wake-up could come late, and be taken for the next.
  const auto subscription = run(follower->subscribe(s));
  std::vector<std::chrono::nanoseconds> delays;
  for (std::uint64_t sequence = 1; sequence <= 100; ++sequence) {
    Change change(s);
    if (sequence == 1) change.create(user_named("ann"));
    const auto start = std::chrono::steady_clock::now();
    run(writer->commit(change));
    const Subscription::Batch batch = run(subscription->next(5s));
    delays.emplace_back(std::chrono::steady_clock::now() - start);
    ASSERT_EQ(batch.wakeups.size(), 1u);
    EXPECT_EQ(batch.wakeups[0].sequence, sequence);
  }
  std::ranges::sort(delays);
  EXPECT_LT(delays[50], 500ms);  // the look for what was lost takes a second
}

}  // namespace
}  // namespace actionflows::test
