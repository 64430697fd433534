#include "actionflows/services/event_log.hpp"

#include "actionflows/services/chain_service.hpp"
#include "actionflows/services/session_service.hpp"
#include "actionflows/services/step_service.hpp"
#include "actionflows/storage/wakeup_hub.hpp"
#include "tests/support/typed_storage.hpp"

#include <thread>

namespace actionflows {

static void PrintTo(Verification::Outcome outcome, std::ostream* out) {
  *out << to_string(outcome);
}

namespace {

using namespace test;
using Outcome = Verification::Outcome;

class Logs : public TypedStorageTest {
 protected:
  const SessionId s = make_session().session_id;
  EventLog log{storage()};

  // Two chains: one archived, one with a failed, a running, a deleted and a pending step.
  void populate() {
    StepService steps(storage());
    make_chain(s, {{}});
    run(steps.start({ChainId(s, 1), 1}));
    run(steps.complete({ChainId(s, 1), 1}));
    make_chain(s, {{}, {}, {}, {1}});
    run(steps.start({ChainId(s, 2), 1}));
    run(steps.fail({ChainId(s, 2), 1}));
    run(steps.start({ChainId(s, 2), 2}));
    run(storage().delete_step({ChainId(s, 2), 3}));
    make_chain(s, {{}});
    run(storage().delete_chain(ChainId(s, 3)));
    run(SessionService(storage()).issue_token(s));
    run(storage().append_event(s, event_data("note:made")));
  }
  std::unique_ptr<EventFollower> follow(std::uint64_t after) { return run(log.follow(s, after)); }
  void note(int times = 1) {
    for (int i = 0; i < times; ++i) run(storage().append_event(s, event_data("note:made")));
  }
};

std::vector<std::uint64_t> numbers(const EventFollower::Batch& batch) {
  std::vector<std::uint64_t> found;
  for (const Event& event : batch.events) found.push_back(event.sequence);
  return found;
}

using Numbers = std::vector<std::uint64_t>;

// ---- following

TEST_F(Logs, AreFollowedFromAnyPointInBatches) {
  note(5);
  const auto follower = follow(1);
  EXPECT_EQ(numbers(run(follower->next(0ms, 2))), (Numbers{2, 3}));
  EXPECT_EQ(follower->position(), 3u);
  EXPECT_EQ(numbers(run(follower->next(0ms))), (Numbers{4, 5, 6}));
  const EventFollower::Batch none = run(follower->next(0ms));
  EXPECT_TRUE(none.events.empty());
  EXPECT_FALSE(none.gap || none.restarted);
  note();
  EXPECT_EQ(numbers(run(follower->next(0ms))), Numbers{7});
}

TEST_F(Logs, AreFollowedBeforeTheirSessionExists) {
  const auto follower = run(log.follow(session_id("later"), 0));
  EXPECT_TRUE(run(follower->next(1ms)).events.empty());
  make_session("later");
  EXPECT_EQ(numbers(run(follower->next(1s))), Numbers{1});
}

TEST_F(Logs, WakeTheirFollowersFromOtherThreads) {
  const auto follower = follow(1);
  std::thread writer([this] {
    for (int i = 0; i < 50; ++i) {
      note();
      std::this_thread::sleep_for(1ms);
    }
  });
  Numbers seen;
  const auto begun = std::chrono::steady_clock::now();
  while (seen.size() < 50) {
    const EventFollower::Batch batch = run(follower->next(10s));
    ASSERT_FALSE(batch.events.empty());
    for (const Event& event : batch.events) seen.push_back(event.sequence);
  }
  writer.join();
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], i + 2);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);  // woken, not waited for
}

TEST_F(Logs, TellTheirFollowersOfAGap) {
  note(9);
  const auto follower = follow(2);
  run(log.prune(s, 6));
  const EventFollower::Batch batch = run(follower->next(0ms));
  ASSERT_TRUE(batch.gap);
  EXPECT_EQ(batch.gap->from, 3u);
  EXPECT_EQ(batch.gap->to, 5u);
  EXPECT_EQ(numbers(batch), (Numbers{6, 7, 8, 9, 10}));
  EXPECT_FALSE(run(follower->next(0ms)).gap);
}

TEST_F(Logs, ThatBeganAnewAreReadFromTheirBeginning) {
  note(9);
  const auto follower = follow(0);
  EXPECT_EQ(run(follower->next(0ms)).events.size(), 10u);
  run(storage().erase_session(s));
  EXPECT_FALSE(run(follower->next(0ms)).restarted);  // nothing is there, and nothing is lost
  make_session();
  EXPECT_TRUE(run(follower->next(0ms)).restarted);
  EXPECT_EQ(numbers(run(follower->next(0ms))), Numbers{1});
}

