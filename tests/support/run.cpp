#include "tests/support/run.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>

#include <exception>
#include <mutex>
#include <stdexcept>

namespace actionflows::test {

boost::asio::io_context& run_context() {
  thread_local boost::asio::io_context context;
  return context;
}

void run(Task<void> task) {
  boost::asio::io_context& context = run_context();
  bool done = false;
  std::exception_ptr error;
  boost::asio::co_spawn(context, std::move(task), [&](std::exception_ptr thrown) {
    error = std::move(thrown);
    done = true;
  });
  context.restart();
  while (!done)
    if (context.run_one() == 0) throw std::logic_error("the task waits for nothing");
  if (error) std::rethrow_exception(error);
}

void run_together(std::vector<Task<void>> tasks, std::size_t threads) {
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
