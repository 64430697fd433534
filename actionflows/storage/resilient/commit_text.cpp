#include "actionflows/storage/resilient/commit_text.hpp"

#include "actionflows/base/encoding.hpp"
#include "actionflows/base/error.hpp"
#include "actionflows/schema/object.hpp"
#include "actionflows/storage/bounds.hpp"

#include <utility>

namespace actionflows {
namespace {

// The bytes of a record or an event: `json` where they are that, else `base64`.
struct ContentText {
  std::optional<json::Raw> json;
  std::optional<std::string> base64;

  friend bool operator==(const ContentText&, const ContentText&) = default;
};

struct PutText {
  std::uint32_t chain = 0;
  std::uint32_t step = 0;
  std::uint64_t expected = 0;
  std::uint64_t version = 0;
  ContentText content;

  friend bool operator==(const PutText&, const PutText&) = default;
};

struct ExpectText {
  std::uint32_t chain = 0;
  std::uint32_t step = 0;
  std::uint64_t version = 0;

  friend bool operator==(const ExpectText&, const ExpectText&) = default;
};

struct EventText {
  std::string type;
  std::optional<std::string> operation_id;
  ContentText content;

  friend bool operator==(const EventText&, const EventText&) = default;
};

struct CommitText {
  SessionId session;
  std::string operation_id;
  Timestamp at;
  bool may_repeat = false;
  Precondition precondition = Precondition::none;
  std::vector<ExpectText> expects;
  std::vector<PutText> puts;
  std::vector<ExpectText> erases;
  std::vector<std::uint32_t> archive;
  bool end_session = false;
  std::vector<EventText> events;
  std::optional<Timestamp> last_active;
  std::optional<Timestamp> expires;
  std::optional<UserId> user;
  std::optional<std::string> state;
  std::uint64_t first_sequence = 0;
  std::optional<std::uint64_t> expected_last_sequence;
};

[[noreturn]] void throw_corrupt(const std::string& why) {
  throw failure(ErrorCode::corrupt, "a journaled commit can't be understood: " + why, "journal");
}

ContentText content_of(const Bytes& bytes) {
  const std::string_view text = bytes.view();
  // Only what surely comes back byte for byte: a null would be taken for nothing.
  ContentText content;
  if (text.starts_with('{') && text.ends_with('}')) {
    try {
      content.json = json::Raw::parse(text, stored_limits);
      return content;
    } catch (const StorageError&) {
      // It only looked like JSON.
    }
  }
  content.base64 = base64url(text);
  return content;
}

Bytes bytes_of(const ContentText& content) {
  if (content.json) return Bytes(content.json->view());
  if (!content.base64) throw_corrupt("a record without content");
  const auto bytes = from_base64url(*content.base64);
  if (!bytes) throw_corrupt("no base64url");
  return Bytes(*bytes);
}

}  // namespace

template <>
const schema::Schema<ContentText>& schema::schema_of<ContentText>() {
  static const auto& schema = *new auto(object<ContentText>(
      "Content", "A record or an event.", field("json", &ContentText::json, free_any()),
      field("base64", &ContentText::base64, text())));
  return schema;
}

template <>
const schema::Schema<PutText>& schema::schema_of<PutText>() {
  static const auto& schema = *new auto(object<PutText>(
      "Put", "A record and the version it replaces.", field("chain", &PutText::chain, integer()),
      field("step", &PutText::step, integer()), field("expected", &PutText::expected, integer()),
      field("version", &PutText::version, integer()),
      field("content", &PutText::content, object_of<ContentText>(Form::full))));
  return schema;
}

template <>
const schema::Schema<ExpectText>& schema::schema_of<ExpectText>() {
  static const auto& schema = *new auto(object<ExpectText>(
      "Expect", "A record in a version.", field("chain", &ExpectText::chain, integer()),
      field("step", &ExpectText::step, integer()),
      field("version", &ExpectText::version, integer())));
  return schema;
}

template <>
const schema::Schema<EventText>& schema::schema_of<EventText>() {
  static const auto& schema = *new auto(
      object<EventText>("JournaledEvent", "An event.", field("type", &EventText::type, text()),
                        field("operationId", &EventText::operation_id, text()),
                        field("content", &EventText::content, object_of<ContentText>(Form::full))));
  return schema;
}

template <>
const schema::Schema<CommitText>& schema::schema_of<CommitText>() {
  static const auto& schema = *new auto(object<CommitText>(
      "Commit", "One change of one session.", field("session", &CommitText::session, identifier()),
      field("operationId", &CommitText::operation_id, text()),
      field("at", &CommitText::at, timestamp()),
      field("mayRepeat", &CommitText::may_repeat, boolean()),
      field("precondition", &CommitText::precondition,
            enumeration<Precondition>({{"none", Precondition::none},
                                       {"fresh", Precondition::fresh},
                                       {"expired", Precondition::expired}})),
      field("expects", &CommitText::expects, array(object_of<ExpectText>(Form::full))),
      field("puts", &CommitText::puts, array(object_of<PutText>(Form::full))),
      field("erases", &CommitText::erases, array(object_of<ExpectText>(Form::full))),
      field("archive", &CommitText::archive, array(integer())),
      field("endSession", &CommitText::end_session, boolean()),
      field("events", &CommitText::events, array(object_of<EventText>(Form::full))),
      field("lastActive", &CommitText::last_active, timestamp()),
      field("expires", &CommitText::expires, timestamp()),
      field("user", &CommitText::user, identifier()), field("state", &CommitText::state, text()),
      field("firstSequence", &CommitText::first_sequence, integer()),
      field("expectedLastSequence", &CommitText::expected_last_sequence, integer())));
  return schema;
}

std::string text_of_commit(const Commit& commit) {
  CommitText text;
  text.session = commit.session;
  text.operation_id = commit.operation_id;
  text.at = commit.at;
  text.may_repeat = commit.may_repeat;
  text.precondition = commit.precondition;
  for (const Expect& expect : commit.expects)
    text.expects.push_back({expect.key.chain, expect.key.step, expect.version});
  for (const Put& put : commit.puts)
    text.puts.push_back(
        {put.key.chain, put.key.step, put.expected_version, put.version, content_of(put.bytes)});
  for (const Expect& erase : commit.erases)
    text.erases.push_back({erase.key.chain, erase.key.step, erase.version});
  text.archive = commit.archive;
  text.end_session = commit.end_session;
  for (const NewEvent& event : commit.events) {
    EventText& out = text.events.emplace_back();
    out.type = event.type;
    if (!event.operation_id.empty()) out.operation_id = event.operation_id;
    out.content = content_of(event.bytes);
  }
  if (commit.activity) {
    text.last_active = commit.activity->last_active;
    text.expires = commit.activity->expires;
  }
  if (commit.listed) {
    text.user = commit.listed->user;
    text.state = commit.listed->state;
  }
  text.first_sequence = commit.first_sequence;
  text.expected_last_sequence = commit.expected_last_sequence;
  std::string out;
  schema::schema_of<CommitText>().encode(text, schema::Form::full, out);
  return out;
}

Commit commit_of_text(std::string_view encoded) {
  CommitText text;
  Issues issues;
  if (!schema::schema_of<CommitText>().decode(encoded, schema::Form::full, text, issues,
                                              stored_limits))
    throw_corrupt(to_string(issues.front().path) + ": " + issues.front().message);
  Commit commit;
  commit.session = std::move(text.session);
  commit.operation_id = std::move(text.operation_id);
  commit.at = text.at;
  commit.may_repeat = text.may_repeat;
  commit.precondition = text.precondition;
  for (const ExpectText& expect : text.expects)
    commit.expects.push_back({{expect.chain, expect.step}, expect.version});
  for (const PutText& put : text.puts)
    commit.puts.push_back(
        {{put.chain, put.step}, bytes_of(put.content), put.expected, put.version});
  for (const ExpectText& erase : text.erases)
    commit.erases.push_back({{erase.chain, erase.step}, erase.version});
  commit.archive = std::move(text.archive);
  commit.end_session = text.end_session;
  for (EventText& event : text.events)
    commit.events.push_back({bytes_of(event.content), std::move(event.type),
                             std::move(event.operation_id).value_or(std::string())});
  if (text.last_active && text.expires)
    commit.activity = Activity{*text.last_active, *text.expires};
  if (text.user && text.state) commit.listed = ListKeys{*text.user, *std::move(text.state)};
  commit.first_sequence = text.first_sequence;
  commit.expected_last_sequence = text.expected_last_sequence;
  return commit;
}

}  // namespace actionflows
