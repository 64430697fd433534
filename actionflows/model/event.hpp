// An event: something that happened in a session. The log of a session's events is append-only and
// alone enough to rebuild the session's records (services/replay.hpp).
#pragma once

#include "actionflows/base/time.hpp"
#include "actionflows/json/raw.hpp"
#include "actionflows/model/ids.hpp"
#include "actionflows/schema/schema.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace actionflows {

// `noun:verb`, each of a-z 0-9 _ - beginning with a letter, together at most 100 characters.
class EventType {
 public:
  static constexpr std::string_view rule =
      "noun:verb of a-z 0-9 _ -, each beginning with a letter, at most 100 characters";

  EventType() = default;
  static std::optional<EventType> parse(std::string_view text);

  [[nodiscard]] const std::string& str() const noexcept { return text_; }
  [[nodiscard]] std::string_view noun() const;
  [[nodiscard]] std::string_view verb() const;

  // The nouns session, chain and step are this library's: only its own changes may use them,
  // because replaying a log trusts them.
  [[nodiscard]] bool reserved() const;

  friend bool operator==(const EventType&, const EventType&) = default;

 private:
  std::string text_;
};

// What a client says of an event of its own.
struct EventData {
  EventType type;
  std::optional<Timestamp> at;  // absent: now
  std::optional<ChainId> chain_id;
  std::optional<StepId> step_id;
  std::optional<json::Raw> data;  // any value

  friend bool operator==(const EventData&, const EventData&) = default;
};

struct Event {
  std::uint64_t sequence = 0;  // dense from 1 within the session; kept by the backend
  SessionId session_id;
  EventType type;
  Timestamp at;
  std::optional<std::string> actor;
  std::optional<ChainId> chain_id;
  std::optional<StepId> step_id;
  std::string operation_id;  // kept by the backend
  std::optional<json::Raw> data;

  friend bool operator==(const Event&, const Event&) = default;
};

// The data of the event that ends a session (session:deleted, session:expired).
struct SessionEnd {
  std::uint32_t chain_count = 0;  // chain numbers given so far: never to be given again
};

namespace schema {
template <>
const Schema<SessionEnd>& schema_of<SessionEnd>();
template <>
const Schema<EventData>& schema_of<EventData>();
template <>
const Schema<Event>& schema_of<Event>();
}  // namespace schema

}  // namespace actionflows
