#include "tests/simulation/follower.hpp"

#include "actionflows/base/error.hpp"

#include <utility>

namespace actionflows::test {

std::string seen_as(const Event& event) { return event.type.str() + " " + event.operation_id; }

Task<void> Follower::look(std::shared_ptr<Follower> self) {
  if (std::exchange(self->looking_, true)) co_return;
  try {
    co_await self->wake();
    while (self->behind_) co_await self->catch_up();
  } catch (const StorageError& error) {
    const bool passes =
        error.code() == ErrorCode::unavailable || error.code() == ErrorCode::timeout;
    if (!passes) self->broken_ = "a follower was told: " + error.message();
  }
  self->looking_ = false;
}

// Waits for nothing: time-outs of subscriptions are real time.
Task<void> Follower::wake() {
  if (!subscription_) subscription_ = co_await storage_.subscribe(session_);
  Subscription::Batch batch;
  try {
    batch = co_await subscription_->next(std::chrono::milliseconds(0));
  } catch (const StorageError&) {
    subscription_.reset();
    behind_ = true;
    throw;
  }
  if (!batch.empty()) behind_ = true;
  if (batch.rewind) ++rewinds_;
  if (batch.rewind && *batch.rewind < seen_.size()) seen_.resize(*batch.rewind);
}

Task<void> Follower::catch_up() {
  CallReport report;
  Context context;
  context.report = &report;
  EventFilter filter;
  filter.after = seen_.size();
  const EventList list = co_await storage_.read_events(session_, filter, context);
  // A log that ends before is another one, unless it is only what is known here.
  const bool shorter = list.last_sequence < seen_.size();
  if (shorter && report.provenance->source != Source::fallback) {
    seen_.clear();
    behind_ = list.last_sequence != 0;
    co_return;
  }
  for (const Event& event : list.items) {
    if (event.sequence != seen_.size() + 1) broken_ = "a follower was handed an event out of order";
    seen_.push_back(seen_as(event));
  }
  behind_ = list.next_after.has_value();
}

}  // namespace actionflows::test
