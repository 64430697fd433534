// What becomes of a driver's calls, each of them and all at the same time.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/storage/driver.hpp"
#include "tests/support/run.hpp"

#include <chrono>
#include <iosfwd>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace actionflows {

// For the messages of failed tests.
void PrintTo(ErrorCode code, std::ostream* out);

}  // namespace actionflows

namespace actionflows::test {

inline SessionId session_named(const std::string& name) { return SessionId::parse(name).value(); }
inline UserId user_named(const std::string& name) { return UserId::parse(name).value(); }

// The error of a call; nullopt: it was let through.
template <class T>
std::optional<StorageError> error_of(Task<T> task) {
  try {
    static_cast<void>(run(std::move(task)));
  } catch (const StorageError& error) {
    return error;
  }
  return std::nullopt;
}

// Every kind of call a driver has, on this session, by its name. `health` throws what its result
// says, as `unavailable`. The driver must outlive the tasks.
std::vector<std::pair<std::string, Task<void>>> all_calls(StorageDriver& driver,
                                                          const SessionId& session);

// What became of a call.
struct Outcome {
  std::string call;
  std::chrono::nanoseconds took{0};
  std::optional<ErrorCode> error;
};

// All at the same time, on one thread.
std::vector<Outcome> outcomes_of(std::vector<std::pair<std::string, Task<void>>> calls);

}  // namespace actionflows::test
