// Ledger: what clients asked for and were told, held against what the store and the journals hold.
// The promises that must hold after every step of the simulation stand here.
#pragma once

#include "actionflows/storage/driver.hpp"
#include "actionflows/storage/resilient/journal.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace actionflows::test {

enum class Field { none, title, cwd, summary };

struct Operation {
  SessionId session;
  std::size_t process = 0;
  Field field = Field::none;   // of the session, that is set to the operation's name
  bool about_chain = false;    // makes or changes a chain
  std::uint64_t began = 0;     // in the order of what was asked and told
  std::uint64_t answered = 0;  // 0: not acknowledged
};

class Ledger {
 public:
  using Journals = std::vector<std::shared_ptr<Journal>>;

  Ledger(StorageDriver& store, const Journals& journals) : store_(store), journals_(journals) {}

  void asked(const std::string& name, Operation operation);
  void acknowledged(const std::string& name);
  // All that the store holds is about to be lost.
  void losing();

  // Whether `session` was in a store that has lost it.
  [[nodiscard]] bool was_lost(const SessionId& session) const { return lost_.contains(session); }
  [[nodiscard]] bool stands(const SessionId& session);
  // Changes of it wait in the journal of that process.
  [[nodiscard]] bool waits(const SessionId& session, std::size_t process);

  // The first promise that does not hold, in plain words; empty: all do.
  std::string check();
  // Likewise, once all is quiet.
  std::string check_end();

  [[nodiscard]] int conflicts() const { return conflicts_; }
  [[nodiscard]] int set_aside() const { return set_aside_; }

 private:
  // A session's log, as far as it is of interest.
  struct Tale {
    std::uint64_t last_sequence = 0;
    std::vector<std::string> order;            // operations, by their first event
    std::map<std::string, std::string> names;  // of operations, by their ids
    std::map<std::string, int> made;           // events of each that the operation itself made
    bool completed = false;
  };

  void fail(const std::string& what);
  void read_log(const SessionId& session, Tale& tale);
  void check_order(const Tale& tale);
  void check_record(const SessionId& session, Tale& tale);
  void check_kept();
  void read_journals();

  StorageDriver& store_;
  const Journals& journals_;
  std::map<std::string, Operation> operations_;
  std::map<SessionId, Tale> tales_;
  std::set<std::string> in_log_;
  std::set<std::string> gone_;  // operations that were in a store that lost them
  std::set<SessionId> lost_;
  std::set<std::string> waiting_;  // in a journal
  std::map<std::string, std::string> set_aside_why_;
  std::uint64_t time_ = 0;
  int conflicts_ = 0;
  int set_aside_ = 0;
  std::string broken_;
};

}  // namespace actionflows::test
