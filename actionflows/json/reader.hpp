// Reader: one pass over one JSON text, by simdjson's On-Demand, in which every byte is checked.
//
// On-Demand does not check what it skips; so whoever reads here hands each value either to a
// function that reads it or to check(). Only .cpp files and schema/object.hpp include this:
// simdjson is heavy.
#pragma once

#include "actionflows/json/raw.hpp"
#include "actionflows/json/report.hpp"

#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::json {

// A value not read yet. `token` is its text from the first byte up to the next token: for a string
// "..." with the whitespace behind it, for an object just the bracket.
struct Value {
  simdjson::ondemand::value* node;
  std::string_view token;

  [[nodiscard]] char first() const noexcept { return token.front(); }
};

class Members;

// The whole text is refused, with this one issue; whatever else was found is dropped.
struct Refused {
  Issue issue;
};

// Not for sharing between threads; one text at a time.
class Reader : public Report {
 public:
  Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // Reads `text`, whose root must be an object, by `read_root(simdjson::ondemand::object&)`.
  // Returns whether there were no issues; appends them to `issues`.
  template <class ReadRoot>
  bool read_object(std::string_view text, const Limits& limits, Issues& issues,
                   const ReadRoot& read_root);

  // Checks `text`, whatever value it is. The result, as above.
  bool read_any(std::string_view text, const Limits& limits, Issues& issues);

  // Each value is given to exactly one of these, once.

  // Checks it in full, however deep.
  void check(Value& value);
  // The same; its bytes, valid until this text's reading ends.
  std::string_view raw(Value& value);
  // A string's content, unescaped, valid until this text's reading ends. value.first() is a quote.
  std::string_view string(Value& value) {
    std::string_view content = value.token;
    while (content.back() != '"') content.remove_suffix(1);
    content.remove_prefix(1);
    content.remove_suffix(1);
    if (has_escapes_) [[unlikely]] {
      return unescaped(value, content);
    }
    if (value.node->get_raw_json_string().error() != simdjson::SUCCESS) [[unlikely]] {
      fail();
    }
    return content;
  }
  // Anything but a string, an object or an array: its text, checked; or, for those who check it
  // themselves, as it stands.
  std::string_view scalar(const Value& value) {
    const std::string_view text = text_of(value);
    check_scalar(text);
    return text;
  }
  static std::string_view text_of(const Value& value) noexcept { return trimmed(value.token); }
  // A value of the wrong type: checks it, then reports it. `expected` as in "a string".
  void wrong_type(Value& value, std::string_view expected);

  // The member at the current place stands in its object twice.
  void add_duplicate();

  // The key of a member, unescaped, valid until this text's reading ends; `raw` is the key as it
  // stands. Once for a member.
  std::string_view key(simdjson::ondemand::field& field, std::string_view raw) {
    if (has_escapes_) [[unlikely]] {
      return unescaped(field, raw);
    }
    return raw;
  }

  void enter() {
    if (++depth_ > max_depth_) [[unlikely]] {
      too_deep();
    }
  }
  void leave() noexcept { --depth_; }

  // The text is malformed where reading stands, or at `where`; the issue's path is that of the
  // current place or of `place`.
  [[noreturn]] void fail();
  [[noreturn]] void fail_in(const Place* place);
  [[noreturn]] void fail_at(const char* where, std::string_view reason);
  [[noreturn]] void fail_at(std::string_view token, std::string_view reason);

 private:
  friend class ReaderLease;

  void start(std::string_view text, const Limits& limits, Issues& issues);
  void finish();
  void refuse(Issue issue);
  std::string_view root_token();
  void check_root();
  void check_root_scalar(std::string_view token);
  void wrong_root();
  void shrink();
  void grow(std::size_t size);
  [[nodiscard]] std::string_view text() const noexcept { return {buffer_.get(), size_}; }
  [[noreturn]] void too_deep();
  [[noreturn]] void bad_string(std::string_view token);

  // `source` is a Value or the root.
  template <class Source>
  void check_object(Source& source);
  template <class Source>
  void check_array(Source& source);
  void check_scalar(std::string_view text);
  void check_keys(Members& members, std::size_t first);
  void add_wrong_type(char first, std::string_view expected);
  std::string_view unescaped(Value& value, std::string_view content);
  std::string_view unescaped(simdjson::ondemand::field& field, std::string_view content);
  static std::string_view trimmed(std::string_view token) noexcept {
    while (!token.empty() && (token.back() == ' ' || token.back() == '\n' || token.back() == '\r' ||
                              token.back() == '\t')) {
      token.remove_suffix(1);
    }
    return token;
  }

  simdjson::ondemand::parser parser_;
  simdjson::ondemand::document document_;
  std::unique_ptr<char[]> buffer_;  // the text, padded as simdjson needs it
  std::size_t capacity_ = 0;        // of buffer_, without the padding
  std::size_t size_ = 0;
  bool has_escapes_ = false;  // a backslash somewhere: without one, strings are what they look like
  std::size_t depth_ = 0;
  std::size_t max_depth_ = 0;
  std::vector<std::string_view> keys_;  // of the objects being checked, innermost last
};