TEST_F(Logs, ThatWereRenumberedAreReadAgainFromThere) {
  note(5);
  WakeupHub hub(10);
  EventFollower follower(storage(), s, 0, hub.subscribe(s));
  EXPECT_EQ(run(follower.next(0ms)).events.size(), 6u);
  hub.rewind(s, 4);
  const EventFollower::Batch batch = run(follower.next(10s));
  EXPECT_TRUE(batch.restarted);
  EXPECT_EQ(batch.resumes_after, 4u);
  EXPECT_TRUE(batch.events.empty());
  EXPECT_EQ(numbers(run(follower.next(0ms))), (Numbers{5, 6}));
}

TEST_F(Logs, ThatWereRenumberedFartherOnGoOn) {
  note(5);
  WakeupHub hub(10);
  EventFollower follower(storage(), s, 6, hub.subscribe(s));
  hub.rewind(s, 6);
  EXPECT_FALSE(run(follower.next(10ms)).restarted);
  EXPECT_EQ(follower.position(), 6u);
}

TEST_F(Logs, TellTheirFollowersWhatCannotBeRead) {
  run(driver().real().commit(Change(s, clock.now()).event("test:planted", "{}")));
  const auto follower = follow(1);
  const EventFollower::Batch batch = run(follower->next(0ms));
  EXPECT_TRUE(batch.events.empty());
  ASSERT_EQ(batch.corrupt.size(), 1u);
  EXPECT_EQ(batch.corrupt[0].record, "s#2");
  EXPECT_EQ(follower->position(), 2u);
}

TEST_F(Logs, GoOnAfterTheirBackendWasAway) {
  const auto follower = follow(0);
  break_next(Call::read_events, ErrorCode::unavailable);
  EXPECT_EQ(error_of(follower->next(0ms)).code(), ErrorCode::unavailable);
  EXPECT_EQ(numbers(run(follower->next(0ms))), Numbers{1});
}

// A subscription that breaks is replaced at the next call.
TEST_F(Logs, GoOnAfterTheirSubscriptionHasBroken) {
  class Broken final : public Subscription {
   public:
    Task<Batch> next(std::chrono::milliseconds) override {
      throw failure(ErrorCode::unavailable, "broken on purpose", "subscribe");
      co_return Batch();
    }
  };
  EventFollower follower(storage(), s, 1, std::make_unique<Broken>());
  EXPECT_EQ(error_of(follower.next(1s)).code(), ErrorCode::unavailable);
  EXPECT_TRUE(run(follower.next(1ms)).events.empty());
  note();
  EXPECT_EQ(numbers(run(follower.next(1s))), Numbers{2});
}

// ---- replaying

TEST_F(Logs, RebuildTheStateOfAnyMoment) {
  populate();
  Replay replay = run(log.replay(s));
  ASSERT_TRUE(replay.session());
  EXPECT_EQ(replay.session()->chain_count, 3u);
  EXPECT_EQ(replay.chains().size(), 2u);
  EXPECT_EQ(replay.chains().at(1).status, ChainStatus::completed);
  EXPECT_EQ(replay.steps().size(), 4u);
  EXPECT_EQ(replay.steps().at({2, 1}).status, StepStatus::failed);
  replay = run(log.replay(s, 2));
  EXPECT_EQ(replay.last_sequence(), 2u);
  EXPECT_EQ(replay.chains().at(1).status, ChainStatus::pending);
  EXPECT_EQ(replay.session()->chain_count, 0u);
}

TEST_F(Logs, ThatBeginLateAreNotReplayed) {
  note(5);
  run(log.prune(s, 3));
  EXPECT_EQ(error_of(log.replay(s)).code(), ErrorCode::corrupt);
}

