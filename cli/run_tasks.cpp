#include "cli/run_tasks.hpp"

#include <boost/asio/co_spawn.hpp>

#include <exception>

namespace actionflows::cli {

void run_workers(boost::asio::io_context& context, std::size_t count,
                 const std::function<Task<void>()>& worker) {
  std::exception_ptr first_error;
  std::size_t running = count;
  context.restart();
  for (std::size_t i = 0; i < count; ++i) {
    boost::asio::co_spawn(context, worker(), [&](const std::exception_ptr& error) {
      if (error && !first_error) first_error = error;
      if (--running == 0) context.stop();
    });
  }
  context.run();
  if (first_error) std::rethrow_exception(first_error);
}

}  // namespace actionflows::cli
