#include "tests/simulation/ledger.hpp"

#include "actionflows/base/time.hpp"
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

// The event's own member, which stands before its data.
std::string_view text_in(std::string_view event, std::string_view opening) {
  const std::size_t at = event.find(opening);
  if (at == std::string_view::npos) return {};
  event.remove_prefix(at + opening.size());
  return event.substr(0, event.find('"'));
}

std::string_view type_of(std::string_view event) { return text_in(event, "{\"type\":\""); }

// What may be asked for without an operation id: an event {"note":"op7"}, a chain titled "op7".
bool tells_name(std::string_view event) {
  return type_of(event) == "run:noted" || type_of(event) == "chain:compiled";
}

std::string name_of(std::string_view event, std::string_view operation_id) {
  std::string_view name;
  if (type_of(event) == "run:noted") name = text_in(event, "\"note\":\"");
  if (type_of(event) == "chain:compiled") name = text_in(event, "\"title\":\"");
  return std::string(name.empty() ? operation_id : name);
}

std::string name_of(const JournalEntry& entry) {
  return name_of(entry.commit->events.front().bytes.view(), entry.commit->operation_id);
}

bool is_change(const JournalEntry& entry) {
  return entry.kind == JournalKind::change || entry.kind == JournalKind::retried;
}

// While the primary is away a touch that moves the deadline by less is not worth an entry.
constexpr std::chrono::minutes touch_slack{1};

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
  operation.asked_at = clock_.now();
  tales_.try_emplace(operation.session);
  operations_.emplace(name, std::move(operation));
}

// From the moment on in which its client is told, it has to be somewhere.
void Ledger::acknowledged(const std::string& name) {
  Operation& operation = operations_.at(name);
  if (operation.answered == 0) operation.answered = ++time_;
  Tale& tale = tales_[operation.session];
  read_log(operation.session, tale);
  read_journals();
  if (!in_log_.contains(name) && !waiting_.contains(name) && !gone_.contains(name))
    fail(name + " was acknowledged and is nowhere");
  moves_.push_back({operation.session, operation.process, name, operation.asked_at + lifetime_});
}

void Ledger::asked_again(const std::string& name, bool elsewhere) {
  operations_.at(name).unordered |= elsewhere;
}

// A touch does not revive what has expired.
void Ledger::touched(const SessionId& session, std::size_t process, Timestamp asked_at) {
  if (!stands(session) || lives(session))
    moves_.push_back({session, process, {}, asked_at + lifetime_ - touch_slack});
}

void Ledger::retried(const JournalEntry& entry) {
  if (entry.kind != JournalKind::change) return;
  const std::string name = name_of(entry);
  retried_.insert(name);
  if (const auto found = operations_.find(name); found != operations_.end())
    found->second.unordered = true;
}

void Ledger::dropped(const JournalEntry& entry) {
  if (is_change(entry)) gone_.insert(name_of(entry));
}

void Ledger::losing() {
  for (auto& [session, tale] : tales_) {
    read_log(session, tale);
    held_before_[session] = tale.last_sequence;
  }
}

void Ledger::has_lost() {
  const std::set<std::string> before = std::exchange(in_log_, {});
  for (auto& [session, tale] : tales_) {
    tale = {};
    read_log(session, tale);
    if (tale.last_sequence < held_before_[session]) lost_.insert(session);
  }
  for (const std::string& name : before)
    if (!in_log_.contains(name)) gone_.insert(name);
  moves_.clear();
}

bool Ledger::stands(const SessionId& session) { return run(store_.read(session, {})).live; }

bool Ledger::lives(const SessionId& session) {
  const ReadResult read = run(store_.read(session, {}));
  return read.live && read.activity.expires > clock_.now();
}

bool Ledger::ended(const SessionId& session) {
  Tale& tale = tales_[session];
  read_log(session, tale);
  return tale.ended;
}

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
      if (is_change(entry)) {
        const std::string name = name_of(entry);
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
    const bool noted = tells_name(event.bytes.view());
    std::string& name = tale.names[event.operation_id];
    if (name.empty() || noted) name = name_of(event.bytes.view(), event.operation_id);
    const bool first = !tale.made.contains(name);
    const bool goes_on = !tale.order.empty() && tale.order.back() == name;
    if (!first && !goes_on) fail(name + " was applied twice");
    if (first) tale.order.push_back(name);
    in_log_.insert(name);
    int& made = tale.made[name];
    if (noted && ++made > 1) fail(name + " was applied twice");
    read_event(session, event, name, tale);
  }
}

