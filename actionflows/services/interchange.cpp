#include "actionflows/services/interchange.hpp"

#include "actionflows/base/encoding.hpp"
#include "actionflows/base/error.hpp"
#include "actionflows/json/report.hpp"
#include "actionflows/json/writer.hpp"
#include "actionflows/model/limits.hpp"
#include "actionflows/model/rules.hpp"
#include "actionflows/schema/object.hpp"
#include "actionflows/services/replay.hpp"
#include "actionflows/storage/chain_batches.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace actionflows {
namespace {

// Which of the two forms a line has.
struct LineKind {
  std::optional<json::Raw> source;
  std::optional<json::Raw> licence;
  json::Raw session;
  json::Raw chains;
  std::optional<json::Raw> events;
};

struct RunSession {
  std::optional<UserId> user;
  std::optional<std::string> cwd;
  std::optional<Timestamp> started_at;
};

struct RunStep {
  std::string action;
  std::optional<json::Raw> inputs;
  std::vector<std::uint32_t> waits_for;
  StepStatus status = StepStatus::completed;
  std::optional<Timestamp> started_at;
  std::optional<Timestamp> completed_at;
  std::optional<json::Raw> result;
  std::optional<std::string> error;

  friend bool operator==(const RunStep&, const RunStep&) = default;
};

struct RunChain {
  std::string title;
  ChainSource source = ChainSource::flow;
  std::vector<RunStep> steps;

  friend bool operator==(const RunChain&, const RunChain&) = default;
};

struct RunLine {
  std::optional<std::string> source;
  std::optional<std::string> licence;
  RunSession session;
  std::vector<RunChain> chains;
};

struct ExportSession : RunSession {
  Session record;
};

struct ExportChain {
  std::string title;
  ChainSource source = ChainSource::flow;
  Chain record;
  std::vector<Step> steps;

  friend bool operator==(const ExportChain&, const ExportChain&) = default;
};

struct ExportLine {
  std::optional<json::Raw> source;
  std::optional<json::Raw> licence;
  ExportSession session;
  std::vector<ExportChain> chains;
  std::vector<Event> events;
};

// A run has ended, so its steps have.
auto ended_names() {
  const auto named = [](StepStatus status) { return std::pair(to_string(status), status); };
  return schema::enumeration<StepStatus>(
      {named(StepStatus::completed), named(StepStatus::failed), named(StepStatus::skipped)});
}

constexpr json::Limits line_limits{max_line_bytes, 72};

}  // namespace

