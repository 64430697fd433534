// A ResilientStorage by itself, under a clock that the test moves, over a way to the store that it
// cuts.
#pragma once

#include "actionflows/storage/resilient/resilient_storage.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/base/fake_clock.hpp"
#include "actionflows/services/event_log.hpp"
#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/resilient/testing/link.hpp"
#include "actionflows/storage/storage.hpp"
#include "tests/support/change.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/run.hpp"

#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <map>

namespace actionflows {

using namespace std::chrono_literals;
using test::chain;
using test::Change;
using test::credentials;
using test::Link;
using test::Moment;
using test::run;
using test::session_record;
using test::step;

inline const UserId ann = *UserId::parse("ann");
inline const SessionId s1 = *SessionId::parse("s-1");
inline const SessionId s2 = *SessionId::parse("s-2");

// How the way to the store is.
enum class Way { up, down, loses_answers, hangs };

#define EXPECT_CODE(call, error_code)                                             \
  try {                                                                           \
    static_cast<void>(call);                                                      \
    ADD_FAILURE() << #call " was let through";                                    \
  } catch (const StorageError& error) {                                           \
    EXPECT_EQ(to_string(error.code()), to_string(error_code)) << error.message(); \
  }

// One process's driver, and its way to the store.
struct Instance {
  std::shared_ptr<Link> link;
  Way way = Way::up;
  int calls = 0;
  std::vector<std::string> lines;
  std::unique_ptr<StorageDriver> driver;
};

// A journal of which is known how many calls wait for its thread; and that fails to remove when it
// is told to.
class CountedJournal final : public Journal {
 public:
  CountedJournal(std::unique_ptr<Journal> real, int& waiting, const bool& removes)
      : real_(std::move(real)), waiting_(waiting), removes_(removes) {}

  Task<std::uint64_t> append(JournalKind kind, std::shared_ptr<const Commit> commit,
                             Timestamp at) override {
    const Count count(waiting_);
    co_return co_await real_->append(kind, commit, at);
  }
  Task<void> remove(std::span<const std::uint64_t> ids) override {
    if (!removes_ && !ids.empty()) throw StorageError(ErrorCode::unavailable, "the disk is gone");
    const Count count(waiting_);
    co_await real_->remove(ids);
  }
  Task<void> poison(std::uint64_t id, std::string_view reason) override {
    const Count count(waiting_);
    co_await real_->poison(id, reason);
  }
  Task<bool> changed_by_others() override {
    const Count count(waiting_);
    co_return co_await real_->changed_by_others();
  }
  bool retry(std::uint64_t id) override { return real_->retry(id); }
  std::vector<JournalEntry> entries() override { return real_->entries(); }
  [[nodiscard]] const std::string& damage() const override { return real_->damage(); }
  [[nodiscard]] bool durable() const override { return real_->durable(); }

 private:
  struct Count {
    explicit Count(int& of) : count(of) { ++count; }
    ~Count() { --count; }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    int& count;
  };

  const std::unique_ptr<Journal> real_;
  int& waiting_;
  const bool& removes_;
};

class ResilientStorageTest : public testing::Test {
 protected:
  ~ResilientStorageTest() override { test::run_context().restart(); }

  static ResilientOptions usual_options() {
    ResilientOptions options;
    options.retry.max_attempts = 1;
    options.primary_timeout = 0ms;
    return options;
  }

  Task<void> travel(Instance& instance, Moment moment) {
    ++instance.calls;
    if (moment == Moment::before && instance.way == Way::down)
      throw StorageError(ErrorCode::unavailable, "connection refused");
    if (moment == Moment::after && instance.way == Way::loses_answers)
      throw StorageError(ErrorCode::timeout, "no answer");
    if (moment == Moment::before && instance.way == Way::hangs) co_await clock.sleep_for(24h);
  }

  Instance& start(std::unique_ptr<Journal> journal = make_memory_journal(),
                  ResilientOptions options = usual_options()) {
    Instance& instance = *instances.emplace_back(std::make_unique<Instance>());
    instance.link = std::make_shared<Link>(store);
    instance.link->hook = [this, &instance](Moment moment) { return travel(instance, moment); };
    options.executor = keepers.get_executor();
    options.log = [&instance](std::string_view line) { instance.lines.emplace_back(line); };
    instance.driver = make_resilient_storage(
        instance.link, make_memory_storage(),
        std::make_unique<CountedJournal>(std::move(journal), waiting_for_journals, journals_remove),
        options, clock, random);
    return instance;
  }

  // The primary goes away, and the breaker notices.
  void lose(Instance& instance) {
    instance.way = Way::down;
    for (int n = 0; n < 5; ++n) {
      try {
        run(instance.driver->list_sessions({}));
        EXPECT_EQ(n, 4) << "the fifth failure opens the circuit, and the fallback answers";
      } catch (const StorageError& error) {
        EXPECT_EQ(error.code(), ErrorCode::unavailable);
      }
    }
    EXPECT_EQ(resilience(instance).breaker, "open");
  }

  // Time passes, and the keepers do what is due.
  void pass(std::chrono::milliseconds time) {
    for (auto passed = 0ms; passed < time; passed += 50ms) {
      clock.advance(50ms);
      keepers.restart();
      for (keepers.poll(); waiting_for_journals != 0; keepers.poll()) keepers.run_one();
    }
  }

  // Its memory is full: it answers, but takes nothing.
  static void fill(Instance& instance) {
    instance.way = Way::up;
    instance.link->refusal = failure(ErrorCode::exhausted, "out of memory", "commit");
    instance.link->refusal->retryable = true;
  }

  void heal(Instance& instance) {
    instance.way = Way::up;
    pass(61s);
    EXPECT_EQ(resilience(instance).breaker, "closed");
  }

  static Resilience resilience(Instance& instance) {
    return *run(instance.driver->health()).resilience;
  }

  CommitResult commit(Instance& instance, Change change) {
    change.at = clock.now();
    if (change.activity) change.activity = Activity{clock.now(), clock.now() + 24h};
    return run(instance.driver->commit(change));
  }
  std::optional<StoredRecord> record(StorageDriver& driver, const SessionId& id, RecordKey key) {
    return run(driver.read(id, std::span(&key, 1))).records.at(0);
  }
  // Where who follows is sent back to; nullopt: it is not.
  static std::optional<std::uint64_t> next_rewind(Subscription& subscription) {
    std::optional<std::uint64_t> rewind;
    for (int n = 0; n < 5 && !rewind; ++n) rewind = run(subscription.next(10ms)).rewind;
    return rewind;
  }
  // How often each operation stands in the log.
  std::map<std::string, int> operations(const SessionId& id) {
    std::map<std::string, int> count;
    for (const StoredEvent& event : run(store->read_events(id, {})).events)
      ++count[event.operation_id];
    return count;
  }

  int waiting_for_journals = 0;
  bool journals_remove = true;
  FakeClock clock;
  SeededRandom random{1};
  std::shared_ptr<StorageDriver> store = make_memory_storage();
  std::vector<std::unique_ptr<Instance>> instances;
  boost::asio::io_context keepers;
};

}  // namespace actionflows
