// Gate: the way to the primary. Deadlines, retries, the circuit breaker, and what is counted.
#pragma once

#include "actionflows/base/clock.hpp"
#include "actionflows/base/error.hpp"
#include "actionflows/base/random.hpp"
#include "actionflows/storage/resilient/resilient_storage.hpp"
#include "actionflows/storage/resilient/within.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace actionflows {

// Thread-safety: shared objects: safe.
class Gate {
 public:
  Gate(std::shared_ptr<StorageDriver> primary, const ResilientOptions& options, Clock& clock,
       Random& random);

  // Whoever may be abandoned holds it, so that it lives as long as they.
  [[nodiscard]] const std::shared_ptr<StorageDriver>& primary() const { return primary_; }
  // Calls may reach the primary. One atomic read.
  [[nodiscard]] bool admits() const { return admits_.load(std::memory_order_acquire); }
  // The primary ends every attempt in time by itself.
  [[nodiscard]] bool needs_no_timer() const { return needs_no_timer_; }
  // An attempt that failed may still be applied after its repeat.
  [[nodiscard]] bool may_apply_late() const {
    return options_.primary_timeout != std::chrono::milliseconds(0) && !options_.primary_supersedes;
  }

  [[nodiscard]] Clock::Monotonic deadline() const {
    return clock_.monotonic() + options_.call_timeout;
  }
  // Throws timeout: it has passed.
  void check(Clock::Monotonic deadline) const;

  // For whoever makes the first attempt without `call`.
  void on_call() {
    retry_.on_call();
    count_attempt();
  }
  void on_answer(CallKind kind) {
    (kind == CallKind::write ? written_ : read_).fetch_add(1, std::memory_order_relaxed);
  }
  // Whether `error` is a failure of the primary; it is counted either way.
  bool on_error(const StorageError& error, CallKind kind);

  // What the primary answers to `start(attempt)`, attempts counted from `attempt`, after the one
  // before has failed with `failed`, if there was one. `start` returns what makes the task and owns
  // all that it needs: an attempt that overran its deadline goes on. Throws what the last attempt
  // failed with; unavailable at once when the gate does not admit.
  template <class T, class Start>
  Task<T> call(Start start, CallKind kind, Clock::Monotonic deadline, int attempt = 1,
               std::optional<StorageError> failed = {});

  // Hands the breaker what was answered since the last time; to be called many times within its
  // window.
  void note_answers();

  // One probe, if it is time for one. True: the gate has just opened again.
  Task<bool> probe();

  void count_rejection() { rejections_.fetch_add(1, std::memory_order_relaxed); }
  // The breaker and the counters.
  [[nodiscard]] Resilience resilience() const;
  // Since when calls are kept from the primary; nullopt: they are not.
  [[nodiscard]] std::optional<Timestamp> away_since() const;
  // What shut the gate, or the last probe found, in plain words; empty: it was never shut.
  [[nodiscard]] std::string why_away() const;

 private:
  template <class T>
  Task<T> attempt_within(std::function<Task<T>()> work, Clock::Monotonic deadline);
  [[noreturn]] static void throw_refused(const std::optional<StorageError>& failed);
  void count_attempt() { attempts_.fetch_add(1, std::memory_order_relaxed); }
  // Under the mutex.
  void note_answers(Clock::Monotonic now);
  void note_state();
  void tell(const std::string& line) const;

  // constant after construction
  const std::shared_ptr<StorageDriver> primary_;
  const ResilientOptions& options_;
  Clock& clock_;
  Random& random_;
  const bool needs_no_timer_;

  RetryPolicy retry_;
  std::atomic<bool> admits_{true};
  alignas(64) std::atomic<std::uint64_t> attempts_{0};
  // Answers that the breaker does not know of yet.
  std::atomic<int> read_{0};
  std::atomic<int> written_{0};
  std::atomic<std::uint64_t> retries_{0};
  std::atomic<std::uint64_t> rejections_{0};

  mutable std::mutex mutex_;
  // guarded by mutex_
  CircuitBreaker breaker_;
  BreakerState told_ = BreakerState::closed;
  Timestamp since_;
  std::optional<Timestamp> away_since_;
  std::string why_away_;
};

// The commit, under one operation id: an attempt that is not the first may find what the one before
// has left. Owned by whoever sends it. For Gate::call.
inline auto sending(const std::shared_ptr<StorageDriver>& primary,
                    std::shared_ptr<const Commit> first) {
  return [primary, first = std::move(first)](int attempt) -> std::function<Task<CommitResult>()> {
    std::shared_ptr<const Commit> sent = first;
    if (attempt > 1 && !first->may_repeat) {
      auto again = std::make_shared<Commit>(*first);
      again->may_repeat = true;
      again->supersedes = true;
      sent = std::move(again);
    }
    return [primary, sent] { return primary->commit(*sent); };
  };
}

// "unavailable", as it is told while the primary is away.
StorageError primary_is_away(std::string what, std::string record = {});

template <class T>
Task<T> Gate::attempt_within(std::function<Task<T>()> work, Clock::Monotonic deadline) {
  const std::chrono::nanoseconds left = deadline - clock_.monotonic();
  const std::chrono::nanoseconds limit =
      std::min<std::chrono::nanoseconds>(options_.attempt_timeout, left);
  if (options_.primary_timeout && *options_.primary_timeout <= limit) co_return co_await work();
  // The primary needs what it is asked with for as long as the work goes on.
  const std::unique_ptr<T> result = co_await within<T>(std::move(work), clock_, limit);
  if (!result) throw failure(ErrorCode::timeout, "the primary storage did not answer", "");
  co_return std::move(*result);
}

template <class T, class Start>
Task<T> Gate::call(Start start, CallKind kind, Clock::Monotonic deadline, int attempt,
                   std::optional<StorageError> failed) {
  if (!failed) retry_.on_call();
  for (;; ++attempt) {
    if (failed) {
      const auto pause =
          admits() ? retry_.next(attempt - 1, *failed, clock_.monotonic(), deadline, random_)
                   : std::nullopt;
      if (!pause) {
        failed->retryable = false;
        throw StorageError(*failed);
      }
      co_await clock_.sleep_for(*pause);
      retries_.fetch_add(1, std::memory_order_relaxed);
    }
    if (!admits()) throw_refused(failed);
    check(deadline);
    count_attempt();
    std::function<Task<T>()> work = start(attempt);
    failed.reset();
    try {
      T result = co_await attempt_within<T>(std::move(work), deadline);
      on_answer(kind);
      co_return std::move(result);
    } catch (const StorageError& error) {
      if (!on_error(error, kind)) throw;
      failed = error;
    }
  }
}

}  // namespace actionflows
