// What the server answers beside the records: tokens, notices, reports. Declared as the records
// are, so that their JSON and their place in /openapi.json come from one declaration.
#pragma once

#include "actionflows/base/time.hpp"
#include "actionflows/model/ids.hpp"
#include "actionflows/schema/schema.hpp"
#include "actionflows/services/event_log.hpp"
#include "actionflows/services/step_service.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace actionflows::api {

// The body of requests that say everything in their path: none, or {}.
struct Nothing {};

struct TokenView {
  std::string token;
  Timestamp expires_at;
};

// Something happened in a session: one of GET /v1/stream.
struct Notice {
  SessionId session_id;
  std::uint64_t sequence = 0;
  std::string type;
};

// Of a stream: events that can't be delivered any more.
struct GapView {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
};

// The last of a stream.
enum class EndReason : std::uint8_t { session_ended, unauthenticated };

struct EndView {
  EndReason reason = EndReason::session_ended;
};

struct ImportView {
  SessionId session_id;
  bool stored = false;
};

struct PruneView {
  std::uint64_t removed = 0;
};

struct VerificationView {
  SessionId session_id;
  Verification::Outcome outcome = Verification::Outcome::equal;
  std::uint64_t events = 0;
  std::uint64_t records = 0;
  std::vector<std::string> differences;
};

struct ReadinessView {
  bool ready = false;
  std::string driver;
  std::string durability;
  std::optional<std::string> detail;
  std::uint64_t sessions = 0;
  std::uint64_t bytes = 0;
  // Where the storage keeps working while its primary is away.
  std::optional<std::string> breaker;
  std::optional<Timestamp> breaker_since;
  std::optional<std::uint64_t> journal_entries;
  std::optional<std::uint64_t> journal_age_ms;
  std::optional<std::uint64_t> poisoned;
};

// A record that could not be read; the others of its page are there.
struct CorruptView {
  std::string id;
  std::string detail;
};

}  // namespace actionflows::api

namespace actionflows::schema {

template <>
const Schema<api::Nothing>& schema_of<api::Nothing>();
template <>
const Schema<api::TokenView>& schema_of<api::TokenView>();
template <>
const Schema<api::Notice>& schema_of<api::Notice>();
template <>
const Schema<api::GapView>& schema_of<api::GapView>();
template <>
const Schema<api::EndView>& schema_of<api::EndView>();
template <>
const Schema<api::ImportView>& schema_of<api::ImportView>();
template <>
const Schema<api::PruneView>& schema_of<api::PruneView>();
template <>
const Schema<api::VerificationView>& schema_of<api::VerificationView>();
template <>
const Schema<api::ReadinessView>& schema_of<api::ReadinessView>();
template <>
const Schema<api::CorruptView>& schema_of<api::CorruptView>();

}  // namespace actionflows::schema
