#include "actionflows/model/event.hpp"

#include "actionflows/model/limits.hpp"
#include "actionflows/schema/object.hpp"

#include <algorithm>

namespace actionflows {
namespace {

constexpr std::size_t max_event_type = 100;

bool is_word(std::string_view text) {
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto other = [](char c) { return (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  return !text.empty() && letter(text[0]) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return letter(c) || other(c); });
}

}  // namespace

std::optional<EventType> EventType::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (text.size() > max_event_type || colon == std::string_view::npos) return std::nullopt;
  if (!is_word(text.substr(0, colon)) || !is_word(text.substr(colon + 1))) return std::nullopt;
  EventType type;
  type.text_ = text;
  return type;
}

std::string_view EventType::noun() const {
  return std::string_view(text_).substr(0, text_.find(':'));
}

std::string_view EventType::verb() const {
  return std::string_view(text_).substr(std::min(text_.size(), text_.find(':') + 1));
}

bool EventType::reserved() const {
  return noun() == "session" || noun() == "chain" || noun() == "step";
}

template <>
const schema::Schema<SessionEnd>& schema::schema_of<SessionEnd>() {
  static const auto& schema =
      *new auto(object<SessionEnd>("SessionEnd", "What is kept of a session that has ended.",
                                   field("chainCount", &SessionEnd::chain_count, integer())));
  return schema;
}

template <>
const schema::Schema<EventData>& schema::schema_of<EventData>() {
  static const auto& schema = *new auto(object<EventData>(
      "EventData", "An event of the client's own. The nouns session, chain and step are reserved.",
      field("type", &EventData::type, identifier()).creation(required_on_create),
      field("at", &EventData::at, timestamp())
          .creation(optional_on_create)
          .describe("When it happened; now, when not given."),
      field("chainId", &EventData::chain_id, identifier()).creation(optional_on_create),
      field("stepId", &EventData::step_id, identifier()).creation(optional_on_create),
      field("data", &EventData::data, free_any())
          .creation(optional_on_create)
          .describe("Free-form; kept byte for byte.")));
  return schema;
}

template <>
const schema::Schema<Event>& schema::schema_of<Event>() {
  static const auto& schema = *new auto(object<Event>(
      "Event", "Something that happened in a session.",
      field("sequence", &Event::sequence, integer().min(1))
          .beside()
          .describe("Dense from 1 within the session: the order of what happened."),
      field("sessionId", &Event::session_id, identifier()).beside(),
      field("type", &Event::type, identifier()), field("at", &Event::at, timestamp()),
      field("actor", &Event::actor, text().max(max_name)),
      field("chainId", &Event::chain_id, identifier()),
      field("stepId", &Event::step_id, identifier()),
      field("operationId", &Event::operation_id, text().min(1).max_bytes(max_operation_id))
          .beside(),
      field("data", &Event::data, free_any())
          .describe("The whole record when one was created, what changed when one was updated.")));
  return schema;
}

}  // namespace actionflows
