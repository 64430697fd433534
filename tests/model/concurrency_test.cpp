// Many coroutines on several threads at the same session: nothing is lost, nothing is done twice,
// the sequence is dense, and the log tells what is stored.
#include "actionflows/services/event_log.hpp"
#include "actionflows/services/step_service.hpp"
#include "tests/support/sanitized.hpp"
#include "tests/support/typed_storage.hpp"

#include <atomic>
#include <mutex>
#include <set>

namespace actionflows::test {
namespace {

constexpr int rounds = sanitized ? 10 : 40;
constexpr int workers = 12;
constexpr std::size_t threads = 4;

class Together : public testing::Test {
 protected:
  Together() { run(storage.create_session(user("ann"), {}, s)); }

  // Whatever `work` did, this must hold.
  void expect_whole_log() {
    EventFilter filter;
    filter.limit = 1'000;
    std::uint64_t expected = 0;
    for (bool more = true; more;) {
      const EventList list = run(storage.read_events(s, filter));
      for (const Event& event : list.items) {
        ASSERT_EQ(event.sequence, ++expected);
        ++types[event.type.str()];
      }
      more = list.next_after.has_value();
      filter.after = list.next_after.value_or(0);
    }
    const Verification found = run(EventLog(storage).verify(s));
    EXPECT_EQ(to_string(found.outcome), "equal");
    for (const std::string& difference : found.differences) ADD_FAILURE() << difference;
  }
  static std::string to_string(Verification::Outcome outcome) {
    return std::string(actionflows::to_string(outcome));
  }

  // `work(worker)` for every worker, all at the same time.
  template <class Work>
  void each(const Work& work) {
    std::vector<Task<void>> tasks;
    for (int worker = 0; worker < workers; ++worker) tasks.push_back(work(worker));
    run_together(std::move(tasks), threads);
  }

  static MemoryOptions roomy() {
    MemoryOptions options;
    options.limits.max_events = 1'000'000;
    options.limits.max_chains = 1'000'000;
    return options;
  }

