// Records like the real ones, for the tests and benchmarks of this layer.
#pragma once

#include "actionflows/schema/object.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace actionflows::schema::sample {

template <class Tag>
class Id {
 public:
  static constexpr std::string_view rule = "1 to 200 letters, digits or any of . _ : @ -";

  Id() = default;
  static std::optional<Id> parse(std::string_view text) {
    if (text.empty() || text.size() > 200) return std::nullopt;
    for (const char c : text)
      if (!allowed[static_cast<unsigned char>(c)]) return std::nullopt;
    Id id;
    id.text_ = text;
    return id;
  }
  [[nodiscard]] const std::string& str() const noexcept { return text_; }
  friend bool operator==(const Id&, const Id&) = default;

 private:
  static constexpr auto allowed = [] {
    std::array<bool, 256> table{};
    for (const char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789._:@-")) {
      table[static_cast<unsigned char>(c)] = true;
    }
    return table;
  }();

  std::string text_;
};

using SessionId = Id<struct SessionTag>;
using UserId = Id<struct UserTag>;

enum class SessionState { active, paused, completed };

struct SessionData {
  std::optional<std::string> title;
  std::optional<std::string> cwd;
  std::optional<std::string> hostname;
  std::optional<std::string> platform;
  std::optional<std::string> summary;
  std::optional<json::Raw> metadata;
  friend bool operator==(const SessionData&, const SessionData&) = default;
};

struct Session : SessionData {
  SessionId session_id;
  UserId user_id;
  SessionState state{};
  Timestamp created_at;
  Timestamp updated_at;
  Timestamp last_activity_at;
  std::optional<Timestamp> completed_at;
  std::uint32_t chain_count = 0;
  std::uint64_t version = 0;
  friend bool operator==(const Session&, const Session&) = default;
};

struct StepData {
  std::string action;
  std::vector<std::uint32_t> waits_for;
  std::optional<json::Raw> result;
  friend bool operator==(const StepData&, const StepData&) = default;
};

struct ChainData {
  std::string title;
  std::optional<std::vector<StepData>> steps;
  std::int64_t offset = 0;
  bool urgent = false;
  json::Raw data;
  friend bool operator==(const ChainData&, const ChainData&) = default;
};

}  // namespace actionflows::schema::sample

namespace actionflows::schema {

template <>
inline const Schema<sample::Session>& schema_of<sample::Session>() {
  using sample::Session;
  using sample::SessionState;
  static const auto& schema = *new auto(
      object<Session>(
          "Session", "A user's session.",
          field("sessionId", &Session::session_id, identifier())
              .creation(optional_on_create)
              .describe("Minted where absent"),
          field("userId", &Session::user_id, identifier()).creation(required_on_create),
          field("state", &Session::state,
                enumeration<SessionState>({{"active", SessionState::active},
                                           {"paused", SessionState::paused},
                                           {"completed", SessionState::completed}})),
          field("title", &Session::title, text().max(500)).creation(optional_on_create).writable(),
          field("cwd", &Session::cwd, text().max(4096)).creation(optional_on_create).writable(),
          field("hostname", &Session::hostname, text().max(255)).creation(optional_on_create),
          field("platform", &Session::platform, text().min(1).max(64).no_nul())
              .creation(optional_on_create),
          field("summary", &Session::summary, text().max(10'000)).writable(),
          field("metadata", &Session::metadata, free_object())
              .creation(optional_on_create)
              .writable(),
          field("createdAt", &Session::created_at, timestamp()),
          field("updatedAt", &Session::updated_at, timestamp()),
          field("lastActivityAt", &Session::last_activity_at, timestamp()),
          field("completedAt", &Session::completed_at, timestamp()),
          field("chainCount", &Session::chain_count, integer()),
          field("version", &Session::version, integer().min(1)).beside())
          .check([](const Session& session, json::Report& report) {
            if (session.completed_at && session.state == SessionState::paused) {
              const json::Within member(report, "completedAt");
              report.add(IssueCode::custom, "must not stand in a paused session");
            }
          })
          .check_on_create([](const Session& session, json::Report& report) {
            if (session.title == "forbidden") {
              const json::Within member(report, "title");
              report.add(IssueCode::custom, "must be another");
            }
          }));
  return schema;
}

template <>
inline const Schema<sample::StepData>& schema_of<sample::StepData>() {
  using sample::StepData;
  static const auto& schema = *new auto(
      object<StepData>("StepData", "A step to be done.",
                       field("action", &StepData::action, text().min(1).max(200)).writable(),
                       field("waitsFor", &StepData::waits_for, array(integer().min(1)).max(3)),
                       field("result", &StepData::result, free_any()).writable())
          .check([](const StepData& step, json::Report& report) {
            if (step.action.size() == 1 && step.waits_for.size() == 2) {
              const json::Within list(report, "waitsFor");
              const json::Within item(report, 1);
              report.add(IssueCode::custom, "must wait for less");
            }
          }));
  return schema;
}

template <>
inline const Schema<sample::ChainData>& schema_of<sample::ChainData>() {
  using sample::ChainData;
  using sample::StepData;
  static const auto& schema = *new auto(object<ChainData>(
      "ChainData", "A chain to be made.", field("title", &ChainData::title, text().max(500)),
      field("steps", &ChainData::steps, array(object_of<StepData>()).max(5000)),
      field("offset", &ChainData::offset, integer()),
      field("urgent", &ChainData::urgent, boolean()),
      field("data", &ChainData::data, free_any()).writable()));
  return schema;
}

}  // namespace actionflows::schema
