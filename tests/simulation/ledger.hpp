// Ledger: what clients asked for and were told, held against what the store and the journals hold.
// The promises that must hold after every step of the simulation stand here.
#pragma once

#include "actionflows/base/clock.hpp"
#include "actionflows/storage/driver.hpp"
#include "actionflows/storage/resilient/journal.hpp"

#include <chrono>
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
  Field field = Field::none;  // of the session, that is set to the operation's name
  bool about_chain = false;   // makes or changes a chain or its steps
  bool ends_session = false;  // nothing comes of it where that has ended
  // What made the chain and the step that are meant; empty: none is.
  std::string chain_maker;
  std::string step_maker;

  // Kept by the ledger.
  std::uint64_t began = 0;     // in the order of what was asked and told
  std::uint64_t answered = 0;  // 0: not acknowledged
  Timestamp asked_at;
  bool unordered = false;  // came by another way than from its process through its journal, once
};

class Ledger {
 public:
  using Journals = std::vector<std::shared_ptr<Journal>>;

  // `lifetime` of sessions after what was last done to them. All must outlive the ledger.
  Ledger(StorageDriver& store, const Journals& journals, const Clock& clock,
         std::chrono::milliseconds lifetime)
      : store_(store), journals_(journals), clock_(clock), lifetime_(lifetime) {}

  void asked(const std::string& name, Operation operation);
  void acknowledged(const std::string& name);
  // Its client asks once more, `elsewhere` or of the same process.
  void asked_again(const std::string& name, bool elsewhere);
  void touched(const SessionId& session, std::size_t process, Timestamp asked_at);
  // Of what was set aside: it is to be replayed once more, or given up.
  void retried(const JournalEntry& entry);
  void dropped(const JournalEntry& entry);
  // Until when its session lives at the least, as its answer tells.
  [[nodiscard]] Timestamp promised(const std::string& name) const {
    return operations_.at(name).asked_at + lifetime_;
  }
  // The store is about to lose something; it has.
  void losing();
  void has_lost();

  // Whether the store has lost some of `session`.
  [[nodiscard]] bool was_lost(const SessionId& session) const { return lost_.contains(session); }
  [[nodiscard]] bool stands(const SessionId& session);
  // It stands, and its deadline has not passed.
  [[nodiscard]] bool lives(const SessionId& session);
  // It was deleted or has expired, and the log says so.
  [[nodiscard]] bool ended(const SessionId& session);
  // Changes of it wait in the journal of that process.
  [[nodiscard]] bool waits(const SessionId& session, std::size_t process);

  // The first promise that does not hold, in plain words; empty: all do.
  std::string check();
  // Likewise, once all is quiet.
  std::string check_end();

  [[nodiscard]] int conflicts() const { return conflicts_; }
  [[nodiscard]] int set_aside() const { return set_aside_; }
  [[nodiscard]] int deleted() const { return deleted_; }
  [[nodiscard]] int expired() const { return expired_; }
  [[nodiscard]] int archived() const { return archived_; }

 private:
  // A session's log, as far as it is of interest.
  struct Tale {
    std::uint64_t last_sequence = 0;
    std::vector<std::string> order;             // operations, by their first event
    std::map<std::string, std::string> names;   // of operations, by their ids
    std::map<std::string, int> made;            // events of each that the operation itself made
    std::map<std::string, std::string> makers;  // of chains and steps, by their ids
    bool completed = false;
    bool ended = false;
    Timestamp lives_until;  // at the least, by what was told and has come to the store
  };
  // Somebody was told that the session lives until then.
  struct Move {
    SessionId session;
    std::size_t process;
    std::string name;
    Timestamp until;
  };

  void fail(const std::string& what);
  void read_log(const SessionId& session, Tale& tale);
  void read_event(const SessionId& session, const StoredEvent& event, const std::string& name,
                  Tale& tale);
  void check_target(std::string_view event, const std::string& name, Tale& tale);
  void check_order(const Tale& tale);
  void check_record(const SessionId& session, Tale& tale);
  void check_deadlines();
  void check_kept();
  void read_journals();
  [[nodiscard]] bool may_be_set_aside(const std::string& name, const Operation& operation);

  StorageDriver& store_;
  const Journals& journals_;
  const Clock& clock_;
  const std::chrono::milliseconds lifetime_;
  std::map<std::string, Operation> operations_;
  std::map<SessionId, Tale> tales_;
  std::set<std::string> in_log_;
  std::set<std::string> gone_;  // in a store that lost them, or given up
  std::set<SessionId> lost_;
  std::map<SessionId, std::uint64_t> held_before_;  // events, when something was about to be lost
  std::set<SessionId> ended_once_;                  // or their deadline had passed
  std::set<std::string> waiting_;                   // in a journal
  std::map<std::string, std::string> set_aside_why_;
  std::set<std::string> retried_;
  std::vector<Move> moves_;  // that may not have come to the store yet
  std::uint64_t time_ = 0;
  int conflicts_ = 0;
  int set_aside_ = 0;
  int deleted_ = 0;
  int expired_ = 0;
  int archived_ = 0;
  std::string broken_;
};

}  // namespace actionflows::test
