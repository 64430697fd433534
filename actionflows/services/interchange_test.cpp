#include "actionflows/services/interchange.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/base/fake_clock.hpp"
#include "actionflows/json/report.hpp"
#include "actionflows/services/event_log.hpp"
#include "actionflows/services/session_service.hpp"
#include "actionflows/services/step_service.hpp"
#include "actionflows/storage/memory/memory_storage.hpp"
#include "tests/support/run.hpp"
#include "tests/support/slack.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace actionflows {
namespace {

using test::run;
using test::slack;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::chrono::hours day{24};

// A run with everything that real ones do: no user, time running backwards, null and odd results.
constexpr std::string_view recorded_run =
    R"({"source":"us/notes:1.jsonl","licence":"MIT",)"
    R"("session":{"user":null,"cwd":"/home/ada","startedAt":null},"chains":[)"
    R"({"title":"Read\nthen write \ud83d\udccb","source":"composed","steps":[)"
    R"({"action":"Read <file>: a/b","inputs":{"a.b":1,"$x":null},"waitsFor":[],)"
    R"("status":"completed","startedAt":"2026-02-11T20:36:51.804Z",)"
    R"("completedAt":"2026-02-11T20:36:50Z","result":{"big":123456789012345678901,"e":[]},)"
    R"("error":null},)"
    R"({"action":"Write","inputs":{},"waitsFor":[1],"status":"failed",)"
    R"("startedAt":"2026-02-11T21:36:52.1+01:00","completedAt":null,"result":"",)"
    R"("error":"disk full"}]},)"
    R"({"title":"Look","source":"flow","steps":[{"action":"Look","inputs":{},"waitsFor":[],)"
    R"("status":"skipped","startedAt":null,"completedAt":null,"result":null,"error":null}]}]})";

class Interchange : public testing::Test {
 protected:
  SessionImage image(std::string_view line) const { return image_of_line(line, clock_.now(), day); }

