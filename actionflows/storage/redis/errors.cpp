#include "actionflows/storage/redis/errors.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace actionflows::redis {
namespace {

using enum ErrorCode;

// Whether Redis looks for the error before a script's first write.
enum class Raised { before_writes, anywhere };

struct Row {
  std::string_view word;
  ErrorCode code;
  bool retryable;
  bool reconnect;
  Raised raised;
  std::string_view message;
};

// A row that stands in brackets is told by what is said behind ERR, or by where it was raised.
constexpr std::string_view max_clients = "(max clients)";
constexpr std::string_view in_script = "(script)";
constexpr std::string_view other = "(other)";

constexpr auto before_writes = Raised::before_writes;
constexpr auto anywhere = Raised::anywhere;

constexpr std::array rows = {
    Row{"LOADING", unavailable, true, false, before_writes, "Redis is still loading its data"},
    Row{"READONLY", unavailable, true, true, before_writes, "this Redis server is a replica"},
    Row{"MASTERDOWN", unavailable, true, true, before_writes,
        "this Redis server is a replica without its master"},
    Row{"CLUSTERDOWN", unavailable, true, false, before_writes, "the Redis cluster is down"},
    Row{"TRYAGAIN", unavailable, true, false, before_writes,
        "the session is being moved within the Redis cluster"},
    Row{"MOVED", unavailable, true, false, before_writes,
        "the nodes of the Redis cluster send the call from one to the other"},
    Row{"ASK", unavailable, true, false, before_writes,
        "the nodes of the Redis cluster send the call from one to the other"},
    Row{"OOM", exhausted, true, false, before_writes, "the memory of Redis is full"},
    Row{"MISCONF", unavailable, true, false, before_writes,
        "Redis can't save to its disk and takes no writes"},
    Row{"NOREPLICAS", unavailable, true, false, before_writes,
        "Redis has too few replicas and takes no writes"},
    Row{"BUSY", unavailable, true, false, before_writes, "Redis is busy with a script"},
    Row{"UNKILLABLE", unavailable, true, false, anywhere, "Redis is busy with a script"},
    Row{"NOSCRIPT", unavailable, true, false, anywhere, "Redis does not keep its scripts"},
    Row{"EXECABORT", unavailable, false, false, anywhere, "Redis refused a transaction"},
    Row{"NOAUTH", unavailable, false, false, anywhere, "Redis asks for a password"},
    Row{"WRONGPASS", unavailable, false, false, anywhere, "Redis refused the user or the password"},
    Row{"NOPERM", unavailable, false, false, anywhere, "the Redis user lacks a permission"},
    Row{"DENIED", unavailable, false, false, anywhere,
        "Redis is in protected mode and takes no connections from here"},
    Row{"WRONGTYPE", corrupt, false, false, anywhere,
        "something else is stored in Redis under a key of this store"},
    Row{"CORRUPT", corrupt, false, false, before_writes,
        "what is stored in Redis can't be understood"},
    Row{max_clients, unavailable, true, true, anywhere, "Redis has too many connections"},
    Row{in_script, corrupt, false, false, anywhere, "what is stored in Redis can't be understood"},
    Row{other, unavailable, false, false, anywhere, "Redis refused a command"},
};

const Row* find_row(std::string_view word) {
  const auto* const found = std::ranges::find(rows, word, &Row::word);
  return found == rows.end() ? nullptr : found;
}

// The first word, where it looks like one of Redis': capitals only.
std::string_view word_of(std::string_view reply) {
  const std::string_view word = reply.substr(0, reply.find(' '));
  const auto capital = [](char c) { return c >= 'A' && c <= 'Z'; };
  return word.size() <= 20 && std::ranges::all_of(word, capital) ? word : std::string_view();
}

// Redis 7: "OOM command not allowed ... script: <sha>, on @user_script:12."
// Redis 6: "ERR Error running script (call to f_<sha>): @user_script:12: @user_script: 12: -OOM
// ..."
bool is_of_script(std::string_view reply) {
  return reply.find("@user_script:") != reply.npos ||
         reply.starts_with("ERR Error running script") ||
         reply.starts_with("ERR Error compiling script");
}

// The error that a script of Redis 6 ended with, which stands behind the lines it was raised in.
const Row* find_inner_row(std::string_view reply) {
  while (!reply.empty()) {
    const std::size_t colon = reply.find(": ");
    if (colon == reply.npos) return nullptr;
    reply.remove_prefix(colon + 2);
    if (reply.starts_with('-')) reply.remove_prefix(1);
    const std::string_view word = word_of(reply);
    if (const Row* const row = word.empty() ? nullptr : find_row(word)) return row;
  }
  return nullptr;
}

const Row& row_of(std::string_view reply) {
  if (const Row* const row = find_row(word_of(reply))) return *row;
  if (is_of_script(reply)) {
    if (const Row* const row = find_inner_row(reply)) return *row;
    return *find_row(in_script);
  }
  return *find_row(reply.starts_with("ERR max number of clients") ? max_clients : other);
}

std::string_view message_of(LinkFailure failure) {
  switch (failure) {
    case LinkFailure::refused: return "Redis can't be reached";
    case LinkFailure::rejected:
      return "Redis refused the connection: are user and password right, is it 6.2 or newer?";
    case LinkFailure::lost: return "the connection to Redis was lost";
    case LinkFailure::deadline_unsent: return "Redis could not be reached in time";
    case LinkFailure::deadline_sent: return "Redis did not answer in time";
    case LinkFailure::queue_full: return "too many calls wait for Redis";
    case LinkFailure::closed: return "the storage is being closed";
  }
  return "Redis can't be reached";
}

StorageError error_of(const Fault& fault, std::string message, std::string operation,
                      std::string record) {
  StorageError error =
      failure(fault.code, std::move(message), std::move(operation), std::move(record));
  error.retryable = fault.retryable;
  return error;
}

}  // namespace

Fault classify(std::string_view reply) {
  const Row& row = row_of(reply);
  return {.code = row.code,
          .retryable = row.retryable,
          .reconnect = row.reconnect,
          .applied_unknown = row.raised == anywhere && is_of_script(reply)};
}

Fault classify(LinkFailure failure) {
  Fault fault{.code = unavailable, .retryable = true};
  switch (failure) {
    case LinkFailure::refused:
    case LinkFailure::rejected: fault.reconnect = true; break;
    case LinkFailure::lost:
      fault.reconnect = true;
      fault.applied_unknown = true;
      break;
    case LinkFailure::deadline_sent:
      fault.code = timeout;
      fault.applied_unknown = true;
      break;
    case LinkFailure::deadline_unsent:
    case LinkFailure::queue_full: break;
    case LinkFailure::closed:
      fault.retryable = false;
      fault.applied_unknown = true;
      break;
  }
  return fault;
}

StorageError to_storage_error(std::string_view reply, std::string operation, std::string record) {
  const Row& row = row_of(reply);
  std::string message(row.message);
  // Of a script of Redis 6, the word that tells the reason, not the ERR in front of it.
  const std::string_view word = row.word.starts_with('(') ? word_of(reply) : row.word;
  if (!word.empty()) message.append(" (").append(word).append(")");
  return error_of(classify(reply), std::move(message), std::move(operation), std::move(record));
}

StorageError to_storage_error(LinkFailure failure, std::string operation, std::string record) {
  return error_of(classify(failure), std::string(message_of(failure)), std::move(operation),
                  std::move(record));
}

}  // namespace actionflows::redis
