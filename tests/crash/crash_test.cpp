// kill -9 at any moment: a process writes through eight clients at once and tells each
// acknowledgement; it is killed, and whatever it told must be there, whole, in dense sequences.
//
// ACTIONFLOWS_SEED repeats a run; ACTIONFLOWS_CRASHES sets how many processes are killed.
#include "actionflows/base/error.hpp"
#include "actionflows/base/random.hpp"
#include "actionflows/storage/sqlite/sqlite_storage.hpp"
#include "tests/support/change.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/run.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <map>
#include <set>
#include <thread>

namespace actionflows::test {
namespace {

constexpr std::size_t clients = 8;
constexpr std::size_t steps = 3;

SessionId session_of(std::size_t client) {
  return SessionId::parse("client-" + std::to_string(client)).value();
}

// What a client tells of a commit that was acknowledged: fixed in size, so that a pipe takes it
// whole or not at all.
struct Acknowledgement {
  std::uint64_t client = 0;
  std::uint64_t sequence = 0;
  std::uint64_t version = 0;  // of every record from now on
};

// Not inline: in a coroutine's frame GCC 12 takes the first member for the whole.
[[gnu::noinline]] void tell(int pipe, const Acknowledgement& told) {
  if (::write(pipe, &told, sizeof told) != sizeof told) ::_exit(1);
}

// A commit puts the chain and all its steps in the same version, with one event for each.
Change next_change(std::size_t client, std::uint64_t version) {
  Change change(session_of(client));
  change.operation("op-" + std::to_string(version)).no_events();
  for (std::uint32_t number = 0; number <= steps; ++number) {
    const RecordKey key{1, number};
    change.put(key, version - 1).event("test:changed", to_string(key));
  }
  return change;
}

Task<void> write_on(StorageDriver& driver, std::size_t client, int pipe) {
  const std::array keys = {chain(1)};
  ReadResult read = co_await driver.read(session_of(client), keys);
  if (!read.live) {
    Change create(session_of(client));
    create.create(UserId::parse("ann").value());
    static_cast<void>(co_await driver.commit(create));
  }
  std::uint64_t version = read.records[0] ? read.records[0]->version : 0;
  for (;;) {
    const Change change = next_change(client, ++version);
    const CommitResult result = co_await driver.commit(change);
    const Acknowledgement told{client, result.last_sequence, version};
    tell(pipe, told);
  }
}

// The process that is killed. Never returns.
[[noreturn]] void write_until_killed(const SqliteOptions& options, int pipe) {
  try {
    const auto driver = open_sqlite_storage(options);
    std::vector<Task<void>> tasks;
    for (std::size_t client = 0; client < clients; ++client)
      tasks.push_back(write_on(*driver, client, pipe));
    run_together(std::move(tasks), 2);
  } catch (const std::exception&) {
  }
  ::_exit(1);  // it ends by being killed only
}

class Crash : public testing::Test {
 protected:
  Crash() { options_.path = folder_.path("crash.db"); }

  // Kills a process after `delay` of writing, and keeps what it told.
  void kill_after(std::chrono::microseconds delay) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) write_until_killed(options_, ends[1]);
    ::close(ends[1]);
    std::this_thread::sleep_for(delay);
    ::kill(child, SIGKILL);
    Acknowledgement told;
    while (::read(ends[0], &told, sizeof told) == sizeof told) {
      Acknowledgement& newest = told_[told.client];
      if (newest.version < told.version) newest = told;
      ++acknowledged_;
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself";
    ::close(ends[0]);
  }

  void check(StorageDriver& driver, std::size_t client) {
    std::vector<RecordKey> keys;
    for (std::uint32_t number = 0; number <= steps; ++number) keys.push_back({1, number});
    const ReadResult read = run(driver.read(session_of(client), keys));
    const Acknowledgement& told = told_[client];
    ASSERT_GE(read.last_sequence, told.sequence) << "an acknowledged event is lost";
    const std::uint64_t version = read.records[0] ? read.records[0]->version : 0;
    ASSERT_GE(version, told.version) << "an acknowledged record is lost";
    for (std::size_t i = 0; i < keys.size() && version > 0; ++i) {
      ASSERT_TRUE(read.records[i].has_value());
      ASSERT_EQ(read.records[i]->version, version) << "half a commit";
      ASSERT_EQ(read.records[i]->bytes, bytes_of(keys[i], version));
    }
    if (read.live) {
      ASSERT_EQ(read.last_sequence, 1 + version * (steps + 1)) << "half a log";
    }
    check_log(driver, client, read.last_sequence);
    if (read.last_sequence > 2'000)
      run(driver.prune_events(session_of(client), read.last_sequence - 500));
  }

  static void check_log(StorageDriver& driver, std::size_t client, std::uint64_t last) {
    EventQuery query;
    query.limit = 10'000;
    const EventPage page = run(driver.read_events(session_of(client), query));
    ASSERT_EQ(page.last_sequence, last);
    std::uint64_t expected = page.first_sequence;
    for (const StoredEvent& event : page.events) ASSERT_EQ(event.sequence, expected++);
    ASSERT_EQ(expected, last == 0 ? 0 : last + 1);
  }

  const Folder folder_;
  SqliteOptions options_;
  std::map<std::uint64_t, Acknowledgement> told_;  // the newest of each client
  std::uint64_t acknowledged_ = 0;
};

TEST_F(Crash, LosesNothingThatWasAcknowledgedAndKeepsNothingByHalves) {
  const auto crashes = number_from_environment("ACTIONFLOWS_CRASHES").value_or(200);
  SCOPED_TRACE("to repeat: ACTIONFLOWS_SEED=" + std::to_string(test_seed()));
  SeededRandom random(test_seed());
  for (std::uint64_t i = 0; i < crashes; ++i) {
    // From before it has opened the file to well into writing.
    kill_after(std::chrono::microseconds(random.below(60'000)));
    if (HasFatalFailure()) return;
    const auto driver = open_sqlite_storage(options_);
    for (std::size_t client = 0; client < clients; ++client) {
      check(*driver, client);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(acknowledged_, crashes) << "they were killed before they did anything";
  RecordProperty("acknowledged", std::to_string(acknowledged_));
}

}  // namespace
}  // namespace actionflows::test
