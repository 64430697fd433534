#include "actionflows/storage/commit_checks.hpp"

#include "actionflows/base/error.hpp"
#include "actionflows/model/limits.hpp"

#include <algorithm>
#include <vector>

namespace actionflows {

void check_shape(const Commit& commit) {
  const auto invalid = [&](const char* why) {
    throw failure(ErrorCode::invalid, why, "commit", commit.session.str());
  };
  if (commit.session.empty()) invalid("a commit names its session");
  if (commit.operation_id.empty() || commit.operation_id.size() > max_operation_id)
    invalid("an operation id has 1-200 bytes");
  if (commit.events.empty()) invalid("a commit has at least one event");
  for (const NewEvent& event : commit.events)
    if (event.operation_id.size() > max_operation_id) invalid("an operation id has 1-200 bytes");
  for (std::size_t i = 0; i < commit.puts.size(); ++i) {
    const Put& put = commit.puts[i];
    if (put.version <= put.expected_version) invalid("a version must grow");
    if (put.key.chain == 0 && put.key.step > 1) invalid("no such kind of record");
    const bool creates = put.key == RecordKey::of_session() && put.expected_version == 0;
    if (creates && (!commit.activity || !commit.listed))
      invalid("a new session needs its activity and what it is listed by");
    if (creates && commit.end_session) invalid("a commit can't create and end a session");
  }
  std::vector<RecordKey> written;
  for (const Put& put : commit.puts) written.push_back(put.key);
  for (const Expect& erase : commit.erases) {
    if (erase.key == RecordKey::of_session()) invalid("a session is ended, not erased");
    written.push_back(erase.key);
  }
  std::sort(written.begin(), written.end());
  if (std::adjacent_find(written.begin(), written.end()) != written.end())
    invalid("a record is written once in a commit");
  std::vector<std::uint32_t> archived = commit.archive;
  std::sort(archived.begin(), archived.end());
  if (std::adjacent_find(archived.begin(), archived.end()) != archived.end())
    invalid("a chain is archived once in a commit");
  if (!archived.empty() && archived.front() == 0) invalid("chains are numbered from 1");
  for (const Expect& erase : commit.erases)
    if (std::binary_search(archived.begin(), archived.end(), erase.key.chain) &&
        erase.key.step == 0)
      invalid("a chain can't be erased and archived");
}

bool creates_session(const Commit& commit) {
  return std::any_of(commit.puts.begin(), commit.puts.end(), [](const Put& put) {
    return put.key == RecordKey::of_session() && put.expected_version == 0;
  });
}

bool only_appends(const Commit& commit) {
  return commit.puts.empty() && commit.erases.empty() && commit.archive.empty() &&
         !commit.end_session;
}

std::optional<Activity> moved_activity(const Activity& stands, const Activity& given,
                                       std::chrono::milliseconds interval) {
  const auto moves = [&](Timestamp from, Timestamp to) {
    return to > from && to - from >= interval;
  };
  if (!moves(stands.expires, given.expires) && !moves(stands.last_active, given.last_active))
    return std::nullopt;
  return Activity{std::max(stands.last_active, given.last_active),
                  std::max(stands.expires, given.expires)};
}

}  // namespace actionflows
