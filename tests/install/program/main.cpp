// A program of somebody else, built against the installed library.
#include <actionflows/base/clock.hpp>
#include <actionflows/base/time.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstdio>

namespace {

actionflows::Task<void> tell_time(actionflows::Clock& clock) {
  co_await clock.sleep_for(std::chrono::milliseconds(1));
  std::printf("it is %s\n", actionflows::format_rfc3339(clock.now()).c_str());
}

}  // namespace

int main() {
  boost::asio::io_context io;
  boost::asio::co_spawn(io, tell_time(actionflows::system_clock()), boost::asio::detached);
  return io.run() > 0 ? 0 : 1;
}