TEST_F(Logs, ThatDoNotFitTogetherAreNotReplayed) {
  const auto event = [&](std::string_view type, std::string_view data,
                         std::optional<ChainId> chain = {}, std::optional<StepId> step = {}) {
    Event made;
    made.session_id = s;
    made.type = *EventType::parse(type);
    made.data = json::Raw::parse(data);
    made.chain_id = std::move(chain);
    made.step_id = std::move(step);
    return made;
  };
  const std::vector<Event> misfits = {
      event("session:created", "{}"),
      event("session:updated", R"({"chainCount":"many"})"),
      event("session:updated", R"({"unknown":1})"),
      event("chain:updated", "{}", ChainId(s, 9)),
      event("chain:deleted", "{}", ChainId(s, 9)),
      event("chain:extended", R"({"steps":[]})", ChainId(s, 9)),
      event("chain:updated", "{}"),
      event("step:updated", "{}", ChainId(s, 1), StepId(ChainId(s, 1), 9)),
      event("step:created", R"({"number":1})", ChainId(s, 1), StepId(ChainId(s, 1), 1)),
      event("step:deleted", "{}"),
  };
  for (Event misfit : misfits) {
    Replay replay = run(log.replay(s));
    misfit.sequence = 2;
    try {
      replay.apply(misfit);
      ADD_FAILURE() << misfit.type.str() << " was let through";
    } catch (const StorageError& error) {
      EXPECT_EQ(error.code(), ErrorCode::corrupt);
    }
  }
  Replay replay = run(log.replay(s));
  Event later = event("note:made", "{}");
  later.sequence = 3;
  EXPECT_THROW(replay.apply(later), StorageError);
}

// ---- verifying

TEST_F(Logs, AreHeldAgainstTheState) {
  populate();
  const Verification found = run(log.verify(s));
  EXPECT_EQ(found.outcome, Outcome::equal) << found.differences.at(0);
  EXPECT_EQ(found.session, s);
  EXPECT_EQ(found.records, 1u + 2u + 1u + 3u);
  EXPECT_EQ(found.events, events(s).size());
  EXPECT_EQ(error_of(log.verify(session_id("nobody"))).code(), ErrorCode::not_found);
}

TEST_F(Logs, OfSessionsThatHaveEndedAreHeldAgainstTheArchive) {
  populate();
  run(storage().delete_session(s));
  Verification found = run(log.verify(s));
  EXPECT_EQ(found.outcome, Outcome::equal);
  EXPECT_EQ(found.records, 2u);
  make_session();
  make_chain(s, {{}});
  found = run(log.verify(s));
  EXPECT_EQ(found.outcome, Outcome::equal);
  EXPECT_EQ(found.records, 5u);
  clock.advance(24h);  // expired, and not swept
  EXPECT_EQ(run(log.verify(s)).outcome, Outcome::equal);
}

TEST_F(Logs, WhoseBeginningIsGoneCannotBeHeldAgainstTheState) {
  populate();
  run(log.prune(s, 2));
  const Verification found = run(log.verify(s));
  EXPECT_EQ(found.outcome, Outcome::pruned);
  EXPECT_EQ(found.session, s);
}

class Planted : public Logs {
 protected:
  Planted() { populate(); }

  std::string stored(RecordKey key) {
    const ReadResult read = run(driver().real().read(s, std::span(&key, 1)));
    return std::string(read.records[0]->bytes.view());
  }
  void replace(RecordKey key, std::string_view what, std::string_view with) {
    std::string bytes = stored(key);
    bytes.replace(bytes.find(what), what.size(), with);
    plant(s, key, bytes);
  }
  std::vector<std::string> differences() {
    const Verification found = run(log.verify(s));
    EXPECT_EQ(found.outcome, Outcome::different);
    return found.differences;
  }
};

TEST_F(Planted, DifferencesAreFoundInEveryKindOfRecord) {
  replace(session_record, "a session", "another");
  EXPECT_EQ(differences(), std::vector<std::string>{R"(s: the log says {"title":"a session"})"});
  replace(test::chain(2), R"("runningSteps":1)", R"("runningSteps":0)");
  EXPECT_EQ(differences().back(), R"(s.c2: the log says {"runningSteps":1})");
  replace(test::step(2, 4), "pending", "skipped");
  EXPECT_EQ(differences().back(), R"(s.c2.s4: the log says {"status":"pending"})");
  EXPECT_EQ(differences().size(), 3u);
}

TEST_F(Planted, RecordsThatAreMissingOrTooManyAreDifferences) {
  Change change(s, clock.now());
  const std::vector<RecordKey> keys{test::step(2, 4)};
  const ReadResult read = run(driver().real().read(s, keys));
  change.erase(test::step(2, 4), read.records[0]->version);
  change.no_events().event("test:planted", planted_event);
  run(driver().real().commit(change));
  EXPECT_EQ(differences(), std::vector<std::string>{"s.c2: the log knows 3 steps, 2 are stored"});
  std::string extra = stored(test::step(2, 2));
  plant(s, test::step(2, 3), extra);
  EXPECT_EQ(differences(),
            std::vector<std::string>{"s.c2.s3: what is stored as s.c2.s3 is another record"});
  extra.replace(extra.find("s.c2.s2"), 7, "s.c2.s3");
  extra.replace(extra.find(R"("number":2)"), 10, R"("number":3)");
  plant(s, test::step(2, 3), extra);
  EXPECT_EQ(differences(), std::vector<std::string>{"s.c2.s3: is stored, but not in the log"});
}

