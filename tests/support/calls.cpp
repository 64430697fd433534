#include "tests/support/calls.hpp"

#include "tests/support/change.hpp"

#include <ostream>

namespace actionflows {

void PrintTo(ErrorCode code, std::ostream* out) { *out << to_string(code); }

}  // namespace actionflows

namespace actionflows::test {
namespace {

// Coroutines take by value what has to outlive whoever makes them.

Task<void> read(StorageDriver& driver, SessionId session) {
  const std::vector<RecordKey> keys = {session_record};
  co_await driver.read(session, keys);
}

Task<void> commit(StorageDriver& driver, SessionId session) {
  const Change change(session);
  co_await driver.commit(change);
}

Task<void> list_sessions(StorageDriver& driver) {
  const ListQuery query;
  co_await driver.list_sessions(query);
}

Task<void> list_archive(StorageDriver& driver) {
  const ListQuery query;
  co_await driver.list_archive(query);
}

Task<void> read_events(StorageDriver& driver, SessionId session) {
  const EventQuery query;
  co_await driver.read_events(session, query);
}

Task<void> touch(StorageDriver& driver, SessionId session) {
  const Activity activity{test_start + 1s, test_start + 2h};
  co_await driver.touch(session, activity);
}

Task<void> prune_events(StorageDriver& driver, SessionId session) {
  co_await driver.prune_events(session, 1);
}

Task<void> sweep(StorageDriver& driver) {
  SweepQuery query;
  query.now = test_start;
  co_await driver.sweep(query);
}

Task<void> erase_session(StorageDriver& driver, SessionId session) {
  co_await driver.erase_session(session);
}

Task<void> health(StorageDriver& driver) {
  const Health found = co_await driver.health();
  if (!found.ok) throw failure(ErrorCode::unavailable, found.detail, "health");
}

Task<void> watched(std::string name, Task<void> call, std::vector<Outcome>& outcomes) {
  Outcome outcome{.call = std::move(name), .took = {}, .error = std::nullopt};
  const auto start = std::chrono::steady_clock::now();
  try {
    co_await std::move(call);
  } catch (const StorageError& error) {
    outcome.error = error.code();
  }
  outcome.took = std::chrono::steady_clock::now() - start;
  outcomes.push_back(std::move(outcome));
}

}  // namespace

std::vector<std::pair<std::string, Task<void>>> all_calls(StorageDriver& driver,
                                                          const SessionId& session) {
  std::vector<std::pair<std::string, Task<void>>> calls;
  calls.emplace_back("read", read(driver, session));
  calls.emplace_back("commit", commit(driver, session));
  calls.emplace_back("list_sessions", list_sessions(driver));
  calls.emplace_back("list_archive", list_archive(driver));
  calls.emplace_back("read_events", read_events(driver, session));
  calls.emplace_back("touch", touch(driver, session));
  calls.emplace_back("prune_events", prune_events(driver, session));
  calls.emplace_back("sweep", sweep(driver));
  calls.emplace_back("erase_session", erase_session(driver, session));
  calls.emplace_back("health", health(driver));
  return calls;
}

std::vector<Outcome> outcomes_of(std::vector<std::pair<std::string, Task<void>>> calls) {
  std::vector<Outcome> outcomes;
  std::vector<Task<void>> tasks;
  for (auto& [name, call] : calls) tasks.push_back(watched(name, std::move(call), outcomes));
  run_together(std::move(tasks), 1);
  return outcomes;
}

}  // namespace actionflows::test
