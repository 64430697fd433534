#include "actionflows/schema/kinds.hpp"

#include "actionflows/base/error.hpp"

namespace actionflows::schema {
namespace {

constexpr std::size_t quoted_bytes = 40;

std::string quoted(std::string_view text) {
  std::string out;
  json::append_string(out, json::shortened(text, quoted_bytes));
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string counted(std::size_t n, std::string_view thing) {
  return std::to_string(n) + ' ' + std::string(thing) + (n == 1 ? "" : "s");
}

std::size_t code_points(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string joined(const std::vector<std::string_view>& names, std::string_view separator,
                   bool quote) {
  std::string out;
  for (const std::string_view name : names) {
    if (!out.empty()) out += separator;
    if (quote) {
      json::append_string(out, name);
    } else {
      out += name;
    }
  }
  return out;
}

void not_a_time(json::Report& report, std::string_view text) {
  report.add(IssueCode::invalid_string,
             "must be an RFC 3339 date and time such as 2026-02-11T20:31:53.375Z",
             "RFC 3339 date-time", quoted(text));
}

void not_whole(json::Report& report, std::string_view number) {
  report.add(IssueCode::invalid_type, "must be an integer, written without fraction or exponent",
             "integer", json::shortened(number, quoted_bytes));
}

std::string minimum(std::string_view key, std::string_view value) {
  return ",\"" + std::string(key) + "\":" + std::string(value);
}

}  // namespace

namespace detail {

void throw_invalid(Issues issues) { throw invalid_input(std::move(issues)); }

}  // namespace detail

std::string json_type(std::string_view type, std::string_view description, bool nullable,
                      std::string_view rest) {
  std::string out = "{\"type\":";
  if (nullable) out += '[';
  json::append_string(out, type);
  if (nullable) out += ",\"null\"]";
  out += rest;
  if (!description.empty()) {
    out += ",\"description\":";
    json::append_string(out, description);
  }
  return out += '}';
}

Text Text::min(std::size_t n) const {
  Text changed = *this;
  changed.min_ = n;
  return changed;
}

Text Text::max(std::size_t n) const {
  Text changed = *this;
  changed.max_ = n;
  return changed;
}

Text Text::max_bytes(std::size_t n) const {
  Text changed = *this;
  changed.max_bytes_ = n;
  changed.max_ = std::min(max_, n);
  return changed;
}

Text Text::no_nul() const {
  Text changed = *this;
  changed.no_nul_ = true;
  return changed;
}

void Text::read(json::Reader& reader, json::Value& value, std::string& out) const {
  if (value.first() != '"') return reader.wrong_type(value, "a string");
  const std::string_view text = reader.string(value);
  if (!fits(text)) check_slowly(reader, text);
  out = std::string(text);
}

void Text::check(json::Report& report, const std::string& text) const {
  if (!simdjson::validate_utf8(text)) {
    report.add(IssueCode::invalid_string, "must be valid UTF-8", "UTF-8", "other bytes");
  } else if (!fits(text)) {
    check_slowly(report, text);
  }
}

void Text::check_slowly(json::Report& report, std::string_view text) const {
  const std::size_t length = code_points(text);
  const auto issue = [&](IssueCode code, const std::string& expected) {
    report.add(code, "must be " + expected, expected, counted(length, "character"));
  };
  if (length > max_) {
    issue(IssueCode::too_big, "at most " + counted(max_, "character"));
  } else if (text.size() > max_bytes_) {
    const std::string expected = "at most " + counted(max_bytes_, "byte");
    report.add(IssueCode::too_big, "must be " + expected, expected, counted(text.size(), "byte"));
  }
  if (length < min_) issue(IssueCode::too_small, "at least " + counted(min_, "character"));
  if (no_nul_ && text.find('\0') != std::string_view::npos) {
    report.add(IssueCode::invalid_string, "must not contain the character U+0000");
  }
}

std::string Text::json_schema(std::string_view description, bool nullable) const {
  std::string rest;
  if (min_ > 0) rest += minimum("minLength", std::to_string(min_));
  if (max_ != std::numeric_limits<std::size_t>::max()) {
    rest += minimum("maxLength", std::to_string(max_));
  }
  return json_type("string", description, nullable, rest);
}

Integer Integer::min(std::int64_t n) const {
  Integer changed = *this;
  changed.min_ = n;
  return changed;
}

Integer Integer::max(std::int64_t n) const {
  Integer changed = *this;
  changed.max_ = n;
  return changed;
}

bool Integer::read_number(json::Reader& reader, json::Value& value, std::int64_t& out) const {
  const char first = value.first();
  if (first != '-' && !is_digit(first)) {
    reader.wrong_type(value, "an integer");
    return false;
  }
  const std::string_view text = json::Reader::text_of(value);
  const bool negative = first == '-';
  const std::string_view digits = text.substr(negative ? 1 : 0);
  const bool plain = std::all_of(digits.begin(), digits.end(), is_digit) && !digits.empty() &&
                     (digits.front() != '0' || digits.size() == 1);
  if (!plain) {
    not_whole(reader, reader.scalar(value));
    return false;
  }
  constexpr std::size_t safe_length = 18;  // below 10^18, so also below 2^63
  const bool huge = digits.size() > safe_length;
  std::int64_t number = 0;
  for (const char c : digits.substr(0, safe_length)) number = number * 10 + (c - '0');
  if (negative) number = -number;
  if (huge || number < min_ || number > max_) {
    out_of_bounds(reader, huge ? negative : number < min_, text);
    return false;
  }
  out = number;
  return true;
}

void Integer::out_of_bounds(json::Report& report, bool below, std::string_view number) const {
  const std::string expected =
      below ? "at least " + std::to_string(min_) : "at most " + std::to_string(max_);
  report.add(below ? IssueCode::too_small : IssueCode::too_big, "must be " + expected, expected,
             json::shortened(number, quoted_bytes));
}

std::string Integer::json_schema(std::string_view description, bool nullable) const {
  return json_type(
      "integer", description, nullable,
      minimum("minimum", std::to_string(min_)) + minimum("maximum", std::to_string(max_)));
}

void Boolean::read(json::Reader& reader, json::Value& value, bool& out) const {
  if (value.first() != 't' && value.first() != 'f') return reader.wrong_type(value, "a boolean");
  out = reader.scalar(value) == "true";
}

std::string Boolean::json_schema(std::string_view description, bool nullable) const {
  return json_type("boolean", description, nullable);
}

void Time::read(json::Reader& reader, json::Value& value, Timestamp& out) const {
  if (value.first() != '"') return reader.wrong_type(value, "a string");
  const std::string_view text = reader.string(value);
  const auto time = parse_rfc3339(text);
  if (!time) return not_a_time(reader, text);
  out = *time;
}

void Time::check(json::Report& report, Timestamp time) const {
  const std::string text = format_rfc3339(time);
  if (parse_rfc3339(text) == time) return;
  report.add(IssueCode::custom, "must be in the years 0000 to 9999", "years 0000 to 9999");
}

std::string Time::json_schema(std::string_view description, bool nullable) const {
  return json_type("string", description, nullable, R"(,"format":"date-time")");
}

void Identifier::breaks_rule(json::Report& report, std::string_view text, std::string_view rule) {
  const bool valid = simdjson::validate_utf8(text);
  report.add(IssueCode::invalid_string, "must be " + std::string(rule), std::string(rule),
             valid ? quoted(text) : "invalid UTF-8");
}

std::string Identifier::json_schema(std::string_view description, bool nullable) const {
  return json_type("string", description, nullable);
}

void EnumerationNames::unknown_name(json::Report& report, std::string_view name) const {
  const std::string expected = "one of " + joined(names_, ", ", false);
  report.add(IssueCode::invalid_enum_value, "must be " + expected, expected, quoted(name));
}

void EnumerationNames::unknown_value(json::Report& report) const {
  const std::string expected = "one of " + joined(names_, ", ", false);
  report.add(IssueCode::invalid_enum_value, "must be " + expected, expected, "another value");
}

std::string EnumerationNames::json_schema(std::string_view description, bool nullable) const {
  const std::string none = nullable ? ",null" : "";
  return json_type("string", description, nullable,
                   ",\"enum\":[" + joined(names_, ",", true) + none + "]");
}

std::string EnumerationNames::typescript() const { return joined(names_, " | ", true); }

void FreeObject::read(json::Reader& reader, json::Value& value, json::Raw& out) const {
  if (value.first() != '{') return reader.wrong_type(value, "an object");
  out.assign_checked(reader.raw(value));
}

void FreeObject::check(json::Report& report, const json::Raw& value) const {
  if (value.is_object()) return;
  report.add(IssueCode::invalid_type, "must be an object", "object", "another JSON value");
}

std::string FreeObject::json_schema(std::string_view description, bool nullable) const {
  return json_type("object", description, nullable);
}

void FreeAny::read(json::Reader& reader, json::Value& value, json::Raw& out) const {
  out.assign_checked(reader.raw(value));
}

std::string FreeAny::json_schema(std::string_view description, bool) const {
  std::string out = "{";
  if (!description.empty()) {
    out += "\"description\":";
    json::append_string(out, description);
  }
  return out += '}';
}

std::string json_unique(std::string array) { return array.insert(1, R"("uniqueItems":true,)"); }

std::string name_of_form(std::string_view name, Form form) {
  return std::string(name) + (form == Form::create ? "Create" : "");
}

std::string json_reference(std::string_view name, std::string_view description, bool nullable) {
  const std::string reference = R"("$ref":"#/components/schemas/)" + std::string(name) + '"';
  std::string out =
      nullable ? "{\"anyOf\":[{" + reference + R"(},{"type":"null"}])" : "{" + reference;
  if (!description.empty()) {
    out += ",\"description\":";
    json::append_string(out, description);
  }
  return out += '}';
}

}  // namespace actionflows::schema
