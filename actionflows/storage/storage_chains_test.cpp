// Chains and steps through the typed interface.
#include "actionflows/json/report.hpp"
#include "tests/support/typed_storage.hpp"

#include <numeric>
#include <set>

namespace actionflows {
namespace {

using namespace test;

class Chains : public TypedStorageTest {
 protected:
  const SessionId s = make_session().session_id;
  const ChainId c1{s, 1};
  StepId step_of(std::uint32_t chain_number, std::uint32_t number) const {
    return {ChainId(s, chain_number), number};
  }
};

TEST_F(Chains, AreCreatedWithTheirStepsInOneCommit) {
  ChainData data = chain_data({{}, {1}, {2, 1}});
  data.ref = "flows/deploy";
  data.source = ChainSource::meta_task;
  data.metadata = json::Raw::parse(R"({"k":  1})");
  data.steps[1].model = "large";
  data.steps[1].inputs = json::Raw::parse(R"({ "deep": {"er":[]} })");
  const Chain made = run(storage().create_chain(s, data));
  EXPECT_EQ(made.chain_id, c1);
  EXPECT_EQ(made.session_id, s);
  EXPECT_EQ(made.status, ChainStatus::pending);
  EXPECT_EQ(made.execution_mode, ExecutionMode::sequential);
  EXPECT_EQ(made.step_count, 3u);
  EXPECT_EQ(made.version, 1u);
  EXPECT_EQ(static_cast<const ChainFields&>(made), static_cast<const ChainFields&>(data));
  EXPECT_EQ(get(c1), made);
  EXPECT_EQ(get(s)->chain_count, 1u);

  const Page<Step> steps = run(storage().list_steps(c1));
  ASSERT_EQ(steps.items.size(), 3u);
  EXPECT_EQ(steps.items[1].model, "large");
  EXPECT_EQ(steps.items[1].inputs->view(), R"({ "deep": {"er":[]} })");
  EXPECT_EQ(steps.items[2].waits_for, (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(steps.items[2].status, StepStatus::pending);
  EXPECT_EQ(get(step_of(1, 3)), steps.items[2]);
  EXPECT_EQ(event_types(s),
            (std::vector<std::string>{"session:created", "chain:compiled", "session:updated"}));
}

TEST_F(Chains, AreRefusedWithEveryIssueOfChainAndSteps) {
  ChainData data;
  data.steps = {step_data(""), step_data("b")};
  data.steps[1].inputs = json::Raw::parse("7");
  data.steps[1].waits_for = {1, 1, 2};
  const StorageError error = error_of(storage().create_chain(s, data));
  EXPECT_EQ(error.code(), ErrorCode::invalid);
  EXPECT_EQ(paths_of(error),
            (std::vector<std::string>{"title", "steps[0].action", "steps[1].inputs",
                                      "steps[1].waitsFor[1]", "steps[1].waitsFor[2]"}));
  EXPECT_EQ(get(s)->chain_count, 0u);
  EXPECT_EQ(events(s).size(), 1u);
}

// A small request must not be answered by megabytes.
TEST_F(Chains, AreRefusedWithABoundedNumberOfIssues) {
  std::vector<std::uint32_t> later(1'000);
  std::iota(later.begin(), later.end(), 100);
  const ChainData data = chain_data(std::vector(50, later));
  EXPECT_EQ(error_of(storage().create_chain(s, data)).issues.size(), json::max_issues + 1);
  const std::vector<std::uint32_t> same(1'000, 1);
  const ChainData repeated = chain_data({{}, same, same});
  EXPECT_EQ(error_of(storage().create_chain(s, repeated)).issues.size(), json::max_issues + 1);
  make_chain(s, {{}});
  const StorageError error = error_of(storage().create_step(c1, step_data("x", later)));
  EXPECT_EQ(error.issues.size(), json::max_issues + 1);
  EXPECT_EQ(get(c1)->step_count, 1u);
}

TEST_F(Chains, OfACompletedSessionAreRefused) {
  make_chain(s);
  SessionUpdate completed;
  completed.set(&Session::state, SessionState::completed);
  run(storage().update_session(s, completed));
  EXPECT_EQ(error_of(storage().create_chain(s, chain_data())).code(),
            ErrorCode::illegal_transition);
  EXPECT_EQ(error_of(storage().create_step(c1, step_data("late"))).code(),
            ErrorCode::illegal_transition);
}

TEST_F(Chains, BeyondTheLimitAreExhausted) {
  DriverLimits limits;
  limits.max_chains = 2;
  limits.max_steps = 2;
  open(limits, {});
  make_session();
  EXPECT_EQ(error_of(storage().create_chain(s, chain_data({{}, {}, {}}))).code(),
            ErrorCode::exhausted);
  make_chain(s, {{}, {}});
  EXPECT_EQ(error_of(storage().create_step(c1, step_data("third"))).code(), ErrorCode::exhausted);
  make_chain(s);
  const StorageError error = error_of(storage().create_chain(s, chain_data()));
  EXPECT_EQ(error.code(), ErrorCode::exhausted);
  EXPECT_EQ(error.operation, "create_chain");
  EXPECT_EQ(get(s)->chain_count, 2u);
}

TEST_F(Chains, WithManyLargeStepsAreSpreadOverSeveralEvents) {
  ChainData data = chain_data();
  for (int i = 0; i < 6; ++i) {
    data.steps.push_back(step_data("act"));
    data.steps.back().inputs =
        json::Raw::parse(R"({"text":")" + std::string(400'000, 'x') + R"("})");
  }
  run(storage().create_chain(s, data));
  EXPECT_EQ(event_types(s),
            (std::vector<std::string>{"session:created", "chain:compiled", "chain:extended",
                                      "chain:extended", "session:updated"}));
  EXPECT_EQ(run(storage().list_steps(c1)).items.size(), 6u);
}

TEST_F(Chains, OfFiveThousandStepsAreReadAndDeleted) {
  ChainData data = chain_data();
  data.steps.assign(5'000, step_data("act"));
  run(storage().create_chain(s, data));
  PageQuery query;
  query.limit = 1'000;
  std::set<std::uint32_t> seen;
  do {
    const Page<Step> page = run(storage().list_steps(c1, {}, query));
    for (const Step& step : page.items) seen.insert(step.number);
    query.cursor = page.next_cursor;
  } while (query.cursor);
  EXPECT_EQ(seen.size(), 5'000u);
  run(storage().delete_step(step_of(1, 5'000)));
  run(storage().delete_chain(c1));
  EXPECT_EQ(get(step_of(1, 1)), std::nullopt);
}

TEST_F(Chains, AreUpdatedAndComparedByVersion) {
  const Chain made = make_chain(s);
  ChainUpdate update;
  update.set(&Chain::title, "renamed").set(&Chain::ref, "r");
  const Chain updated = run(storage().update_chain(c1, update, expecting(1)));
  EXPECT_EQ(updated.title, "renamed");
  EXPECT_EQ(updated.version, 2u);
  EXPECT_EQ(get(c1), updated);
  EXPECT_EQ(error_of(storage().update_chain(c1, update, expecting(1))).current_version, 2u);
  EXPECT_EQ(error_of(storage().delete_chain(c1, expecting(1))).code(), ErrorCode::conflict);
  EXPECT_EQ(error_of(storage().create_step(c1, step_data("x"), expecting(1))).code(),
            ErrorCode::conflict);
  ChainUpdate empty_title;
  empty_title.set(&Chain::title, "");
  EXPECT_EQ(error_of(storage().update_chain(c1, empty_title)).code(), ErrorCode::invalid);
  EXPECT_EQ(error_of(storage().update_chain(ChainId(s, 9), update)).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(storage().delete_chain(ChainId(s, 9))).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(storage().archive_chain(ChainId(s, 9))).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(storage().archive_chain(c1)).code(), ErrorCode::illegal_transition);
}

TEST_F(Chains, ThatAreDeletedTakeTheirStepsAndKeepTheirNumber) {
  make_chain(s, {{}, {}});
  run(storage().delete_chain(c1));
  EXPECT_EQ(get(c1), std::nullopt);
  EXPECT_EQ(get(step_of(1, 1)), std::nullopt);
  EXPECT_EQ(error_of(storage().list_steps(c1)).code(), ErrorCode::not_found);
  EXPECT_EQ(make_chain(s).chain_id.number(), 2u);
}

TEST_F(Chains, ThatAreCreatedAtTheSameTimeGetNumbersOfTheirOwn) {
  const auto other = [&]() -> Task<void> {
    ChainData data = chain_data({{}});
    const Chain theirs = co_await storage().create_chain(s, std::move(data));
    EXPECT_EQ(theirs.chain_id.number(), 1u);
  };
  meanwhile(other);
  const Chain ours = make_chain(s, {{}, {1}});
  EXPECT_EQ(ours.chain_id.number(), 2u);
  EXPECT_EQ(run(storage().list_steps(ours.chain_id)).items.size(), 2u);
  EXPECT_EQ(get(s)->chain_count, 2u);
}

// ---- lists

TEST_F(Chains, AreListedByNumberWithHolesAndByStatus) {
  for (int i = 0; i < 130; ++i) make_chain(s);
  for (std::uint32_t n = 1; n <= 130; ++n)
    if (n % 3 != 0) run(storage().delete_chain(ChainId(s, n)));
  std::vector<std::uint32_t> numbers;
  PageQuery query;
  query.limit = 7;
  do {
    const Page<Chain> page = run(storage().list_chains(s, {}, query));
    EXPECT_LE(page.items.size(), 7u);
    for (const Chain& chain : page.items) numbers.push_back(chain.chain_id.number());
    query.cursor = page.next_cursor;
    if (numbers.size() == 7) run(storage().delete_chain(ChainId(s, 21)));  // the page's last one
  } while (query.cursor);
  ASSERT_EQ(numbers.size(), 43u);
  for (std::size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], 3 * (i + 1));
  EXPECT_TRUE(run(storage().list_chains(s, ChainStatus::failed)).items.empty());
  PageQuery most;
  most.limit = 1'000;
  EXPECT_EQ(run(storage().list_chains(s, ChainStatus::pending, most)).items.size(), 42u);
  EXPECT_EQ(error_of(storage().list_chains(session_id("nobody"))).code(), ErrorCode::not_found);
}

TEST_F(Chains, ThatCannotBeReadDoNotHideTheOthers) {
  for (int i = 0; i < 3; ++i) make_chain(s, {{}, {}, {}});
  plant(s, chain(2), "no JSON at all");
  plant(s, step(1, 2), R"({"stepId":1})");
  const Page<Chain> page = run(storage().list_chains(s));
  EXPECT_EQ(page.items.size(), 2u);
  ASSERT_EQ(page.corrupt.size(), 1u);
  EXPECT_EQ(page.corrupt[0].record, "s.c2");
  const Page<Step> steps = run(storage().list_steps(c1));
  EXPECT_EQ(steps.items.size(), 2u);
  ASSERT_EQ(steps.corrupt.size(), 1u);
  EXPECT_EQ(steps.corrupt[0].record, "s.c1.s2");
  EXPECT_EQ(error_of(storage().get_chain(ChainId(s, 2))).code(), ErrorCode::corrupt);
  EXPECT_EQ(error_of(storage().get_step(step_of(1, 2))).record, "s.c1.s2");
  EXPECT_EQ(error_of(storage().list_steps(ChainId(s, 2))).code(), ErrorCode::corrupt);
}

TEST_F(Chains, RefuseTheCursorOfAnotherList) {
  make_chain(s, {{}, {}});
  make_chain(s);
  PageQuery one;
  one.limit = 1;
  PageQuery of_chains;
  of_chains.cursor = run(storage().list_chains(s, {}, one)).next_cursor;
  PageQuery of_steps;
  of_steps.cursor = run(storage().list_steps(c1, {}, one)).next_cursor;
  ASSERT_TRUE(of_chains.cursor && of_steps.cursor);
  EXPECT_EQ(error_of(storage().list_steps(c1, {}, of_chains)).code(), ErrorCode::invalid);
  EXPECT_EQ(error_of(storage().list_chains(s, {}, of_steps)).code(), ErrorCode::invalid);
  EXPECT_EQ(error_of(storage().list_sessions({}, of_steps)).code(), ErrorCode::invalid);
}

// ---- steps

TEST_F(Chains, GrowByOneStepAtATime) {
  make_chain(s);
  StepData data = step_data("search");
  data.inputs = json::Raw::parse(R"({"q":"x"})");
  const Step first = run(storage().create_step(c1, data));
  EXPECT_EQ(first.step_id, step_of(1, 1));
  EXPECT_EQ(first.chain_id, c1);
  EXPECT_EQ(first.session_id, s);
  EXPECT_EQ(first.version, 1u);
  EXPECT_EQ(get(first.step_id), first);
  run(storage().create_step(c1, step_data("read", {1})));
  EXPECT_EQ(get(c1)->step_count, 2u);
  EXPECT_EQ(get(c1)->execution_mode, ExecutionMode::sequential);
  run(storage().create_step(c1, step_data("free")));
  EXPECT_EQ(get(c1)->execution_mode, ExecutionMode::mixed);
  EXPECT_EQ(error_of(storage().create_step(ChainId(s, 2), data)).code(), ErrorCode::not_found);
}

TEST_F(Chains, RefuseStepsWithEveryIssueThatTheChainNeedNotTell) {
  make_chain(s, {{}});
  const StorageError error = error_of(storage().create_step(c1, step_data("", {1, 1})));
  EXPECT_EQ(paths_of(error), (std::vector<std::string>{"action", "waitsFor[1]"}));
}

TEST_F(Chains, RefuseStepsThatWaitForLaterOrMissingOnes) {
  make_chain(s, {{}, {}, {}});
  run(storage().delete_step(step_of(1, 2)));
  const StorageError error = error_of(storage().create_step(c1, step_data("x", {1, 2, 4, 5})));
  EXPECT_EQ(error.code(), ErrorCode::invalid);
  EXPECT_EQ(paths_of(error),
            (std::vector<std::string>{"waitsFor[2]", "waitsFor[3]", "waitsFor[1]"}));
  run(storage().create_step(c1, step_data("x", {1, 3})));
}

TEST_F(Chains, LoseOnlyPendingStepsForWhichNobodyWaits) {
  make_chain(s, {{}, {1}, {2}});
  const StorageError held = error_of(storage().delete_step(step_of(1, 1)));
  EXPECT_EQ(held.code(), ErrorCode::illegal_transition);
  EXPECT_NE(held.message().find("step 2 waits"), std::string::npos) << held.message();
  EXPECT_EQ(error_of(storage().delete_step(step_of(1, 4))).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(storage().delete_step(step_of(1, 3), expecting(2))).code(),
            ErrorCode::conflict);
  run(storage().delete_step(step_of(1, 3)));
  EXPECT_EQ(get(step_of(1, 3)), std::nullopt);
  EXPECT_EQ(get(c1)->step_count, 3u);
  EXPECT_EQ(get(c1)->deleted_steps, 1u);
  EXPECT_EQ(run(storage().create_step(c1, step_data("next"))).number, 4u);
}

// The mode is that of the steps that are there, not of those that were.
TEST_F(Chains, DeriveTheirModeFromThePresentSteps) {
  make_chain(s, {{}, {1}, {}});
  EXPECT_EQ(get(c1)->execution_mode, ExecutionMode::mixed);
  run(storage().delete_step(step_of(1, 3)));
  EXPECT_EQ(get(c1)->execution_mode, ExecutionMode::sequential);
  run(storage().create_step(c1, step_data("next", {2})));
  EXPECT_EQ(get(c1)->execution_mode, ExecutionMode::sequential);
}

TEST_F(Chains, UpdateTheirSteps) {
  make_chain(s, {{}});
  StepUpdate update;
  update.set(&Step::description, "longer").set(&Step::learning, "ask first");
  const Step updated = run(storage().update_step(step_of(1, 1), update, expecting(1)));
  EXPECT_EQ(updated.learning, "ask first");
  EXPECT_EQ(updated.version, 2u);
  EXPECT_EQ(get(step_of(1, 1)), updated);
  EXPECT_EQ(error_of(storage().update_step(step_of(1, 1), update, expecting(1))).code(),
            ErrorCode::conflict);
  EXPECT_EQ(error_of(storage().update_step(step_of(1, 2), update)).code(), ErrorCode::not_found);
  StepUpdate refused;
  refused.set(&Step::status, StepStatus::completed);
  EXPECT_EQ(error_of(storage().update_step(step_of(1, 1), refused)).code(), ErrorCode::invalid);
}

// ---- what is large and deep

class Bounds : public TypedStorageTest {
 protected:
  // An object of this depth.
  static json::Raw deep(std::size_t depth) {
    return json::Raw::parse(std::string(depth - 1, '[').insert(0, R"({"k":)") +
                            std::string(depth - 1, ']') + "}");
  }
};

TEST_F(Bounds, WhatIsStoredAtTheLimitIsReadBack) {
  SessionData data;
  data.metadata = deep(63);
  const Session made = run(storage().create_session(user("ann"), data, session_id("s")));
  EXPECT_EQ(get(made.session_id), made);
  EXPECT_EQ(events(made.session_id).size(), 1u);

  ChainData chain = chain_data({{}});
  chain.steps[0].inputs = deep(63);
  run(storage().create_chain(made.session_id, chain));
  EXPECT_EQ(run(storage().list_steps(ChainId(made.session_id, 1))).items.size(), 1u);
  EXPECT_EQ(run(storage().read_events(made.session_id)).corrupt.size(), 0u);

  EventData event = event_data("note:made");
  event.data = deep(64);
  run(storage().append_event(made.session_id, event));
  EXPECT_EQ(run(storage().read_events(made.session_id)).corrupt.size(), 0u);
}

TEST_F(Bounds, WhatIsDeeperIsRefused) {
  SessionData data;
  data.metadata = deep(64);
  const StorageError error = error_of(storage().create_session(user("ann"), data));
  EXPECT_EQ(error.code(), ErrorCode::invalid);
  ASSERT_EQ(error.issues.size(), 1u);
  EXPECT_EQ(error.issues[0].code, IssueCode::too_big);
  const Session made = make_session();
  EventData event = event_data("note:made");
  event.data = json::Raw::from_checked(std::string(65, '[') + std::string(65, ']'));
  EXPECT_EQ(paths_of(error_of(storage().append_event(made.session_id, event))),
            std::vector<std::string>{"data"});
  SessionUpdate update;
  update.set(&Session::metadata, deep(64));
  EXPECT_EQ(error_of(storage().update_session(made.session_id, update)).code(), ErrorCode::invalid);
}

TEST_F(Bounds, BracketsInTextAreNoDepth) {
  SessionData data;
  data.metadata = json::Raw::parse(R"({"k":")" + std::string(500, '{') + R"(\"[[\\"})");
  EXPECT_EQ(run(storage().create_session(user("ann"), data)).metadata, data.metadata);
}

TEST_F(Bounds, WhatIsNearlyTooLargeIsReadBackAndWhatIsLargerIsRefused) {
  const auto text = [](std::size_t size) {
    return json::Raw::parse(R"({"t":")" + std::string(size, 'x') + R"("})");
  };
  SessionData data;
  data.metadata = text(2'096'000);
  const Session made = run(storage().create_session(user("ann"), data, session_id("s")));
  EXPECT_EQ(get(made.session_id), made);
  EXPECT_EQ(run(storage().read_events(made.session_id)).corrupt.size(), 0u);
  SessionUpdate update;
  update.set(&Session::metadata, text(2'097'100));
  EXPECT_EQ(error_of(storage().update_session(made.session_id, update)).code(), ErrorCode::invalid);

  EventData event = event_data("note:made");
  event.data = text(2'097'140);
  run(storage().append_event(made.session_id, event));
  EXPECT_EQ(run(storage().read_events(made.session_id)).corrupt.size(), 0u);
  event.data = text(2'097'150 - 8);
  run(storage().append_event(made.session_id, event));
  event.data = json::Raw::from_checked(R"({"t":")" + std::string(2'097'145, 'x') + R"("})");
  EXPECT_EQ(error_of(storage().append_event(made.session_id, event)).code(), ErrorCode::invalid);
}

// Limits that were lowered since must not make unreadable what is there.
TEST_F(Bounds, AreOfWritingAndNotOfReading) {
  StorageOptions options;
  options.record_limits.max_bytes = std::size_t{3} << 20;
  options.record_limits.max_depth = 100;
  open({}, options);
  SessionData data;
  data.metadata = json::Raw::from_checked(R"({"t":")" + std::string(2'500'000, 'x') + R"(","d":)" +
                                          std::string(80, '[') + std::string(80, ']') + "}");
  const Session made = run(storage().create_session(user("ann"), data, session_id("s")));
  EXPECT_EQ(get(made.session_id), made);
  EXPECT_EQ(run(storage().read_events(made.session_id)).items.size(), 1u);
}

}  // namespace
}  // namespace actionflows
