#include "actionflows/model/rules.hpp"

#include <algorithm>

namespace actionflows {
namespace {

struct Counts {
  std::uint32_t running = 0;
  std::uint32_t completed = 0;
  std::uint32_t failed = 0;
  std::uint32_t skipped = 0;
  [[nodiscard]] std::uint32_t ended() const { return completed + failed + skipped; }

  void count(StepStatus status, std::uint32_t by) {
    switch (status) {
      case StepStatus::pending: break;
      case StepStatus::in_progress: running += by; break;
      case StepStatus::completed: completed += by; break;
      case StepStatus::failed: failed += by; break;
      case StepStatus::skipped: skipped += by; break;
    }
  }
};

void take_counts(Chain& chain, const Counts& counts) {
  chain.running_steps = counts.running;
  chain.completed_steps = counts.completed;
  chain.failed_steps = counts.failed;
  chain.skipped_steps = counts.skipped;
}

// `can_go_on`: whether a pending step can still begin; asked only after a failure.
ChainStatus status_of(const Chain& chain, const Counts& counts, bool can_go_on) {
  if (chain.status == ChainStatus::cancelled) return ChainStatus::cancelled;
  const std::uint32_t present = chain.step_count - chain.deleted_steps;
  if (counts.running == 0 && counts.ended() == 0) return ChainStatus::pending;
  if (counts.failed == 0 && counts.ended() == present) return ChainStatus::completed;
  if (counts.failed > 0 && counts.running == 0 && !can_go_on) return ChainStatus::failed;
  return ChainStatus::in_progress;
}

// Whether some pending step does not depend, directly or over others, on a failed one.
bool some_can_go_on(std::span<const Step> steps) {
  std::vector<std::uint32_t> blocked;  // ascending: dependencies always point back
  bool found = false;
  for (const Step& step : steps) {
    const bool waits_in_vain =
        step.status == StepStatus::pending &&
        std::any_of(step.waits_for.begin(), step.waits_for.end(), [&](std::uint32_t other) {
          return std::binary_search(blocked.begin(), blocked.end(), other);
        });
    if (step.status == StepStatus::failed || waits_in_vain) {
      blocked.push_back(step.number);
    } else if (step.status == StepStatus::pending) {
      found = true;
    }
  }
  return found;
}

// How a step that waits for `waits_for` hangs on the one before it.
ExecutionMode link_to(std::uint32_t before, std::span<const std::uint32_t> waits_for) {
  if (waits_for.empty()) return ExecutionMode::parallel;
  const bool follows = std::find(waits_for.begin(), waits_for.end(), before) != waits_for.end();
  return follows ? ExecutionMode::sequential : ExecutionMode::mixed;
}

}  // namespace

bool may_follow(SessionState from, SessionState to) {
  return from != SessionState::completed && from != to;
}

std::string_view to_string(StepAction action) {
  switch (action) {
    case StepAction::start: return "start";
    case StepAction::complete: return "complete";
    case StepAction::fail: return "fail";
    case StepAction::skip: return "skip";
    case StepAction::retry: return "retry";
  }
  return "start";
}

std::optional<StepStatus> next_status(StepStatus from, StepAction action) {
  switch (action) {
    case StepAction::start:
      if (from == StepStatus::pending) return StepStatus::in_progress;
      break;
    case StepAction::complete:
      if (from == StepStatus::in_progress) return StepStatus::completed;
      break;
    case StepAction::fail:
      if (from == StepStatus::in_progress) return StepStatus::failed;
      break;
    case StepAction::skip:
      if (from == StepStatus::pending || from == StepStatus::failed) return StepStatus::skipped;
      break;
    case StepAction::retry:
      if (from == StepStatus::failed) return StepStatus::pending;
      break;
  }
  return std::nullopt;
}

void summarize(Chain& chain, std::span<const Step> steps) {
  Counts counts;
  chain.current_step.reset();
  for (const Step& step : steps) {
    counts.count(step.status, 1);
    if (step.status == StepStatus::in_progress && !chain.current_step)
      chain.current_step = step.number;
  }
  chain.status = status_of(chain, counts, counts.failed > 0 && some_can_go_on(steps));
  take_counts(chain, counts);
}

bool advance(Chain& chain, std::uint32_t number, StepStatus from, StepStatus to) {
  Counts counts{chain.running_steps, chain.completed_steps, chain.failed_steps,
                chain.skipped_steps};
  constexpr auto minus_one = static_cast<std::uint32_t>(-1);
  counts.count(from, minus_one);
  counts.count(to, 1);
  const bool was_current = chain.current_step == number;
  if (counts.failed > 0 || (was_current && counts.running > 0)) return false;

  if (to == StepStatus::in_progress) {
    chain.current_step = std::min(chain.current_step.value_or(number), number);
  } else if (was_current) {
    chain.current_step.reset();
  }
  chain.status = status_of(chain, counts, false);
  take_counts(chain, counts);
  return true;
}

ExecutionMode mode_with(ExecutionMode mode, std::uint32_t number,
                        std::span<const std::uint32_t> waits_for) {
  if (number == 1) return ExecutionMode::sequential;
  const ExecutionMode link = link_to(number - 1, waits_for);
  return number == 2 || mode == link ? link : ExecutionMode::mixed;
}

ExecutionMode mode_of(std::span<const Step> steps) {
  if (steps.size() < 2) return ExecutionMode::sequential;
  const ExecutionMode mode = link_to(steps[0].number, steps[1].waits_for);
  for (std::size_t i = 2; i < steps.size(); ++i)
    if (link_to(steps[i - 1].number, steps[i].waits_for) != mode) return ExecutionMode::mixed;
  return mode;
}

void check_waits_for(std::uint32_t number, std::span<const std::uint32_t> waits_for,
                     json::Report& report) {
  const json::Within list(report, "waitsFor");
  for (std::size_t i = 0; i < waits_for.size() && !report.full(); ++i) {
    if (waits_for[i] < number) continue;
    const json::Within item(report, i);
    report.add(IssueCode::custom,
               "step " + std::to_string(number) + " can only wait for earlier steps",
               "the number of an earlier step", std::to_string(waits_for[i]));
  }
}

}  // namespace actionflows