namespace schema {

template <>
const Schema<LineKind>& schema_of<LineKind>() {
  static const auto& schema =
      *new auto(object<LineKind>("LineKind", "", field("source", &LineKind::source, free_any()),
                                 field("licence", &LineKind::licence, free_any()),
                                 field("session", &LineKind::session, free_object()),
                                 field("chains", &LineKind::chains, free_any()),
                                 field("events", &LineKind::events, free_any())));
  return schema;
}

template <>
const Schema<RunSession>& schema_of<RunSession>() {
  static const auto& schema = *new auto(
      object<RunSession>("RunSession", "", field("user", &RunSession::user, nullable(identifier())),
                         field("cwd", &RunSession::cwd, nullable(text().max(max_file_path))),
                         field("startedAt", &RunSession::started_at, nullable(timestamp()))));
  return schema;
}

template <>
const Schema<RunStep>& schema_of<RunStep>() {
  static const auto& schema = *new auto(object<RunStep>(
      "RunStep", "", field("action", &RunStep::action, text().min(1).max(max_name)),
      field("inputs", &RunStep::inputs, nullable(free_object())),
      field("waitsFor", &RunStep::waits_for, distinct(array(integer().min(1)).max(max_waits))),
      field("status", &RunStep::status, ended_names()),
      field("startedAt", &RunStep::started_at, nullable(timestamp())),
      field("completedAt", &RunStep::completed_at, nullable(timestamp())),
      field("result", &RunStep::result, free_any()),
      field("error", &RunStep::error, nullable(text().max(max_error_text)))));
  return schema;
}

template <>
const Schema<RunChain>& schema_of<RunChain>() {
  static const auto& schema = *new auto(
      object<RunChain>(
          "RunChain", "", field("title", &RunChain::title, text().min(1).max(max_title)),
          field("source", &RunChain::source, enumeration(chain_source_names)),
          field("steps", &RunChain::steps, array(object_of<RunStep>()).max(max_steps_at_creation)))
          .check([](const RunChain& chain, json::Report& report) {
            check_waits_among(chain.steps, report);
          }));
  return schema;
}

template <>
const Schema<RunLine>& schema_of<RunLine>() {
  static const auto& schema =
      *new auto(object<RunLine>("RunLine", "", field("source", &RunLine::source, nullable(text())),
                                field("licence", &RunLine::licence, nullable(text())),
                                field("session", &RunLine::session, object_of<RunSession>()),
                                field("chains", &RunLine::chains, array(object_of<RunChain>()))));
  return schema;
}

template <>
const Schema<ExportSession>& schema_of<ExportSession>() {
  static const auto& schema = *new auto(object<ExportSession>(
      "ExportSession", "", field("user", &RunSession::user, nullable(identifier())),
      field("cwd", &RunSession::cwd, nullable(text().max(max_file_path))),
      field("startedAt", &RunSession::started_at, nullable(timestamp())),
      field("record", &ExportSession::record, object_of<Session>())));
  return schema;
}

template <>
const Schema<ExportChain>& schema_of<ExportChain>() {
  static const auto& schema = *new auto(
      object<ExportChain>("ExportChain", "", field("title", &ExportChain::title, text()),
                          field("source", &ExportChain::source, enumeration(chain_source_names)),
                          field("record", &ExportChain::record, object_of<Chain>()),
                          field("steps", &ExportChain::steps, array(object_of<Step>()))));
  return schema;
}

template <>
const Schema<ExportLine>& schema_of<ExportLine>() {
  static const auto& schema = *new auto(
      object<ExportLine>("ExportLine", "", field("source", &ExportLine::source, free_any()),
                         field("licence", &ExportLine::licence, free_any()),
                         field("session", &ExportLine::session, object_of<ExportSession>()),
                         field("chains", &ExportLine::chains, array(object_of<ExportChain>())),
                         field("events", &ExportLine::events, array(object_of<Event>()))));
  return schema;
}

}  // namespace schema

namespace {

// ---- a recorded run -----------------------------------------------------------------------------

// Turns a run into the image of a completed session: the records as they ended, and a log that
// tells how they came to be.
class RunImage {
 public:
  RunImage(RunLine run, const SessionId& id, Timestamp now, std::chrono::milliseconds ttl,
           const ImportDefaults& defaults)
      : run_(std::move(run)), now_(now) {
    Session& session = image_.session;
    session.session_id = id;
    session.user_id = run_.session.user.value_or(defaults.user);
    session.cwd = run_.session.cwd;
    session.metadata = origin();
    session.created_at = run_.session.started_at.value_or(first_start().value_or(now));
    session.updated_at = session.created_at;
    session.version = 1;
    session.last_activity_at = now;
    session.expires_at = now + ttl;
  }

  SessionImage make() {
    const Session created = image_.session;
    tell("session:created", std::nullopt, stored(created));
    for (RunChain& chain : run_.chains) add_chain(chain);

    Session& session = image_.session;
    session.state = SessionState::completed;
    session.completed_at = last_end().value_or(session.created_at);
    session.updated_at = now_;
    session.end_reason = "recorded run";
    session.chain_count = static_cast<std::uint32_t>(image_.chains.size());
    session.version = 2;
    std::string change;
    schema::schema_of<Session>().diff(created, session, change);
    tell("session:completed", std::nullopt, change);
    image_.named_by_content = true;
    return std::move(image_);
  }

 private:
  template <class T>
  static std::string stored(const T& record) {
    std::string text;
    schema::schema_of<T>().encode(record, schema::Form::stored, text);
    return text;
  }

