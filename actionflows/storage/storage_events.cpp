// Storage's functions for the event log, and for sessions as a whole: restoring, ending, upkeep.
#include "actionflows/base/error.hpp"
#include "actionflows/json/report.hpp"
#include "actionflows/model/rules.hpp"
#include "actionflows/storage/chain_batches.hpp"
#include "actionflows/storage/storage.hpp"
#include "actionflows/storage/storage_checks.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace actionflows {
namespace {

Event decode_event(const SessionId& session, const StoredEvent& stored) {
  Event event;
  Issues issues;
  if (!schema::schema_of<Event>().decode(stored.bytes.view(), schema::Form::stored, event, issues,
                                         stored_limits)) {
    const std::string name = session.str() + "#" + std::to_string(stored.sequence);
    StorageError error =
        failure(ErrorCode::corrupt, "the stored event " + name + " does not fit its schema",
                "read_events", name);
    error.issues = std::move(issues);
    throw error;
  }
  event.sequence = stored.sequence;
  event.session_id = session;
  event.operation_id = stored.operation_id;
  return event;
}

// An issue of what `member` of the current place holds, or of its item at `position`.
void add_at(json::Report& report, std::string_view member, std::string message) {
  const json::Within within(report, member);
  report.add(IssueCode::custom, std::move(message));
}

void add_at(json::Report& report, std::string_view list, std::size_t position,
            std::string message) {
  const json::Within within(report, list);
  const json::Within item(report, position);
  report.add(IssueCode::custom, std::move(message));
}

void check_bounds(json::Report& report, std::string_view text, const json::Limits& limits) {
  if (auto issue = out_of_bounds(text, limits)) report.add(*std::move(issue));
}

void check_event(const SessionId& session, const EventData& data, const json::Limits& limits) {
  check_data(data, "append_event");
  Issues issues;
  json::Report report(issues);
  if (data.data) {
    const json::Within member(report, "data");
    check_bounds(report, data.data->view(), limits);
  }
  if (data.type.reserved())
    add_at(report, "type", "the nouns session, chain and step are reserved");
  if (data.chain_id && data.chain_id->session() != session)
    add_at(report, "chainId", "is not a chain of this session");
  if (data.step_id && data.step_id->session() != session)
    add_at(report, "stepId", "is not a step of this session");
  if (data.chain_id && data.step_id && data.step_id->chain() != *data.chain_id)
    add_at(report, "stepId", "is not a step of this chain");
  if (!issues.empty()) throw invalid_input(std::move(issues), "append_event", session.str());
}

bool passes(const Event& event, const EventFilter& filter) {
  return (!filter.type || event.type == *filter.type) &&
         (!filter.since || event.at >= *filter.since) &&
         (!filter.until || event.at < *filter.until);
}

// An image's chains by their numbers, and what is wrong with them.
using ChainsOfImage = std::map<std::uint32_t, const Chain*>;

ChainsOfImage chains_of(const SessionImage& image, json::Report& report) {
  const SessionId& session = image.session.session_id;
  ChainsOfImage chains;
  for (std::size_t i = 0; i < image.chains.size(); ++i) {
    const Chain& chain = image.chains[i];
    const std::uint32_t number = chain.chain_id.number();
    const bool fits = number >= 1 && number <= image.session.chain_count &&
                      chain.chain_id == ChainId(session, number) && chain.session_id == session;
    if (!fits) add_at(report, "chains", i, "is no chain of this session");
    if (fits && !chains.emplace(number, &chain).second)
      add_at(report, "chains", i, "stands there twice");
  }
  return chains;
}

// The steps of each chain, likewise.
void check_steps(const SessionImage& image, const ChainsOfImage& chains, json::Report& report) {
  std::map<std::uint32_t, std::map<std::uint32_t, Step>> found;
  for (std::size_t i = 0; i < image.steps.size(); ++i) {
    const Step& step = image.steps[i];
    const auto chain = chains.find(step.chain_id.number());
    const bool fits = chain != chains.end() && step.chain_id == chain->second->chain_id &&
                      step.number >= 1 && step.number <= chain->second->step_count &&
                      step.step_id == StepId(step.chain_id, step.number) &&
                      step.session_id == image.session.session_id;
    if (!fits) {
      add_at(report, "steps", i, "is no step of these chains");
      continue;
    }
    Step outline;  // what the chain's summary is made of
    outline.number = step.number;
    outline.status = step.status;
    outline.waits_for = step.waits_for;
    if (!found[chain->first].emplace(step.number, std::move(outline)).second)
      add_at(report, "steps", i, "stands there twice");
  }
  for (const auto& [number, chain] : chains) {
    std::vector<Step> steps;
    for (auto& [_, step] : found[number]) steps.push_back(std::move(step));
    Chain summary = *chain;
    summarize(summary, steps);
    const bool complete = steps.size() + chain->deleted_steps == chain->step_count;
    if (!complete || !(summary == *chain))
      add_at(report, "chains", static_cast<std::size_t>(chain - image.chains.data()),
             "its status and counts are not what its steps say");
  }
}

// What an event may hold: a client's own as much as when it is appended; the store's own a record
// or a batch of them, some levels further down, and what was reconciled both sides of one.
json::Limits limits_of(const Event& event, json::Limits limits) {
  if (!event.type.reserved()) return limits;
  constexpr std::size_t levels = 4;
  const std::size_t sides = event.type.str() == "session:reconciled" ? 2 : 1;
  const std::size_t bytes = std::max(limits.max_bytes, max_chain_batch);
  limits.max_bytes = std::max(bytes, sides * bytes);  // unlimited stays unlimited
  limits.max_depth = std::max(limits.max_depth, limits.max_depth + levels);
  return with_reserve(limits);
}

void check_log(const SessionImage& image, const json::Limits& limits, json::Report& report) {
  if (image.events.empty() || image.events.front().sequence == 0)
    add_at(report, "events", 0, "must be at least one event, numbered from 1");
  const json::Within list(report, "events");
  for (std::size_t i = 0; i < image.events.size(); ++i) {
    const Event& event = image.events[i];
    const json::Within item(report, i);
    if (event.session_id != image.session.session_id ||
        event.sequence != image.events.front().sequence + i)
      report.add(IssueCode::custom, "must be this session's, numbered without gaps");
    schema::schema_of<Event>().check_value(report, event, schema::Form::full);
    if (!event.data) continue;
    const json::Within member(report, "data");
    check_bounds(report, event.data->view(), limits_of(event, limits));
  }
}

// What an image must be in itself, beside each record's own rules.
void check_whole(const SessionImage& image, const json::Limits& limits, json::Report& report) {
  const ChainsOfImage chains = chains_of(image, report);
  if (report.clean()) check_steps(image, chains, report);
  check_log(image, limits, report);
}

template <class T>
void put_image(Commit& commit, RecordKey key, const T& record, const json::Limits& limits,
               json::Report& report) {
  const std::size_t before = report.count();
  if (record.version == 0) add_at(report, "version", "must be at least 1");
  schema::schema_of<T>().check_value(report, record, schema::Form::stored);
  if (report.count() != before || report.full()) return;
  std::string text;
  schema::schema_of<T>().encode(record, schema::Form::stored, text);
  check_bounds(report, text, with_reserve(limits));
  commit.puts.push_back({key, Bytes(text), 0, record.version});
}

// Adds to `report` what is wrong with the records; then there is no use in the commit.
void put_records(Commit& commit, const SessionImage& image, const json::Limits& limits,
                 json::Report& report) {
  {
    const json::Within session(report, "session");
    put_image(commit, RecordKey::of_session(), image.session, limits, report);
  }
  for (std::size_t i = 0; i < image.chains.size(); ++i) {
    const Chain& chain = image.chains[i];
    const json::Within list(report, "chains");
    const json::Within item(report, i);
    const std::uint32_t number = chain.chain_id.number();
    put_image(commit, RecordKey::of_chain(number), chain, limits, report);
    if (chain.archived_at) commit.archive.push_back(number);
  }
  for (std::size_t i = 0; i < image.steps.size(); ++i) {
    const Step& step = image.steps[i];
    const json::Within list(report, "steps");
    const json::Within item(report, i);
    put_image(commit, RecordKey::of_step(step.chain_id.number(), step.number), step, limits,
              report);
  }
}

// Throws invalid with every issue of the image.
Commit commit_of(const SessionImage& image, const json::Limits& limits,
                 const std::string& operation) {
  Issues issues;
  json::Report report(issues);
  check_whole(image, limits, report);
  Commit commit;
  put_records(commit, image, limits, report);
  const std::string& id = image.session.session_id.str();
  if (!report.clean()) throw invalid_input(std::move(issues), operation, id);
  commit.session = image.session.session_id;
  commit.precondition = Precondition::fresh;
  for (const Event& event : image.events) {
    std::string text;
    schema::schema_of<Event>().encode(event, schema::Form::stored, text);
    commit.events.push_back({Bytes(text), event.type.str(), event.operation_id});
  }
  commit.first_sequence = image.events.front().sequence;
  commit.operation_id = image.events.back().operation_id;
  commit.listed = ListKeys{image.session.user_id, std::string(to_string(image.session.state))};
  return commit;
}

}  // namespace