// Walks the members of an object.
//
//     for (Members members(reader, object); members.next();) ... members.key_start(), .value()
class Members {
 public:
  // Of the root.
  Members(Reader& reader, simdjson::ondemand::object& object)
      : reader_(reader), place_{.parent = reader.place(), .key = "", .index = 0} {
    start(object.begin());
  }
  // Of a value whose first() is a brace.
  Members(Reader& reader, Value& value)
      : reader_(reader), place_{.parent = reader.place(), .key = "", .index = 0} {
    start(value.node->get_object().begin());
  }
  Members(const Members&) = delete;
  Members& operator=(const Members&) = delete;
  ~Members() {
    reader_.move_to(place_.parent);
    reader_.leave();
  }

  // Moves to the next member. The value of the one before must have been read.
  bool next() {
    if (started_) {
      ++at_;
    } else {
      started_ = true;
    }
    if (!(at_ != decltype(at_)())) return false;
    new (&field_) Found(*at_);
    if (field_.error() != simdjson::SUCCESS) [[unlikely]] {
      reader_.fail_in(place_.parent);
    }
    value_.node = &field().value();
    value_.token = value_.node->raw_json_token();
    return true;
  }

  // Where the key stands, behind its quote; at least 64 bytes can be read.
  [[nodiscard]] const char* key_start() noexcept { return field().key().raw(); }
  // The key as it stands, without its quotes. Only whitespace and a colon are between it and the
  // value.
  [[nodiscard]] std::string_view raw_key() noexcept {
    const char* end = value_.token.data() - 1;
    while (*end != '"') --end;
    return {key_start(), static_cast<std::size_t>(end - key_start())};
  }
  // The key unescaped; to be called once for a member.
  std::string_view key() { return reader_.key(field(), raw_key()); }
  Value& value() noexcept { return value_; }

  // Issues found from now on concern this member.
  void name(std::string_view key) noexcept { place_.key = key; }

 private:
  Reader& reader_;
  Place place_;
  // Built in place, never assigned: copying one costs more than all the rest of a step, because
  // simdjson has just written it in narrower pieces than a copy reads.
  using Found = simdjson::simdjson_result<simdjson::ondemand::field>;

  void start(simdjson::simdjson_result<simdjson::ondemand::object_iterator> begin) {
    if (begin.error() != simdjson::SUCCESS) [[unlikely]] {
      reader_.fail();
    }
    at_ = begin.value_unsafe();
    reader_.enter();
    reader_.move_to(&place_);
  }
  simdjson::ondemand::field& field() noexcept { return field_.value_unsafe(); }

  simdjson::ondemand::object_iterator at_;
  Found field_;
  Value value_{};
  bool started_ = false;
};

// Walks the elements of an array, in the same way.
class Elements {
 public:
  Elements(Reader& reader, simdjson::ondemand::array& array)
      : reader_(reader), place_{.parent = reader.place(), .key = {}, .index = 0} {
    start(array.begin());
  }
  // Of a value whose first() is a bracket.
  Elements(Reader& reader, Value& value)
      : reader_(reader), place_{.parent = reader.place(), .key = {}, .index = 0} {
    start(value.node->get_array().begin());
  }
  Elements(const Elements&) = delete;
  Elements& operator=(const Elements&) = delete;
  ~Elements() {
    reader_.move_to(place_.parent);
    reader_.leave();
  }

  bool next() {
    if (started_) {
      ++at_;
      ++place_.index;
    } else {
      started_ = true;
    }
    if (!(at_ != decltype(at_)())) return false;
    new (&element_) Found(*at_);
    if (element_.error() != simdjson::SUCCESS) [[unlikely]] {
      reader_.fail_in(place_.parent);
    }
    value_.node = &element_.value_unsafe();
    value_.token = value_.node->raw_json_token();
    return true;
  }

  Value& value() noexcept { return value_; }
  [[nodiscard]] std::size_t index() const noexcept { return place_.index; }

 private:
  Reader& reader_;
  Place place_;
  using Found = simdjson::simdjson_result<simdjson::ondemand::value>;

  void start(simdjson::simdjson_result<simdjson::ondemand::array_iterator> begin) {
    if (begin.error() != simdjson::SUCCESS) [[unlikely]] {
      reader_.fail();
    }
    at_ = begin.value_unsafe();
    reader_.enter();
    reader_.move_to(&place_);
  }

  simdjson::ondemand::array_iterator at_;
  Found element_;
  Value value_{};
  bool started_ = false;
};

// This thread's reader, for as long as the lease lives. Leases may nest; the inner one then has a
// reader of its own.
class ReaderLease {
 public:
  ReaderLease();
  ~ReaderLease();
  ReaderLease(const ReaderLease&) = delete;
  ReaderLease& operator=(const ReaderLease&) = delete;

  Reader& operator*() const noexcept { return *reader_; }
  Reader* operator->() const noexcept { return reader_; }

 private:
  std::unique_ptr<Reader> own_;
  Reader* reader_;
};

template <class ReadRoot>
bool Reader::read_object(std::string_view text, const Limits& limits, Issues& issues,
                         const ReadRoot& read_root) {
  try {
    start(text, limits, issues);
    simdjson::ondemand::object root;
    const auto error = document_.get_object().get(root);
    if (error == simdjson::SUCCESS) [[likely]] {
      read_root(root);
      finish();
    } else if (error == simdjson::INCORRECT_TYPE) {
      wrong_root();
    } else {
      fail();
    }
  } catch (Refused& refused) {
    refuse(std::move(refused.issue));
  }
  return clean();
}

}  // namespace actionflows::json
