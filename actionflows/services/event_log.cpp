#include "actionflows/services/event_log.hpp"

#include "actionflows/base/error.hpp"

#include <algorithm>
#include <utility>

namespace actionflows {
namespace {

// Looked at again at least this often, whether woken or not: a backend's wake-ups may get lost.
constexpr std::chrono::seconds longest_wait{5};

// Differences beyond these are counted, not told.
constexpr std::size_t max_differences = 20;
constexpr std::size_t max_difference_text = 500;

// What stands in no event is not compared.
Session comparable(Session session) {
  session.version = 0;
  session.last_activity_at = session.expires_at = Timestamp();
  return session;
}
template <class T>
T comparable(T record) {
  record.version = 0;
  return record;
}

void add_difference(Verification& found, const std::string& name, const std::string& how) {
  found.outcome = Verification::Outcome::different;
  if (found.differences.size() >= max_differences) return;
  std::string text = name + ": " + how;
  if (text.size() > max_difference_text) {
    std::size_t end = max_difference_text;
    while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // within a character
    text.resize(end);
  }
  found.differences.push_back(std::move(text));
}

template <class T>
void compare_record(const std::string& name, const std::optional<T>& stored, const T* rebuilt,
                    Verification& found) {
  if (!stored && rebuilt == nullptr) return;
  ++found.records;
  if (!stored) return add_difference(found, name, "is in the log, but not stored");
  if (rebuilt == nullptr) return add_difference(found, name, "is stored, but not in the log");
  std::string change;
  if (schema::schema_of<T>().diff(comparable(*stored), comparable(*rebuilt), change))
    add_difference(found, name, "the log says " + change);
}

// What `read` gives; a record that can't be read is a difference, and as good as none.
template <class T>
Task<std::optional<T>> read_or_tell(Task<std::optional<T>> read, const std::string& name,
                                    Verification& found, bool& corrupt) {
  try {
    co_return co_await std::move(read);
  } catch (const StorageError& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    add_difference(found, name, error.message());
    corrupt = true;
  }
  co_return std::nullopt;
}

}  // namespace

// ---- following ----------------------------------------------------------------------------------

EventFollower::EventFollower(Storage& storage, SessionId session, std::uint64_t after,
                             std::unique_ptr<Subscription> subscription)
    : storage_(storage),
      session_(std::move(session)),
      after_(after),
      subscription_(std::move(subscription)) {}

Task<EventFollower::Batch> EventFollower::next(std::chrono::milliseconds timeout,
                                               std::size_t limit) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  if (!subscription_) subscription_ = co_await storage_.subscribe(session_);
  for (;;) {
    Batch batch = co_await read(limit);
    if (batch.restarted || batch.gap || !batch.events.empty() || !batch.corrupt.empty())
      co_return batch;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) co_return batch;
    std::optional<std::uint64_t> rewind;
    try {
      const Subscription::Batch woken =
          co_await subscription_->next(std::min<std::chrono::milliseconds>(left, longest_wait));
      rewind = woken.rewind;
    } catch (const StorageError&) {
      subscription_.reset();
      throw;
    }
    if (rewind && *rewind < after_) {
      after_ = *rewind;
      batch.restarted = true;
      batch.resumes_after = after_;
      co_return batch;
    }
  }
}

Task<EventFollower::Batch> EventFollower::read(std::size_t limit) {
  EventFilter filter;
  filter.after = after_;
  filter.limit = limit;
  CallReport report;
  Context context;
  context.report = &report;
  EventList list = co_await storage_.read_events(session_, filter, context);
  Batch batch;
  // What stands in for the backend need not know the whole log.
  const bool shorter = list.last_sequence != 0 && list.last_sequence < after_;
  if (shorter && report.provenance->source != Source::fallback) {
    batch.restarted = true;
    after_ = 0;
    co_return batch;
  }
  if (list.first_sequence > after_ + 1) batch.gap = Gap{after_ + 1, list.first_sequence - 1};
  batch.events = std::move(list.items);
  batch.corrupt = std::move(list.corrupt);
  if (list.next_after) {
    after_ = *list.next_after;
  } else if (list.last_sequence > after_) {
    after_ = list.last_sequence;
  }
  co_return batch;
}

// ---- the log ------------------------------------------------------------------------------------

std::string_view to_string(Verification::Outcome outcome) {
  switch (outcome) {
    case Verification::Outcome::equal: return "equal";
    case Verification::Outcome::different: return "different";
    case Verification::Outcome::pruned: return "pruned";
    case Verification::Outcome::busy: return "busy";
  }
  return "different";
}

Task<Event> EventLog::append(const SessionId& session, EventData data, const Context& context) {
  return storage_.append_event(session, std::move(data), context);
}

Task<EventList> EventLog::read(const SessionId& session, EventFilter filter,
                               const Context& context) {
  return storage_.read_events(session, std::move(filter), context);
}

