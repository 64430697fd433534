// What the tests of the typed layer stand on: a Storage over a memory driver with hooks, a clock
// and a randomness of their own, and short forms of what every one of them makes.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/storage/memory/memory_storage.hpp"
#include "actionflows/storage/storage.hpp"
#include "tests/support/change.hpp"
#include "tests/support/hooked_driver.hpp"
#include "tests/support/restless_clock.hpp"
#include "tests/support/run.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace actionflows {

// For the messages of failed tests.
inline void PrintTo(ErrorCode code, std::ostream* out) { *out << to_string(code); }
inline void PrintTo(IssueCode code, std::ostream* out) { *out << to_string(code); }
inline void PrintTo(SessionState state, std::ostream* out) { *out << to_string(state); }
inline void PrintTo(ChainStatus status, std::ostream* out) { *out << to_string(status); }
inline void PrintTo(StepStatus status, std::ostream* out) { *out << to_string(status); }

}  // namespace actionflows

namespace actionflows::test {

// What the task throws. Throws std::logic_error when it throws nothing.
template <class T>
StorageError error_of(Task<T> task) {
  try {
    run(std::move(task));
  } catch (const StorageError& error) {
    return error;
  }
  throw std::logic_error("was let through");
}

inline UserId user(std::string_view name) { return *UserId::parse(name); }
inline SessionId session_id(std::string_view name) { return *SessionId::parse(name); }

inline SessionData titled(std::string title) {
  SessionData data;
  data.title = std::move(title);
  return data;
}

inline StepData step_data(std::string action, std::vector<std::uint32_t> waits_for = {}) {
  StepData data;
  data.action = std::move(action);
  data.waits_for = std::move(waits_for);
  return data;
}

// A chain whose steps wait for these numbers: chain_data({{}, {1}}).
inline ChainData chain_data(const std::vector<std::vector<std::uint32_t>>& steps = {}) {
  ChainData data;
  data.title = "a chain";
  for (const auto& waits_for : steps) data.steps.push_back(step_data("act", waits_for));
  return data;
}

inline EventData event_data(std::string_view type) {
  EventData data;
  data.type = *EventType::parse(type);
  return data;
}

inline Context with_operation(std::string id) {
  Context context;
  context.operation_id = std::move(id);
  return context;
}

inline Context expecting(std::uint64_t version) {
  Context context;
  context.expected_version = version;
  return context;
}

inline std::vector<std::string> paths_of(const StorageError& error) {
  std::vector<std::string> paths;
  for (const Issue& issue : error.issues) paths.push_back(actionflows::to_string(issue.path));
  return paths;
}

class TypedStorageTest : public testing::Test {
 protected:
  using Call = HookedDriver::Call;

  TypedStorageTest() { open({}, {}); }

  // Another, empty storage in the place of the first.
  void open(const DriverLimits& limits, const StorageOptions& options) {
    MemoryOptions memory;
    memory.limits = limits;
    auto hooked = std::make_unique<HookedDriver>(make_memory_storage(memory));
    driver_ = hooked.get();
    storage_ = std::make_unique<Storage>(std::move(hooked), options, clock, random);
  }

  Storage& storage() { return *storage_; }
  // Below the storage: what is written here is neither checked nor encoded.
  HookedDriver& driver() { return *driver_; }

  // The next `times` calls of this kind throw `code`; they don't reach the driver.
  void break_next(Call call, ErrorCode code, int times = 1) {
    driver().before = [call, code, left = times](Call now) mutable -> Task<void> {
      if (now == call && left-- > 0) throw failure(code, "broken on purpose", "test");
      co_return;
    };
  }
  // The next call of this kind is done, but its answer gets lost.
  void lose_next(Call call, ErrorCode code) {
    driver().after = [call, code, armed = true](Call now) mutable -> Task<void> {
      if (now == call && std::exchange(armed, false))
        throw failure(code, "lost on purpose", "test");
      co_return;
    };
  }
  // Before the next commit reaches the driver, `change` is done by somebody else.
  void meanwhile(std::function<Task<void>()> change) {
    driver().before = [change = std::move(change), armed = true](Call now) mutable -> Task<void> {
      if (now == Call::commit && std::exchange(armed, false)) co_await change();
    };
  }

  Session make_session(std::string_view name = "s", std::string_view of_user = "ann") {
    return run(storage().create_session(user(of_user), titled("a session"), session_id(name)));
  }
  Chain make_chain(const SessionId& session,
                   const std::vector<std::vector<std::uint32_t>>& steps = {}) {
    return run(storage().create_chain(session, chain_data(steps)));
  }

  std::optional<Session> get(const SessionId& id) { return run(storage().get_session(id)); }
  std::optional<Chain> get(const ChainId& id) { return run(storage().get_chain(id)); }
  std::optional<Step> get(const StepId& id) { return run(storage().get_step(id)); }
  std::vector<Event> events(const SessionId& id) {
    EventFilter filter;
    filter.limit = 1'000;
    return run(storage().read_events(id, filter)).items;
  }
  std::vector<std::string> event_types(const SessionId& id) {
    std::vector<std::string> types;
    for (const Event& event : events(id)) types.push_back(event.type.str());
    return types;
  }

  // Puts these bytes in the place of a record, whatever they are.
  void plant(const SessionId& id, RecordKey key, std::string_view bytes) {
    const ReadResult read = run(driver().real().read(id, std::span(&key, 1)));
    const std::uint64_t version = read.records[0] ? read.records[0]->version : 0;
    Change change(id, clock.now());
    change.put(key, version, Bytes(bytes)).no_events().event("test:planted", planted_event);
    run(driver().real().commit(change));
  }

  static constexpr const char* planted_event =
      R"({"type":"test:planted","at":"2026-01-01T00:00:00.000Z"})";

  RestlessClock clock{*parse_rfc3339("2026-01-01T00:00:00Z")};
  SeededRandom random{test_seed()};

 private:
  std::unique_ptr<Storage> storage_;
  HookedDriver* driver_ = nullptr;  // the storage's own
};

}  // namespace actionflows::test