void Ledger::read_event(const SessionId& session, const StoredEvent& event, const std::string& name,
                        Tale& tale) {
  const std::string_view text = event.bytes.view();
  const std::string_view type = type_of(text);
  if (holds(text, "\"applied\"")) ++conflicts_;
  if (holds(text, "\"archivedAt\"")) ++archived_;
  if (tale.ended) fail(name + " has changed a session that had ended");
  const bool expired = type == "session:expired";
  if (expired || type == "session:deleted") {
    tale.ended = true;
    ended_once_.insert(session);
    ++(expired ? expired_ : deleted_);
  }
  if (expired && parse_rfc3339(text_in(text, "\"at\":\"")) < tale.lives_until)
    fail("a session has expired before its time");
  check_target(text, name, tale);
}

// Who means a record by its number gets what had it when they read it, and no other.
void Ledger::check_target(std::string_view event, const std::string& name, Tale& tale) {
  const std::string_view type = type_of(event);
  const std::string chain(text_in(event, "\"chainId\":\""));
  const std::string step(text_in(event, "\"stepId\":\""));
  if (chain.empty()) return;
  if (type == "chain:compiled") tale.makers[chain] = name;
  if (type == "step:created") tale.makers[step] = name;
  const auto found = operations_.find(name);
  if (found == operations_.end()) return;
  const Operation& operation = found->second;
  if (!operation.chain_maker.empty() && tale.makers[chain] != operation.chain_maker)
    fail(name + " was meant for the chain of " + operation.chain_maker + ", not for that of " +
         tale.makers[chain]);
  if (step.empty() || operation.step_maker.empty()) return;
  const auto own = tale.makers.find(step);
  const std::string& maker = own != tale.makers.end() ? own->second : tale.makers[chain];
  if (maker != operation.step_maker)
    fail(name + " was meant for the step of " + operation.step_maker + ", not for that of " +
         maker);
}

// What one process was told before it asked for something else comes before that.
void Ledger::check_order(const Tale& tale) {
  std::map<std::size_t, std::pair<std::uint64_t, std::string>> newest;
  for (const std::string& name : tale.order) {
    const auto found = operations_.find(name);
    if (found == operations_.end()) continue;
    const Operation& operation = found->second;
    if (operation.unordered) continue;
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

// Once nothing waits any more, the session lives for as long as its clients were told.
void Ledger::check_deadlines() {
  std::erase_if(moves_, [&](const Move& move) {
    const auto of_it = [&](const JournalEntry& entry) {
      return entry.commit->session == move.session && entry.kind != JournalKind::base &&
             entry.poison.empty();
    };
    const std::vector<JournalEntry> entries = journals_[move.process]->entries();
    if (std::any_of(entries.begin(), entries.end(), of_it)) return false;
    const bool replayed = move.name.empty() ? !was_lost(move.session) : in_log_.contains(move.name);
    if (replayed) {
      Timestamp& until = tales_[move.session].lives_until;
      until = std::max(until, move.until);
    }
    return true;
  });
  for (const auto& [session, tale] : tales_) {
    if (tale.ended) continue;
    const ReadResult read = run(store_.read(session, {}));
    if (read.live && read.activity.expires <= clock_.now()) ended_once_.insert(session);
    if (read.live && read.activity.expires < tale.lives_until)
      fail("the deadline of " + session.str() + " was not moved as it was told");
  }
}

// What could not be merged is rightly set aside.
bool Ledger::may_be_set_aside(const std::string& name, const Operation& operation) {
  return operation.about_chain || was_lost(operation.session) || retried_.contains(name) ||
         ended_once_.contains(operation.session);
}

// What was acknowledged is in the store or in a journal, or was in a store that lost it.
void Ledger::check_kept() {
  bool journals_read = false;
  for (const auto& [name, operation] : operations_) {
    if (operation.answered == 0 || in_log_.contains(name) || gone_.contains(name)) continue;
    if (!std::exchange(journals_read, true)) read_journals();
    const bool done = operation.ends_session && ended_once_.contains(operation.session);
    if (!waiting_.contains(name) && done) continue;
    if (!waiting_.contains(name)) return fail(name + " was acknowledged and is lost");
    const bool aside = set_aside_why_.contains(name);
    if (aside && !may_be_set_aside(name, operation))
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
  check_deadlines();
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
