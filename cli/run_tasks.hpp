// Runs coroutines from plain code.
#pragma once

#include "actionflows/base/task.hpp"

#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <functional>

namespace actionflows::cli {

// Runs `worker` as `count` coroutines at the same time, on this thread, until all have ended or the
// context is stopped; what else waits on the context goes on waiting. Throws the first of their
// errors.
void run_workers(boost::asio::io_context& context, std::size_t count,
                 const std::function<Task<void>()>& worker);

// One of them.
inline void run_task(boost::asio::io_context& context, const std::function<Task<void>()>& task) {
  run_workers(context, 1, task);
}

}  // namespace actionflows::cli