  FakeClock clock_;
  Storage storage_{make_memory_storage(), {}, clock_};
  Storage other_{make_memory_storage(), {}, clock_};
};

TEST_F(Interchange, ARunBecomesACompletedSession) {
  const SessionImage run_image = image(recorded_run);
  ASSERT_TRUE(run(storage_.restore(run_image)));
  const SessionId id = run_image.session.session_id;
  const auto session = run(storage_.get_session(id));
  ASSERT_TRUE(session);
  EXPECT_EQ(session->state, SessionState::completed);
  EXPECT_EQ(session->user_id.str(), "unknown");
  EXPECT_EQ(session->chain_count, 2u);
  EXPECT_EQ(session->metadata->view(), R"({"source":"us/notes:1.jsonl","licence":"MIT"})");

  const auto failed = run(storage_.get_chain(ChainId(id, 1)));
  EXPECT_EQ(failed->status, ChainStatus::failed);
  EXPECT_EQ(failed->execution_mode, ExecutionMode::sequential);
  EXPECT_TRUE(failed->archived_at);
  EXPECT_EQ(run(storage_.get_chain(ChainId(id, 2)))->status, ChainStatus::completed);

  const auto step = run(storage_.get_step(StepId(ChainId(id, 1), 1)));
  EXPECT_EQ(step->result->view(), R"({"big":123456789012345678901,"e":[]})");
  EXPECT_FALSE(step->duration_ms) << "its clock ran backwards";
  EXPECT_EQ(run(storage_.get_step(StepId(ChainId(id, 1), 2)))->started_at,
            parse_rfc3339("2026-02-11T20:36:52.100Z"));
}

TEST_F(Interchange, TheSameLineIsTheSameSession) {
  EXPECT_TRUE(run(storage_.restore(image(recorded_run))));
  clock_.advance(std::chrono::minutes(5));
  EXPECT_FALSE(run(storage_.restore(image(recorded_run))));
}

TEST_F(Interchange, TheLogOfARunRebuildsIt) {
  const SessionImage run_image = image(recorded_run);
  run(storage_.restore(run_image));
  EventLog log(storage_);
  const Verification found = run(log.verify(run_image.session.session_id));
  EXPECT_EQ(found.outcome, Verification::Outcome::equal)
      << testing::PrintToString(found.differences);
  EXPECT_EQ(found.records, 6u);
}

TEST_F(Interchange, AnExportRestoresExactly) {
  run(storage_.restore(image(recorded_run)));
  const SessionId id = image(recorded_run).session.session_id;
  const std::string line = line_of_image(*run(read_image(storage_, id)));
  clock_.advance(std::chrono::hours(1));
  ASSERT_TRUE(run(other_.restore(image(line))));
  EXPECT_EQ(line_of_image(*run(read_image(other_, id))), line);
}

TEST_F(Interchange, ALiveSessionIsExportedWithItsWholeStory) {
  SessionService sessions(storage_);
  StepService steps(storage_);
  SessionData data;
  data.title = "Nightly";
  const Session session = run(sessions.create(*UserId::parse("ada"), data));
  ChainData plan;
  plan.title = "Build";
  plan.steps.resize(2);
  plan.steps[0].action = "compile";
  plan.steps[1].action = "link";
  plan.steps[1].waits_for = {1};
  const Chain chain = run(storage_.create_chain(session.session_id, plan));
  run(steps.start(StepId(chain.chain_id, 1)));
  run(steps.fail(StepId(chain.chain_id, 1)));
  run(storage_.delete_step(StepId(chain.chain_id, 2)));

  const std::string line = line_of_image(*run(read_image(storage_, session.session_id)));
  ASSERT_TRUE(run(other_.restore(image(line))));
  EXPECT_EQ(line_of_image(*run(read_image(other_, session.session_id))), line);
  EventLog log(other_);
  EXPECT_EQ(run(log.verify(session.session_id)).outcome, Verification::Outcome::equal);
  // And life goes on there: nothing stands in the way of the next change.
  StepService there(other_);
  EXPECT_EQ(run(there.retry(StepId(chain.chain_id, 1))).status, StepStatus::pending);
}

TEST_F(Interchange, ALongChainTellsItsStepsInSeveralEvents) {
  std::string line = R"({"session":{},"chains":[{"title":"t","source":"flow","steps":[)";
  const std::string big(400'000, 'x');
  for (int i = 0; i < 7; ++i) {
    if (i > 0) line += ',';
    line +=
        R"({"action":"a","inputs":{},"waitsFor":[],"status":"completed","result":")" + big + "\"}";
  }
  line += "]}]}";
  const SessionImage run_image = image(line);
  EXPECT_GT(run_image.events.size(), 4u);
  ASSERT_TRUE(run(storage_.restore(run_image)));
  EventLog log(storage_);
  EXPECT_EQ(run(log.verify(run_image.session.session_id)).outcome, Verification::Outcome::equal);
}

TEST_F(Interchange, ALineThatCouldNotBeImportedIsNotExported) {
  const SessionImage whole = image(recorded_run);
  const std::string line = line_of_image(whole);
  EXPECT_EQ(line_of_image(whole, line.size()), line);
  try {
    line_of_image(whole, line.size() - 1);
    FAIL();
  } catch (const StorageError& error) {
    EXPECT_EQ(error.code(), ErrorCode::exhausted);
    EXPECT_EQ(error.record, whole.session.session_id.str());
    EXPECT_FALSE(error.retryable);
  }
}

TEST_F(Interchange, WhitespaceAroundALineMakesNoOtherRun) {
  const SessionId id = image(recorded_run).session.session_id;
  const std::string line(recorded_run);
  for (const std::string& text : {line + "\n", line + "\r\n", " \t" + line + " "})
    EXPECT_EQ(image(text).session.session_id, id);
  EXPECT_NE(image("{ " + line.substr(1)).session.session_id, id);
}

TEST_F(Interchange, ARunThatHasExpiredIsStillThere) {
  run(storage_.restore(image(recorded_run)));
  const std::string exported =
      line_of_image(*run(read_image(storage_, image(recorded_run).session.session_id)));
  clock_.advance(day);
  EXPECT_FALSE(run(storage_.restore(image(recorded_run))));
  try {
    run(storage_.restore(image(exported)));
    FAIL() << "a backup is not restored, which has to be said";
  } catch (const StorageError& error) {
    EXPECT_EQ(error.code(), ErrorCode::conflict);
    EXPECT_THAT(error.message(), HasSubstr("it has ended"));
  }
}

TEST_F(Interchange, ABadLineNamesAllThatIsWrong) {
  try {
    image(R"({"session":{"user":"a b"},"chains":[{"title":"","source":"odd","steps":[)"
          R"({"action":"x","waitsFor":[1],"status":"running"}]}]})");
    FAIL();
  } catch (const StorageError& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid);
    EXPECT_EQ(error.issues.size(), 5u);
    EXPECT_EQ(to_string(error.issues.back().path), "chains[0].steps[0].waitsFor[0]");
  }
}

