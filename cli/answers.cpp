#include "cli/answers.hpp"

#include "cli/quantities.hpp"

#include <fmt/core.h>
#include <simdjson.h>

#include <array>

namespace actionflows::cli {
namespace {

namespace ondemand = simdjson::ondemand;

Failure unexpected() { return Failure("the server's answer is none that was expected"); }

// An answer, of which only those values are read that are asked for: a record may hold numbers that
// no C++ type can.
class Document {
 public:
  explicit Document(std::string_view text) : text_(text) {
    valid_ = parser_.iterate(text_).get(document_) == simdjson::SUCCESS &&
             document_.get_object().get(root_) == simdjson::SUCCESS;
  }

  [[nodiscard]] bool valid() const { return valid_; }
  // Throws Failure when there is none.
  ondemand::object& root() {
    if (!valid_) throw unexpected();
    return root_;
  }

 private:
  const simdjson::padded_string text_;
  ondemand::parser parser_;
  ondemand::document document_;
  ondemand::object root_;
  bool valid_ = false;
};

std::string text_at(ondemand::object& object, std::string_view key) {
  std::string_view text;
  if (object[key].get_string().get(text) != simdjson::SUCCESS) return {};
  return std::string(text);
}

std::uint64_t number_at(ondemand::object& object, std::string_view key) {
  std::uint64_t number = 0;
  if (object[key].get_uint64().get(number) != simdjson::SUCCESS) return 0;
  return number;
}

// Each element of the array in turn; false: there is no such array, or what follows is no JSON.
template <class Visit>
bool each_in(simdjson::simdjson_result<ondemand::value> found, const Visit& visit) {
  ondemand::array array;
  if (found.get_array().get(array) != simdjson::SUCCESS) return false;
  for (auto element : array) {
    ondemand::value value;
    if (element.get(value) != simdjson::SUCCESS) return false;
    visit(value);
  }
  return true;
}

template <class Visit>
bool each_object_in(simdjson::simdjson_result<ondemand::value> found, const Visit& visit) {
  bool objects = true;
  const bool whole = each_in(found, [&](ondemand::value& value) {
    ondemand::object object;
    if (value.get_object().get(object) == simdjson::SUCCESS) {
      visit(object);
    } else {
      objects = false;
    }
  });
  return whole && objects;
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

Path path_of(ondemand::object& issue) {
  Path path;
  each_in(issue["path"], [&](ondemand::value& segment) {
    std::string_view name;
    std::uint64_t index = 0;
    if (segment.get_string().get(name) == simdjson::SUCCESS) {
      path.emplace_back(std::string(name));
    } else if (segment.get_uint64().get(index) == simdjson::SUCCESS) {
      path.emplace_back(static_cast<std::size_t>(index));
    }
  });
  return path;
}

Issues issues_of(ondemand::object& problem) {
  Issues issues;
  each_object_in(problem["issues"], [&](ondemand::object& issue) {
    issues.push_back({.path = path_of(issue),
                      .code = IssueCode::custom,
                      .message = text_at(issue, "message"),
                      .expected = text_at(issue, "expected"),
                      .received = text_at(issue, "received")});
  });
  return issues;
}

}  // namespace

StorageError error_of(const HttpAnswer& answer) {
  const std::string bare = fmt::format("the server answered {}", answer.status);
  Document document(answer.body);
  if (!document.valid()) return {ErrorCode::unavailable, bare};
  ondemand::object& problem = document.root();
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
  Document document(body);
  ondemand::object& page = document.root();
  SessionNames names;
  const bool listed = each_object_in(page["items"], [&](ondemand::object& item) {
    auto id = SessionId::parse(text_at(item, "sessionId"));
    if (!id) throw unexpected();
    names.ids.push_back(std::move(*id));
  });
  if (!listed) throw unexpected();
  each_object_in(page["corrupt"],
                 [&](ondemand::object& item) { names.corrupt.push_back(text_at(item, "id")); });
  if (std::string cursor = text_at(page, "nextCursor"); !cursor.empty())
    names.next_cursor = std::move(cursor);
  return names;
}

bool stored_of(std::string_view body) {
  Document document(body);
  bool stored = false;
  if (document.root()["stored"].get_bool().get(stored) != simdjson::SUCCESS) throw unexpected();
  return stored;
}

std::uint64_t last_sequence_of(std::string_view body) {
  Document document(body);
  std::uint64_t sequence = 0;
  if (document.root()["lastSequence"].get_uint64().get(sequence) != simdjson::SUCCESS)
    throw unexpected();
  return sequence;
}

Verification verification_of(std::string_view body) {
  using Outcome = Verification::Outcome;
  Document document(body);
  ondemand::object& root = document.root();
  const std::string outcome = text_at(root, "outcome");
  Verification found;
  bool known = false;
  for (const Outcome candidate :
       {Outcome::equal, Outcome::different, Outcome::pruned, Outcome::busy}) {
    if (to_string(candidate) != outcome) continue;
    found.outcome = candidate;
    known = true;
  }
  if (!known) throw unexpected();
  found.session = SessionId::parse(text_at(root, "sessionId")).value_or(SessionId());
  found.events = number_at(root, "events");
  found.records = number_at(root, "records");
  const bool listed = each_in(root["differences"], [&](ondemand::value& difference) {
    std::string_view text;
    if (difference.get_string().get(text) == simdjson::SUCCESS)
      found.differences.emplace_back(text);
  });
  if (!listed) throw unexpected();
  return found;
}

StreamItem stream_item_of(std::string_view data) {
  Document document(data);
  ondemand::object& root = document.root();
  StreamItem item{.session = text_at(root, "sessionId"),
                  .sequence = number_at(root, "sequence"),
                  .type = text_at(root, "type"),
                  .at = text_at(root, "at"),
                  .actor = text_at(root, "actor"),
                  .chain = text_at(root, "chainId"),
                  .step = text_at(root, "stepId")};
  if (item.type.empty()) throw unexpected();
  return item;
}

EventFollower::Gap gap_of(std::string_view data) {
  Document document(data);
  ondemand::object& root = document.root();
  return {.from = number_at(root, "from"), .to = number_at(root, "to")};
}

}  // namespace actionflows::cli