TEST_F(Planted, AChainThatIsMissingIsADifference) {
  const RecordKey key = test::chain(2);
  const ReadResult read = run(driver().real().read(s, std::span(&key, 1)));
  Change change(s, clock.now());
  change.erase(key, read.records[0]->version);
  change.no_events().event("test:planted", planted_event);
  run(driver().real().commit(change));
  EXPECT_EQ(differences(), std::vector<std::string>{"s.c2: is in the log, but not stored"});
}

TEST_F(Planted, RecordsThatCannotBeReadAreDifferences) {
  plant(s, test::chain(2), "{}");
  EXPECT_EQ(differences(),
            std::vector<std::string>{"s.c2: the stored record s.c2 does not fit its schema"});
  plant(s, session_record, "nothing");
  EXPECT_EQ(differences().size(), 2u);
}

TEST_F(Planted, StepsThatCannotBeReadAreDifferences) {
  plant(s, test::step(2, 1), "{}");
  EXPECT_EQ(differences(),
            std::vector<std::string>{"s.c2.s1: the stored record s.c2.s1 does not fit its schema"});
}

TEST_F(Planted, ManyDifferencesAreToldInPart) {
  ChainData data = chain_data();
  data.steps.assign(30, step_data("act"));
  data.steps[0].action = std::string(400, 'x') + "\xE2\x82\xAC";
  run(storage().create_chain(s, data));
  for (std::uint32_t n = 1; n <= 30; ++n) {
    std::string action;
    for (int i = 0; i < 240; ++i) action += "\xE2\x82\xAC";
    replace(test::step(4, n), R"("action":")", R"("description":")" + action + R"(","action":")");
  }
  replace(test::step(4, 1), R"("status":"pending")", R"("status":"failed")");
  const std::vector<std::string> found = differences();
  EXPECT_EQ(found.size(), 20u);
  for (const std::string& text : found) EXPECT_LE(text.size(), 500u);
}

TEST_F(Logs, ThatDoNotFitTogetherAreADifference) {
  const auto verified = [&](const std::string& name, const std::string& type,
                            const std::string& data) {
    const SessionId id = make_session(name).session_id;
    const std::string event =
        R"({"type":")" + type + R"(","at":"2026-01-01T00:00:00.000Z","data":)" + data + "}";
    run(driver().real().commit(Change(id, clock.now()).event(type, event)));
    const Verification found = run(log.verify(id));
    EXPECT_EQ(found.outcome, Outcome::different);
    EXPECT_EQ(found.records, 0u);
    EXPECT_EQ(found.differences.size(), 1u);
    std::string text = found.differences.at(0);
    for (auto at = text.find(id.str()); at != text.npos; at = text.find(id.str()))
      text.replace(at, id.str().size(), "ID");
    return text;
  };
  EXPECT_EQ(verified("other-1", "session:updated", R"("text")"),
            "ID#2: event ID#2 (session:updated) does not hold the change it should: must be an "
            "object, not a string");
  EXPECT_EQ(verified("other-2", "session:updated", R"({"title":7})"),
            "ID#2: event ID#2 (session:updated) does not hold the change it should: title: must "
            "be a string, not a number");
  EXPECT_EQ(verified("other-3", "session:created", "{}"),
            "ID#2: event ID#2 (session:created) creates a session that is there");
}

TEST_F(Logs, WhoseBeginningGoesMeanwhileAreNotDifferent) {
  populate();
  int reads = 0;
  driver().after = [&](Call call) -> Task<void> {
    if (call == Call::read_events && ++reads == 1) co_await driver().real().prune_events(s, 2);
  };
  EXPECT_EQ(run(log.verify(s)).outcome, Outcome::pruned);
}

TEST_F(Logs, OfASessionThatKeepsChangingAreLeft) {
  driver().after = [&](Call call) -> Task<void> {
    if (call == Call::read)
      co_await driver().real().commit(
          Change(s, clock.now()).no_events().event("test:planted", planted_event));
  };
  EXPECT_EQ(run(log.verify(s)).outcome, Outcome::busy);
}

}  // namespace
}  // namespace actionflows
