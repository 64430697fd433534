// Runs a Task from a plain test and hands out what it returns or throws.
#pragma once

#include "actionflows/base/task.hpp"

#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace actionflows::test {

// What `run` runs on: one per thread, alive as long as the thread, because a subscription stays
// bound to where it was made.
boost::asio::io_context& run_context();

// Returns when the task has ended; throws what it throws, and std::logic_error when it can never
// end. Not a template where it can be helped: handing a task to a context is slow to compile.
void run(Task<void> task);

template <class T>
  requires(!std::is_void_v<T>)
T run(Task<T> task) {
  std::optional<T> result;
  const auto keep = [](Task<T> from, std::optional<T>& into) -> Task<void> {
    into.emplace(co_await std::move(from));
  };
  run(keep(std::move(task), result));
  return *std::move(result);
}

// Runs all tasks at the same time on `threads` threads and returns when every one has ended.
// Throws the first of their errors.
void run_together(std::vector<Task<void>> tasks, std::size_t threads);

}  // namespace actionflows::test
