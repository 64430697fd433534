// The clients of a simulation: what they ask of the processes, and what they may be told.
#pragma once

#include "actionflows/model/rules.hpp"
#include "tests/simulation/scene.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::test {

// A chain or a step, and what made them.
struct Target {
  ChainId chain;
  std::optional<StepId> step;
  std::string chain_maker;
  std::string step_maker;
};

// Thread-safety: none. The scene must outlive it, and what it has begun must have ended before.
class Clients {
 public:
  explicit Clients(Scene& scene) : scene_(scene) {}

  // These begin something and return at once.
  void begin_session(std::size_t process);
  void begin_something();

  [[nodiscard]] int busy() const { return busy_; }
  // Sessions that were acknowledged.
  [[nodiscard]] const std::set<SessionId>& sessions() const { return created_; }
  // To be called before and after the primary loses something.
  void before_loss();
  void after_loss();

 private:
  struct Wish;
  struct Choice;
  struct Asking;
  struct Absence {
    bool existed = false;
    int losses = 0;  // of the primary, until then
  };
  using Call = Task<void> (Clients::*)(Process&, const Wish&);

  // ---- what is asked; each returns once it is answered
  Task<void> create(Process& process, const Wish& wish);
  Task<void> append(Process& process, const Wish& wish);
  Task<void> update(Process& process, const Wish& wish);
  Task<void> touch(Process& process, const Wish& wish);
  Task<void> remove(Process& process, const Wish& wish);
  Task<void> sweep(Process& process, const Wish& wish);
  Task<void> compile(Process& process, const Wish& wish);
  Task<void> describe(Process& process, const Wish& wish);
  Task<void> cancel(Process& process, const Wish& wish);
  Task<void> archive(Process& process, const Wish& wish);
  Task<void> remove_chain(Process& process, const Wish& wish);
  Task<void> extend(Process& process, const Wish& wish);
  Task<void> describe_step(Process& process, const Wish& wish);
  Task<void> act(Process& process, const Wish& wish);
  Task<void> remove_step(Process& process, const Wish& wish);
  Task<void> look(Process& process, const Wish& wish);
  Task<void> look_at_chain(Process& process, const Wish& wish);

  void begin(std::size_t process, Wish wish, std::string_view what);
  Task<void> guarded(std::size_t n, Wish wish);
  // False: it was not answered.
  Task<bool> attempt(Process& process, const Wish& wish);
  Task<bool> find_target(Process& process, const Target& target, Context& context);
  bool choose_target(Wish& wish, bool step);
  void acknowledge(Process& process, const Wish& wish, const Context& context);
  void note_seen(Process& process, const SessionId& id, bool at_primary);

  // ---- what may be told as absent
  Absence absence(const Process& process, const SessionId& id);
  void return_absent(Process& process, const SessionId& id, const Absence& before,
                     std::string_view what);
  bool held(const Process& process, const SessionId& id);
  bool surely_there(const Process& process, const SessionId& id);

  Scene& scene_;
  std::set<SessionId> created_;
  std::set<SessionId> ending_;                 // somebody has asked for that
  std::set<std::string> removing_;             // chains, likewise
  std::map<SessionId, std::size_t> known_to_;  // the process that made it
  std::set<SessionId> stood_;                  // before the loss
  std::vector<Target> told_;
  int operations_ = 0;
  int busy_ = 0;
};

}  // namespace actionflows::test
