#include "tests/simulation/ledger.hpp"

#include "actionflows/model/session.hpp"
#include "actionflows/storage/bounds.hpp"
#include "tests/support/run.hpp"

#include <algorithm>
#include <utility>

namespace actionflows::test {
namespace {

bool holds(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// What was asked for without an operation id tells its name itself: {"note":"op7"}.
std::string name_of(std::string_view event, std::string_view operation_id) {
  constexpr std::string_view opening = "\"note\":\"";
  const std::size_t at = event.find(opening);
  if (at == std::string_view::npos) return std::string(operation_id);
  event.remove_prefix(at + opening.size());
  return std::string(event.substr(0, event.find('"')));
}

const std::optional<std::string>& value_of(const Session& session, Field field) {
  if (field == Field::title) return session.title;
  return field == Field::cwd ? session.cwd : session.summary;
}

}  // namespace

void Ledger::fail(const std::string& what) {
  if (broken_.empty()) broken_ = what;
}

void Ledger::asked(const std::string& name, Operation operation) {
  operation.began = ++time_;
  tales_.try_emplace(operation.session);
  operations_.emplace(name, std::move(operation));
}

// From the moment on in which its client is told, it has to be somewhere.
void Ledger::acknowledged(const std::string& name) {
  Operation& operation = operations_.at(name);
  operation.answered = ++time_;
  Tale& tale = tales_[operation.session];
  read_log(operation.session, tale);
  read_journals();
  if (!in_log_.contains(name) && !waiting_.contains(name) && !gone_.contains(name))
    fail(name + " was acknowledged and is nowhere");
}

void Ledger::losing() {
  for (auto& [session, tale] : tales_) {
    read_log(session, tale);
    if (tale.last_sequence != 0) lost_.insert(session);
    for (const std::string& name : tale.order) gone_.insert(name);
    tale = {};
  }
  in_log_.clear();
}

bool Ledger::stands(const SessionId& session) { return run(store_.read(session, {})).live; }

bool Ledger::waits(const SessionId& session, std::size_t process) {
  for (const JournalEntry& entry : journals_[process]->entries())
    if (entry.commit->session == session && entry.kind == JournalKind::change &&
        entry.poison.empty())
      return true;
  return false;
}

void Ledger::read_journals() {
  waiting_.clear();
  for (const auto& journal : journals_)
    for (const JournalEntry& entry : journal->entries())
      if (entry.kind == JournalKind::change) {
        const std::string name =
            name_of(entry.commit->events.front().bytes.view(), entry.commit->operation_id);
        waiting_.insert(name);
        if (!entry.poison.empty()) set_aside_why_[name] = entry.poison;
      }
}

// Numbers are dense, and no operation was applied twice.
void Ledger::read_log(const SessionId& session, Tale& tale) {
  EventQuery query;
  query.after = tale.last_sequence;
  for (const StoredEvent& event : run(store_.read_events(session, query)).events) {
    if (event.sequence != ++tale.last_sequence) fail("the log is not dense");
    const bool noted = holds(event.bytes.view(), "\"run:noted\"");
    std::string& name = tale.names[event.operation_id];
    if (name.empty() || noted) name = name_of(event.bytes.view(), event.operation_id);
    const bool first = !tale.made.contains(name);
    const bool goes_on = !tale.order.empty() && tale.order.back() == name;
    if (!first && !goes_on) fail(name + " was applied twice");
    if (first) tale.order.push_back(name);
    in_log_.insert(name);
    int& made = tale.made[name];
    if (noted && ++made > 1) fail(name + " was applied twice");
    if (holds(event.bytes.view(), "\"applied\"")) ++conflicts_;
  }
}

// What one process was told before it asked for something else comes before that.
void Ledger::check_order(const Tale& tale) {
  std::map<std::size_t, std::pair<std::uint64_t, std::string>> newest;
  for (const std::string& name : tale.order) {
    const auto found = operations_.find(name);
    if (found == operations_.end()) continue;
    const Operation& operation = found->second;
    auto& [began, by] = newest[operation.process];
    if (operation.answered != 0 && operation.answered < began)
      fail(name + " was told before " + by + " was asked for and stands after it");
    if (operation.began > began) {
      began = operation.began;
      by = name;
    }
  }
}

// The record is what the log's operations make of it, one after the other, and stays ended.
void Ledger::check_record(const SessionId& session, Tale& tale) {
  const RecordKey key = RecordKey::of_session();
  const ReadResult read = run(store_.read(session, std::span(&key, 1)));
  if (!read.records[0]) return;
  Session record;
  Issues issues;
  if (!schema::schema_of<Session>().decode(read.records[0]->bytes.view(), schema::Form::stored,
                                           record, issues, stored_limits))
    return fail("a session can't be read");
  std::map<Field, std::string> expected;
  for (const std::string& name : tale.order)
    if (const auto found = operations_.find(name); found != operations_.end())
      expected[found->second.field] = name;
  for (const auto& [field, name] : expected)
    if (field != Field::none && value_of(record, field) != name)
      fail("what " + name + " has changed is not in the record");
  const bool completed = record.state == SessionState::completed;
  if (std::exchange(tale.completed, completed) && !completed) fail("an ended session was reopened");
}

// What was acknowledged is in the store or in a journal, or was in a store that lost it.
void Ledger::check_kept() {
  bool journals_read = false;
  for (const auto& [name, operation] : operations_) {
    if (operation.answered == 0 || in_log_.contains(name) || gone_.contains(name)) continue;
    if (!std::exchange(journals_read, true)) read_journals();
    if (!waiting_.contains(name)) return fail(name + " was acknowledged and is lost");
    const bool aside = set_aside_why_.contains(name);
    if (aside && !operation.about_chain && !was_lost(operation.session))
      return fail(name + " was set aside: " + set_aside_why_[name]);
  }
}

std::string Ledger::check() {
  for (auto& [session, tale] : tales_) {
    const std::uint64_t before = tale.last_sequence;
    read_log(session, tale);
    if (tale.last_sequence == before) continue;
    check_order(tale);
    check_record(session, tale);
  }
  check_kept();
  return broken_;
}

std::string Ledger::check_end() {
  check();
  read_journals();
  for (const auto& [name, operation] : operations_) {
    const bool aside = set_aside_why_.contains(name) && waiting_.contains(name);
    if (operation.answered != 0 && waiting_.contains(name) && !aside && !in_log_.contains(name))
      fail(name + " still waits in a journal");
    if (aside) ++set_aside_;
  }
  return broken_;
}

}  // namespace actionflows::test
