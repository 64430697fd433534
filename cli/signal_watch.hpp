// Signals that ask the program for something, waited for instead of being handled wherever they
// happen to interrupt it.
#pragma once

#include <csignal>
#include <functional>
#include <initializer_list>
#include <thread>

namespace actionflows::cli {

// From its making on, calls `on_signal` with each of `signals` that the process is sent, one after
// the other, on a thread of its own: it may do anything there, but throw. To be made before other
// threads are started: they inherit that these signals are not theirs. One that comes while another
// is being handled waits; several of a kind count as one. Once it is gone, the signals do again
// what they did before.
//
// No handler that interrupts, thus nothing of which a handler must beware. (GCC 12's
// ThreadSanitizer loses a signal in 300 of those that come to a handler just before epoll_wait.)
class SignalWatch {
 public:
  SignalWatch(std::initializer_list<int> signals, std::function<void(int)> on_signal);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  void wait(const std::stop_token& ended) const;

  sigset_t signals_{};
  int any_of_them_;
  sigset_t blocked_before_{};
  std::function<void(int)> on_signal_;
  std::jthread thread_;
};

}  // namespace actionflows::cli
