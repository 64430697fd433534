// Replay: rebuilds a session's records from its event log alone.
#pragma once

#include "actionflows/model/chain.hpp"
#include "actionflows/model/event.hpp"
#include "actionflows/model/session.hpp"
#include "actionflows/model/step.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace actionflows {

// The state after a number of events. Versions and the activity of a session stand in no event and
// are left at their defaults. Not for sharing between threads.
class Replay {
 public:
  using Steps = std::map<std::pair<std::uint32_t, std::uint32_t>, Step>;

  // Takes the next event. Throws corrupt when it does not fit what came before: a number left out,
  // a change of a record that is not there. Events of clients' own change nothing.
  void apply(const Event& event);

  [[nodiscard]] std::uint64_t last_sequence() const { return last_sequence_; }

  // nullopt: none was created, or it has ended.
  [[nodiscard]] const std::optional<Session>& session() const { return session_; }
  // Live ones and archived ones, those of sessions that have ended included; by number.
  [[nodiscard]] const std::map<std::uint32_t, Chain>& chains() const { return chains_; }
  // By chain number, then step number.
  [[nodiscard]] const Steps& steps() const { return steps_; }

  // By its number. nullptr: there is none.
  [[nodiscard]] const Chain* find(const ChainId& id) const;
  [[nodiscard]] const Step* find(const StepId& id) const;
  // Of this chain.
  [[nodiscard]] std::size_t step_count(const ChainId& id) const;

 private:
  void apply_session(const Event& event, std::string_view data);
  void apply_chain(const Event& event, std::string_view data);
  void apply_step(const Event& event, std::string_view data);
  void erase_steps(std::uint32_t chain);

  std::uint64_t last_sequence_ = 0;
  std::optional<Session> session_;
  std::map<std::uint32_t, Chain> chains_;
  Steps steps_;
};

}  // namespace actionflows