  std::optional<json::Raw> origin() const {
    if (!run_.source && !run_.licence) return std::nullopt;
    std::string text = "{";
    const auto add = [&](const char* opening, const std::optional<std::string>& value) {
      if (!value) return;
      if (text.size() > 1) text += ',';
      text += opening;
      json::append_string(text, *value);
    };
    add("\"source\":", run_.source);
    add("\"licence\":", run_.licence);
    return json::Raw::from_checked(text + '}');
  }

  std::optional<Timestamp> first_start() const {
    std::optional<Timestamp> first;
    for (const RunChain& chain : run_.chains)
      for (const RunStep& step : chain.steps)
        if (step.started_at && (!first || *step.started_at < *first)) first = step.started_at;
    return first;
  }

  std::optional<Timestamp> last_end() const {
    std::optional<Timestamp> last;
    for (const RunChain& chain : run_.chains)
      for (const RunStep& step : chain.steps)
        if (step.completed_at && (!last || *step.completed_at > *last)) last = step.completed_at;
    return last;
  }

  void add_chain(RunChain& run) {
    const SessionId& session = image_.session.session_id;
    const auto number = static_cast<std::uint32_t>(image_.chains.size() + 1);
    Chain chain;
    chain.chain_id = ChainId(session, number);
    chain.session_id = session;
    chain.title = std::move(run.title);
    chain.source = run.source;
    chain.created_at = chain.updated_at = image_.session.created_at;
    std::vector<Step> steps;
    for (RunStep& step : run.steps) {
      const auto step_number = static_cast<std::uint32_t>(steps.size() + 1);
      steps.push_back(make_step(chain, step_number, step));
      chain.execution_mode = mode_with(chain.execution_mode, step_number, steps.back().waits_for);
      if (step.started_at && (!chain.started_at || *step.started_at < *chain.started_at))
        chain.started_at = step.started_at;
      if (step.completed_at && (!chain.completed_at || *step.completed_at > *chain.completed_at))
        chain.completed_at = step.completed_at;
    }
    chain.step_count = static_cast<std::uint32_t>(steps.size());
    summarize(chain, steps);
    chain.version = 1;
    if (chain.status != ChainStatus::pending) chain.archived_at = now_;
    tell_chain(chain, steps);
    image_.chains.push_back(std::move(chain));
    image_.steps.insert(image_.steps.end(), std::make_move_iterator(steps.begin()),
                        std::make_move_iterator(steps.end()));
  }

  Step make_step(const Chain& chain, std::uint32_t number, RunStep& run) const {
    Step step;
    step.step_id = StepId(chain.chain_id, number);
    step.chain_id = chain.chain_id;
    step.session_id = chain.session_id;
    step.number = number;
    step.action = std::move(run.action);
    step.inputs = std::move(run.inputs);
    step.waits_for = run.waits_for;
    std::sort(step.waits_for.begin(), step.waits_for.end());
    step.status = run.status;
    step.attempt = run.status == StepStatus::skipped ? 0 : 1;
    step.started_at = run.started_at;
    step.completed_at = run.completed_at;
    if (run.started_at && run.completed_at && *run.started_at <= *run.completed_at)
      step.duration_ms = static_cast<std::uint64_t>((*run.completed_at - *run.started_at).count());
    step.result = std::move(run.result);
    step.error = std::move(run.error);
    step.created_at = step.updated_at = run.started_at.value_or(chain.created_at);
    step.version = 1;
    return step;
  }

  void tell_chain(const Chain& chain, const std::vector<Step>& steps) {
    std::vector<std::string> texts;
    for (const Step& step : steps) texts.push_back(stored(step));
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    const char* type = "chain:compiled";
    for (const std::string& data : chain_batches(stored(chain), views))
      tell(std::exchange(type, "chain:extended"), chain.chain_id, data);
  }

  void tell(const char* type, std::optional<ChainId> chain, const std::string& data) {
    Event event;
    event.sequence = image_.events.size() + 1;
    event.session_id = image_.session.session_id;
    event.type = *EventType::parse(type);
    event.at = now_;
    event.actor = "import";
    event.chain_id = std::move(chain);
    event.operation_id = "import";
    event.data = json::Raw::from_checked(data);
    image_.events.push_back(std::move(event));
  }