TEST_F(Interchange, AStepMayOnlyWaitForEarlierOnes) {
  try {
    image(R"({"session":{},"chains":[{"title":"t","source":"flow","steps":[)"
          R"({"action":"x","waitsFor":[1],"status":"completed"}]}]})");
    FAIL();
  } catch (const StorageError& error) {
    ASSERT_EQ(error.issues.size(), 1u);
    EXPECT_EQ(to_string(error.issues[0].path), "chains[0].steps[0].waitsFor[0]");
  }
}

TEST_F(Interchange, ALineWithEndlessIssuesNamesSomeOfThem) {
  std::string line = R"({"session":{},"chains":[{"title":"t","source":"flow","steps":[)";
  for (int i = 0; i < 500; ++i)
    line += R"({"action":"x","waitsFor":[900,901,900],"status":"completed"},)";
  line.back() = ']';
  try {
    image(line + "}]}");
    FAIL();
  } catch (const StorageError& error) {
    EXPECT_EQ(error.issues.size(), json::max_issues + 1);
  }
}

// It could never be verified.
TEST_F(Interchange, AnExportWhoseLogDoesNotRebuildItsRecordsIsRefused) {
  run(storage_.restore(image(recorded_run)));
  const SessionId id = image(recorded_run).session.session_id;
  const SessionImage whole = *run(read_image(storage_, id));
  const auto refused = [&](const SessionImage& forged) {
    std::vector<std::string> paths;
    try {
      image(line_of_image(forged));
    } catch (const StorageError& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid);
      for (const Issue& issue : error.issues) paths.push_back(to_string(issue.path));
    }
    return paths;
  };
  EXPECT_THAT(refused(whole), IsEmpty());
  SessionImage forged = whole;
  forged.session.title = "another";
  forged.chains[1].title = "another";
  forged.steps[1].result = json::Raw::from_checked("1");
  EXPECT_THAT(refused(forged),
              ElementsAre("session.record", "chains[0].steps[1]", "chains[1].record"));
  forged = whole;
  forged.chains.pop_back();
  forged.steps.erase(forged.steps.begin());
  EXPECT_THAT(refused(forged), ElementsAre("chains[0].steps")) << "archives end some day";
  forged = whole;
  forged.events[1].type = *EventType::parse("note:made");
  EXPECT_THAT(refused(forged),
              ElementsAre("chains[0].steps[0]", "chains[0].steps[1]", "chains[0].record"));
  forged = whole;
  forged.events[0].data.reset();
  EXPECT_THAT(refused(forged), ElementsAre("events[0]"));
  // Where the beginning was pruned, the log can't tell.
  forged = whole;
  forged.session.title = "another";
  forged.events.erase(forged.events.begin());
  EXPECT_THAT(refused(forged), IsEmpty());
}

// Not by looking at every step for every chain.
TEST_F(Interchange, AnExportStaysQuickOnManyChains) {
  SessionImage many;
  many.session.session_id = *SessionId::parse("many");
  constexpr std::uint32_t count = 40'000;
  for (std::uint32_t n = 1; n <= count; ++n) {
    many.chains.emplace_back().chain_id = ChainId(many.session.session_id, n);
    Step& step = many.steps.emplace_back();
    step.chain_id = ChainId(many.session.session_id, count + 1 - n);
    step.number = n;
  }
  const auto start = std::chrono::steady_clock::now();
  const std::string line = line_of_image(many);
  EXPECT_LT(std::chrono::steady_clock::now() - start, slack() * std::chrono::seconds(2));
  EXPECT_THAT(line.substr(line.find(R"("steps":)"), 200), HasSubstr(R"("number":40000,)"));
}

TEST_F(Interchange, AnExportThatContradictsItselfIsRefused) {
  run(storage_.restore(image(recorded_run)));
  const SessionId id = image(recorded_run).session.session_id;
  SessionImage torn = *run(read_image(storage_, id));
  torn.events.erase(torn.events.begin() + 1);
  try {
    run(other_.restore(image(line_of_image(torn))));
    FAIL();
  } catch (const StorageError& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid);
    EXPECT_THAT(error.message(), HasSubstr("numbered without gaps"));
  }
  EXPECT_FALSE(run(other_.get_session(id)));
}

}  // namespace
}  // namespace actionflows
