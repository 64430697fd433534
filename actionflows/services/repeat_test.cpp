// Calls that are repeated with their operation id: nothing is applied twice, and the answer is that
// of the first time as far as it can be.
#include "actionflows/services/chain_service.hpp"
#include "actionflows/services/session_service.hpp"
#include "actionflows/services/step_service.hpp"
#include "tests/support/typed_storage.hpp"

namespace actionflows {
namespace {

using namespace test;

struct Writer {
  std::string name;
  std::function<Task<void>(Storage&, const Context&)> call;
};

void PrintTo(const Writer& writer, std::ostream* out) { *out << writer.name; }

const SessionId s = session_id("s");
const ChainId c1{s, 1};  // two pending steps, the second waits for none
const ChainId c2{s, 2};  // failed
const StepId running_step{c1, 1};
const StepId pending_step{c1, 2};
const StepId failed_step{c2, 1};
const ChainData two_steps = chain_data({{}, {}});
const StepReport no_report;

// Every call of the typed interface that writes under an operation id; each can be done to the
// session that `Repeats` makes, and changes something.
std::vector<Writer> writers() {
  using C = const Context&;
  return {
      {"create_session",
       [](Storage& a, C c) -> Task<void> {
         co_await a.create_session(user("ann"), titled("t"), std::nullopt, c);
       }},
      {"create_session_by_name",
       [](Storage& a, C c) -> Task<void> {
         co_await a.create_session(user("ann"), titled("t"), session_id("t"), c);
       }},
      {"update_session",
       [](Storage& a, C c) -> Task<void> {
         SessionUpdate update;
         update.set(&Session::title, "new title");
         co_await a.update_session(s, update, c);
       }},
      {"pause", [](Storage& a, C c) -> Task<void> { co_await SessionService(a).pause(s, c); }},
      {"complete",
       [](Storage& a, C c) -> Task<void> {
         co_await SessionService(a).complete(s, std::nullopt, c);
       }},
      {"delete_session", [](Storage& a, C c) -> Task<void> { co_await a.delete_session(s, c); }},
      {"create_chain",
       [](Storage& a, C c) -> Task<void> { co_await a.create_chain(s, two_steps, c); }},
      {"update_chain",
       [](Storage& a, C c) -> Task<void> {
         ChainUpdate update;
         update.set(&Chain::title, "new title");
         co_await a.update_chain(c1, update, c);
       }},
      {"delete_chain", [](Storage& a, C c) -> Task<void> { co_await a.delete_chain(c1, c); }},
      {"archive_chain", [](Storage& a, C c) -> Task<void> { co_await a.archive_chain(c2, c); }},
      {"cancel_chain",
       [](Storage& a, C c) -> Task<void> { co_await ChainService(a).cancel(c1, c); }},
      {"create_step",
       [](Storage& a, C c) -> Task<void> { co_await a.create_step(c1, step_data("more"), c); }},
      {"update_step",
       [](Storage& a, C c) -> Task<void> {
         StepUpdate update;
         update.set(&Step::learning, "something");
         co_await a.update_step(pending_step, update, c);
       }},
      {"delete_step",
       [](Storage& a, C c) -> Task<void> { co_await a.delete_step(pending_step, c); }},
      {"start",
       [](Storage& a, C c) -> Task<void> { co_await StepService(a).start(pending_step, c); }},
      {"complete_step",
       [](Storage& a, C c) -> Task<void> {
         co_await StepService(a).complete(running_step, no_report, c);
       }},
      {"fail",
       [](Storage& a, C c) -> Task<void> {
         co_await StepService(a).fail(running_step, no_report, c);
       }},
      {"skip",
       [](Storage& a, C c) -> Task<void> {
         co_await StepService(a).skip(pending_step, no_report, c);
       }},
      {"retry",
       [](Storage& a, C c) -> Task<void> { co_await StepService(a).retry(failed_step, c); }},
      {"append_event",
       [](Storage& a, C c) -> Task<void> {
         co_await a.append_event(s, event_data("note:made"), c);
       }},
      {"revoke_token",
       [](Storage& a, C c) -> Task<void> { co_await SessionService(a).revoke_token(s, c); }},
  };
}

class Repeats : public TypedStorageTest, public testing::WithParamInterface<Writer> {
 protected:
  Repeats() { populate(); }

  void populate() {
    make_session();
    make_chain(s, {{}, {}});
    make_chain(s, {{}});
    StepService steps(storage());
    run(steps.start(running_step));
    run(steps.start(failed_step));
    run(steps.fail(failed_step));
    run(SessionService(storage()).issue_token(s));
  }

