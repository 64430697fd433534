#include "actionflows/storage/resilient/gate.hpp"

#include <exception>
#include <utility>

namespace actionflows {

StorageError primary_is_away(std::string what, std::string record) {
  return failure(ErrorCode::unavailable, "the primary storage is away: " + std::move(what), "",
                 std::move(record));
}

Gate::Gate(std::shared_ptr<StorageDriver> primary, const ResilientOptions& options, Clock& clock,
           Random& random)
    : primary_(std::move(primary)),
      options_(options),
      clock_(clock),
      random_(random),
      needs_no_timer_(options.primary_timeout &&
                      *options.primary_timeout <= options.attempt_timeout &&
                      *options.primary_timeout <= options.call_timeout),
      retry_(options.retry),
      breaker_(options.breaker),
      since_(clock.now()) {}

void Gate::check(Clock::Monotonic deadline) const {
  if (clock_.monotonic() >= deadline)
    throw failure(ErrorCode::timeout, "the call's time is over", "");
}

void Gate::note_answers() {
  const std::lock_guard lock(mutex_);
  note_answers(clock_.monotonic());
}

void Gate::note_answers(Clock::Monotonic now) {
  breaker_.on_answers(read_.exchange(0, std::memory_order_relaxed),
                      written_.exchange(0, std::memory_order_relaxed), now);
}

bool Gate::on_error(const StorageError& error, CallKind kind) {
  if (!is_failure(error)) {
    on_answer(kind);
    return false;
  }
  const std::lock_guard lock(mutex_);
  const Clock::Monotonic now = clock_.monotonic();
  note_answers(now);
  if (breaker_.on_failure(kind, now)) {
    why_away_ = error.message();
    note_state();
  }
  return true;
}

void Gate::throw_refused(const std::optional<StorageError>& failed) {
  if (failed) throw StorageError(*failed);
  throw primary_is_away("it is not asked");
}

Task<bool> Gate::probe() {
  std::optional<std::uint64_t> permit;
  {
    const std::lock_guard lock(mutex_);
    permit = breaker_.try_probe(clock_.monotonic());
    if (permit) note_state();
  }
  if (!permit) co_return false;
  count_attempt();
  bool answered = false;
  std::string why;
  try {
    const auto primary = primary_;
    std::function<Task<Health>()> ask = [primary] { return primary->health(); };
    const Health health = co_await attempt_within<Health>(
        std::move(ask), clock_.monotonic() + options_.breaker.probe_lease);
    answered = health.ok;
    why = health.detail;
  } catch (const StorageError& error) {
    why = error.message();
  } catch (const std::exception& error) {
    why = error.what();
  }
  const std::lock_guard lock(mutex_);
  if (!answered) why_away_ = std::move(why);
  breaker_.on_probe(*permit, answered, clock_.monotonic());
  note_state();
  co_return breaker_.admits();
}

void Gate::note_state() {
  const BreakerState state = breaker_.state();
  if (state == told_) return;
  told_ = state;
  since_ = clock_.now();
  admits_.store(breaker_.admits(), std::memory_order_release);
  if (state == BreakerState::closed) {
    away_since_.reset();
    tell("primary storage answers again: the circuit is closed");
  } else if (!away_since_) {
    away_since_ = since_;
    tell("primary storage is away: the circuit is open, the fallback takes over");
  }
}

void Gate::tell(const std::string& line) const {
  if (options_.log) options_.log(line);
}

Resilience Gate::resilience() const {
  Resilience resilience;
  resilience.attempts = attempts_.load(std::memory_order_relaxed);
  resilience.retries = retries_.load(std::memory_order_relaxed);
  resilience.rejections = rejections_.load(std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  resilience.breaker = to_string(breaker_.state());
  resilience.since = since_;
  return resilience;
}

std::optional<Timestamp> Gate::away_since() const {
  const std::lock_guard lock(mutex_);
  return away_since_;
}

std::string Gate::why_away() const {
  const std::lock_guard lock(mutex_);
  return why_away_;
}

}  // namespace actionflows