  RunLine run_;
  const Timestamp now_;
  SessionImage image_;
};

// Without the whitespace around it, which belongs to the line's transport.
std::string_view trimmed(std::string_view json) {
  constexpr std::string_view whitespace = " \t\r\n";
  json.remove_prefix(std::min(json.find_first_not_of(whitespace), json.size()));
  return json.substr(0, json.find_last_not_of(whitespace) + 1);
}

// ---- an export ----------------------------------------------------------------------------------

template <class T>
void check_rebuilt(json::Report& report, const T& record, const T* rebuilt) {
  std::string change;
  if (rebuilt == nullptr) {
    report.add(IssueCode::custom, "is not in the log");
  } else if (schema::schema_of<T>().diff(record, *rebuilt, change)) {
    report.add(IssueCode::custom, "is not what the log makes of it");
  }
}

// The state that the log tells. nullopt: it does not begin with its first event, so that it can't
// tell; or it does not fit together, which is an issue.
std::optional<Replay> replay_of(const std::vector<Event>& events, json::Report& report) {
  Replay replay;
  const json::Within list(report, "events");
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i].sequence != i + 1) return std::nullopt;
    try {
      replay.apply(events[i]);
    } catch (const StorageError& error) {
      if (error.code() != ErrorCode::corrupt) throw;
      const json::Within item(report, i);
      report.add(IssueCode::custom, "does not fit what came before");
      return std::nullopt;
    }
  }
  return replay;
}

void check_steps_rebuilt(json::Report& report, const ExportChain& chain, const Replay& replay) {
  const json::Within list(report, "steps");
  for (std::size_t i = 0; i < chain.steps.size(); ++i) {
    const json::Within item(report, i);
    check_rebuilt(report, chain.steps[i], replay.find(chain.steps[i].step_id));
  }
  if (chain.steps.size() < replay.step_count(chain.record.chain_id))
    report.add(IssueCode::custom, "lacks steps that are in the log");
}

// What is wrong with an export whose log does not rebuild its records: it could never be verified.
void check_rebuilds(const ExportLine& line, json::Report& report) {
  const std::optional<Replay> replay = replay_of(line.events, report);
  if (!replay) return;
  {
    const json::Within session(report, "session");
    const json::Within record(report, "record");
    check_rebuilt(report, line.session.record, replay->session() ? &*replay->session() : nullptr);
  }
  std::set<std::uint32_t> brought;
  const json::Within list(report, "chains");
  for (std::size_t i = 0; i < line.chains.size(); ++i) {
    const json::Within item(report, i);
    const ExportChain& chain = line.chains[i];
    brought.insert(chain.record.chain_id.number());
    check_steps_rebuilt(report, chain, *replay);
    const json::Within record(report, "record");
    check_rebuilt(report, chain.record, replay->find(chain.record.chain_id));
  }
  // An archived chain that is not there has passed its retention, which no event tells.
  for (const auto& [number, chain] : replay->chains())
    if (!chain.archived_at && !brought.contains(number))
      report.add(IssueCode::custom, "lacks " + chain.chain_id.str() + ", which is in the log");
}

SessionImage image_of_export(ExportLine line) {
  Issues issues;
  json::Report report(issues);
  check_rebuilds(line, report);
  if (!report.clean())
    throw invalid_input(std::move(issues), "import", line.session.record.session_id.str());
  SessionImage image;
  image.session = std::move(line.session.record);
  for (ExportChain& chain : line.chains) {
    image.chains.push_back(std::move(chain.record));
    image.steps.insert(image.steps.end(), std::make_move_iterator(chain.steps.begin()),
                       std::make_move_iterator(chain.steps.end()));
  }
  image.events = std::move(line.events);
  return image;
}

}  // namespace

SessionImage image_of_line(std::string_view line, Timestamp now, std::chrono::milliseconds ttl,
                           const ImportDefaults& defaults) {
  constexpr auto full = schema::Form::full;
  const auto kind = schema::schema_of<LineKind>().decode(line, full, line_limits);
  if (kind.events)
    return image_of_export(schema::schema_of<ExportLine>().decode(line, full, line_limits));
  RunLine run = schema::schema_of<RunLine>().decode(line, full, line_limits);
  const Sha256 digest = sha256(trimmed(line));
  const auto id = SessionId::parse("run-" + hex(std::span(digest).first(16)));
  return RunImage(std::move(run), *id, now, ttl, defaults).make();
}

