#include "actionflows/storage/redis/commit_command.hpp"

#include "actionflows/storage/commit_checks.hpp"
#include "actionflows/storage/redis/keys.hpp"
#include "actionflows/storage/redis/meta.hpp"

#include <algorithm>
#include <map>

namespace actionflows::redis {
namespace {

std::string flags_of(const Commit& commit, const RedisOptions& options) {
  const DriverLimits& limits = options.limits;
  std::string flags;
  if (commit.may_repeat) flags += 'r';
  if (only_appends(commit)) flags += commit.supersedes ? 's' : 'a';
  if (commit.precondition == Precondition::fresh) flags += 'f';
  if (commit.precondition == Precondition::expired) flags += 'e';
  if (creates_session(commit)) flags += 'c';
  if (commit.end_session) flags += 'x';
  const bool beyond = std::ranges::any_of(commit.puts, [&](const Put& put) {
    return put.key.chain > limits.max_chains ||
           (put.key.chain > 0 && put.key.step > limits.max_steps);
  });
  if (beyond) flags += 'l';
  if (options.wait_replicas > 0) flags += 'w';
  return flags;
}

// The highest number of the steps that are made, by chain.
std::map<std::uint32_t, std::uint32_t> counts_of(const Commit& commit) {
  std::map<std::uint32_t, std::uint32_t> counts;
  for (const Put& put : commit.puts) {
    if (put.key.chain == 0 || put.key.step == 0 || put.expected_version != 0) continue;
    std::uint32_t& highest = counts[put.key.chain];
    highest = std::max(highest, put.key.step);
  }
  return counts;
}

void add_head(Command& command, const Commit& commit, const CommitCommandOptions& with) {
  const DriverLimits& limits = with.options.limits;
  command.number(to_unix_milliseconds(commit.at)).arg(commit.operation_id);
  command.copy({flags_of(commit, with.options)});
  command.count(limits.max_events).number(limits.touch_interval.count());
  command.number(limits.log_retention.count()).number(limits.archive_retention.count());
  command.count(commit.first_sequence);
  if (commit.expected_last_sequence) {
    command.count(*commit.expected_last_sequence);
  } else {
    command.arg("");
  }
  if (commit.activity) {
    command.number(to_unix_milliseconds(commit.activity->expires));
    command.number(to_unix_milliseconds(commit.activity->last_active));
  } else {
    command.arg("").arg("");
  }
  if (commit.listed) {
    command.arg(commit.listed->user.str()).arg(commit.listed->state);
  } else {
    command.arg("").arg("");
  }
  command.arg(with.channel).arg(with.instance);
  command.copy({commit.session.str(), " ", commit.events.front().type});
}

}  // namespace

Command commit_command(const Commit& commit, const CommitCommandOptions& with,
                       CommitAnswer& answer) {
  const SessionKeys& keys = with.keys;
  Command command(scripts().commit, {keys.hash, keys.log, keys.archive}, answer);
  add_head(command, commit, with);
  for (const Expect& expect : commit.expects)
    command.copy({field_of(expect.key)}).count(expect.version);
  command.arg("");
  for (const Put& put : commit.puts) {
    command.copy({field_of(put.key)}).count(put.expected_version);
    command.copy({std::to_string(put.version), ":", put.bytes.view()});
  }
  command.arg("");
  for (const Expect& erase : commit.erases)
    command.copy({field_of(erase.key)}).count(erase.version);
  command.arg("");
  for (const auto& [chain, highest] : counts_of(commit))
    command.copy({field_of(RecordKey::of_chain(chain)), ".n"}).count(highest);
  command.arg("");
  for (const std::uint32_t number : commit.archive) command.count(number);
  command.arg("");
  for (const NewEvent& event : commit.events) {
    const std::string& id = event.operation_id.empty() ? commit.operation_id : event.operation_id;
    command.copy({std::to_string(id.size()), " ", id, event.bytes.view()});
  }
  return command;
}

void CommitAnswer::add(const ReplyPart& part) {
  text_ = part.text;
  if (!text_.starts_with("ok ") && !text_.starts_with("untold ")) return;
  if (wakeups_.idle() && !commit_.may_repeat) return;
  const Applied done = applied();
  if (done.result.repeated) return wakeups_.was_applied(commit_.session, commit_.operation_id);
  wakeups_.publish(
      {commit_.session, done.user, done.result.last_sequence, commit_.events.front().type});
}

CommitAnswer::Applied CommitAnswer::applied() const {
  const std::string& session = commit_.session.str();
  Words words(text_);
  const std::string_view verdict = words.next();
  if (verdict == "conflict") {
    const std::uint64_t version = words.count();
    StorageError error = failure(ErrorCode::conflict, std::string(words.rest()), "commit", session);
    if (version != 0) error.current_version = version;
    throw error;
  }
  if (verdict == "exhausted") {
    StorageError error =
        failure(ErrorCode::exhausted, std::string(words.rest()), "commit", session);
    throw error;
  }
  Applied done;
  done.result.first_sequence = words.count();
  done.result.last_sequence = words.count();
  done.result.repeated = words.count() == 1;
  done.result.activity.expires = from_unix_milliseconds(words.number());
  done.result.activity.last_active = from_unix_milliseconds(words.number());
  done.moved = words.count() == 1;
  const std::string_view old_user = words.next();
  auto user = UserId::parse(words.rest());
  done.untold = verdict == "untold";
  if ((verdict != "ok" && !done.untold) || !words.ok() || !user)
    throw failure(ErrorCode::corrupt, "the server's answer can't be understood", "commit", session);
  if (!old_user.empty()) done.old_user = UserId::parse(old_user);
  done.user = *std::move(user);
  return done;
}

}  // namespace actionflows::redis