// ---- events -------------------------------------------------------------------------------------

Task<Event> Storage::append_event(const SessionId& session, EventData data,
                                  const Context& context) {
  if (data.data && data.data->is_null()) data.data.reset();  // null is the same as none
  check_event(session, data, options_.record_limits);
  Event event;
  event.session_id = session;
  event.type = data.type;
  event.chain_id = data.step_id ? data.step_id->chain() : data.chain_id;
  event.step_id = data.step_id;
  event.data = std::move(data.data);
  if (!context.actor.empty()) event.actor = context.actor;

  // Nothing has to be read for this, unless the backend says that the session is not as thought.
  bool look = context.expected_version.has_value();
  Change change = [&](Transaction& tx) -> Task<void> {
    if (std::exchange(look, true)) {
      const Session present = co_await tx.session();
      check_version(context, present.version, tx.operation(), session.str());
    }
    event.at = data.at.value_or(tx.at());
    tx.append(event.type.str(), event.at, event.chain_id, event.step_id,
              event.data ? event.data->view() : std::string_view());
  };
  const Outcome outcome = co_await transact(session, "append_event", context, change);
  if (outcome.result.repeated) {
    const Event& told = repeated_event(outcome, {event.type.str()}, {}, "append_event");
    const bool same = told.chain_id == event.chain_id && told.step_id == event.step_id &&
                      told.data == event.data && (!data.at || told.at == *data.at);
    if (!same) throw_used_otherwise(outcome, "append_event", session.str());
    co_return told;
  }
  event.sequence = outcome.result.last_sequence;
  event.operation_id = outcome.operation_id;
  co_return event;
}