  const SessionId s = session_id("s");
  Storage storage{make_memory_storage(roomy())};
  std::map<std::string, int> types;  // how many events there are of each
};

// The call again and again until nobody else was quicker; how often that was is counted.
template <class Make>
auto until_done(Make make) -> decltype(make()) {
  for (;;) {
    bool conflict = false;
    auto task = make();
    try {
      co_return co_await std::move(task);
    } catch (const StorageError& error) {
      if (error.code() != ErrorCode::conflict) throw;
      conflict = true;
    }
    if (!conflict) break;
  }
  throw std::logic_error("unreachable");
}

// ---- by expected version

Task<void> count_up(Storage& storage, const SessionId& id) {
  for (int done = 0; done < rounds;) {
    const std::optional<Session> before = co_await storage.get_session(id);
    const std::string text(before->metadata ? before->metadata->view() : R"({"n":0})");
    const int n = std::stoi(text.substr(5));
    SessionUpdate update;
    update.set(&Session::metadata, json::Raw::parse("{\"n\":" + std::to_string(n + 1) + "}"));
    const Context context = expecting(before->version);
    try {
      co_await storage.update_session(id, update, context);
      ++done;
    } catch (const StorageError& error) {
      if (error.code() != ErrorCode::conflict) throw;
    }
  }
}

TEST_F(Together, CountersByExpectedVersionLoseNothing) {
  each([&](int) { return count_up(storage, s); });
  const Session session = *run(storage.get_session(s));
  EXPECT_EQ(session.metadata->view(), "{\"n\":" + std::to_string(workers * rounds) + "}");
  EXPECT_EQ(session.version, 1u + workers * rounds);
  expect_whole_log();
  EXPECT_EQ(types["session:updated"], workers * rounds);
}

// ---- by trying again

Task<void> merge_own_field(Storage& storage, const SessionId& id, int worker) {
  for (int n = 1; n <= rounds; ++n) {
    SessionUpdate update;
    update.merge(&Session::metadata, json::Raw::parse("{\"w" + std::to_string(worker) +
                                                      "\":" + std::to_string(n) + "}"));
    const auto make = [&] { return storage.update_session(id, update); };
    co_await until_done(make);
  }
}

TEST_F(Together, MergesOfDifferentFieldsLoseNothing) {
  each([&](int worker) { return merge_own_field(storage, s, worker); });
  const Session session = *run(storage.get_session(s));
  for (int worker = 0; worker < workers; ++worker) {
    const std::string field = "\"w" + std::to_string(worker) + "\":" + std::to_string(rounds);
    EXPECT_NE(session.metadata->view().find(field), std::string::npos) << field;
  }
  expect_whole_log();
  EXPECT_EQ(types["session:updated"], workers * rounds);
}

// ---- everything at once

struct Tally {
  std::mutex mutex;
  std::set<std::uint32_t> chains;
  std::set<std::uint64_t> sequences;
};

Task<void> work_through(Storage& storage, const SessionId& id, Tally& tally) {
  StepService steps(storage);
  for (int round = 0; round < rounds / 4; ++round) {
    const ChainData data = chain_data({{}, {1}});
    const auto make = [&] { return storage.create_chain(id, data); };
    const Chain chain = co_await until_done(make);
    {
      const std::lock_guard lock(tally.mutex);
      EXPECT_TRUE(tally.chains.insert(chain.chain_id.number()).second);
    }
    for (std::uint32_t n = 1; n <= 2; ++n) {
      const StepId step(chain.chain_id, n);
      const auto start = [&] { return steps.start(step); };
      co_await until_done(start);
      const auto complete = [&] { return steps.complete(step); };
      co_await until_done(complete);
    }
    const EventData note = event_data("note:made");
    const auto append = [&] { return storage.append_event(id, note); };
    const Event event = co_await until_done(append);
    const std::lock_guard lock(tally.mutex);
    EXPECT_TRUE(tally.sequences.insert(event.sequence).second);
  }
}

TEST_F(Together, ChainsStepsAndEventsOfOneSessionAllStand) {
  Tally tally;
  each([&](int) { return work_through(storage, s, tally); });
  constexpr int total = workers * (rounds / 4);
  EXPECT_EQ(tally.chains.size(), static_cast<std::size_t>(total));
  EXPECT_EQ(*tally.chains.rbegin(), static_cast<std::uint32_t>(total));
  EXPECT_EQ(run(storage.get_session(s))->chain_count, static_cast<std::uint32_t>(total));
  expect_whole_log();
  EXPECT_EQ(types["chain:compiled"], total);
  EXPECT_EQ(types["step:completed"], 2 * total);
  EXPECT_EQ(types["chain:completed"], total);
  EXPECT_EQ(types["note:made"], total);
  PageQuery query;
  query.limit = 1'000;
  EXPECT_EQ(run(storage.list_archive({}, query)).items.size(), static_cast<std::size_t>(total));
}

// ---- one chain, whose steps are whoever's is first

Task<void> take_what_is_free(Storage& storage, const ChainId& chain, std::uint32_t steps,
                             std::atomic<int>& taken) {
  StepService service(storage);
  for (std::uint32_t n = 1; n <= steps; ++n) {
    const StepId step(chain, n);
    bool mine = false;
    try {
      const auto start = [&] { return service.start(step); };
      co_await until_done(start);
      mine = true;
    } catch (const StorageError& error) {
      if (error.code() != ErrorCode::illegal_transition) throw;
    }
    if (!mine) continue;
    ++taken;
    const auto complete = [&] { return service.complete(step); };
    co_await until_done(complete);
  }
}

TEST_F(Together, AStepIsStartedByOneOnly) {
  constexpr std::uint32_t steps = rounds;
  const Chain chain =
      run(storage.create_chain(s, chain_data(std::vector<std::vector<std::uint32_t>>(steps))));
  std::atomic<int> taken = 0;
  each([&](int) { return take_what_is_free(storage, chain.chain_id, steps, taken); });
  EXPECT_EQ(taken, rounds);
  const Chain done = *run(storage.get_chain(chain.chain_id));
  EXPECT_EQ(done.status, ChainStatus::completed);
  EXPECT_TRUE(done.archived_at);
  EXPECT_EQ(done.completed_steps, steps);
  expect_whole_log();
  EXPECT_EQ(types["step:started"], rounds);
  EXPECT_EQ(types["chain:completed"], 1);
}

// ---- the same call by all

Task<void> create_the_same(Storage& storage, const SessionId& id, Tally& tally) {
  for (int round = 0; round < rounds; ++round) {
    const Context context = with_operation("op-" + std::to_string(round));
    const ChainData data = chain_data({{}});
    const auto make = [&] { return storage.create_chain(id, data, context); };
    const Chain chain = co_await until_done(make);
    const std::lock_guard lock(tally.mutex);
    tally.chains.insert(chain.chain_id.number());
  }
}

TEST_F(Together, OneOperationIsAppliedOnce) {
  Tally tally;
  each([&](int) { return create_the_same(storage, s, tally); });
  EXPECT_EQ(tally.chains.size(), static_cast<std::size_t>(rounds));
  EXPECT_EQ(run(storage.get_session(s))->chain_count, static_cast<std::uint32_t>(rounds));
  expect_whole_log();
  EXPECT_EQ(types["chain:compiled"], rounds);
}

Task<void> make_session_anew(Storage& storage, const Context& context, Tally& tally,
                             std::set<std::string>& ids) {
  const UserId ann = user("ann");
  const SessionData data;
  const auto make = [&] { return storage.create_session(ann, data, {}, context); };
  const Session session = co_await until_done(make);
  const std::lock_guard lock(tally.mutex);
  ids.insert(session.session_id.str());
}

TEST_F(Together, OneCreationMakesOneSession) {
  Tally tally;
  std::set<std::string> ids;
  const Context context = with_operation("op");
  each([&](int) { return make_session_anew(storage, context, tally, ids); });
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_EQ(run(storage.list_sessions({})).items.size(), 2u);
}

// ---- sessions that come and go

Task<void> come_and_go(Storage& storage, const SessionId& id, Tally& tally, int worker) {
  const UserId ann = user("ann");
  const SessionData data;
  const ChainData chain = chain_data({{}});
  for (int round = 0; round < rounds; ++round) {
    try {
      if (worker % 4 == 0) co_await storage.delete_session(id);
      if (worker % 4 == 1) co_await storage.create_session(ann, data, id);
      if (worker % 4 >= 2) {
        const Chain made = co_await storage.create_chain(id, chain);
        const std::lock_guard lock(tally.mutex);
        EXPECT_TRUE(tally.chains.insert(made.chain_id.number()).second);
      }
    } catch (const StorageError& error) {
      if (error.code() != ErrorCode::not_found && error.code() != ErrorCode::conflict) throw;
    }
  }
}

TEST_F(Together, AChainNumberIsNeverGivenTwice) {
  Tally tally;
  each([&](int worker) { return come_and_go(storage, s, tally, worker); });
  expect_whole_log();
  // However few chains met a session: the next one's number is beyond all of theirs.
  if (!run(storage.get_session(s))) run(storage.create_session(user("ann"), SessionData(), s));
  const Chain next = run(storage.create_chain(s, chain_data({{}})));
  EXPECT_TRUE(tally.chains.insert(next.chain_id.number()).second);
  EXPECT_EQ(*tally.chains.rbegin(), next.chain_id.number());
}

Task<void> touch_and_expire(Storage& storage, RestlessClock& clock, int worker,
                            std::atomic<int>& expired) {
  const UserId ann = user("ann");
  const SessionData data;
  const SessionId id = session_id("short");
  const EventData note = event_data("note:made");
  for (int round = 0; round < rounds; ++round) {
    try {
      if (worker == 0) clock.advance(6h);
      if (worker % 3 == 0) {
        const Upkeep upkeep = co_await storage.sweep();
        expired += static_cast<int>(upkeep.sessions_expired);
      }
      if (worker % 3 == 1) co_await storage.append_event(id, note);
      if (worker % 3 == 2) co_await storage.create_session(ann, data, id);
    } catch (const StorageError& error) {
      if (error.code() != ErrorCode::not_found && error.code() != ErrorCode::conflict) throw;
    }
  }
}

TEST_F(Together, WhatExpiresEndsOnce) {
  RestlessClock clock(*parse_rfc3339("2026-01-01T00:00:00Z"));
  MemoryOptions options = roomy();
  options.limits.log_retention = 24h * 365;
  Storage other(make_memory_storage(options), {}, clock);
  std::atomic<int> expired = 0;
  each([&](int worker) { return touch_and_expire(other, clock, worker, expired); });
  const SessionId id = session_id("short");
  int balance = 0;
  EventFilter filter;
  filter.limit = 1'000;
  for (const Event& event : run(other.read_events(id, filter)).items) {
    balance += event.type.str() == "session:created" ? 1 : 0;
    balance -= event.type.str() == "session:expired" ? 1 : 0;
    EXPECT_TRUE(balance == 0 || balance == 1) << event.sequence;
  }
  EXPECT_EQ(to_string(run(EventLog(other).verify(id)).outcome), "equal");
}

}  // namespace
}  // namespace actionflows::test
