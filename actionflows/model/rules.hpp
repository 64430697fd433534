// The rules of the domain, as pure functions: what may follow what, and how a chain's status
// follows its steps. No clock, no storage.
#pragma once

#include "actionflows/json/report.hpp"
#include "actionflows/model/chain.hpp"
#include "actionflows/model/session.hpp"
#include "actionflows/model/step.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace actionflows {

// ---- transitions --------------------------------------------------------------------------------

// active <-> paused; both -> completed, which is the end.
[[nodiscard]] bool may_follow(SessionState from, SessionState to);

enum class StepAction : std::uint8_t { start, complete, fail, skip, retry };

std::string_view to_string(StepAction action);

// Where `action` leads from `from`; nullopt: it is not allowed there.
//   start     pending     -> in_progress
//   complete  in_progress -> completed
//   fail      in_progress -> failed
//   skip      pending, failed -> skipped
//   retry     failed      -> pending
[[nodiscard]] std::optional<StepStatus> next_status(StepStatus from, StepAction action);

// What a step that waits for it may go on from.
[[nodiscard]] constexpr bool releases(StepStatus status) {
  return status == StepStatus::completed || status == StepStatus::skipped;
}

[[nodiscard]] constexpr bool ended(StepStatus status) {
  return status == StepStatus::completed || status == StepStatus::failed ||
         status == StepStatus::skipped;
}

// ---- a chain's summary of its steps -------------------------------------------------------------

// Brings counts, current step and status of `chain` to what its steps say. `steps` are the chain's
// present steps in ascending order; step_count and deleted_steps are taken as they are. A cancelled
// chain stays cancelled. The status is
//   pending      nothing has begun
//   completed    all have ended and none failed
//   failed       some failed, none is running and no other can begin without those
//   in_progress  else
void summarize(Chain& chain, std::span<const Step> steps);

// The same for one step's change of status, without looking at the others; costs nothing that grows
// with the chain. False: that is not enough to know (a failure, or the current step ended while
// others run); `chain` is unchanged then, and `summarize` must be asked.
[[nodiscard]] bool advance(Chain& chain, std::uint32_t number, StepStatus from, StepStatus to);

// The execution mode once a step `number` that waits for `waits_for` follows a chain of `mode`:
// sequential when every step but the first waits for the one before it, parallel when none waits.
[[nodiscard]] ExecutionMode mode_with(ExecutionMode mode, std::uint32_t number,
                                      std::span<const std::uint32_t> waits_for);

// The same from the present steps of a chain, in ascending order.
[[nodiscard]] ExecutionMode mode_of(std::span<const Step> steps);

// What is wrong with waiting for `waits_for` as step `number`: each must be an earlier step. Says
// nothing of 0, which is the number of no step and refused as such. The issues' paths are below
// "waitsFor".
void check_waits_for(std::uint32_t number, std::span<const std::uint32_t> waits_for,
                     json::Report& report);

// The same of steps that are numbered in their order, from 1; below "steps".
template <class StepLike>
void check_waits_among(const std::vector<StepLike>& steps, json::Report& report) {
  const json::Within list(report, "steps");
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const json::Within item(report, i);
    check_waits_for(static_cast<std::uint32_t>(i + 1), steps[i].waits_for, report);
  }
}

}  // namespace actionflows