std::string line_of_image(const SessionImage& image, std::size_t max_bytes) {
  ExportLine line;
  line.session.user = image.session.user_id;
  line.session.cwd = image.session.cwd;
  line.session.started_at = image.session.created_at;
  line.session.record = image.session;
  std::unordered_map<std::string_view, std::size_t> places;  // of the chains, by id
  for (const Chain& chain : image.chains) {
    places.emplace(chain.chain_id.str(), line.chains.size());
    ExportChain& out = line.chains.emplace_back();
    out.title = chain.title;
    out.source = chain.source;
    out.record = chain;
  }
  for (const Step& step : image.steps)
    if (const auto place = places.find(step.chain_id.str()); place != places.end())
      line.chains[place->second].steps.push_back(step);
  line.events = image.events;
  std::string text;
  schema::schema_of<ExportLine>().encode(line, schema::Form::full, text);
  if (text.size() <= max_bytes) return text;
  const std::string& id = image.session.session_id.str();
  throw failure(ErrorCode::exhausted,
                "session " + id + " takes a line of " + std::to_string(text.size()) +
                    " bytes; at most " + std::to_string(max_bytes) + " can be imported",
                "export", id);
}

// ---- reading a session as a whole ---------------------------------------------------------------

namespace {

Task<std::uint64_t> last_sequence(Storage& storage, const SessionId& id, const Context& context) {
  EventFilter filter;
  filter.limit = 1;
  const EventList list = co_await storage.read_events(id, filter, context);
  co_return list.last_sequence;
}

Task<void> read_chains(Storage& storage, SessionImage& image, const Context& context) {
  PageQuery query;
  query.limit = 1'000;
  do {
    Page<Chain> page =
        co_await storage.list_chains(image.session.session_id, std::nullopt, query, context);
    if (!page.corrupt.empty()) throw page.corrupt.front();
    for (Chain& chain : page.items) image.chains.push_back(std::move(chain));
    query.cursor = page.next_cursor;
  } while (query.cursor);
}

Task<void> read_steps(Storage& storage, const ChainId& chain, SessionImage& image,
                      const Context& context) {
  PageQuery query;
  query.limit = 1'000;
  do {
    Page<Step> page = co_await storage.list_steps(chain, std::nullopt, query, context);
    if (!page.corrupt.empty()) throw page.corrupt.front();
    for (Step& step : page.items) image.steps.push_back(std::move(step));
    query.cursor = page.next_cursor;
  } while (query.cursor);
}

Task<void> read_log(Storage& storage, SessionImage& image, const Context& context) {
  EventFilter filter;
  filter.limit = 1'000;
  for (;;) {
    EventList list = co_await storage.read_events(image.session.session_id, filter, context);
    if (!list.corrupt.empty()) throw list.corrupt.front();
    for (Event& event : list.items) image.events.push_back(std::move(event));
    if (!list.next_after) co_return;
    filter.after = *list.next_after;
  }
}

}  // namespace

Task<std::optional<SessionImage>> read_image(Storage& storage, const SessionId& id,
                                             const Context& context) {
  // The parts are read one after the other; only what stood still in between is one moment's.
  constexpr int attempts = 5;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const std::uint64_t before = co_await last_sequence(storage, id, context);
    std::optional<Session> session = co_await storage.get_session(id, context);
    if (!session) co_return std::nullopt;
    SessionImage image;
    image.session = *std::move(session);
    co_await read_chains(storage, image, context);
    for (const Chain& chain : image.chains)
      co_await read_steps(storage, chain.chain_id, image, context);
    co_await read_log(storage, image, context);
    const std::uint64_t after = co_await last_sequence(storage, id, context);
    if (after == before) co_return image;
  }
  StorageError error =
      failure(ErrorCode::conflict, "session " + id.str() + " keeps changing", "export", id.str());
  error.retryable = true;
  throw error;
}

}  // namespace actionflows