Task<std::uint64_t> EventLog::prune(const SessionId& session, std::uint64_t first_kept,
                                    const Context& context) {
  return storage_.prune_events(session, first_kept, context);
}

Task<std::unique_ptr<EventFollower>> EventLog::follow(const SessionId& session,
                                                      std::uint64_t after) {
  // First the subscription, then the first look: so nothing can fall in between.
  std::unique_ptr<Subscription> subscription = co_await storage_.subscribe(session);
  co_return std::make_unique<EventFollower>(storage_, session, after, std::move(subscription));
}

Task<Replay> EventLog::replay(const SessionId& session, std::uint64_t until,
                              const Context& context) {
  Replay replay;
  EventFilter filter;
  filter.limit = 1'000;
  for (;;) {
    EventList list = co_await storage_.read_events(session, filter, context);
    if (list.first_sequence > 1)
      throw failure(ErrorCode::corrupt,
                    "the log of " + session.str() + " begins with event " +
                        std::to_string(list.first_sequence),
                    "replay", session.str());
    if (!list.corrupt.empty()) throw list.corrupt.front();
    for (const Event& event : list.items) {
      if (until != 0 && event.sequence > until) co_return replay;
      replay.apply(event);
    }
    if (!list.next_after) co_return replay;
    filter.after = *list.next_after;
  }
}

// ---- verifying ----------------------------------------------------------------------------------

Task<Verification> EventLog::verify(const SessionId& session, const Context& context) {
  // State and log are read one after the other; only what stood still in between can be compared.
  constexpr int attempts = 5;
  EventFilter newest;
  newest.limit = 1;
  Verification found;
  co_await storage_.expire_session(session);  // else it is gone for readers and not for the log
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const EventList before = co_await storage_.read_events(session, newest, context);
    if (before.last_sequence == 0)
      throw failure(ErrorCode::not_found, "there is no log of session " + session.str(), "verify",
                    session.str());
    if (before.first_sequence > 1) {
      found.session = session;
      found.outcome = Verification::Outcome::pruned;
      co_return found;
    }
    found = co_await compare(session, context);
    const EventList after = co_await storage_.read_events(session, newest, context);
    if (after.first_sequence == before.first_sequence &&
        after.last_sequence == before.last_sequence)
      co_return found;
  }
  found.outcome = Verification::Outcome::busy;
  found.differences.clear();
  co_return found;
}

Task<Verification> EventLog::compare(const SessionId& id, const Context& context) {
  Verification found;
  found.session = id;
  Replay replay;
  try {
    replay = co_await this->replay(id, 0, context);
  } catch (const StorageError& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    // There is nothing to hold the records against.
    add_difference(found, error.record, error.message());
    co_return found;
  }
  found.events = replay.last_sequence();
  bool corrupt = false;
  const std::optional<Session> stored =
      co_await read_or_tell(storage_.get_session(id, context), id.str(), found, corrupt);
  const Session* rebuilt = replay.session() ? &*replay.session() : nullptr;
  if (!corrupt) compare_record(id.str(), stored, rebuilt, found);

  std::uint32_t chains = stored ? stored->chain_count : 0;
  if (!replay.chains().empty()) chains = std::max(chains, replay.chains().rbegin()->first);
  for (std::uint32_t n = 1; n <= chains; ++n)
    co_await compare_chain(ChainId(id, n), replay, found, context);
  co_return found;
}

Task<void> EventLog::compare_chain(const ChainId& id, const Replay& replay, Verification& found,
                                   const Context& context) {
  bool corrupt = false;
  const std::optional<Chain> stored =
      co_await read_or_tell(storage_.get_chain(id, context), id.str(), found, corrupt);
  if (corrupt) co_return;
  const Chain* rebuilt = replay.find(id);
  // An archived chain that is gone has passed its retention, which no event tells.
  if (!stored && rebuilt != nullptr && rebuilt->archived_at) co_return;
  compare_record(id.str(), stored, rebuilt, found);
  if (!stored) co_return;

  PageQuery page;
  page.limit = 1'000;
  std::size_t seen = 0;
  do {
    const Page<Step> steps = co_await storage_.list_steps(id, std::nullopt, page, context);
    for (const StorageError& error : steps.corrupt) {
      ++seen;
      add_difference(found, error.record, error.message());
    }
    for (const Step& step : steps.items) {
      ++seen;
      compare_record<Step>(step.step_id.str(), step, replay.find(step.step_id), found);
    }
    page.cursor = steps.next_cursor;
  } while (page.cursor);
  const std::size_t rebuilt_steps = replay.step_count(id);
  if (seen < rebuilt_steps) {
    add_difference(found, id.str(),
                   "the log knows " + std::to_string(rebuilt_steps) + " steps, " +
                       std::to_string(seen) + " are stored");
  }
}

}  // namespace actionflows
