#include "actionflows/json/reader.hpp"

#include "actionflows/json/fault.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace actionflows::json {
namespace {

// What simdjson may read behind a text, and room to compare a key with names of up to 64 bytes.
constexpr std::size_t padding = simdjson::SIMDJSON_PADDING + 64;

// A reader keeps its buffers for the next text; more than this is given back.
constexpr std::size_t kept_capacity = std::size_t{256} * 1024;

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// RFC 8259, section 6.
bool is_number(std::string_view text) {
  std::size_t i = 0;
  const auto at = [&](char c) { return i < text.size() && text[i] == c; };
  const auto digits = [&] {
    const std::size_t start = i;
    while (i < text.size() && is_digit(text[i])) ++i;
    return i > start;
  };
  if (at('-')) ++i;
  if (at('0')) {
    ++i;
  } else if (!digits()) {
    return false;
  }
  if (at('.')) {
    ++i;
    if (!digits()) return false;
  }
  if (at('e') || at('E')) {
    ++i;
    if (at('+') || at('-')) ++i;
    if (!digits()) return false;
  }
  return i == text.size();
}

std::string_view type_name(char first) {
  switch (first) {
    case '{': return "object";
    case '[': return "array";
    case '"': return "string";
    case 't':
    case 'f': return "boolean";
    case 'n': return "null";
    default: return "number";
  }
}

// Says yes only where it is cheap to say; many keys have to be sorted.
bool all_differ(std::span<const std::string_view> keys) {
  constexpr std::size_t few = 12;
  if (keys.size() > few) return false;
  for (std::size_t i = 1; i < keys.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (keys[i] == keys[j]) return false;
  return true;
}

struct ThreadReader {
  Reader reader;
  bool leased = false;
};

thread_local ThreadReader thread_reader;

}  // namespace

void Reader::start(std::string_view text, const Limits& limits, Issues& issues) {
  issues_ = &issues;
  first_ = issues.size();
  place_ = nullptr;
  depth_ = 0;
  max_depth_ = limits.max_depth;
  size_ = 0;
  keys_.clear();
  if (text.size() > limits.max_bytes) {
    throw Refused{{.path = {},
                   .code = IssueCode::too_big,
                   .message = "must be at most " + std::to_string(limits.max_bytes) + " bytes",
                   .expected = "at most " + std::to_string(limits.max_bytes) + " bytes",
                   .received = std::to_string(text.size()) + " bytes"}};
  }
  if (text.size() > capacity_ || capacity_ == 0) grow(text.size());
  std::copy(text.begin(), text.end(), buffer_.get());  // an empty text may have no data at all
  std::memset(buffer_.get() + text.size(), 0, simdjson::SIMDJSON_PADDING);
  size_ = text.size();
  has_escapes_ = std::memchr(buffer_.get(), '\\', size_) != nullptr;
  if (text.starts_with(byte_order_mark)) fail_at(buffer_.get(), "a byte order mark is not allowed");
  const auto error = parser_.iterate(buffer_.get(), size_, size_ + padding).get(document_);
  if (error == simdjson::SUCCESS) [[likely]]
    return;
  if (const auto fault = lexical_fault(this->text())) {
    throw Refused{malformed(this->text(), *fault, {})};
  }
  throw Refused{malformed(this->text(), {size_, "the text is empty"}, {})};
}

void Reader::grow(std::size_t size) {
  const std::size_t capacity = std::bit_ceil(std::max<std::size_t>(size, 1024));
  buffer_ = std::make_unique<char[]>(capacity + padding);
  capacity_ = capacity;
  if (parser_.allocate(capacity) != simdjson::SUCCESS) throw std::bad_alloc();
}

void Reader::shrink() {
  if (capacity_ <= kept_capacity) return;
  parser_ = simdjson::ondemand::parser();
  buffer_.reset();
  capacity_ = 0;
  keys_ = {};
}

void Reader::finish() {
  const char* rest = nullptr;
  if (document_.current_location().get(rest) == simdjson::SUCCESS) {
    fail_at(rest, "unexpected text after the end of the value");
  }
}

void Reader::refuse(Issue issue) {
  issues_->resize(first_);
  issues_->push_back(std::move(issue));
}

void Reader::fail() {
  if (const auto fault = lexical_fault(text())) throw Refused{malformed(text(), *fault, path())};
  const char* where = nullptr;
  if (document_.current_location().get(where) != simdjson::SUCCESS) where = buffer_.get() + size_;
  // At the root, simdjson only says that the last bracket does not close the first.
  if (depth_ == 0) throw Refused{malformed(text(), ending_fault(text()), path())};
  fail_at(where, "unexpected text");
}

void Reader::fail_in(const Place* place) {
  move_to(place);
  fail();
}

void Reader::fail_at(std::string_view token, std::string_view reason) {
  const char* where = token.data();
  fail_at(where, reason);
}

void Reader::fail_at(const char* where, std::string_view reason) {
  const std::size_t offset = std::min(static_cast<std::size_t>(where - buffer_.get()), size_);
  if (offset == size_) reason = "the text ends too early";
  throw Refused{malformed(text(), {offset, reason}, path())};
}

void Reader::too_deep() {
  const std::string limit = std::to_string(max_depth_);
  throw Refused{{.path = path(),
                 .code = IssueCode::custom,
                 .message = "nested too deep: at most " + limit + " levels",
                 .expected = "at most " + limit + " levels",
                 .received = {}}};
}

bool Reader::read_any(std::string_view text, const Limits& limits, Issues& issues) {
  try {
    start(text, limits, issues);
    check_root();
  } catch (Refused& refused) {
    refuse(std::move(refused.issue));
  }
  return clean();
}

std::string_view Reader::root_token() {
  std::string_view token;
  if (document_.raw_json_token().get(token) != simdjson::SUCCESS) fail();
  return token;
}

void Reader::check_root() {
  const std::string_view token = root_token();
  if (token.front() == '{') {
    simdjson::ondemand::object object;
    if (document_.get_object().get(object) != simdjson::SUCCESS) fail();
    check_object(object);
    finish();
  } else if (token.front() == '[') {
    simdjson::ondemand::array array;
    if (document_.get_array().get(array) != simdjson::SUCCESS) fail();
    check_array(array);
    finish();
  } else {
    check_root_scalar(token);
  }
}

void Reader::check_root_scalar(std::string_view token) {
  std::string_view content;
  if (token.front() != '"') {
    check_scalar(trimmed(token));
  } else if (document_.get_string().get(content) != simdjson::SUCCESS) {
    bad_string(token);
  }
  const char* end = token.data() + token.size();
  if (end != buffer_.get() + size_) fail_at(end, "unexpected text after the end of the value");
}

void Reader::wrong_root() {
  const char first = root_token().front();
  check_root();
  add_wrong_type(first, "an object");
}

void Reader::check(Value& value) {
  switch (value.first()) {
    case '"': string(value); return;
    case '{': return check_object(value);
    case '[': return check_array(value);
    default: check_scalar(trimmed(value.token));
  }
}

std::string_view Reader::raw(Value& value) {
  const char* start = value.token.data();
  const char* end = start + trimmed(value.token).size();
  const bool container = value.first() == '{' || value.first() == '[';
  check(value);
  // A container ends where the next token starts. There is one: whoever holds this value has yet to
  // see its own end.
  if (container && document_.current_location().get(end) != simdjson::SUCCESS) fail();
  return trimmed({start, static_cast<std::size_t>(end - start)});
}

void Reader::wrong_type(Value& value, std::string_view expected) {
  const char first = value.first();
  check(value);
  add_wrong_type(first, expected);
}

void Reader::add_wrong_type(char first, std::string_view expected) {
  const std::string_view received = type_name(first);
  // "a string" is expected as "string" where programs read it.
  const std::string_view type = expected.substr(expected.find(' ') + 1);
  const std::string_view article = received == "array" || received == "object" ? "an " : "a ";
  std::string message = "must be " + std::string(expected) + ", not ";
  if (received != "null") message += article;
  add(IssueCode::invalid_type, message += received, std::string(type), std::string(received));
}

std::string_view Reader::unescaped(simdjson::ondemand::field& field, std::string_view content) {
  if (content.find('\\') == std::string_view::npos) return content;
  if (field.unescaped_key().get(content) != simdjson::SUCCESS) bad_string({content.data() - 1, 1});
  return content;
}

std::string_view Reader::unescaped(Value& value, std::string_view content) {
  if (content.find('\\') == std::string_view::npos) {
    if (value.node->get_raw_json_string().error() != simdjson::SUCCESS) fail();
    return content;
  }
  if (value.node->get_string().get(content) != simdjson::SUCCESS) bad_string(value.token);
  return content;
}

void Reader::bad_string(std::string_view token) {
  fail_at(token, "this string has an escape that means nothing or half a surrogate pair");
}

template <class Source>
void Reader::check_object(Source& source) {
  Members members(*this, source);
  const std::size_t first = keys_.size();
  while (members.next()) {
    const std::string_view key = members.key();
    keys_.push_back(key);
    members.name(key);
    check(members.value());
  }
  if (keys_.size() - first > 1) check_keys(members, first);
  keys_.resize(first);
}

template <class Source>
void Reader::check_array(Source& source) {
  for (Elements elements(*this, source); elements.next();) check(elements.value());
}

void Reader::check_scalar(std::string_view text) {
  const char first = text.empty() ? '\0' : text.front();
  if (is_digit(first) || first == '-') {
    if (!is_number(text)) fail_at(text, "this is not a number");
  } else if (text != "true" && text != "false" && text != "null") {
    fail_at(text, "unexpected text");
  }
}

void Reader::check_keys(Members& members, std::size_t first) {
  const std::span keys = std::span(keys_).subspan(first);
  if (all_differ(keys)) return;
  std::sort(keys.begin(), keys.end());
  for (auto same = std::adjacent_find(keys.begin(), keys.end()); same != keys.end();) {
    members.name(*same);
    add_duplicate();
    same = std::adjacent_find(std::upper_bound(same, keys.end(), *same), keys.end());
  }
}

void Reader::add_duplicate() { add(IssueCode::duplicate_key, "appears more than once"); }

ReaderLease::ReaderLease() {
  if (std::exchange(thread_reader.leased, true)) {
    own_ = std::make_unique<Reader>();
    reader_ = own_.get();
  } else {
    reader_ = &thread_reader.reader;
  }
}

ReaderLease::~ReaderLease() {
  if (own_) return;
  reader_->shrink();
  thread_reader.leased = false;
}

}  // namespace actionflows::json
