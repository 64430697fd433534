// How a coroutine waits for another thread's work and goes on where it ran before. For drivers
// whose work is done by threads of their own.
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>

#include <vector>

namespace actionflows {

// Counts the calls that wait in one context, which can't be destroyed before all are answered.
class WaitingCalls;

// Who waits for an answer. Thread-safety: none; handed from thread to thread.
class Waiter {
 public:
  using Handler = boost::asio::any_completion_handler<void()>;

  Waiter(boost::asio::any_io_executor executor, Handler handler);
  Waiter(Waiter&&) noexcept = default;

  // Lets the caller go on, on its own executor; once. From then on what the caller owns may be
  // gone.
  void resume() &&;
  // The same for many: those that follow each other on one executor are handed to it at once, which
  // wakes its thread once.
  static void resume_all(std::vector<Waiter> waiters);

 private:
  Handler handler_;
  boost::asio::any_io_executor executor_;  // counts as work: its context runs on until the answer
  WaitingCalls* calls_;
};

}  // namespace actionflows
