#include "actionflows/storage/redis/command.hpp"

#include "actionflows/storage/redis/slots.hpp"

#include <charconv>

namespace actionflows::redis {

// ---- Texts --------------------------------------------------------------------------------------

void Texts::add(const ReplyPart& part) {
  if (part.kind == ReplyPart::Kind::array) return;
  if (part.kind == ReplyPart::Kind::null) {
    texts.emplace_back();
  } else {
    texts.emplace_back(part.text);
  }
}

std::string_view Texts::at(std::size_t index) const {
  if (index >= texts.size() || !texts[index]) return {};
  return *texts[index];
}

std::int64_t Texts::number(std::size_t index) const {
  const std::string_view text = at(index);
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// ---- Command ------------------------------------------------------------------------------------

Command::Command(std::string_view name, std::string_view key, Sink& sink)
    : slot_(slot_of(key)), sink_(&sink) {
  copy({name});
}

Command::Command(const Script& script, std::initializer_list<std::string_view> keys, Sink& sink)
    : slot_(slot_of(*keys.begin())), script_(&script), sink_(&sink) {
  count(keys.size());
  for (const std::string_view key : keys) arg(key);
}

Command::Command(const Script& script, const std::string& key, Sink& sink)
    : slot_(slot_of(key)), script_(&script), sink_(&sink) {
  count(1).copy({key});
}

Command& Command::arg(std::string_view text) {
  if (text.data() == nullptr) return copy({text});
  args_.push_back({text.data(), 0, text.size()});
  return *this;
}

Command& Command::copy(std::initializer_list<std::string_view> parts) {
  const std::size_t begin = owned_.size();
  for (const std::string_view part : parts) owned_.append(part);
  args_.push_back({nullptr, begin, owned_.size() - begin});
  return *this;
}

Command& Command::number(std::int64_t value) {
  char text[24];
  const auto end = std::to_chars(std::begin(text), std::end(text), value).ptr;
  return copy({std::string_view(text, static_cast<std::size_t>(end - text))});
}

Command& Command::count(std::uint64_t value) {
  char text[24];
  const auto end = std::to_chars(std::begin(text), std::end(text), value).ptr;
  return copy({std::string_view(text, static_cast<std::size_t>(end - text))});
}

Command& Command::wait_for_replicas() {
  waits_ = true;
  return *this;
}

void Command::words(std::vector<std::string_view>& out) const {
  out.clear();
  if (script_ != nullptr) {
    out.emplace_back(transit.whole_script ? "EVAL" : "EVALSHA");
    out.emplace_back(transit.whole_script ? script_->source() : script_->sha());
  }
  for (const Arg& arg : args_)
    out.emplace_back(arg.text != nullptr ? arg.text : owned_.data() + arg.offset, arg.size);
}

void Command::check(const std::string& operation, const std::string& record) const {
  if (transit.failure) throw to_storage_error(*transit.failure, operation, record);
  if (!transit.error.empty()) throw to_storage_error(transit.error, operation, record);
}

// ---- Call ---------------------------------------------------------------------------------------

Call::Call(std::span<Command* const> all, TimePoint until)
    : commands(all), deadline(until), open(all.size()) {
  for (Command* command : commands) command->transit.call = this;
}

}  // namespace actionflows::redis