Task<EventList> Storage::read_events(const SessionId& session, EventFilter filter,
                                     const Context& context) {
  check_limit(filter.limit);
  EventList list;
  EventQuery query;
  query.after = filter.after;
  // Where only some events are wanted, few large pages are better than many small ones.
  const bool all = !filter.type && !filter.since && !filter.until;
  query.limit = all ? filter.limit : max_page;
  for (;;) {
    check_deadline(context, clock_, "read_events");
    const EventPage page = co_await driver_->read_events(session, query);
    list.first_sequence = page.first_sequence;
    list.last_sequence = page.last_sequence;
    if (context.report != nullptr) context.report->provenance = page.provenance;
    for (const StoredEvent& stored : page.events) {
      query.after = stored.sequence;
      try {
        Event event = decode_event(session, stored);
        if (passes(event, filter)) list.items.push_back(std::move(event));
      } catch (const StorageError& error) {
        list.corrupt.push_back(error);
      }
      if (list.items.size() == filter.limit) break;
    }
    if (page.events.empty() || query.after >= page.last_sequence) co_return list;
    // A page that is full, and one that holds as many bytes as one page should, ends here.
    const bool cut_by_bytes = page.events.size() < query.limit && !list.items.empty();
    if (list.items.size() == filter.limit || cut_by_bytes) {
      list.next_after = query.after;
      co_return list;
    }
  }
}

