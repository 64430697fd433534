#include "cli/signal_watch.hpp"

#include <pthread.h>

#include <utility>

namespace actionflows::cli {

SignalWatch::SignalWatch(std::initializer_list<int> signals, std::function<void(int)> on_signal)
    : any_of_them_(*signals.begin()), on_signal_(std::move(on_signal)) {
  ::sigemptyset(&signals_);
  for (const int signal : signals) ::sigaddset(&signals_, signal);
  ::pthread_sigmask(SIG_BLOCK, &signals_, &blocked_before_);
  thread_ = std::jthread([this](const std::stop_token& ended) { wait(ended); });
}

SignalWatch::~SignalWatch() {
  thread_.request_stop();
  ::pthread_kill(thread_.native_handle(), any_of_them_);
  thread_.join();
  ::pthread_sigmask(SIG_SETMASK, &blocked_before_, nullptr);
}

void SignalWatch::wait(const std::stop_token& ended) const {
  int signal = 0;
  while (::sigwait(&signals_, &signal) == 0 && !ended.stop_requested()) on_signal_(signal);
}

}  // namespace actionflows::cli
