#include "cli/answers.hpp"

#include "cli/quantities.hpp"

#include <fmt/core.h>
#include <simdjson.h>

#include <array>

namespace actionflows::cli {
namespace {

namespace dom = simdjson::dom;

// A parsed document and what keeps it alive.
class Document {
 public:
  explicit Document(std::string_view text) {
    valid_ = parser_.parse(text.data(), text.size()).get(root_) == simdjson::SUCCESS;
  }

  [[nodiscard]] bool valid() const { return valid_; }
  [[nodiscard]] dom::element root() const { return root_; }

  // The root; throws Failure when there is none.
  static Failure unexpected() { return Failure("the server's answer is none that was expected"); }
  [[nodiscard]] dom::element checked_root() const {
    if (!valid_) throw unexpected();
    return root_;
  }

 private:
  dom::parser parser_;
  dom::element root_;
  bool valid_ = false;
};

std::string text_at(const dom::element& object, const char* key) {
  std::string_view text;
  if (object[key].get_string().get(text) != simdjson::SUCCESS) return {};
  return std::string(text);
}

std::uint64_t number_at(const dom::element& object, const char* key) {
  std::uint64_t number = 0;
  if (object[key].get_uint64().get(number) != simdjson::SUCCESS) return 0;
  return number;
}

dom::array array_at(const dom::element& object, const char* key) {
  dom::array array;
  if (object[key].get_array().get(array) != simdjson::SUCCESS) throw Document::unexpected();
  return array;
}

std::optional<ErrorCode> error_code_of(std::string_view type) {
  constexpr std::string_view prefix = "urn:actionflows:problem:";
  if (!type.starts_with(prefix)) return std::nullopt;
  type.remove_prefix(prefix.size());
  for (const ErrorCode code : {ErrorCode::invalid, ErrorCode::not_found, ErrorCode::conflict,
                               ErrorCode::illegal_transition, ErrorCode::unavailable,
                               ErrorCode::timeout, ErrorCode::exhausted, ErrorCode::corrupt})
    if (to_string(code) == type) return code;
  return type == "too_large" ? std::optional(ErrorCode::invalid) : std::nullopt;
}

Path path_of(const dom::element& issue) {
  Path path;
  dom::array segments;
  if (issue["path"].get_array().get(segments) != simdjson::SUCCESS) return path;
  for (const dom::element segment : segments) {
    std::string_view name;
    std::uint64_t index = 0;
    if (segment.get_string().get(name) == simdjson::SUCCESS) {
      path.emplace_back(std::string(name));
    } else if (segment.get_uint64().get(index) == simdjson::SUCCESS) {
      path.emplace_back(static_cast<std::size_t>(index));
    }
  }
  return path;
}

Issues issues_of(const dom::element& problem) {
  Issues issues;
  dom::array listed;
  if (problem["issues"].get_array().get(listed) != simdjson::SUCCESS) return issues;
  for (const dom::element issue : listed) {
    issues.push_back({.path = path_of(issue),
                      .code = IssueCode::custom,
                      .message = text_at(issue, "message"),
                      .expected = text_at(issue, "expected"),
                      .received = text_at(issue, "received")});
  }
  return issues;
}

}  // namespace

StorageError error_of(const HttpAnswer& answer) {
  const std::string bare = fmt::format("the server answered {}", answer.status);
  const Document document(answer.body);
  const dom::element& problem = document.root();
  if (!document.valid() || !problem.is_object()) return {ErrorCode::unavailable, bare};
  std::string detail = text_at(problem, "detail");
  if (detail.empty()) detail = text_at(problem, "title");
  if (detail.empty()) detail = bare;
  if (const std::string id = text_at(problem, "errorId"); !id.empty())
    detail += fmt::format(" (the server's log has it as {})", id);
  // A failure of the server's at this one request says nothing of the next.
  const ErrorCode otherwise = answer.status == 500 ? ErrorCode::corrupt : ErrorCode::unavailable;
  StorageError error(error_code_of(text_at(problem, "type")).value_or(otherwise),
                     std::move(detail));
  error.issues = issues_of(problem);
  error.retryable = answer.retry_after.has_value();
  return error;
}

SessionNames session_names_of(std::string_view body) {
  const Document document(body);
  const dom::element page = document.checked_root();
  SessionNames names;
  for (const dom::element item : array_at(page, "items")) {
    auto id = SessionId::parse(text_at(item, "sessionId"));
    if (!id) throw Document::unexpected();
    names.ids.push_back(std::move(*id));
  }
  dom::array corrupt;
  if (page["corrupt"].get_array().get(corrupt) == simdjson::SUCCESS)
    for (const dom::element item : corrupt) names.corrupt.push_back(text_at(item, "id"));
  if (std::string cursor = text_at(page, "nextCursor"); !cursor.empty())
    names.next_cursor = std::move(cursor);
  return names;
}

bool stored_of(std::string_view body) {
  const Document document(body);
  bool stored = false;
  if (document.checked_root()["stored"].get_bool().get(stored) != simdjson::SUCCESS)
    throw Document::unexpected();
  return stored;
}

std::uint64_t last_sequence_of(std::string_view body) {
  const Document document(body);
  std::uint64_t sequence = 0;
  if (document.checked_root()["lastSequence"].get_uint64().get(sequence) != simdjson::SUCCESS)
    throw Document::unexpected();
  return sequence;
}

Verification verification_of(std::string_view body) {
  using Outcome = Verification::Outcome;
  const Document document(body);
  const dom::element root = document.checked_root();
  const std::string outcome = text_at(root, "outcome");
  Verification found;
  bool known = false;
  for (const Outcome candidate :
       {Outcome::equal, Outcome::different, Outcome::pruned, Outcome::busy}) {
    if (to_string(candidate) != outcome) continue;
    found.outcome = candidate;
    known = true;
  }
  if (!known) throw Document::unexpected();
  found.session = SessionId::parse(text_at(root, "sessionId")).value_or(SessionId());
  found.events = number_at(root, "events");
  found.records = number_at(root, "records");
  for (const dom::element difference : array_at(root, "differences")) {
    std::string_view text;
    if (difference.get_string().get(text) == simdjson::SUCCESS)
      found.differences.emplace_back(text);
  }
  return found;
}

StreamItem stream_item_of(std::string_view data) {
  const Document document(data);
  const dom::element root = document.checked_root();
  StreamItem item{.session = text_at(root, "sessionId"),
                  .sequence = number_at(root, "sequence"),
                  .type = text_at(root, "type"),
                  .at = text_at(root, "at"),
                  .actor = text_at(root, "actor"),
                  .chain = text_at(root, "chainId"),
                  .step = text_at(root, "stepId")};
  if (item.type.empty()) throw Document::unexpected();
  return item;
}

EventFollower::Gap gap_of(std::string_view data) {
  const Document document(data);
  const dom::element root = document.checked_root();
  return {.from = number_at(root, "from"), .to = number_at(root, "to")};
}

}  // namespace actionflows::cli
