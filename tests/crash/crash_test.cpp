// kill -9 at any moment: a process writes through eight clients at once and tells each
// acknowledgement; it is killed, and whatever it told must be there, whole, in dense sequences.
// Once with commits of bytes, whose halves would show; once with what the services write, which
// must be what its log rebuilds.
//
// ACTIONFLOWS_SEED repeats a run; ACTIONFLOWS_CRASHES sets how many processes are killed.
#include "actionflows/base/error.hpp"
#include "actionflows/base/random.hpp"
#include "actionflows/services/event_log.hpp"
#include "actionflows/services/step_service.hpp"
#include "actionflows/storage/sqlite/sqlite_storage.hpp"
#include "tests/support/change.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/run.hpp"
#include "tests/support/sanitized.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <functional>
#include <map>
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
  std::uint64_t version = 0;  // of every record from now on; 0: what services write
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

void write_commits(const SqliteOptions& options, int pipe) {
  const auto driver = open_sqlite_storage(options);
  std::vector<Task<void>> tasks;
  for (std::size_t client = 0; client < clients; ++client)
    tasks.push_back(write_on(*driver, client, pipe));
  run_together(std::move(tasks), 2);
}

// ---- through the services -----------------------------------------------------------------------

// Every process that is killed has sessions of its own.
SessionId session_of(std::uint64_t crash, std::size_t client) {
  return SessionId::parse("crash-" + std::to_string(crash) + "-client-" + std::to_string(client))
      .value();
}

ChainData plan() {
  ChainData data;
  data.title = "Build";
  data.steps.resize(2);
  data.steps[0].action = "compile";
  data.steps[1].action = "link";
  data.steps[1].waits_for = {1};
  return data;
}

// One chain after the other, each to its end, where it is archived.
Task<void> run_chains(Storage& storage, SessionId session, std::size_t client, int pipe) {
  StepService service(storage);
  CallReport report;
  Context context;
  context.report = &report;
  const auto tell_done = [&] {
    const Acknowledgement told{client, report.sequence, 0};
    tell(pipe, told);
  };
  const SessionData data;
  co_await storage.create_session(UserId::parse("ann").value(), data, session, context);
  tell_done();
  for (;;) {
    const ChainData planned = plan();
    const Chain chain = co_await storage.create_chain(session, planned, context);
    tell_done();
    for (std::uint32_t number = 1; number <= chain.step_count; ++number) {
      const StepId step(chain.chain_id, number);
      co_await service.start(step, context);
      tell_done();
      StepReport done;
      done.learning = "it works";
      co_await service.complete(step, done, context);
      tell_done();
    }
  }
}

void write_chains(const SqliteOptions& options, std::uint64_t crash, int pipe) {
  Storage storage(open_sqlite_storage(options));
  std::vector<Task<void>> tasks;
  for (std::size_t client = 0; client < clients; ++client)
    tasks.push_back(run_chains(storage, session_of(crash, client), client, pipe));
  run_together(std::move(tasks), 2);
}

// ---- killing ------------------------------------------------------------------------------------

// What the process does that is killed, telling of it through a pipe.
using Work = std::function<void(int pipe)>;

[[noreturn]] void work_until_killed(const Work& work, int pipe) {
  try {
    work(pipe);
  } catch (const std::exception&) {
  }
  ::_exit(1);  // it ends by being killed only
}

class Crash : public testing::Test {
 protected:
  Crash() { options_.path = folder_.path("crash.db"); }

  // Kills a process within 60 ms of its start or, as often, of its first acknowledgement: from
  // before it has opened the file to well into writing. Keeps what it told.
  void kill_at_work(const Work& work) {
    const std::chrono::microseconds delay(random_.below(60'000));
    const bool writes_first = random_.below(2) == 0;
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) work_until_killed(work, ends[1]);
    ::close(ends[1]);
    if (pollfd readable{ends[0], POLLIN, 0}; writes_first) ::poll(&readable, 1, 10'000);
    std::this_thread::sleep_for(delay);
    ::kill(child, SIGKILL);
    Acknowledgement told;
    while (::read(ends[0], &told, sizeof told) == sizeof told) {
      Acknowledgement& newest = told_[told.client];
      if (newest.sequence < told.sequence) newest = told;
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

  // What the services wrote is what the log tells, and the log holds all that was acknowledged.
  static void verify(Storage& storage, const SessionId& session, std::uint64_t acknowledged) {
    const EventList log = run(storage.read_events(session));
    ASSERT_GE(log.last_sequence, acknowledged) << "an acknowledged event is lost";
    if (log.last_sequence == 0) return;
    EventLog events(storage);
    const Verification found = run(events.verify(session));
    ASSERT_EQ(found.outcome, Verification::Outcome::equal)
        << session.str() << ": " << testing::PrintToString(found.differences);
    ASSERT_EQ(found.events, log.last_sequence) << "half a log";
  }

  const Folder folder_;
  SqliteOptions options_;
  const std::uint64_t crashes_ =
      number_from_environment("ACTIONFLOWS_CRASHES").value_or(sanitized ? 40 : 200);
  SeededRandom random_{test_seed()};
  std::map<std::uint64_t, Acknowledgement> told_;  // the newest of each client
  std::uint64_t acknowledged_ = 0;
};

TEST_F(Crash, LosesNothingThatWasAcknowledgedAndKeepsNothingByHalves) {
  SCOPED_TRACE("to repeat: ACTIONFLOWS_SEED=" + std::to_string(test_seed()));
  for (std::uint64_t i = 0; i < crashes_; ++i) {
    kill_at_work([&](int pipe) { write_commits(options_, pipe); });
    if (HasFatalFailure()) return;
    const auto driver = open_sqlite_storage(options_);
    for (std::size_t client = 0; client < clients; ++client) {
      check(*driver, client);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(acknowledged_, crashes_) << "they were killed before they did anything";
  RecordProperty("acknowledged", std::to_string(acknowledged_));
}

TEST_F(Crash, LeavesWhatTheLogRebuilds) {
  SCOPED_TRACE("to repeat: ACTIONFLOWS_SEED=" + std::to_string(test_seed()));
  for (std::uint64_t i = 0; i < crashes_; ++i) {
    told_.clear();
    kill_at_work([&](int pipe) { write_chains(options_, i, pipe); });
    if (HasFatalFailure()) return;
    Storage storage(open_sqlite_storage(options_));
    for (std::size_t client = 0; client < clients; ++client) {
      verify(storage, session_of(i, client), told_[client].sequence);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(acknowledged_, crashes_) << "they were killed before they did anything";
  // And nothing that came later has harmed what was there.
  Storage storage(open_sqlite_storage(options_));
  for (std::uint64_t i = 0; i < crashes_; ++i)
    for (std::size_t client = 0; client < clients; ++client)
      verify(storage, session_of(i, client), 0);
  RecordProperty("acknowledged", std::to_string(acknowledged_));
}

}  // namespace
}  // namespace actionflows::test
