#include "cli/signal_watch.hpp"

#include "tests/support/wait_until.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pthread.h>
#include <unistd.h>

#include <latch>
#include <mutex>
#include <vector>

namespace actionflows::cli {
namespace {

using test::wait_until;
using testing::ElementsAre;

class Taken {
 public:
  void add(int signal) {
    const std::lock_guard lock(mutex_);
    signals_.push_back(signal);
  }
  [[nodiscard]] std::vector<int> all() const {
    const std::lock_guard lock(mutex_);
    return signals_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<int> signals_;
};

bool is_blocked(int signal) {
  sigset_t blocked;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  return ::sigismember(&blocked, signal) == 1;
}

TEST(SignalWatchTest, EachSignalIsHandledOnItsThread) {
  Taken taken;
  const SignalWatch watch({SIGUSR1, SIGUSR2}, [&](int signal) { taken.add(signal); });
  ::kill(::getpid(), SIGUSR2);
  ASSERT_TRUE(wait_until([&] { return taken.all().size() == 1; }));
  ::kill(::getpid(), SIGUSR1);
  ASSERT_TRUE(wait_until([&] { return taken.all().size() == 2; }));
  EXPECT_THAT(taken.all(), ElementsAre(SIGUSR2, SIGUSR1));
}

TEST(SignalWatchTest, OneThatComesWhileAnotherIsHandledWaits) {
  Taken taken;
  std::latch goes_on(1);
  const SignalWatch watch({SIGUSR1, SIGUSR2}, [&](int signal) {
    taken.add(signal);
    goes_on.wait();
  });
  ::kill(::getpid(), SIGUSR1);
  ASSERT_TRUE(wait_until([&] { return taken.all().size() == 1; }));
  ::kill(::getpid(), SIGUSR2);
  ::kill(::getpid(), SIGUSR2);
  goes_on.count_down();
  ASSERT_TRUE(wait_until([&] { return taken.all().size() == 2; }));
  EXPECT_THAT(taken.all(), ElementsAre(SIGUSR1, SIGUSR2));
}

TEST(SignalWatchTest, TheSignalsAreGivenBack) {
  ASSERT_FALSE(is_blocked(SIGUSR1));
  Taken taken;
  {
    const SignalWatch watch({SIGUSR1}, [&](int signal) { taken.add(signal); });
    EXPECT_TRUE(is_blocked(SIGUSR1));
  }
  EXPECT_FALSE(is_blocked(SIGUSR1));
  EXPECT_THAT(taken.all(), ElementsAre());
}

}  // namespace
}  // namespace actionflows::cli
