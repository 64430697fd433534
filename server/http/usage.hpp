// How much of each bounded thing is in use. Internal to the server.
#pragma once

#include <atomic>
#include <cstddef>

namespace actionflows::http {

// A connection's buffer that grew beyond this many bytes is given back after the message.
inline constexpr std::size_t kept_capacity = 16 << 10;

// Shared with the metrics' callbacks, which may outlive the server.
struct Usage {
  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> turned_away{0};  // told that there is no room, and closing
  std::atomic<std::size_t> in_flight{0};
  std::atomic<std::size_t> streams{0};
  std::atomic<std::size_t> body_bytes{0};
};

// A part of a bounded thing, given back at the latest at the end of its life.
class Share {
 public:
  explicit Share(std::atomic<std::size_t>& used) noexcept : used_(used) {}
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;
  ~Share() { release(); }

  // Takes `amount` more; false, and nothing taken, when all together would exceed `limit`.
  bool take(std::size_t amount, std::size_t limit) noexcept {
    if (used_.fetch_add(amount, std::memory_order_relaxed) + amount > limit) {
      used_.fetch_sub(amount, std::memory_order_relaxed);
      return false;
    }
    taken_ += amount;
    return true;
  }

  void release() noexcept {
    if (taken_ > 0) used_.fetch_sub(taken_, std::memory_order_relaxed);
    taken_ = 0;
  }

 private:
  std::atomic<std::size_t>& used_;
  std::size_t taken_ = 0;
};

}  // namespace actionflows::http
