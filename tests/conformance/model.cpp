#include "tests/conformance/model.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace actionflows::test {
namespace {

bool creates_session(const Commit& commit) {
  return std::any_of(commit.puts.begin(), commit.puts.end(), [](const Put& put) {
    return put.key == RecordKey::of_session() && put.expected_version == 0;
  });
}

bool puts(const Commit& commit, RecordKey key) {
  return std::any_of(commit.puts.begin(), commit.puts.end(),
                     [&](const Put& put) { return put.key == key; });
}

// In the order of the lists: the latest time first, equal times by name.
template <class Item>
std::vector<std::string> lines_in_order(std::vector<std::pair<ListPosition, Item>> items) {
  std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) {
    return std::tie(b.first.time, a.first.name) < std::tie(a.first.time, b.first.name);
  });
  std::vector<std::string> lines;
  for (const auto& [position, item] : items) lines.push_back(line_of(item));
  return lines;
}

}  // namespace

const Model::Kept& Model::at(const SessionId& session) const {
  static const Kept nothing;
  const auto found = sessions_.find(session);
  return found != sessions_.end() ? found->second : nothing;
}

std::uint64_t Model::version(const SessionId& session, RecordKey key) const {
  const auto& records = at(session).records;
  const auto found = records.find(key);
  return found != records.end() ? found->second.version : 0;
}

// ---- commit

Model::Answer Model::commit(const Commit& commit) {
  Answer answer;
  if (contradicts_itself(commit)) {
    answer.refusals.insert(ErrorCode::invalid);
    return answer;
  }
  const Kept& kept = at(commit.session);
  if (commit.may_repeat) {
    if (const auto earlier = find_operation(kept, commit)) {
      answer.result = *earlier;
      answer.result.activity = kept.activity;
      return answer;
    }
  }
  if (conflicts(kept, commit)) answer.refusals.insert(ErrorCode::conflict);
  if (exhausts(kept, commit)) answer.refusals.insert(ErrorCode::exhausted);
  if (answer.refusals.empty()) answer.result = apply(sessions_[commit.session], commit);
  return answer;
}

bool Model::contradicts_itself(const Commit& commit) {
  if (commit.operation_id.empty() || commit.events.empty()) return true;
  if (creates_session(commit) && (!commit.activity || !commit.listed || commit.end_session))
    return true;
  std::set<RecordKey> written;
  for (const Put& put : commit.puts)
    if (!written.insert(put.key).second || put.version <= put.expected_version) return true;
  for (const Expect& erase : commit.erases)
    if (!written.insert(erase.key).second || erase.key == RecordKey::of_session()) return true;
  std::set<std::uint32_t> moved;
  for (const std::uint32_t number : commit.archive) {
    const bool erased =
        written.contains(RecordKey::of_chain(number)) && !puts(commit, RecordKey::of_chain(number));
    if (number == 0 || erased || !moved.insert(number).second) return true;
  }
  return false;
}

// As far as the events of that operation are still there.
std::optional<CommitResult> Model::find_operation(const Kept& kept, const Commit& commit) {
  const std::size_t begin =
      kept.log.size() - std::min<std::size_t>(kept.log.size(), operation_memory);
  std::size_t last = kept.log.size();
  while (last > begin && kept.log[last - 1].operation_id != commit.operation_id) --last;
  if (last == begin) return std::nullopt;
  std::size_t first = last;
  while (first > 0 && kept.log[first - 1].operation_id == commit.operation_id) --first;
  CommitResult result;
  result.first_sequence = kept.log[first].sequence;
  result.last_sequence = kept.log[last - 1].sequence;
  result.repeated = true;
  return result;
}

bool Model::conflicts(const Kept& kept, const Commit& commit) const {
  const auto archived = [&](RecordKey key) { return kept.archive.contains(key.chain); };
  const auto version_at = [&](RecordKey key) { return version(commit.session, key); };
  if (!kept.live() && !creates_session(commit)) return true;
  if (kept.live() && kept.activity.expires <= commit.at && !commit.end_session) return true;
  if (commit.precondition == Precondition::fresh && !kept.empty()) return true;
  if (commit.precondition == Precondition::expired &&
      (!kept.live() || kept.activity.expires > commit.at))
    return true;
  if (commit.first_sequence != 0 && !kept.log.empty()) return true;
  if (commit.expected_last_sequence.value_or(kept.last_sequence()) != kept.last_sequence())
    return true;
  for (const Expect& expect : commit.expects)
    if (version_at(expect.key) != expect.version) return true;
  for (const Put& put : commit.puts)
    if (archived(put.key) || version_at(put.key) != put.expected_version) return true;
  for (const Expect& erase : commit.erases)
    if (archived(erase.key) || erase.version == 0 || version_at(erase.key) != erase.version)
      return true;
  for (const std::uint32_t number : commit.archive) {
    const RecordKey key = RecordKey::of_chain(number);
    if (archived(key) || (version_at(key) == 0 && !puts(commit, key))) return true;
  }
  return false;
}

