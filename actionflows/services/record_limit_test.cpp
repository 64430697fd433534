// Records as long as a client may make them: whatever is done to them afterwards, what the store
// itself notes still fits.
#include "actionflows/services/chain_service.hpp"
#include "actionflows/services/interchange.hpp"
#include "actionflows/services/session_service.hpp"
#include "actionflows/services/step_service.hpp"
#include "tests/support/typed_storage.hpp"

namespace actionflows {
namespace {

using namespace test;

constexpr std::size_t limit = 4'000;

class RecordLimit : public TypedStorageTest {
 protected:
  RecordLimit() {
    StorageOptions options;
    options.record_limits.max_bytes = limit;
    open({}, options);
  }

  template <class T>
  static std::size_t size_of(const T& record) {
    std::string text;
    schema::schema_of<T>().encode(record, schema::Form::stored, text);
    return text.size();
  }
  // An object of `bytes` bytes.
  static json::Raw padding(std::size_t bytes) {
    return json::Raw::parse(R"({"p":")" + std::string(bytes - 8, 'x') + "\"}");
  }

  // Updates the record's metadata so that it is as long as can be.
  template <class T, class Update>
  void fill(const T& record, Update update) {
    const std::size_t without = size_of(record) + std::string_view(",\"metadata\":").size();
    schema::Partial<T> fitting;
    fitting.set(&T::metadata, padding(limit - without));
    run(update(fitting));
    schema::Partial<T> too_long;
    too_long.set(&T::metadata, padding(limit - without + 1));
    EXPECT_EQ(error_of(update(too_long)).code(), ErrorCode::invalid);
  }
  void fill(const Session& session) {
    fill(session, [&](const SessionUpdate& update) {
      return storage().update_session(session.session_id, update);
    });
  }
  void fill(const Chain& chain) {
    fill(chain,
         [&](const ChainUpdate& update) { return storage().update_chain(chain.chain_id, update); });
  }
  void fill(const Step& step) {
    fill(step,
         [&](const StepUpdate& update) { return storage().update_step(step.step_id, update); });
  }

  StepService steps() { return StepService(storage()); }

  const SessionId s = session_id("s");
  const ChainId c1{s, 1};
  const StepId s1{c1, 1};
  const StepId s2{c1, 2};
};

TEST_F(RecordLimit, LeavesASessionItsCountsAndItsStates) {
  fill(make_session());
  SessionService sessions(storage());
  for (int n = 0; n < 10; ++n) make_chain(s);
  run(sessions.pause(s));
  EXPECT_EQ(run(sessions.complete(s)).chain_count, 10u);
  EXPECT_GT(size_of(*get(s)), limit);
}

TEST_F(RecordLimit, LeavesAChainItsProgress) {
  make_session();
  fill(make_chain(s, {{}}));
  run(steps().start(s1));
  run(steps().complete(s1));
  EXPECT_TRUE(get(c1)->archived_at);
  EXPECT_GT(size_of(*get(c1)), limit);
  fill(make_chain(s, {{}}));
  EXPECT_TRUE(run(ChainService(storage()).cancel(ChainId(s, 2))).archived_at);
}

TEST_F(RecordLimit, LeavesAStepItsActions) {
  make_session();
  make_chain(s, {{}, {}});
  fill(*get(s1));
  fill(*get(s2));
  run(steps().start(s1));
  run(steps().fail(s1));
  run(steps().retry(s1));
  run(steps().start(s1));
  StepReport report;
  report.result = json::Raw::parse("1");
  const StorageError error = error_of(steps().complete(s1, report));
  EXPECT_EQ(error.code(), ErrorCode::invalid);
  EXPECT_EQ(error.record, s1.str());
  run(steps().complete(s1));
  run(steps().skip(s2));
  EXPECT_EQ(get(c1)->status, ChainStatus::completed);
}

TEST_F(RecordLimit, KeepsNoSessionFromItsEnd) {
  for (const bool completed : {false, true}) {
    const Session session = make_session(completed ? "t" : "s");
    const ChainId chain = make_chain(session.session_id, {{}}).chain_id;
    fill(*get(chain));
    run(steps().start(StepId(chain, 1)));
    run(steps().fail(StepId(chain, 1)));
    if (completed) run(SessionService(storage()).complete(session.session_id));
  }
  EXPECT_TRUE(get(ChainId(session_id("t"), 1))->archived_at);
  clock.advance(24h);
  const Upkeep upkeep = run(storage().sweep());
  EXPECT_TRUE(upkeep.failed.empty());
  EXPECT_EQ(upkeep.sessions_expired, 2u);
  EXPECT_TRUE(get(c1)->archived_at);
}

TEST_F(RecordLimit, HoldsForWhatIsRestoredButForWhatTheStoreHadNoted) {
  fill(make_session());
  fill(make_chain(s, {{}}));
  fill(*get(s1));
  run(steps().start(s1));
  run(steps().complete(s1));
  const SessionImage image = *run(read_image(storage(), s));
  run(storage().erase_session(s));
  EXPECT_TRUE(run(storage().restore(image)));
  EXPECT_EQ(line_of_image(*run(read_image(storage(), s))), line_of_image(image));

  SessionImage longer = image;
  longer.session.metadata = padding(limit + (64 << 10));
  run(storage().erase_session(s));
  EXPECT_EQ(error_of(storage().restore(longer)).code(), ErrorCode::invalid);
}

}  // namespace
}  // namespace actionflows
