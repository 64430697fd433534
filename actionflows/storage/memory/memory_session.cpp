#include "actionflows/storage/memory/memory_session.hpp"

#include <algorithm>
#include <utility>

namespace actionflows::memory {

LogEntry::LogEntry(std::string_view operation_id, std::string_view event) {
  const char length = static_cast<char>(static_cast<unsigned char>(operation_id.size()));
  joined_ = Bytes({std::string_view(&length, 1), operation_id, event});
}

std::string_view LogEntry::operation_id() const {
  const std::string_view joined = joined_.view();
  return joined.substr(1, static_cast<unsigned char>(joined[0]));
}

std::string_view LogEntry::event() const {
  const std::string_view joined = joined_.view();
  return joined.substr(std::size_t{1} + static_cast<unsigned char>(joined[0]));
}

Chain* Session::chain(std::uint32_t number) const {
  if (number == 0 || number > chains_.size()) return nullptr;
  return chains_[number - 1].get();
}

const Record* Session::find(RecordKey key) const {
  const Record* record = nullptr;
  if (key == RecordKey::of_session()) {
    record = &record_;
  } else if (key == RecordKey::of_credentials()) {
    record = credentials_.get();
  } else if (const Chain* in = chain(key.chain)) {
    if (key.step == 0) record = &in->record;
    if (key.step > 0 && key.step <= in->steps.size()) record = &in->steps[key.step - 1];
  }
  return record != nullptr && record->version != 0 ? record : nullptr;
}

bool Session::is_archived(std::uint32_t number) const {
  const Chain* in = chain(number);
  return in != nullptr && in->archived;
}

std::uint64_t Session::version(RecordKey key) const {
  const Record* record = find(key);
  return record != nullptr ? record->version : 0;
}

Record& Session::place(RecordKey key) {
  if (key == RecordKey::of_session()) return record_;
  if (key.chain == 0) {
    if (!credentials_) credentials_ = std::make_unique<Record>();
    return *credentials_;
  }
  if (key.chain > chains_.size()) chains_.resize(key.chain);
  auto& in = chains_[key.chain - 1];
  if (!in) in = std::make_unique<Chain>();
  if (key.step == 0) return in->record;
  if (key.step > in->steps.size()) in->steps.resize(key.step);
  return in->steps[key.step - 1];
}

void Session::recount_archive() {
  last_archived = static_cast<std::uint32_t>(chains_.size());
  while (last_archived > 0 && !is_archived(last_archived)) --last_archived;
}

void Session::end() {
  record_ = {};
  credentials_.reset();
  for (auto& in : chains_)
    if (in && !in->archived) in.reset();
  chains_.resize(last_archived);
  chains_.shrink_to_fit();
}

void Session::reserve_log(std::size_t more) {
  const std::size_t needed = log_.size() + more;
  // The first reservation is exact, for the same reason for which the first entry stands inline.
  if (needed > log_.capacity())
    log_.reserve(log_.empty() ? needed : std::max(needed, log_.size() * 2));
}

void Session::append(LogEntry entry, std::uint64_t first) {
  if (log_.empty()) first_sequence_ = first;
  log_.push_back(std::move(entry));
}

void Session::drop_events(std::uint64_t count) {
  log_.erase(log_.begin(), log_.begin() + static_cast<std::ptrdiff_t>(count));
  first_sequence_ += count;
}

void Session::drop_log() {
  log_.clear();
  log_.shrink_to_fit();
}

std::optional<CommitResult> Session::find_operation(std::string_view operation_id) const {
  const std::size_t depth = std::min<std::size_t>(log_.size(), operation_memory);
  const auto tail = log_.end() - static_cast<std::ptrdiff_t>(depth);
  const auto made_by = [&](const LogEntry& entry) { return entry.operation_id() == operation_id; };
  auto first = std::find_if(tail, log_.end(), made_by);
  if (first == log_.end()) return std::nullopt;
  const auto last = std::find_if_not(first, log_.end(), made_by);
  while (first != log_.begin() && made_by(*(first - 1))) --first;  // it may begin before the tail
  CommitResult result;
  result.first_sequence = first_sequence_ + static_cast<std::uint64_t>(first - log_.begin());
  result.last_sequence = first_sequence_ + static_cast<std::uint64_t>(last - log_.begin()) - 1;
  result.repeated = true;
  return result;
}

std::uint64_t cost_of(const Chain& chain) {
  std::uint64_t cost = chain_cost + chain.record.bytes.size() + record_cost;
  for (const Record& step : chain.steps)
    if (step.version != 0) cost += step.bytes.size() + record_cost;
  return cost;
}

}  // namespace actionflows::memory