bool Model::exhausts(const Kept& kept, const Commit& commit) const {
  const bool full = kept.log.size() + commit.events.size() > limits_.max_events;
  if (full && !commit.end_session) return true;
  return std::any_of(commit.puts.begin(), commit.puts.end(), [&](const Put& put) {
    return put.key.chain > limits_.max_chains ||
           (put.key.chain > 0 && put.key.step > limits_.max_steps);
  });
}

CommitResult Model::apply(Kept& kept, const Commit& commit) const {
  for (const Put& put : commit.puts) kept.records[put.key] = {put.bytes, put.version, false};
  for (const Expect& erase : commit.erases) kept.records.erase(erase.key);
  if (commit.activity) {
    if (creates_session(commit)) kept.activity = *commit.activity;
    move_deadline(kept, *commit.activity);
  }
  if (commit.listed) kept.listed = *commit.listed;
  for (const std::uint32_t number : commit.archive) archive_chain(kept, number, commit.at);
  if (commit.end_session)
    std::erase_if(kept.records, [](const auto& entry) { return !entry.second.archived; });

  CommitResult result;
  result.first_sequence = kept.log.empty() && commit.first_sequence != 0 ? commit.first_sequence
                                                                         : kept.last_sequence() + 1;
  result.last_sequence = result.first_sequence - 1;
  for (const NewEvent& event : commit.events) {
    const std::string& own = event.operation_id;
    kept.log.push_back(
        {++result.last_sequence, event.bytes, own.empty() ? commit.operation_id : own});
  }
  kept.newest_event_at = commit.at;
  result.activity = kept.activity;
  return result;
}

// Neither time moves back; nothing moves by less than the touch interval.
void Model::move_deadline(Kept& kept, const Activity& activity) const {
  Activity& now = kept.activity;
  const auto by = std::max(activity.expires - now.expires, activity.last_active - now.last_active);
  if (by <= 0ms || by < limits_.touch_interval) return;
  now.expires = std::max(now.expires, activity.expires);
  now.last_active = std::max(now.last_active, activity.last_active);
}

void Model::archive_chain(Kept& kept, std::uint32_t number, Timestamp when) {
  kept.archive[number] = {when, kept.listed.user};
  for (auto& [key, record] : kept.records)
    if (key.chain == number) record.archived = true;
}

// ---- the rest

bool Model::touch(const SessionId& session, const Activity& activity) {
  if (!live(session)) return false;
  Kept& kept = sessions_[session];
  if (kept.activity.expires <= activity.last_active) return false;
  move_deadline(kept, activity);
  return true;
}

std::uint64_t Model::prune_events(const SessionId& session, std::uint64_t first_kept) {
  if (at(session).log.empty()) return 0;
  Kept& kept = sessions_[session];
  const std::uint64_t until = std::min(first_kept, kept.last_sequence());
  return std::erase_if(kept.log, [&](const StoredEvent& event) { return event.sequence < until; });
}

bool Model::erase_session(const SessionId& session) {
  const bool there = !at(session).empty();
  sessions_.erase(session);
  return there;
}

std::set<SessionId> Model::sweep(Timestamp now) {
  std::set<SessionId> expired;
  for (auto& [id, kept] : sessions_) {
    if (kept.live() && kept.activity.expires <= now) expired.insert(id);
    if (!kept.live() && kept.newest_event_at + limits_.log_retention <= now) kept.log.clear();
    std::erase_if(kept.archive, [&](const auto& chain) {
      if (chain.second.at + limits_.archive_retention > now) return false;
      std::erase_if(kept.records,
                    [&](const auto& entry) { return entry.first.chain == chain.first; });
      return true;
    });
  }
  return expired;
}

SessionView Model::view(const SessionId& session, std::span<const RecordKey> keys) const {
  const Kept& kept = at(session);
  SessionView view;
  for (const RecordKey key : keys) {
    const auto found = kept.records.find(key);
    if (found != kept.records.end()) view.records.insert(*found);
  }
  view.live = kept.live();
  if (view.live) view.activity = kept.activity;
  if (!kept.empty()) view.owner = kept.listed.user;
  view.last_archived = kept.archive.empty() ? 0 : kept.archive.rbegin()->first;
  view.first_sequence = kept.log.empty() ? 0 : kept.log.front().sequence;
  view.last_sequence = kept.last_sequence();
  view.events = kept.log;
  return view;
}

UserView Model::view(const UserId& user, const std::optional<std::string>& state) const {
  std::vector<std::pair<ListPosition, ListedSession>> sessions;
  std::vector<std::pair<ListPosition, ArchivedChain>> archive;
  for (const auto& [id, kept] : sessions_) {
    if (kept.live() && kept.listed.user == user && (!state || kept.listed.state == *state)) {
      const ListedSession item{id, kept.records.at(RecordKey::of_session()), kept.activity};
      sessions.push_back({{kept.activity.expires, id.str()}, item});
    }
    for (const auto& [number, chain] : kept.archive) {
      if (chain.user != user) continue;
      const ArchivedChain item{ChainId(id, number), kept.records.at(RecordKey::of_chain(number))};
      archive.push_back({{chain.at, item.id.str()}, item});
    }
  }
  return {lines_in_order(std::move(sessions)), lines_in_order(std::move(archive))};
}

}  // namespace actionflows::test
