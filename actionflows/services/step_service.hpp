// StepService: what happens to a step. Its chain's counts and status follow in the same commit, and
// so does the move to the archive when that was the last thing the chain waited for.
#pragma once

#include "actionflows/model/rules.hpp"
#include "actionflows/storage/storage.hpp"

#include <optional>
#include <string>

namespace actionflows {

// What an action leaves on the step. `start` and `retry` take none of it.
struct StepReport {
  std::optional<json::Raw> result;      // complete, fail
  std::optional<std::string> error;     // fail, skip
  std::optional<std::string> learning;  // complete, fail, skip
};

namespace schema {
template <>
const Schema<StepReport>& schema_of<StepReport>();
}  // namespace schema

// Thread-safety: shared objects: safe. The storage must outlive the service.
class StepService {
 public:
  explicit StepService(Storage& storage) : storage_(storage) {}

  // Does what rules.hpp allows. not_found; conflict; invalid (a report the action does not take);
  // illegal_transition: names the state that forbids it, or the steps that the start waits for.
  //
  // `start` needs an active session and all steps it waits for completed or skipped; everything
  // else goes on in a paused session, too. `retry` clears the times, result and error that the
  // failed attempt left (what was learned stays), and reopens the chain.
  Task<Step> act(const StepId& id, StepAction action, StepReport report = {},
                 const Context& context = Context::none());

  Task<Step> start(const StepId& id, const Context& context = Context::none());
  Task<Step> complete(const StepId& id, StepReport report = {},
                      const Context& context = Context::none());
  Task<Step> fail(const StepId& id, StepReport report = {},
                  const Context& context = Context::none());
  Task<Step> skip(const StepId& id, StepReport report = {},
                  const Context& context = Context::none());
  Task<Step> retry(const StepId& id, const Context& context = Context::none());

 private:
  Storage& storage_;  // constant after construction
};

}  // namespace actionflows
