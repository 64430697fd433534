// kill -9 at any moment of an outage: a process writes through a ResilientStorage with a durable
// journal, its primary away, lost on the way, or just back and being replayed to. It is killed, and
// another takes up its journal. Whatever was acknowledged is in the primary in the end, once.
//
// ACTIONFLOWS_SEED repeats a run; ACTIONFLOWS_CRASHES sets how many processes are killed.
#include "tests/outage/outage.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <iostream>
#include <map>
#include <set>
#include <string>

namespace actionflows::test {
namespace {

constexpr std::size_t client_count = 4;
constexpr std::uint64_t crashes_between_checks = 20;

// Each client writes a session of its own for as long as its process knows it: named by the process
// that made it.
SessionId session_of(std::uint64_t maker, std::size_t client) {
  return session_named("s" + std::to_string(maker) + "-" + std::to_string(client));
}

// Fixed in size, so that a pipe takes it whole or not at all.
struct Acknowledgement {
  std::uint64_t client = 0;
  std::uint64_t maker = 0;
  std::uint64_t process = 0;
  std::uint64_t number = 0;
};

std::string operation_of(const Acknowledgement& told) {
  return "p" + std::to_string(told.process) + "-" + std::to_string(told.client) + "-" +
         std::to_string(told.number);
}

// Not inline: in a coroutine's frame GCC 12 takes the first member for the whole.
[[gnu::noinline]] void tell(int pipe, const Acknowledgement& told) {
  if (::write(pipe, &told, sizeof told) != sizeof told) ::_exit(1);
}

bool is_open_question(const StorageError& error) {
  return error.code() == ErrorCode::unavailable || error.code() == ErrorCode::timeout;
}

// Until it is acknowledged. False: it is a conflict.
Task<bool> commit_surely(StorageDriver& driver, Change change) {
  for (;;) {
    try {
      co_await driver.commit(change);
      co_return true;
    } catch (const StorageError& error) {
      if (error.code() == ErrorCode::conflict) co_return false;
      if (!is_open_question(error)) throw;
    }
    change.repeat();
    co_await system_clock().sleep_for(1ms);
  }
}

// The version of its record; 0: the session is not there, or not known.
Task<std::uint64_t> version_of(StorageDriver& driver, SessionId session) {
  const std::vector<RecordKey> keys = {session_record};
  try {
    const ReadResult read = co_await driver.read(session, keys);
    co_return read.records[0] ? read.records[0]->version : 0;
  } catch (const StorageError& error) {
    if (!is_open_question(error)) throw;
  }
  co_return 0;
}

// `next`: who writes and what was written last.
Task<void> write_on(StorageDriver& driver, Acknowledgement next, std::uint64_t process, int pipe) {
  std::uint64_t version = co_await version_of(driver, session_of(next.maker, next.client));
  next.process = process;
  next.number = 0;
  if (version == 0) next.maker = process;
  for (;;) {
    const SessionId session = session_of(next.maker, next.client);
    Change change(session);
    change.operation(operation_of(next));
    const bool changes = version == 0 || next.number % 2 == 0;
    if (version == 0) {
      change.create(ann).only_if(Precondition::fresh);
    } else if (changes) {
      change.put(session_record, version);
    }
    const bool done = co_await commit_surely(driver, change);
    if (done) {
      tell(pipe, next);
      ++next.number;
      if (changes) ++version;
    } else {
      version = co_await version_of(driver, session);
    }
  }
}

[[noreturn]] void work_until_killed(const InstanceOptions& options, std::uint64_t process,
                                    const std::array<std::uint64_t, client_count>& makers,
                                    int pipe) {
  try {
    Instance instance(options);
    std::vector<Task<void>> tasks;
    for (std::size_t client = 0; client < client_count; ++client) {
      const Acknowledgement next{client, makers[client], process, 0};
      tasks.push_back(write_on(instance.driver(), next, process, pipe));
    }
    run_together(std::move(tasks), 2);
  } catch (const std::exception& error) {
    std::cout << "it can't work: " << error.what() << std::endl;
  }
  ::_exit(1);  // it ends by being killed only
}

class OutageCrash : public testing::Test {
 protected:
  enum class Way { down, up, lost };  // to the primary

