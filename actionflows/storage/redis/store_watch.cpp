#include "actionflows/storage/redis/store_watch.hpp"

#include "actionflows/base/encoding.hpp"
#include "actionflows/base/random.hpp"
#include "actionflows/storage/redis/commands.hpp"

#include <array>
#include <utility>

namespace actionflows::redis {
namespace {

// Longer than anything is kept without being written to.
constexpr auto name_kept =
    std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::days{60});

constexpr std::string_view what_happened =
    "the server has lost its data: it was emptied, restarted without them, or replaced";

std::string random_name() {
  std::array<std::uint8_t, 16> bytes{};
  system_random().fill(std::as_writable_bytes(std::span(bytes)));
  return hex(bytes);
}

}  // namespace

StoreWatch::StoreWatch(Client& client, const RedisOptions& options, const Keys& keys,
                       std::function<void(const std::string&)> report)
    : client_(client), options_(options), report_(std::move(report)) {
  // One server loses all or nothing; each node of a cluster has some of the names.
  const std::size_t count = options.cluster ? shards : 1;
  for (std::size_t i = 0; i < count; ++i) keys_.push_back(keys.store(i));
}

std::optional<std::string> StoreWatch::loss() const {
  const std::lock_guard lock(mutex_);
  if (!lost_at_) return std::nullopt;
  return std::string(what_happened);
}

void StoreWatch::lose() {
  {
    const std::lock_guard lock(mutex_);
    if (lost_at_) return;
    lost_at_ = std::chrono::steady_clock::now();
  }
  report_(std::string(what_happened));
}

// Whether the names are those that were found there before. Throws what a server answers.
Task<bool> StoreWatch::names_stand(bool refresh, Call::TimePoint deadline) {
  std::vector<std::string> known;
  {
    const std::lock_guard lock(mutex_);
    known = names_;
  }
  if (known.empty()) co_return true;
  std::vector<Texts> replies(keys_.size());
  Commands commands;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    Command command(refresh ? "GETEX" : "GET", keys_[i], replies[i]);
    command.arg(keys_[i]);
    if (refresh) command.arg("PX").number(name_kept.count());
    commands.add(std::move(command));
  }
  co_await client_.run(commands.all(), deadline);
  commands.check("read", {});
  for (std::size_t i = 0; i < known.size(); ++i)
    if (replies[i].at(0) != known[i]) co_return false;
  co_return true;
}

// Takes what is there as the data set; gives it a name where it has none.
Task<void> StoreWatch::adopt(Call::TimePoint deadline) {
  std::vector<Texts> replies(keys_.size());
  std::vector<const Command*> named;
  std::vector<const Command*> found;
  const std::string new_name = random_name();
  Commands commands;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    Command& name = commands.add(Command("SET", keys_[i], nothing()));
    name.arg(keys_[i]).arg(new_name).arg("PX").number(name_kept.count()).arg("NX");
    named.push_back(&name);
    found.push_back(&commands.add(Command("GET", keys_[i], replies[i])).arg(keys_[i]));
  }
  co_await client_.run(commands.all(), deadline);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    found[i]->check("read", {});
    // Where memory is full a name that stands is as good.
    if (replies[i].at(0).empty()) named[i]->check("read", {});
    names.emplace_back(replies[i].at(0));
  }
  const std::lock_guard lock(mutex_);
  names_ = std::move(names);
  lost_at_.reset();
}

Task<void> StoreWatch::look() {
  bool adopts = false;
  bool was_lost = false;
  {
    const std::lock_guard lock(mutex_);
    was_lost = lost_at_.has_value();
    adopts = names_.empty() ||
             (was_lost && std::chrono::steady_clock::now() - *lost_at_ >= options_.loss_hold);
  }
  try {
    if (adopts) {
      co_await adopt(client_.deadline());
      if (was_lost) report_("the loss is taken as a fact: what is not found is absent again");
    } else if (!co_await names_stand(true, client_.deadline())) {
      lose();
    }
  } catch (const StorageError&) {
    // Not reachable: nothing is known, and calls are told so themselves.
  }
}

Task<void> StoreWatch::probe(Call::TimePoint deadline) {
  const bool stand = co_await names_stand(true, deadline);
  if (!stand) lose();
}

Task<void> StoreWatch::confirm_absence(Call::TimePoint deadline, std::string operation,
                                       std::string record) {
  if (!loss()) {
    if (co_await names_stand(false, deadline)) co_return;
    lose();
  }
  StorageError error = failure(ErrorCode::unavailable, *loss(), operation, record);
  error.retryable = true;
  throw error;
}

}  // namespace actionflows::redis
