// Runs a Task from a plain test and hands out what it returns or throws.
#pragma once

#include "actionflows/base/task.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace actionflows::test {

// What `run` runs on: one per thread, alive as long as the thread, because a subscription stays
// bound to where it was made.
inline boost::asio::io_context& run_context() {
  thread_local boost::asio::io_context context;
  return context;
}

// Returns when the task has ended. Throws std::logic_error when it can never end.
template <class T>
T run(Task<T> task) {
  boost::asio::io_context& context = run_context();
  bool done = false;
  std::exception_ptr error;
  const auto finish = [&] {
    context.restart();
    while (!done)
      if (context.run_one() == 0) throw std::logic_error("the task waits for nothing");
    if (error) std::rethrow_exception(error);
  };
  if constexpr (std::is_void_v<T>) {
    boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr thrown) {
      error = std::move(thrown);
      done = true;
    });
    finish();
  } else {
    std::optional<T> result;
    boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr thrown, T value) {
      error = std::move(thrown);
      result.emplace(std::move(value));
      done = true;
    });
    finish();
    return std::move(*result);
  }
}

// Runs all tasks at the same time on `threads` threads and returns when every one has ended.
// Throws the first of their errors.
inline void run_together(std::vector<Task<void>> tasks, std::size_t threads) {
  boost::asio::thread_pool pool(threads);
  std::mutex mutex;
  std::exception_ptr first_error;
  for (Task<void>& task : tasks) {
    boost::asio::co_spawn(pool, std::move(task), [&](std::exception_ptr thrown) {
      const std::lock_guard lock(mutex);
      if (thrown && !first_error) first_error = std::move(thrown);
    });
  }
  pool.join();
  if (first_error) std::rethrow_exception(first_error);
}

}  // namespace actionflows::test