  InstanceOptions options(Way way) {
    RedisOptions redis = server_->storage_options();
    if (way == Way::down) redis.servers = {{"127.0.0.1", 1}};  // where nobody listens
    InstanceOptions options(redis, 500ms);
    options.resilient.retry.first = 1ms;
    options.resilient.retry.longest = 2ms;
    options.journal = folder_.path("journal.db");
    return options;
  }

  // Within 40 ms of its start or, as often, of its first acknowledgement.
  void kill_at_work(std::uint64_t process) {
    const std::uint64_t dice = random_.below(10);
    const Way way = dice < 4 ? Way::down : dice < 8 ? Way::up : Way::lost;
    const std::chrono::microseconds delay(random_.below(sanitized ? 200'000 : 40'000));
    const bool writes_first = random_.below(2) == 0;
    if (!server_->runs()) server_->restart(RedisServer::Data::kept);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const InstanceOptions its = options(way);
    const pid_t child = ::fork();
    if (child == 0) work_until_killed(its, process, makers_, ends[1]);
    ::close(ends[1]);
    if (pollfd readable{ends[0], POLLIN, 0}; writes_first) ::poll(&readable, 1, 10'000);
    std::this_thread::sleep_for(delay / 2);
    if (way == Way::lost) server_->kill();
    std::this_thread::sleep_for(delay / 2);
    ::kill(child, SIGKILL);
    Acknowledgement told;
    while (::read(ends[0], &told, sizeof told) == sizeof told) {
      acknowledged_[session_of(told.maker, told.client)].insert(operation_of(told));
      makers_[told.client] = told.maker;
      ++count_[static_cast<std::size_t>(way)];
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself";
    ::close(ends[0]);
  }

  // The last process replays what its predecessors have left.
  void replay_and_check() {
    if (!server_->runs()) server_->restart(RedisServer::Data::kept);
    Instance last(options(Way::up));
    ASSERT_TRUE(last.wait_until_replayed());
    const Resilience end = last.resilience();
    ASSERT_EQ(end.poisoned, 0u) << last.log();
    replayed_ += end.replayed;
    for (const auto& [session, told] : acknowledged_) {
      const std::map<std::string, int> found = operations_in(last.driver(), session);
      for (const auto& [operation, times] : found)
        ASSERT_EQ(times, 1) << session.str() << ": " << operation << " was applied twice";
      for (const std::string& operation : told)
        ASSERT_TRUE(found.contains(operation)) << session.str() << ": " << operation << " is lost";
    }
  }

  SeededRandom random_{test_seed()};
  const Folder folder_ = Folder::in_memory();
  std::unique_ptr<RedisServer> server_;
  std::array<std::uint64_t, client_count> makers_{};
  std::map<SessionId, std::set<std::string>> acknowledged_;
  std::array<std::size_t, 3> count_{};  // of acknowledgements, by way
  std::uint64_t replayed_ = 0;          // by the last processes
};

TEST_F(OutageCrash, LosesNothingThatWasAcknowledgedAndAppliesNothingTwice) {
  NEEDS_REDIS();
  SCOPED_TRACE("to repeat: ACTIONFLOWS_SEED=" + std::to_string(test_seed()));
  RedisServerOptions keeping;
  keeping.appendonly = true;
  server_ = std::make_unique<RedisServer>(keeping);
  const std::uint64_t crashes =
      number_from_environment("ACTIONFLOWS_CRASHES").value_or(sanitized ? 40 : 200);
  for (std::uint64_t process = 1; process <= crashes; ++process) {
    kill_at_work(process);
    if (HasFatalFailure()) return;
    if (process % crashes_between_checks == 0) replay_and_check();
    if (HasFatalFailure()) return;
  }
  replay_and_check();
  std::cout << "killed " << crashes << " times: acknowledged " << count_[0]
            << " with the primary away, " << count_[1] << " with it there, " << count_[2]
            << " as it went; " << replayed_ << " replayed at the end" << std::endl;
  EXPECT_GT(count_[0], crashes);
  EXPECT_GT(count_[1] + count_[2], crashes);
}

}  // namespace
}  // namespace actionflows::test
