// AsyncMutex: one coroutine at a time; the others wait, first come, first served, without holding
// a thread.
#pragma once

#include "actionflows/base/task.hpp"

#include <deque>
#include <memory>
#include <mutex>
#include <utility>

namespace actionflows {

// Thread-safety: shared objects: safe. Always held by a shared_ptr, because guards keep it alive.
class AsyncMutex : public std::enable_shared_from_this<AsyncMutex> {
 public:
  // Lets the next one in when it is destroyed.
  class Guard {
   public:
    Guard() = default;
    Guard(Guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Guard& operator=(Guard&& other) noexcept {
      std::swap(mutex_, other.mutex_);
      return *this;
    }
    ~Guard() {
      if (mutex_ != nullptr) mutex_->unlock();
    }

    [[nodiscard]] bool holds() const { return mutex_ != nullptr; }

   private:
    friend class AsyncMutex;
    explicit Guard(std::shared_ptr<AsyncMutex> mutex) : mutex_(std::move(mutex)) {}
    std::shared_ptr<AsyncMutex> mutex_;
  };

  Task<Guard> lock();
  // Without waiting; holds nothing where somebody else does.
  Guard try_lock();

 private:
  struct Waiter;
  void unlock();
  // Whoever waited is gone, before or after it was its turn.
  void withdraw(const std::shared_ptr<Waiter>& waiter);

  std::mutex mutex_;
  // guarded by mutex_
  bool locked_ = false;
  std::deque<std::shared_ptr<Waiter>> waiting_;
};

}  // namespace actionflows