Task<std::unique_ptr<Subscription>> Storage::subscribe(std::optional<SessionId> session) {
  return driver_->subscribe(std::move(session));
}

Task<std::uint64_t> Storage::prune_events(const SessionId& session, std::uint64_t first_kept,
                                          const Context& context) {
  check_deadline(context, clock_, "prune_events");
  const std::uint64_t removed = co_await driver_->prune_events(session, first_kept);
  co_await tell_durability(context);
  co_return removed;
}

// ---- the whole ----------------------------------------------------------------------------------

Task<bool> Storage::restore(const SessionImage& image, const Context& context) {
  constexpr const char* operation = "restore";
  check_deadline(context, clock_, operation);
  Commit commit = commit_of(image, options_.record_limits, operation);
  commit.at = clock_.now();
  commit.activity = Activity{image.session.last_activity_at, image.session.expires_at};
  if (commit.activity->expires <= commit.at)
    commit.activity->expires = commit.at + options_.session_ttl;

  bool stands = false;
  CommitResult result;
  try {
    result = co_await driver_->commit(commit);
  } catch (StorageError& error) {
    error.operation = operation;
    if (error.code() != ErrorCode::conflict) throw;
    stands = true;
  }
  if (stands) {
    co_await check_stands_already(image, operation);
    co_await tell_durability(context);
    co_return false;
  }
  if (context.report != nullptr) {
    context.report->durability = result.durability;
    context.report->sequence = result.last_sequence;
  }
  co_return true;
}

// What stands under the image's id must be what it brings; else throws conflict, saying what it is.
Task<void> Storage::check_stands_already(const SessionImage& image, const std::string& operation) {
  const SessionId& id = image.session.session_id;
  co_await expire_session(id);  // whose deadline has passed is not there, swept or not
  const ReadResult read = co_await driver_->read(id, {});
  if (read.live) co_return;
  const Event& first = image.events.front();
  EventFilter filter;
  filter.after = first.sequence - 1;
  filter.limit = 1;
  const EventList log = co_await read_events(id, filter);
  const bool same = !log.items.empty() && log.items.front().sequence == first.sequence &&
                    log.items.front().operation_id == first.operation_id;
  if (same && image.named_by_content) co_return;
  std::string why = "session " + id.str() + " can't be restored: ";
  why += same                     ? "it has ended, and its log still stands"
         : log.last_sequence != 0 ? "the log of an earlier session stands under its id"
                                  : "archived chains of an earlier session stand under its id";
  throw failure(ErrorCode::conflict, std::move(why), operation, id.str());
}

Task<bool> Storage::erase_session(const SessionId& id, const Context& context) {
  check_deadline(context, clock_, "erase_session");
  const bool erased = co_await driver_->erase_session(id);
  co_await tell_durability(context);
  co_return erased;
}

Task<Upkeep> Storage::sweep(std::size_t limit) {
  SweepQuery query;
  query.now = clock_.now();
  query.limit = limit;
  const SweepResult swept = co_await driver_->sweep(query);
  Upkeep upkeep;
  upkeep.logs_removed = swept.logs_removed;
  upkeep.chains_removed = swept.chains_removed;
  upkeep.more = swept.more;
  for (const SessionId& id : swept.expired) {
    try {
      if (co_await expire_session(id)) ++upkeep.sessions_expired;
    } catch (StorageError& error) {
      if (error.code() == ErrorCode::unavailable || error.code() == ErrorCode::timeout) throw;
      error.record = id.str();
      upkeep.failed.push_back(error);
    }
  }
  co_return upkeep;
}

Task<Health> Storage::health() { return driver_->health(); }

}  // namespace actionflows