  // Everything stored, as text.
  std::string state() {
    std::string text;
    for (const ListedSession& session : run(driver().real().list_sessions({})).items) {
      std::vector<RecordKey> keys{session_record, credentials};
      for (std::uint32_t n = 1; n <= 4; ++n)
        for (std::uint32_t m = 0; m <= 4; ++m) keys.push_back({n, m});
      const ReadResult read = run(driver().real().read(session.id, keys));
      for (const auto& record : read.records)
        text += record ? std::string(record->bytes.view()) + "\n" : "-\n";
      text += std::to_string(read.last_sequence) + "\n";
    }
    return text;
  }

  CallReport call(const Writer& writer, const std::string& operation) {
    CallReport report;
    Context context = with_operation(operation);
    context.report = &report;
    run(writer.call(storage(), context));
    return report;
  }

  const Writer& writer() const { return GetParam(); }
};

TEST_P(Repeats, RightAfterChangesNothing) {
  const std::string before = state();
  const CallReport first = call(writer(), "op");
  EXPECT_FALSE(first.repeated);
  EXPECT_GT(first.sequence, 0u);
  const std::string after = state();
  EXPECT_NE(after, before);
  clock.advance(1s);
  const CallReport second = call(writer(), "op");
  EXPECT_TRUE(second.repeated);
  EXPECT_EQ(state(), after);
}

TEST_P(Repeats, WhoseFirstAnswerWasLostChangesNothing) {
  lose_next(Call::commit, ErrorCode::timeout);
  Context context = with_operation("op");
  EXPECT_EQ(error_of(writer().call(storage(), context)).code(), ErrorCode::timeout);
  const std::string after = state();
  EXPECT_TRUE(call(writer(), "op").repeated);
  EXPECT_EQ(state(), after);
}

TEST_P(Repeats, AfterOtherWritesChangesNothing) {
  call(writer(), "op");
  // A session that was deleted takes no other writes.
  for (int i = 0; i < 100 && get(s); ++i) run(storage().append_event(s, event_data("note:made")));
  const std::string after = state();
  EXPECT_TRUE(call(writer(), "op").repeated);
  EXPECT_EQ(state(), after);
}

// The memory may end within what the operation left: 255 more events leave it the last one only.
TEST_P(Repeats, AtTheEndOfMemoryChangesNothing) {
  const std::uint64_t before = run(storage().read_events(s)).last_sequence;
  call(writer(), "op");
  const std::uint64_t last = run(storage().read_events(s)).last_sequence;
  if (!get(s) || last == before) return;  // it was to another session, or ended this one
  for (std::uint64_t i = 0; i < operation_memory - 1; ++i)
    run(storage().append_event(s, event_data("note:made")));
  const std::string after = state();
  EXPECT_TRUE(call(writer(), "op").repeated);
  EXPECT_EQ(state(), after);
}

TEST_P(Repeats, OfAnIdThatWasUsedForSomethingElseIsAConflict) {
  for (const Writer& other : writers()) {
    if (other.name == writer().name || other.name.starts_with("create_session")) continue;
    if (writer().name.starts_with("create_session")) continue;  // another session's operations
    open({}, {});
    populate();
    call(other, "op");
    const std::string after = state();
    const StorageError error = error_of(writer().call(storage(), with_operation("op")));
    EXPECT_EQ(error.code(), ErrorCode::conflict) << "after " << other.name;
    EXPECT_EQ(state(), after) << "after " << other.name;
  }
}

INSTANTIATE_TEST_SUITE_P(OfEveryCall, Repeats, testing::ValuesIn(writers()),
                         [](const auto& each) { return each.param.name; });

// ---- one by one

class RepeatedCall : public TypedStorageTest {};

TEST_F(RepeatedCall, OfCreateSessionWithoutAnIdGivesTheSameSession) {
  const Session first =
      run(storage().create_session(user("ann"), titled("t"), {}, with_operation("op")));
  EXPECT_EQ(run(storage().create_session(user("ann"), titled("t"), {}, with_operation("op"))),
            first);
  const Session other =
      run(storage().create_session(user("bob"), titled("t"), {}, with_operation("op")));
  EXPECT_NE(other.session_id, first.session_id);
  EXPECT_EQ(other.user_id.str(), "bob");
}

TEST_F(RepeatedCall, OfCreateSessionWithoutAnIdGivesTheSameSessionHoweverLate) {
  const Session first = run(storage().create_session(user("ann"), {}, {}, with_operation("op")));
  for (std::uint64_t i = 0; i < operation_memory + 10; ++i)
    run(storage().append_event(first.session_id, event_data("note:made")));
  CallReport report;
  Context context = with_operation("op");
  context.report = &report;
  const Session again = run(storage().create_session(user("ann"), {}, {}, context));
  EXPECT_EQ(again.session_id, first.session_id);
  EXPECT_TRUE(report.repeated);
  EXPECT_EQ(run(storage().list_sessions({})).items.size(), 1u);
}

TEST_F(RepeatedCall, OfCreateSessionDoesNotBringADeletedOneBack) {
  const Session first = run(storage().create_session(user("ann"), {}, {}, with_operation("op")));
  run(storage().delete_session(first.session_id));
  EXPECT_EQ(error_of(storage().create_session(user("ann"), {}, {}, with_operation("op"))).code(),
            ErrorCode::not_found);
  EXPECT_EQ(get(first.session_id), std::nullopt);
}

TEST_F(RepeatedCall, BeyondTheMemoryIsDoneAgain) {
  make_session();
  const Chain first = run(storage().create_chain(s, chain_data(), with_operation("op")));
  for (std::uint64_t i = 0; i < operation_memory; ++i)
    run(storage().append_event(s, event_data("note:made")));
  const Chain second = run(storage().create_chain(s, chain_data(), with_operation("op")));
  EXPECT_EQ(first.chain_id.number(), 1u);
  EXPECT_EQ(second.chain_id.number(), 2u);
}

TEST_F(RepeatedCall, AnswersWithTheRecordAsItStandsNow) {
  make_session();
  SessionUpdate update;
  update.set(&Session::title, "first");
  run(storage().update_session(s, update, with_operation("op")));
  SessionUpdate later;
  later.set(&Session::title, "second");
  run(storage().update_session(s, later));
  const Session answer = run(storage().update_session(s, update, with_operation("op")));
  EXPECT_EQ(answer.title, "second");
  EXPECT_EQ(answer.version, 3u);
}

TEST_F(RepeatedCall, OfAnUpdateDoesNotMeetItsOwnVersion) {
  make_session();
  SessionUpdate update;
  update.set(&Session::title, "first");
  Context context = with_operation("op");
  context.expected_version = 1;
  run(storage().update_session(s, update, context));
  EXPECT_EQ(run(storage().update_session(s, update, context)).version, 2u);
}

TEST_F(RepeatedCall, OfAChainWithManyEventsFindsAllOfThem) {
  make_session();
  ChainData data = chain_data();
  for (int i = 0; i < 6; ++i) {
    data.steps.push_back(step_data("act"));
    data.steps.back().inputs =
        json::Raw::parse(R"({"text":")" + std::string(400'000, 'x') + R"("})");
  }
  const Chain made = run(storage().create_chain(s, data, with_operation("op")));
  // Of its four events only the last is still within the memory.
  for (std::uint64_t i = 0; i < operation_memory - 1; ++i)
    run(storage().append_event(s, event_data("note:made")));
  EXPECT_EQ(run(storage().create_chain(s, data, with_operation("op"))), made);
}

// Twice at the same moment: the second meets the first between its reading and its commit.
TEST_F(RepeatedCall, ThatMeetsItselfIsAppliedOnce) {
  make_session();
  const auto twin = [&]() -> Task<void> {
    co_await storage().create_chain(s, chain_data(), with_operation("op"));
  };
  meanwhile(twin);
  EXPECT_EQ(run(storage().create_chain(s, chain_data(), with_operation("op"))).chain_id, c1);
  EXPECT_EQ(get(s)->chain_count, 1u);
}

TEST_F(RepeatedCall, OfRevocationThatWasUsedForAnUpdateDoesNotPassAsDone) {
  make_session();
  SessionService sessions(storage());
  const IssuedToken token = run(sessions.issue_token(s));
  SessionUpdate update;
  update.set(&Session::title, "x");
  run(storage().update_session(s, update, with_operation("op")));
  EXPECT_EQ(error_of(sessions.revoke_token(s, with_operation("op"))).code(), ErrorCode::conflict);
  EXPECT_TRUE(run(sessions.authenticate(token.token)));
}

// A backend that is away is not asked again whether it had done it before.
TEST_F(RepeatedCall, OnABackendThatIsAwayFailsAtOnce) {
  make_session();
  int calls = 0;
  driver().before = [&](Call) -> Task<void> {
    ++calls;
    throw failure(ErrorCode::unavailable, "away", "test");
    co_return;
  };
  EXPECT_EQ(error_of(storage().update_session(s, {}, with_operation("op"))).code(),
            ErrorCode::unavailable);
  EXPECT_EQ(calls, 1);
}

// ---- the same id for a call of the same kind that asks for something else

class MisusedId : public TypedStorageTest {
 protected:
  MisusedId() { make_session(); }

