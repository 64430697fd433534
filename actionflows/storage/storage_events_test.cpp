// The event log through the typed interface.
#include "actionflows/json/report.hpp"
#include "tests/support/typed_storage.hpp"

namespace actionflows {
namespace {

using namespace test;

class Events : public TypedStorageTest {
 protected:
  const SessionId s = make_session().session_id;

  Event append(std::string_view type, const Context& context = Context::none()) {
    return run(storage().append_event(s, event_data(type), context));
  }
  std::vector<std::uint64_t> numbers(const EventFilter& filter) {
    std::vector<std::uint64_t> found;
    for (const Event& event : run(storage().read_events(s, filter)).items)
      found.push_back(event.sequence);
    return found;
  }
};

TEST_F(Events, AreAppendedAndReadBack) {
  EventData data = event_data("note:made");
  data.at = clock.now() - 1h;
  data.chain_id = ChainId(s, 7);
  data.step_id = StepId(ChainId(s, 7), 2);
  data.data = json::Raw::parse(R"([1,  "two"])");
  Context context = with_operation("op");
  context.actor = "ann";
  const Event made = run(storage().append_event(s, data, context));
  EXPECT_EQ(made.sequence, 2u);
  EXPECT_EQ(made.session_id, s);
  EXPECT_EQ(made.actor, "ann");
  EXPECT_EQ(made.operation_id, "op");
  EXPECT_EQ(made.at, clock.now() - 1h);
  EXPECT_EQ(events(s).back(), made);
}

TEST_F(Events, CarryNoDataWhenItIsNull) {
  EventData data = event_data("note:made");
  data.data = json::Raw();
  EXPECT_EQ(run(storage().append_event(s, data)).data, std::nullopt);
  EXPECT_EQ(events(s).back().data, std::nullopt);
}

TEST_F(Events, OfOtherSessionsRecordsAndOfReservedNounsAreRefusedWithEveryIssue) {
  EventData data = event_data("session:created");
  data.chain_id = ChainId(session_id("other"), 1);
  data.step_id = StepId(ChainId(session_id("other"), 1), 1);
  const StorageError error = error_of(storage().append_event(s, data));
  EXPECT_EQ(error.code(), ErrorCode::invalid);
  EXPECT_EQ(paths_of(error), (std::vector<std::string>{"type", "chainId", "stepId"}));
  EXPECT_EQ(error_of(storage().append_event(s, event_data("chain:x"))).code(), ErrorCode::invalid);
  EXPECT_EQ(error_of(storage().append_event(s, event_data("step:x"))).code(), ErrorCode::invalid);
  EXPECT_EQ(paths_of(error_of(storage().append_event(s, EventData()))),
            std::vector<std::string>{"type"});
  EventData far = event_data("note:made");
  far.at = Timestamp::max();
  EXPECT_EQ(paths_of(error_of(storage().append_event(s, far))), std::vector<std::string>{"at"});
  EXPECT_EQ(events(s).size(), 1u);
}

TEST_F(Events, OfAStepAreOfItsChain) {
  EventData data = event_data("note:made");
  data.step_id = StepId(ChainId(s, 1), 1);
  EXPECT_EQ(run(storage().append_event(s, data)).chain_id, ChainId(s, 1));
  EXPECT_EQ(events(s).back().chain_id, ChainId(s, 1));
  data.chain_id = ChainId(s, 77);
  EXPECT_EQ(paths_of(error_of(storage().append_event(s, data))),
            std::vector<std::string>{"stepId"});
}

TEST_F(Events, BeyondTheLimitAreExhausted) {
  DriverLimits limits;
  limits.max_events = 3;
  open(limits, {});
  make_session();
  append("note:made");
  append("note:made");
  EXPECT_EQ(error_of(storage().append_event(s, event_data("note:made"))).code(),
            ErrorCode::exhausted);
  run(storage().delete_session(s));  // always let through
  EXPECT_EQ(events(s).back().type.str(), "session:deleted");
}

TEST_F(Events, ComeInPagesBySequence) {
  for (int i = 0; i < 9; ++i) append("note:made");
  EventFilter filter;
  filter.limit = 4;
  std::vector<std::uint64_t> seen;
  for (int pages = 1;; ++pages) {
    const EventList list = run(storage().read_events(s, filter));
    for (const Event& event : list.items) seen.push_back(event.sequence);
    EXPECT_EQ(list.first_sequence, 1u);
    EXPECT_EQ(list.last_sequence, 10u);
    if (!list.next_after) {
      EXPECT_EQ(pages, 3);
      break;
    }
    filter.after = *list.next_after;
  }
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  filter.limit = 10;
  filter.after = 0;
  EXPECT_FALSE(run(storage().read_events(s, filter)).next_after);
  filter.after = 10;
  EXPECT_TRUE(run(storage().read_events(s, filter)).items.empty());
}

TEST_F(Events, AreFilteredByTypeAndTime) {
  for (int i = 0; i < 5; ++i) {
    append(i % 2 == 0 ? "note:even" : "note:odd");
    clock.advance(1min);
  }
  const Timestamp start = clock.now() - 5min;
  EventFilter even;
  even.type = EventType::parse("note:even");
  EXPECT_EQ(numbers(even), (std::vector<std::uint64_t>{2, 4, 6}));
  EventFilter between;
  between.since = start + 1min;
  between.until = start + 3min;
  EXPECT_EQ(numbers(between), (std::vector<std::uint64_t>{3, 4}));
  EventFilter both = even;
  both.since = start + 1min;
  both.after = 4;
  EXPECT_EQ(numbers(both), (std::vector<std::uint64_t>{6}));

  even.limit = 2;
  const EventList first = run(storage().read_events(s, even));
  EXPECT_EQ(first.items.size(), 2u);
  ASSERT_EQ(first.next_after, 4u);
  even.after = *first.next_after;
  const EventList second = run(storage().read_events(s, even));
  EXPECT_EQ(second.items.size(), 1u);
  EXPECT_FALSE(second.next_after);
}

// However few match, the backend is not asked once for each.
TEST_F(Events, AreFilteredInFewCalls) {
  for (int i = 0; i < 2'000; ++i) append("note:common");
  append("note:rare");
  int calls = 0;
  driver().before = [&](Call) -> Task<void> {
    ++calls;
    co_return;
  };
  EventFilter filter;
  filter.type = EventType::parse("note:rare");
  filter.limit = 1;
  EXPECT_EQ(numbers(filter), std::vector<std::uint64_t>{2'002});
  EXPECT_LE(calls, 4);
}

TEST_F(Events, OfManyBytesComeInSeveralPages) {
  EventData data = event_data("note:made");
  data.data = json::Raw::parse('"' + std::string(1'900'000, 'x') + '"');
  for (int i = 0; i < 6; ++i) run(storage().append_event(s, data));
  EventFilter filter;
  filter.limit = 1'000;
  std::uint64_t expected = 1;
  int pages = 0;
  for (bool more = true; more; ++pages) {
    const EventList list = run(storage().read_events(s, filter));
    for (const Event& event : list.items) EXPECT_EQ(event.sequence, expected++);
    more = list.next_after.has_value();
    filter.after = list.next_after.value_or(0);
  }
  EXPECT_EQ(expected, 8u);
  EXPECT_GT(pages, 1);
}

TEST_F(Events, ThatCannotBeReadAreToldAndTheOthersServed) {
  run(driver().real().commit(Change(s, clock.now()).event("test:planted", "{}")));
  append("note:made");
  const EventList list = run(storage().read_events(s));
  ASSERT_EQ(list.items.size(), 2u);
  EXPECT_EQ(list.items[1].sequence, 3u);
  ASSERT_EQ(list.corrupt.size(), 1u);
  EXPECT_EQ(list.corrupt[0].code(), ErrorCode::corrupt);
  EXPECT_EQ(list.corrupt[0].record, "s#2");
}

TEST_F(Events, OutliveTheirSession) {
  append("note:made");
  run(storage().delete_session(s));
  EXPECT_EQ(events(s).size(), 3u);
  EXPECT_EQ(error_of(storage().append_event(s, event_data("note:late"))).code(),
            ErrorCode::not_found);
}

TEST_F(Events, ArePrunedButForTheNewest) {
  for (int i = 0; i < 9; ++i) append("note:made");
  EXPECT_EQ(run(storage().prune_events(s, 4)), 3u);
  EXPECT_EQ(run(storage().prune_events(s, 4)), 0u);
  const EventList list = run(storage().read_events(s));
  EXPECT_EQ(list.first_sequence, 4u);
  EXPECT_EQ(list.items.front().sequence, 4u);
  EXPECT_EQ(run(storage().prune_events(s, 1'000)), 6u);
  EXPECT_EQ(events(s).size(), 1u);
  EXPECT_EQ(append("note:made").sequence, 11u);
  EXPECT_EQ(run(storage().prune_events(session_id("nobody"), 4)), 0u);
}

// ---- images

class Restoring : public TypedStorageTest {
 protected:
  // A session with an archived chain of two steps, a live one of one step, and their log.
  SessionImage image() {
    SessionImage made;
    made.session = make_session("origin");
    const SessionId id = made.session.session_id;
    make_chain(id, {{}, {1}});
    const Chain archived = make_chain(id, {{}});
    run(storage().delete_step(StepId(archived.chain_id, 1)));
    made.session = *get(id);
    made.chains = run(storage().list_chains(id)).items;
    for (const Chain& chain : made.chains)
      for (const Step& step : run(storage().list_steps(chain.chain_id)).items)
        made.steps.push_back(step);
    made.events = events(id);
    made.chains[1].archived_at = clock.now();
    EXPECT_TRUE(run(storage().erase_session(id)));
    return made;
  }
  std::vector<std::string> refused(const SessionImage& image) {
    const StorageError error = error_of(storage().restore(image));
    EXPECT_EQ(error.code(), ErrorCode::invalid);
    EXPECT_EQ(error.operation, "restore");
    EXPECT_EQ(get(image.session.session_id), std::nullopt);
    return paths_of(error);
  }
};

TEST_F(Restoring, BringsEverythingBackAsItWas) {
  const SessionImage origin = image();
  const SessionId id = origin.session.session_id;
  clock.advance(1h);
  CallReport report;
  Context context;
  context.report = &report;
  EXPECT_TRUE(run(storage().restore(origin, context)));
  EXPECT_EQ(report.sequence, origin.events.size());
  EXPECT_EQ(get(id), origin.session);
  EXPECT_EQ(run(storage().list_chains(id)).items, origin.chains);
  EXPECT_EQ(run(storage().list_steps(ChainId(id, 1))).items, origin.steps);
  EXPECT_EQ(events(id), origin.events);
  const Page<Chain> archive = run(storage().list_archive(user("ann")));
  ASSERT_EQ(archive.items.size(), 1u);
  EXPECT_EQ(archive.items[0], origin.chains[1]);
  EXPECT_EQ(make_chain(id).chain_id.number(), 3u);
}

TEST_F(Restoring, TheSecondTimeChangesNothing) {
  const SessionImage origin = image();
  EXPECT_TRUE(run(storage().restore(origin)));
  SessionUpdate update;
  update.set(&Session::title, "since then");
  run(storage().update_session(origin.session.session_id, update));
  EXPECT_FALSE(run(storage().restore(origin)));
  EXPECT_EQ(get(origin.session.session_id)->title, "since then");
}

// What says why it can't be restored.
TEST_F(Restoring, OverWhatIsLeftOfASessionIsAConflict) {
  const SessionImage origin = image();
  const auto conflict = [&] {
    const StorageError error = error_of(storage().restore(origin));
    EXPECT_EQ(error.code(), ErrorCode::conflict);
    EXPECT_EQ(error.operation, "restore");
    EXPECT_EQ(error.record, "origin");
    return error.message();
  };
  make_session("origin");
  run(storage().delete_session(origin.session.session_id));
  EXPECT_NE(conflict().find("the log of an earlier session"), std::string::npos);

  run(storage().erase_session(origin.session.session_id));
  run(storage().restore(origin));
  run(storage().delete_session(origin.session.session_id));
  EXPECT_NE(conflict().find("it has ended"), std::string::npos);

  clock.advance(24h * 7);
  while (run(storage().sweep()).more) continue;
  EXPECT_NE(conflict().find("archived chains"), std::string::npos);
}

TEST_F(Restoring, OverASessionPastItsDeadlineIsAConflictSweptOrNot) {
  const SessionImage origin = image();
  make_session("origin");
  clock.advance(25h);
  EXPECT_EQ(error_of(storage().restore(origin)).code(), ErrorCode::conflict);
  EXPECT_EQ(event_types(origin.session.session_id).back(), "session:expired");
}

// A recorded run that has ended in the meantime is no other one.
TEST_F(Restoring, WhatIsNamedByItsContentIsThereAsLongAsItsLogIs) {
  SessionImage origin = image();
  origin.named_by_content = true;
  run(storage().restore(origin));
  clock.advance(25h);
  EXPECT_FALSE(run(storage().restore(origin)));
  EXPECT_FALSE(get(origin.session.session_id));
  EXPECT_FALSE(run(storage().restore(origin)));
  origin.events[0].operation_id = "another";
  EXPECT_EQ(error_of(storage().restore(origin)).code(), ErrorCode::conflict);
}

TEST_F(Restoring, BeginsADeadlineAnewThatIsOver) {
  SessionImage origin = image();
  clock.advance(25h);
  EXPECT_TRUE(run(storage().restore(origin)));
  const Session restored = *get(origin.session.session_id);
  EXPECT_EQ(restored.expires_at, clock.now() + 24h);
  EXPECT_EQ(restored.last_activity_at, origin.session.last_activity_at);
}

TEST_F(Restoring, TakesALogThatBeginsLate) {
  SessionImage origin = image();
  origin.events.erase(origin.events.begin(), origin.events.begin() + 2);
  EXPECT_TRUE(run(storage().restore(origin)));
  const EventList list = run(storage().read_events(origin.session.session_id));
  EXPECT_EQ(list.first_sequence, 3u);
  EXPECT_EQ(list.items, origin.events);
}

TEST_F(Restoring, RefusesChainsAndStepsThatDoNotBelong) {
  const SessionImage origin = image();
  SessionImage bad = origin;
  bad.session.chain_count = 1;
  EXPECT_EQ(refused(bad), std::vector<std::string>{"chains[1]"});
  bad = origin;
  bad.chains[0].session_id = session_id("other");
  bad.chains[1].chain_id = ChainId();
  EXPECT_EQ(refused(bad),
            (std::vector<std::string>{"chains[0]", "chains[1]", "chains[1].chainId"}));
  bad = origin;
  bad.chains.push_back(bad.chains[0]);
  EXPECT_EQ(refused(bad), std::vector<std::string>{"chains[2]"});
  bad = origin;
  bad.steps[1].step_id = StepId();
  EXPECT_EQ(refused(bad), (std::vector<std::string>{"steps[1]", "chains[0]", "steps[1].stepId"}));
  bad = origin;
  bad.steps[1].session_id = session_id("other");
  EXPECT_EQ(refused(bad), (std::vector<std::string>{"steps[1]", "chains[0]"}));
  bad = origin;
  bad.steps.push_back(bad.steps[0]);
  EXPECT_EQ(refused(bad), std::vector<std::string>{"steps[2]"});
  bad = origin;
  bad.steps[0].waits_for = {2};
  EXPECT_EQ(refused(bad), std::vector<std::string>{"steps[0].waitsFor[0]"});
}

TEST_F(Restoring, RefusesASummaryThatIsNotWhatTheStepsSay) {
  const SessionImage origin = image();
  SessionImage bad = origin;
  bad.steps.pop_back();
  EXPECT_EQ(refused(bad), std::vector<std::string>{"chains[0]"});
  bad = origin;
  bad.steps[0].status = StepStatus::completed;
  EXPECT_EQ(refused(bad), std::vector<std::string>{"chains[0]"});
  bad = origin;
  bad.chains[0].status = ChainStatus::completed;
  EXPECT_EQ(refused(bad), std::vector<std::string>{"chains[0]"});
}

TEST_F(Restoring, RefusesALogThatDoesNotFit) {
  const SessionImage origin = image();
  SessionImage bad = origin;
  bad.events.clear();
  EXPECT_EQ(refused(bad), std::vector<std::string>{"events[0]"});
  bad = origin;
  bad.events.erase(bad.events.begin() + 1);
  EXPECT_FALSE(refused(bad).empty());
  bad = origin;
  bad.events[0].session_id = session_id("other");
  EXPECT_EQ(refused(bad), std::vector<std::string>{"events[0]"});
  bad = origin;
  bad.events[2].actor = "\xFF";
  bad.events[3].operation_id = "";
  EXPECT_EQ(refused(bad), (std::vector<std::string>{"events[2].actor", "events[3].operationId"}));
}

TEST_F(Restoring, RefusesRecordsThatBreakTheirRules) {
  const SessionImage origin = image();
  SessionImage bad = origin;
  bad.session.version = 0;
  bad.session.title = "\xFF";
  bad.chains[1].title = "";
  bad.steps[0].action = "";
  EXPECT_EQ(refused(bad), (std::vector<std::string>{"session.version", "session.title",
                                                    "chains[1].title", "steps[0].action"}));
}

// What append_event refuses does not get in by the back door.
TEST_F(Restoring, RefusesEventsAndRecordsThatAreTooLong) {
  make_session("origin");
  run(storage().append_event(session_id("origin"), event_data("note:made")));
  const std::string content(storage().options().record_limits.max_bytes, 'x');
  const json::Raw longer = json::Raw::from_checked('"' + content + '"');
  SessionImage bad;
  bad.session = *get(session_id("origin"));
  bad.events = events(session_id("origin"));
  run(storage().erase_session(session_id("origin")));
  bad.events[1].data = longer;
  EXPECT_EQ(refused(bad), std::vector<std::string>{"events[1].data"});
  bad.events[1].data = json::Raw::from_checked(std::string(65, '[') + std::string(65, ']'));
  EXPECT_EQ(refused(bad), std::vector<std::string>{"events[1].data"});
  bad.events[1].data.reset();
  // The store's own tell of a record and what it had noted in it.
  const json::Raw record = *std::exchange(bad.events[0].data, longer);
  EXPECT_TRUE(run(storage().restore(bad)));
  run(storage().erase_session(session_id("origin")));
  bad.events[0].data = json::Raw::from_checked('"' + content + content + '"');
  bad.session.metadata = json::Raw::from_checked(R"({"p":")" + content + content + "\"}");
  EXPECT_EQ(refused(bad), (std::vector<std::string>{"events[0].data", "session"}));
}

TEST_F(Restoring, RefusesWithABoundedNumberOfIssues) {
  SessionImage bad = image();
  Event event = bad.events.back();
  event.actor = "\xFF";
  for (int i = 0; i < 1'000; ++i) bad.events.push_back(event);
  EXPECT_EQ(refused(bad).size(), json::max_issues + 1);
}

}  // namespace
}  // namespace actionflows
