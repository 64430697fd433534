// The query parameters that several routes take.
#pragma once

#include "actionflows/base/error.hpp"
#include "server/api/access.hpp"
#include "server/api/query.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace actionflows::api {

// Of a sequence number, or 0: up to what JavaScript can hold, as Query::number takes it.
inline constexpr std::string_view position_schema =
    R"({"type":"integer","minimum":0,"maximum":9007199254740991})";

inline constexpr Parameter limit_parameter{
    "limit", R"({"type":"integer","minimum":1,"maximum":1000,"default":50})",
    "How many at the most. A page may hold fewer and still have a next one."};

inline constexpr Parameter cursor_parameter{
    "cursor", R"({"type":"string"})", "nextCursor of the page before; without it, the first page."};

inline constexpr Parameter user_parameter{
    "userId", R"({"type":"string"})",
    "Only this user's. A token lists its own user's, with or without it."};

inline constexpr Parameter state_parameter{
    "state", R"({"type":"string","enum":["active","paused","completed"]})", "Only in this state."};

inline constexpr Parameter chain_status_parameter{
    "status",
    R"({"type":"string","enum":["pending","in_progress","completed","failed","cancelled"]})",
    "Only of this status."};

inline constexpr Parameter step_status_parameter{
    "status",
    R"({"type":"string","enum":["pending","in_progress","completed","failed","skipped"]})",
    "Only of this status."};

[[noreturn]] inline void throw_not_found(std::string_view kind, std::string_view id) {
  throw failure(ErrorCode::not_found, "there is no " + std::string(kind).append(" ").append(id), {},
                std::string(id));
}

// Whose records a list shows: the user asked for, or everyone's; with a token its own user's.
// Throws not_found where a token asks for somebody else's.
inline std::optional<UserId> user_to_list(Query& query, const Principal& principal) {
  std::optional<UserId> user = query.user("userId");
  if (principal.has_full_access()) return user;
  if (user && !principal.may_see(*user)) throw_not_found("user", user->str());
  return principal.bearer->user;
}

}  // namespace actionflows::api
