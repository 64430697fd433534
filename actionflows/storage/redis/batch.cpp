#include "actionflows/storage/redis/batch.hpp"

#include <charconv>
#include <string>

namespace actionflows::redis {
namespace {

using boost::redis::resp3::type;

bool is_error(type of) { return of == type::simple_error || of == type::blob_error; }

ReplyPart part_of(const boost::redis::resp3::node_view& node) {
  ReplyPart part;
  part.depth = node.depth;
  part.text = node.value;
  switch (node.data_type) {
    case type::array:
    case type::set:
    case type::map:
    case type::attribute:
    case type::push: part.kind = ReplyPart::Kind::array; break;
    case type::null: part.kind = ReplyPart::Kind::null; break;
    case type::number: part.kind = ReplyPart::Kind::integer; break;
    default: part.kind = ReplyPart::Kind::text; break;
  }
  return part;
}

}  // namespace

void Batch::add(Command& command, std::vector<std::string_view>& words) {
  if (command.transit.asking) {
    request.push("ASKING");
    slots.push_back({&command, Role::asking});
  }
  command.words(words);
  if (words.size() == 1) {
    request.push(words.front());  // of an empty range Boost.Redis makes no command at all
  } else {
    request.push_range(words.front(), words.begin() + 1, words.end());
  }
  slots.push_back({&command, Role::command});
  command.transit.sent = true;
  ++command.transit.tries;
  if (command.waits()) waits_ = true;
}

// WAIT concerns everything that this connection has written before: so one serves them all.
void Batch::finish(const RedisOptions& options) {
  if (!waits_) return;
  request.push("WAIT", std::to_string(options.wait_replicas),
               std::to_string(options.wait_timeout.count()));
  slots.push_back({nullptr, Role::wait});
}

void Batch::take(std::size_t slot, const boost::redis::resp3::node_view& node) {
  if (!waits_)
    while (answered_ < slot) answer(answered_++);
  const Slot& at = slots.at(slot);
  if (at.role == Role::wait) {
    int replicas = 0;
    std::from_chars(node.value.data(), node.value.data() + node.value.size(), replicas);
    for (const Slot& each : slots)
      if (each.command != nullptr && each.command->waits())
        each.command->transit.replicas = replicas;
    return;
  }
  if (at.role == Role::ping && node.depth == 0 && is_error(node.data_type)) ping_error = node.value;
  if (at.role != Role::command || at.command == nullptr) return;
  if (node.depth == 0 && is_error(node.data_type)) {
    at.command->transit.error = node.value;
  } else {
    at.command->sink().add(part_of(node));
  }
}

void Batch::answer(std::size_t slot) {
  Command* const command = slots[slot].command;
  if (slots[slot].role != Role::command || command == nullptr) return;
  slots[slot].command = nullptr;
  on_answer(*command);
}

void Batch::answer_all() {
  while (answered_ < slots.size()) answer(answered_++);
}

std::span<const Batch::Slot> Batch::unanswered() const {
  return std::span(slots).subspan(answered_);
}

void Batch::forget(const Command& command) {
  for (Slot& slot : slots)
    if (slot.command == &command) slot.command = nullptr;
}

}  // namespace actionflows::redis
