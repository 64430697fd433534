// Two instances that lose the same server and both write the same session: afterwards both see the
// same, nobody's event is missing, and each conflict is told of.
#include "actionflows/services/event_log.hpp"
#include "actionflows/services/step_service.hpp"
#include "actionflows/storage/storage.hpp"
#include "tests/outage/outage.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/wait_until.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

namespace actionflows::test {
namespace {

using testing::HasSubstr;

const SessionId shared = session_named("shared");

// One process: its driver, and the typed layer over that.
struct User {
  User(const RedisServer& server, const Folder& folder, const std::string& its_name)
      : name(its_name), instance(options_of(server, folder, its_name)) {
    driver = &instance.driver();
    storage = std::make_unique<Storage>(instance.take_driver());
  }

  static InstanceOptions options_of(const RedisServer& server, const Folder& folder,
                                    const std::string& name) {
    InstanceOptions options(server.storage_options());
    options.journal = folder.path(name + ".db");
    return options;
  }

  [[nodiscard]] Resilience resilience() const { return *run(driver->health()).resilience; }
  [[nodiscard]] bool wait_for(const std::string& breaker) const {
    return wait_until([&] {
      static_cast<void>(error_of(driver->list_archive({})));
      const Resilience now = resilience();
      return now.breaker == breaker && (breaker == "open" || now.journal_entries == 0);
    });
  }

  void append(const std::string& type) {
    EventData data;
    data.type = *EventType::parse(type);
    Context context;
    context.operation_id = name + "-" + type;
    run(storage->append_event(shared, data, context));
  }

  std::string name;
  Instance instance;
  StorageDriver* driver = nullptr;
  std::unique_ptr<Storage> storage;
};

class OutageInstances : public testing::Test {
 protected:
  void begin() {
    RedisServerOptions keeping;
    keeping.appendonly = true;
    server = std::make_unique<RedisServer>(keeping);
    a = std::make_unique<User>(*server, folder, "a");
    b = std::make_unique<User>(*server, folder, "b");
  }

  void lose() {
    server->kill();
    ASSERT_TRUE(a->wait_for("open"));
    ASSERT_TRUE(b->wait_for("open"));
  }

  void heal() {
    server->restart(RedisServer::Data::kept);
    ASSERT_TRUE(a->wait_for("closed"));
    ASSERT_TRUE(b->wait_for("closed"));
  }

  static void verify(Storage& storage) {
    EventLog log(storage);
    const Verification found = run(log.verify(shared));
    EXPECT_EQ(found.outcome, Verification::Outcome::equal)
        << testing::PrintToString(found.differences);
  }

  // What all session:reconciled events say.
  std::string reconciled() {
    std::string text;
    EventFilter filter;
    filter.limit = 1'000;
    for (const Event& event : run(a->storage->read_events(shared, filter)).items)
      if (event.type.str() == "session:reconciled") text += event.data->view();
    return text;
  }

  const Folder folder = Folder::in_memory();
  std::unique_ptr<RedisServer> server;
  std::unique_ptr<User> a;
  std::unique_ptr<User> b;
};

TEST_F(OutageInstances, ConvergeAndTellOfEachConflict) {
  NEEDS_REDIS();
  begin();
  run(a->storage->create_session(ann, {}, shared));
  run(b->storage->get_session(shared));
  lose();
  if (HasFatalFailure()) return;
  using Update = SessionUpdate;
  run(a->storage->update_session(shared, Update().set(&Session::title, "title of a")));
  run(b->storage->update_session(shared, Update().set(&Session::title, "title of b")));
  run(a->storage->update_session(shared, Update().set(&Session::summary, "summary of a")));
  run(b->storage->update_session(shared, Update().set(&Session::summary, "summary of b")));
  run(a->storage->update_session(shared, Update().set(&Session::cwd, "/a")));
  run(b->storage->update_session(shared, Update().set(&Session::hostname, "b")));
  std::set<std::string> appended;
  for (int n = 0; n < 20; ++n) {
    const std::string type = "run:noted" + std::to_string(n);
    a->append(type);
    b->append(type);
    appended.insert({"a-" + type, "b-" + type});
  }
  heal();
  if (HasFatalFailure()) return;

  const Session seen_by_a = run(a->storage->get_session(shared)).value();
  EXPECT_EQ(seen_by_a, run(b->storage->get_session(shared)).value());
  EXPECT_EQ(seen_by_a.cwd, "/a");
  EXPECT_EQ(seen_by_a.hostname, "b");
  const std::map<std::string, int> found = operations_in(*a->driver, shared);
  EXPECT_EQ(found, operations_in(*b->driver, shared));
  for (const std::string& operation : appended) EXPECT_TRUE(found.contains(operation)) << operation;
  const std::string told = reconciled();
  for (const char* const field : {"title", "summary"}) {
    const bool a_won = told.find(std::string(field) + " of b\"}") != told.npos;
    EXPECT_THAT(told, HasSubstr(std::string(R"("applied":{")") + field + R"(":")" + field));
    EXPECT_THAT(told, HasSubstr(std::string(R"("replaced":{")") + field + R"(":")" + field));
    EXPECT_TRUE(a_won || told.find(std::string(field) + " of a\"}") != told.npos) << told;
  }
  EXPECT_EQ(a->resilience().conflicts + b->resilience().conflicts, 2u) << told;
  EXPECT_EQ(a->resilience().poisoned + b->resilience().poisoned, 0u)
      << a->instance.log() << b->instance.log();
  verify(*a->storage);
}

// Both go on with one chain: its counts follow from what both have done.
TEST_F(OutageInstances, BothWorkOnOneChain) {
  NEEDS_REDIS();
  begin();
  run(a->storage->create_session(ann, {}, shared));
  ChainData plan;
  plan.title = "both";
  plan.steps.resize(4);
  for (StepData& step : plan.steps) step.action = "act";
  const Chain chain = run(a->storage->create_chain(shared, plan));
  run(b->storage->get_session(shared));
  for (const auto& user : {a.get(), b.get()}) {
    run(user->storage->get_chain(chain.chain_id));
    run(user->storage->list_steps(chain.chain_id));
  }
  lose();
  if (HasFatalFailure()) return;
  for (std::uint32_t number = 1; number <= 4; ++number) {
    User& user = number % 2 == 0 ? *a : *b;
    StepService steps(*user.storage);
    run(steps.start(StepId(chain.chain_id, number)));
    run(steps.complete(StepId(chain.chain_id, number)));
  }
  heal();
  if (HasFatalFailure()) return;
  const Chain merged = run(a->storage->get_chain(chain.chain_id)).value();
  EXPECT_EQ(merged, run(b->storage->get_chain(chain.chain_id)).value());
  EXPECT_EQ(merged.completed_steps, 4u);
  EXPECT_EQ(merged.status, ChainStatus::completed);
  EXPECT_TRUE(merged.archived_at);
  EXPECT_EQ(a->resilience().poisoned + b->resilience().poisoned, 0u)
      << a->instance.log() << b->instance.log();
  verify(*a->storage);
}

}  // namespace
}  // namespace actionflows::test
