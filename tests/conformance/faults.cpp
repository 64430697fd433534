// The faults, each a few lines. What they break is what users of other stores have met: lost
// updates, half-applied changes, doubled appends, sessions that come back, lists that lose items.
#include "actionflows/base/error.hpp"
#include "tests/conformance/faulty_storage.hpp"
#include "tests/support/change.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

namespace actionflows::test {
namespace {

using Driver = StorageDriver;

// The version that stands at `key`, live or archived; 0: none.
Task<std::uint64_t> version_at(Driver& driver, SessionId session, RecordKey key) {
  const std::array keys = {key};
  const ReadResult read = co_await driver.read(session, keys);
  co_return read.records[0] ? read.records[0]->version : 0;
}

// Whether the driver refuses this commit, which then has changed nothing.
Task<bool> refuses(Driver& driver, Commit commit) {
  bool refused = false;
  try {
    static_cast<void>(co_await driver.commit(commit));
  } catch (const StorageError&) {
    refused = true;
  }
  co_return refused;
}

// ---- commits

Task<CommitResult> replaces_any_version(Driver& driver, Commit commit) {
  for (Put& put : commit.puts) {
    if (put.expected_version == 0) continue;
    put.expected_version = co_await version_at(driver, commit.session, put.key);
    put.version = std::max(put.version, put.expected_version + 1);
  }
  co_return co_await driver.commit(commit);
}

Task<CommitResult> creates_over_what_stands(Driver& driver, Commit commit) {
  for (Put& put : commit.puts) {
    if (put.expected_version != 0) continue;
    put.expected_version = co_await version_at(driver, commit.session, put.key);
    put.version = std::max(put.version, put.expected_version + 1);
  }
  co_return co_await driver.commit(commit);
}

Task<CommitResult> erases_any_version(Driver& driver, Commit commit) {
  for (Expect& erase : commit.erases)
    erase.version = co_await version_at(driver, commit.session, erase.key);
  std::erase_if(commit.erases, [](const Expect& erase) { return erase.version == 0; });
  co_return co_await driver.commit(commit);
}

Task<CommitResult> ignores_expectations(Driver& driver, Commit commit) {
  commit.expects.clear();
  co_return co_await driver.commit(commit);
}

Task<CommitResult> ignores_preconditions(Driver& driver, Commit commit) {
  commit.precondition = Precondition::none;
  co_return co_await driver.commit(commit);
}

Task<CommitResult> ignores_the_end_of_the_log(Driver& driver, Commit commit) {
  commit.expected_last_sequence.reset();
  co_return co_await driver.commit(commit);
}

// Compares, then writes: what others write in between is lost. Right as long as nobody else writes.
Task<CommitResult> compares_and_sets_in_two_steps(Driver& driver, Commit commit) {
  bool stale = commit.puts.empty();
  for (const Put& put : commit.puts) {
    const std::uint64_t found = co_await version_at(driver, commit.session, put.key);
    stale = stale || put.expected_version != found || put.version != found + 1;
  }
  co_await boost::asio::post(boost::asio::use_awaitable);
  bool refused = !stale;
  for (int attempt = 0; refused && attempt < 100; ++attempt) {
    for (Put& put : commit.puts) {
      put.expected_version = co_await version_at(driver, commit.session, put.key);
      put.version = put.expected_version + 1;
    }
    refused = co_await refuses(driver, commit);
  }
  if (stale || refused) co_return co_await driver.commit(commit);
  commit.may_repeat = true;
  CommitResult result = co_await driver.commit(commit);
  result.repeated = false;
  co_return result;
}

// Of a commit that is refused, the first record stays.
Task<CommitResult> applies_half_a_commit(Driver& driver, Commit commit) {
  const bool refused = co_await refuses(driver, commit);
  Commit half = commit;
  if (refused && half.puts.size() > 1) {
    half.puts.resize(1);
    half.expects.clear();
    half.erases.clear();
    half.archive.clear();
    static_cast<void>(co_await refuses(driver, half));
  }
  if (refused) throw failure(ErrorCode::conflict, "refused", "commit");
  Commit again = commit;
  again.may_repeat = true;
  CommitResult result = co_await driver.commit(again);
  result.repeated = false;
  co_return result;
}

Task<CommitResult> logs_what_it_refuses(Driver& driver, Commit commit) {
  const bool refused = co_await refuses(driver, commit);
  Commit events_only = Change(commit.session, commit.at);
  events_only.events = commit.events;
  if (refused) static_cast<void>(co_await refuses(driver, events_only));
  if (refused) throw failure(ErrorCode::conflict, "refused", "commit");
  commit.may_repeat = true;
  CommitResult result = co_await driver.commit(commit);
  result.repeated = false;
  co_return result;
}

Task<CommitResult> acknowledges_what_it_refuses(Driver& driver, Commit commit) {
  CommitResult result;
  try {
    result = co_await driver.commit(commit);
  } catch (const StorageError& error) {
    if (error.code() != ErrorCode::conflict) throw;
  }
  co_return result;
}

Task<CommitResult> writes_no_event_twice_in_a_row(Driver& driver, Commit commit) {
  const auto same = [](const NewEvent& a, const NewEvent& b) { return a.type == b.type; };
  commit.events.erase(std::unique(commit.events.begin(), commit.events.end(), same),
                      commit.events.end());
  co_return co_await driver.commit(commit);
}

Task<CommitResult> doubles_a_repeated_append(Driver& driver, Commit commit) {
  commit.may_repeat = false;
  co_return co_await driver.commit(commit);
}

Task<CommitResult> forgets_operations_after_100_events(Driver& driver, Commit commit) {
  CommitResult result = co_await driver.commit(commit);
  const ReadResult read = co_await driver.read(commit.session, {});
  commit.may_repeat = false;
  if (result.repeated && read.last_sequence - result.last_sequence >= 100)
    result = co_await driver.commit(commit);
  co_return result;
}

Task<CommitResult> tells_a_repeat_the_newest_sequence(Driver& driver, Commit commit) {
  CommitResult result = co_await driver.commit(commit);
  const ReadResult read = co_await driver.read(commit.session, {});
  if (result.repeated) result.last_sequence = read.last_sequence;
  co_return result;
}

Task<CommitResult> numbers_from_one_again(Driver& driver, Commit commit) {
  CommitResult result = co_await driver.commit(commit);
  result.last_sequence -= result.first_sequence - 1;
  result.first_sequence = 1;
  co_return result;
}

Task<CommitResult> drops_the_archive_at_the_end(Driver& driver, Commit commit) {
  if (commit.end_session) commit.archive.clear();
  co_return co_await driver.commit(commit);
}

Task<CommitResult> archives_chains_without_steps(Driver& driver, Commit commit) {
  for (const std::uint32_t number : commit.archive) {
    const RecordKey key = step(number, 1);
    const std::uint64_t version = co_await version_at(driver, commit.session, key);
    const bool put = std::any_of(commit.puts.begin(), commit.puts.end(),
                                 [&](const Put& other) { return other.key == key; });
    if (version != 0 && !put) commit.erases.push_back({key, version});
  }
  co_return co_await driver.commit(commit);
}

Task<CommitResult> leaves_the_session_when_it_ends(Driver& driver, Commit commit) {
  commit.end_session = false;
  co_return co_await driver.commit(commit);
}

Task<CommitResult> never_moves_the_deadline(Driver& driver, Commit commit) {
  const std::uint64_t version = co_await version_at(driver, commit.session, session_record);
  if (version != 0) commit.activity.reset();
  co_return co_await driver.commit(commit);
}

Task<CommitResult> never_moves_the_listing(Driver& driver, Commit commit) {
  const std::uint64_t version = co_await version_at(driver, commit.session, session_record);
  if (version != 0) commit.listed.reset();
  co_return co_await driver.commit(commit);
}

Task<CommitResult> writes_past_the_deadline(Driver& driver, Commit commit) {
  const ReadResult read = co_await driver.read(commit.session, {});
  if (read.live && commit.at >= read.activity.expires && !commit.end_session)
    commit.at = read.activity.expires - std::chrono::milliseconds(1);
  co_return co_await driver.commit(commit);
}

Task<CommitResult> ends_only_with_room_in_the_log(Driver& driver, Commit commit) {
  const EventPage page = co_await driver.read_events(commit.session, {});
  if (commit.end_session && page.events.size() + commit.events.size() > 4)
    throw failure(ErrorCode::exhausted, "the log is full", "commit");
  co_return co_await driver.commit(commit);
}

Task<CommitResult> restores_every_log_from_one(Driver& driver, Commit commit) {
  commit.first_sequence = 0;
  co_return co_await driver.commit(commit);
}

Task<CommitResult> invents_what_is_missing(Driver& driver, Commit commit) {
  if (commit.events.empty()) commit.events.push_back({Bytes("?"), "made:up", ""});
  co_return co_await driver.commit(commit);
}

Task<CommitResult> reads_bytes_as_c_strings(Driver& driver, Commit commit) {
  for (Put& put : commit.puts) {
    const std::string_view text = put.bytes.view();
    put.bytes = Bytes(text.substr(0, text.find('\0')));
  }
  co_return co_await driver.commit(commit);
}

// ---- reads

Task<ReadResult> forgets_the_archive(Driver& driver, SessionId session,
                                     std::vector<RecordKey> keys) {
  ReadResult result = co_await driver.read(session, keys);
  for (auto& record : result.records)
    if (record && record->archived) record.reset();
  co_return result;
}

Task<ReadResult> answers_in_the_order_of_the_store(Driver& driver, SessionId session,
                                                   std::vector<RecordKey> keys) {
  std::sort(keys.begin(), keys.end());
  co_return co_await driver.read(session, keys);
}

Task<ReadResult> tells_absence_as_an_error(Driver& driver, SessionId session,
                                           std::vector<RecordKey> keys) {
  ReadResult result = co_await driver.read(session, keys);
  if (!result.live) throw failure(ErrorCode::not_found, "no such session", "read");
  co_return result;
}

Task<ReadResult> forgets_whose_it_was(Driver& driver, SessionId session,
                                      std::vector<RecordKey> keys) {
  ReadResult result = co_await driver.read(session, keys);
  if (!result.live) result.owner.reset();
  co_return result;
}

Task<ReadResult> hides_who_has_expired(Driver& driver, SessionId session,
                                       std::vector<RecordKey> keys) {
  ReadResult result = co_await driver.read(session, keys);
  const Timestamp real_now = *parse_rfc3339("2150-01-01T00:00:00Z");
  if (result.live && result.activity.expires <= real_now) {
    result.live = false;
    for (auto& record : result.records) record.reset();
  }
  co_return result;
}

Task<EventPage> reads_from_and_not_after(Driver& driver, SessionId session, EventQuery query) {
  if (query.after > 0) --query.after;
  co_return co_await driver.read_events(session, query);
}

Task<EventPage> reads_pages_of_any_size(Driver& driver, SessionId session, EventQuery query) {
  query.limit += 1;
  co_return co_await driver.read_events(session, query);
}

Task<EventPage> reads_pages_of_any_length(Driver& driver, SessionId session, EventQuery query) {
  query.max_bytes = std::size_t{1} << 40;
  co_return co_await driver.read_events(session, query);
}

Task<EventPage> keeps_quiet_about_gaps(Driver& driver, SessionId session, EventQuery query) {
  EventPage page = co_await driver.read_events(session, query);
  if (page.first_sequence > 1) page.first_sequence = 1;
  co_return page;
}

// ---- lists

Task<SessionPage> ends_the_list_with_a_page_that_is_not_full(Driver& driver, ListQuery query) {
  SessionPage page = co_await driver.list_sessions(query);
  if (page.items.size() < query.limit) page.next.reset();
  co_return page;
}

Task<SessionPage> lists_in_the_wrong_order(Driver& driver, ListQuery query) {
  SessionPage page = co_await driver.list_sessions(query);
  std::reverse(page.items.begin(), page.items.end());
  co_return page;
}

Task<SessionPage> skips_one_between_pages(Driver& driver, ListQuery query) {
  SessionPage page = co_await driver.list_sessions(query);
  if (page.next && page.items.size() > 1) page.items.pop_back();
  co_return page;
}

Task<SessionPage> repeats_one_between_pages(Driver& driver, ListQuery query) {
  SessionPage page = co_await driver.list_sessions(query);
  if (page.next && page.items.size() > 1) {
    const ListedSession& last_but_one = page.items[page.items.size() - 2];
    page.next = ListPosition{last_but_one.activity.expires, last_but_one.id.str()};
  }
  co_return page;
}

// As a list does that counts items instead of remembering a position.
Task<SessionPage> loses_the_place_of_who_is_gone(Driver& driver, ListQuery query) {
  ListQuery before = query;
  before.after.reset();
  before.limit = 1'000;
  const SessionPage all = co_await driver.list_sessions(before);
  const bool found = !query.after || std::any_of(all.items.begin(), all.items.end(),
                                                 [&](const ListedSession& item) {
                                                   return item.id.str() == query.after->name;
                                                 });
  SessionPage page;
  if (found) page = co_await driver.list_sessions(query);
  co_return page;
}

Task<SessionPage> lists_everybody(Driver& driver, ListQuery query) {
  query.user.reset();
  co_return co_await driver.list_sessions(query);
}

Task<SessionPage> lists_any_state(Driver& driver, ListQuery query) {
  query.state.reset();
  co_return co_await driver.list_sessions(query);
}

Task<ArchivePage> lists_the_oldest_first(Driver& driver, ListQuery query) {
  ArchivePage page = co_await driver.list_archive(query);
  std::reverse(page.items.begin(), page.items.end());
  co_return page;
}

Task<ArchivePage> lists_one_page_of_the_archive(Driver& driver, ListQuery query) {
  ArchivePage page = co_await driver.list_archive(query);
  page.next.reset();
  co_return page;
}

// ---- touch, upkeep

Task<bool> brings_back_by_touch(Driver& driver, SessionId session, Activity activity) {
  const bool live = co_await driver.touch(session, activity);
  Change create(session, activity.last_active);
  create.create(*UserId::parse("nobody"));
  if (!live) static_cast<void>(co_await refuses(driver, create));
  co_return true;
}

Task<bool> only_says_that_it_touched(Driver& driver, SessionId session, Activity) {
  const ReadResult read = co_await driver.read(session, {});
  co_return read.live;
}

Task<bool> revives_the_expired(Driver& driver, SessionId session, Activity activity) {
  const ReadResult read = co_await driver.read(session, {});
  if (read.live && activity.last_active >= read.activity.expires)
    activity.last_active = read.activity.expires - std::chrono::milliseconds(1);
  co_return co_await driver.touch(session, activity);
}

Task<std::uint64_t> prunes_one_too_many(Driver& driver, SessionId session, std::uint64_t first) {
  co_return co_await driver.prune_events(session, first + 1);
}

Task<std::uint64_t> does_not_count_what_it_prunes(Driver& driver, SessionId session,
                                                  std::uint64_t first) {
  static_cast<void>(co_await driver.prune_events(session, first));
  co_return 0;
}

Task<SweepResult> removes_the_expired(Driver& driver, SweepQuery query) {
  const SweepResult result = co_await driver.sweep(query);
  for (const SessionId& session : result.expired)
    static_cast<void>(co_await driver.erase_session(session));
  co_return result;
}

Task<SweepResult> names_nobody(Driver& driver, SweepQuery query) {
  SweepResult result = co_await driver.sweep(query);
  result.expired.clear();
  co_return result;
}

Task<SweepResult> sweeps_without_bound(Driver& driver, SweepQuery query) {
  query.limit = 1'000'000;
  co_return co_await driver.sweep(query);
}

Task<SweepResult> sweeps_a_moment_late(Driver& driver, SweepQuery query) {
  query.now -= std::chrono::milliseconds(1);
  co_return co_await driver.sweep(query);
}

Task<bool> leaves_traces(Driver& driver, SessionId session) {
  const ReadResult read = co_await driver.read(session, {});
  Commit end = Change(session).end();
  if (read.live) static_cast<void>(co_await refuses(driver, end));
  co_return read.live || read.last_sequence != 0;
}

Task<bool> always_says_that_it_erased(Driver& driver, SessionId session) {
  static_cast<void>(co_await driver.erase_session(session));
  co_return true;
}

Task<Health> says_it_is_ill(Driver& driver) {
  Health health = co_await driver.health();
  health.ok = false;
  co_return health;
}

// ---- wake-ups

void loses_wakeups(Subscription::Batch& batch) { batch.wakeups.clear(); }
void keeps_quiet_about_losses(Subscription::Batch& batch) { batch.missed = false; }
void tells_old_sequences(Subscription::Batch& batch) {
  for (Wakeup& wakeup : batch.wakeups) --wakeup.sequence;
}
void tells_no_type(Subscription::Batch& batch) {
  for (Wakeup& wakeup : batch.wakeups) wakeup.type.clear();
}

// ---- limits

void has_no_limits(DriverLimits& limits) {
  limits.max_events = 1'000'000;
  limits.max_chains = limits.max_steps = 1'000'000;
}
void keeps_logs_for_ever(DriverLimits& limits) { limits.log_retention = std::chrono::years{100}; }
void keeps_nothing(DriverLimits& limits) { limits.archive_retention = std::chrono::seconds{1}; }
void ignores_the_touch_interval(DriverLimits& limits) { limits.touch_interval = {}; }

// A fault of one call, as one line of the table.
template <auto Member>
Fault fault(const char* name, auto spoil, bool seen_by_model = true) {
  Fault made;
  made.name = name;
  made.seen_by_model = seen_by_model;
  made.*Member = spoil;
  return made;
}

#define FAULT(call, function, ...) \
  fault<&Fault::call>(#function, &function __VA_OPT__(, ) __VA_ARGS__)

// What the random sequences don't look at.
constexpr bool unseen_by_model = false;

std::vector<Fault> all_faults() {
  std::vector<Fault> all = {
      FAULT(commit, replaces_any_version),
      FAULT(commit, creates_over_what_stands),
      FAULT(commit, erases_any_version),
      FAULT(commit, ignores_expectations),
      FAULT(commit, ignores_preconditions),
      FAULT(commit, ignores_the_end_of_the_log),
      FAULT(commit, compares_and_sets_in_two_steps, unseen_by_model),
      FAULT(commit, applies_half_a_commit),
      FAULT(commit, logs_what_it_refuses),
      FAULT(commit, acknowledges_what_it_refuses),
      FAULT(commit, writes_no_event_twice_in_a_row),
      FAULT(commit, doubles_a_repeated_append),
      FAULT(commit, forgets_operations_after_100_events),
      FAULT(commit, tells_a_repeat_the_newest_sequence),
      FAULT(commit, numbers_from_one_again),
      FAULT(commit, drops_the_archive_at_the_end),
      FAULT(commit, archives_chains_without_steps),
      FAULT(commit, leaves_the_session_when_it_ends),
      FAULT(commit, never_moves_the_deadline),
      FAULT(commit, never_moves_the_listing),
      FAULT(commit, writes_past_the_deadline),
      FAULT(commit, ends_only_with_room_in_the_log),
      FAULT(commit, restores_every_log_from_one),
      FAULT(commit, invents_what_is_missing),
      FAULT(commit, reads_bytes_as_c_strings, unseen_by_model),
      FAULT(read, forgets_the_archive),
      FAULT(read, answers_in_the_order_of_the_store, unseen_by_model),
      FAULT(read, tells_absence_as_an_error),
      FAULT(read, hides_who_has_expired),
      FAULT(read, forgets_whose_it_was),
      FAULT(read_events, reads_from_and_not_after, unseen_by_model),
      FAULT(read_events, reads_pages_of_any_size, unseen_by_model),
      FAULT(read_events, reads_pages_of_any_length, unseen_by_model),
      FAULT(read_events, keeps_quiet_about_gaps),
      FAULT(list_sessions, ends_the_list_with_a_page_that_is_not_full, unseen_by_model),
      FAULT(list_sessions, lists_in_the_wrong_order),
      FAULT(list_sessions, skips_one_between_pages),
      FAULT(list_sessions, repeats_one_between_pages),
      FAULT(list_sessions, loses_the_place_of_who_is_gone, unseen_by_model),
      FAULT(list_sessions, lists_everybody),
      FAULT(list_sessions, lists_any_state),
      FAULT(list_archive, lists_the_oldest_first),
      FAULT(list_archive, lists_one_page_of_the_archive),
      FAULT(touch, brings_back_by_touch),
      FAULT(touch, only_says_that_it_touched),
      FAULT(touch, revives_the_expired),
      FAULT(prune_events, prunes_one_too_many),
      FAULT(prune_events, does_not_count_what_it_prunes),
      FAULT(sweep, removes_the_expired),
      FAULT(sweep, names_nobody),
      FAULT(sweep, sweeps_without_bound, unseen_by_model),
      FAULT(sweep, sweeps_a_moment_late, unseen_by_model),
      FAULT(erase_session, leaves_traces),
      FAULT(erase_session, always_says_that_it_erased),
      FAULT(health, says_it_is_ill, unseen_by_model),
      FAULT(wakeups, loses_wakeups, unseen_by_model),
      FAULT(wakeups, keeps_quiet_about_losses, unseen_by_model),
      FAULT(wakeups, tells_old_sequences, unseen_by_model),
      FAULT(wakeups, tells_no_type, unseen_by_model),
      FAULT(limits, has_no_limits),
      FAULT(limits, keeps_logs_for_ever),
      FAULT(limits, keeps_nothing),
      FAULT(limits, ignores_the_touch_interval),
  };
  return all;
}

}  // namespace

std::span<const Fault> faults() {
  static const std::vector<Fault> all = all_faults();
  return all;
}

}  // namespace actionflows::test