  // Makes `first`, then `second` under the same id, which is refused and changes nothing.
  template <class First, class Second>
  void refuse(First first, Second second) {
    const Context context = with_operation("key-" + std::to_string(++calls_));
    run(first(context));
    const std::uint64_t before = run(storage().read_events(s)).last_sequence;
    const StorageError error = error_of(second(context));
    EXPECT_EQ(error.code(), ErrorCode::conflict);
    EXPECT_NE(error.message().find(context.operation_id), std::string::npos);
    EXPECT_EQ(run(storage().read_events(s)).last_sequence, before);
    run(first(context));
  }
  auto appending(const EventData& data) {
    return [this, data](const Context& c) { return storage().append_event(s, data, c); };
  }
  auto updating(const SessionUpdate& update) {
    return [this, update](const Context& c) { return storage().update_session(s, update, c); };
  }
  auto planning(const ChainData& data) {
    return [this, data](const Context& c) { return storage().create_chain(s, data, c); };
  }
  auto adding(const ChainId& chain, const StepData& data) {
    return [this, chain, data](const Context& c) { return storage().create_step(chain, data, c); };
  }

 private:
  int calls_ = 0;
};

TEST_F(MisusedId, ForAnotherEventIsAConflict) {
  EventData data = event_data("note:made");
  data.data = json::Raw::parse("1");
  data.step_id = pending_step;
  data.at = clock.now();
  EventData other = data;
  other.data = json::Raw::parse("2");
  refuse(appending(data), appending(other));
  other = data;
  other.step_id = running_step;
  refuse(appending(data), appending(other));
  other.step_id.reset();
  other.chain_id = c1;
  refuse(appending(data), appending(other));
  other = data;
  other.at = clock.now() - 1s;
  refuse(appending(data), appending(other));
}

TEST_F(MisusedId, ForAnotherSessionIsAConflict) {
  const auto creating = [&](const char* of_user, const char* title) {
    return [this, of_user, title](const Context& c) {
      return storage().create_session(user(of_user), titled(title), session_id("t"), c);
    };
  };
  refuse(creating("ann", "one"), creating("ann", "two"));
  run(storage().erase_session(session_id("t")));
  refuse(creating("ann", "one"), creating("bob", "one"));
}

TEST_F(MisusedId, ForAnotherUpdateIsAConflict) {
  SessionUpdate one;
  one.set(&Session::title, "one").set(&Session::summary, "s");
  SessionUpdate two;
  two.set(&Session::title, "two");
  refuse(updating(one), updating(two));
  SessionUpdate none;
  none.clear(&Session::title);
  refuse(updating(two), updating(none));

  SessionUpdate merged;
  merged.merge(&Session::metadata, json::Raw::parse(R"({"a" : {"b": [1,  2], "n":null}, "x":1})"));
  SessionUpdate elsewise;
  elsewise.merge(&Session::metadata, json::Raw::parse(R"({"a":{"b":[1]}})"));
  refuse(updating(merged), updating(elsewise));
  SessionUpdate once_more;
  once_more.merge(&Session::metadata,
                  json::Raw::parse(R"({"a" : {"b": 3, "c": {"n": null, "d" : 1}}, "x": null})"));
  refuse(updating(once_more), updating(merged));
}

TEST_F(MisusedId, ForAnotherReasonIsAConflict) {
  const auto completing = [&](const char* reason) {
    return [this, reason](const Context& c) -> Task<void> {
      std::optional<std::string> why = reason;
      co_await SessionService(storage()).complete(s, std::move(why), c);
    };
  };
  refuse(completing("done"), completing("given up"));
}

TEST_F(MisusedId, ForAnotherChainOrStepIsAConflict) {
  ChainData data = chain_data({{}, {}, {2, 1}});
  ChainData other = data;
  other.title = "another";
  refuse(planning(data), planning(other));
  other = data;
  other.steps.pop_back();
  refuse(planning(data), planning(other));
  other = data;
  other.steps[2].waits_for = {1};
  refuse(planning(data), planning(other));

  refuse(adding(c1, step_data("one", {2, 1})), adding(c1, step_data("two", {2, 1})));
  refuse(adding(c1, step_data("one")), adding(c2, step_data("one")));
  const auto retitling = [&](const char* title) {
    ChainUpdate update;
    update.set(&Chain::title, title);
    return [this, update](const Context& c) { return storage().update_chain(c1, update, c); };
  };
  refuse(retitling("one"), retitling("two"));
  const auto learning = [&](const char* what) {
    StepUpdate update;
    update.set(&Step::learning, what);
    return
        [this, update](const Context& c) { return storage().update_step(pending_step, update, c); };
  };
  refuse(learning("one"), learning("two"));
}

TEST_F(MisusedId, ForAnotherReportIsAConflict) {
  make_chain(s, {{}, {}});
  run(StepService(storage()).start(running_step));
  const auto completing = [&](const char* result) {
    StepReport report;
    report.result = json::Raw::parse(result);
    return [this, report](const Context& c) -> Task<void> {
      co_await StepService(storage()).complete(running_step, report, c);
    };
  };
  refuse(completing("1"), completing("2"));
}

}  // namespace
}  // namespace actionflows
