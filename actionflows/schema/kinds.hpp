// Kinds: what a field can hold, each with its rules.
//
// A kind reads, writes, checks and describes a member of its C++ type; fields call it by name, with
// no virtual call. All share this shape:
//
//     void read(json::Reader&, json::Value&, Member&) const;   reports what does not fit
//     void check(json::Report&, const Member&) const;          the same rules, for a C++ value
//     void write(json::Writer&, const Member&) const;
//     std::string json_schema(std::string_view description, bool nullable) const;
//     std::string typescript() const;
//     std::string expected() const;                            "string"
//     Kind fitted<Member>() const;                             optional: bounded by the C++ type
#pragma once

#include "actionflows/base/names.hpp"
#include "actionflows/base/time.hpp"
#include "actionflows/json/raw.hpp"
#include "actionflows/json/reader.hpp"
#include "actionflows/json/writer.hpp"
#include "actionflows/schema/schema.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace actionflows::schema {

// {"type":"string","description":"...", ...}, begun; `rest` follows, with a leading comma.
std::string json_type(std::string_view type, std::string_view description, bool nullable,
                      std::string_view rest = {});

// A std::string; lengths count Unicode code points.
class Text {
 public:
  [[nodiscard]] Text min(std::size_t n) const;
  [[nodiscard]] Text max(std::size_t n) const;
  // The same in bytes of UTF-8, which bounds the characters too.
  [[nodiscard]] Text max_bytes(std::size_t n) const;
  // Refuses U+0000.
  [[nodiscard]] Text no_nul() const;

  void read(json::Reader& reader, json::Value& value, std::string& out) const;
  void check(json::Report& report, const std::string& text) const;
  void write(json::Writer& writer, const std::string& text) const { writer.string(text); }
  [[nodiscard]] std::string json_schema(std::string_view description, bool nullable) const;
  [[nodiscard]] std::string typescript() const { return "string"; }
  [[nodiscard]] std::string expected() const { return "string"; }

 private:
  [[nodiscard]] bool fits(std::string_view text) const noexcept {
    return text.size() <= max_ && text.size() / 4 >= min_ && !no_nul_;
  }
  void check_slowly(json::Report& report, std::string_view text) const;

  std::size_t min_ = 0;
  std::size_t max_ = std::numeric_limits<std::size_t>::max();
  std::size_t max_bytes_ = std::numeric_limits<std::size_t>::max();  // if set, max_ is no greater
  bool no_nul_ = false;
};

// A whole number in any integer type, within what JavaScript can hold: +-(2^53 - 1).
class Integer {
 public:
  [[nodiscard]] Integer min(std::int64_t n) const;
  [[nodiscard]] Integer max(std::int64_t n) const;

  // This kind, bounded by what a Member can hold.
  template <std::integral Member>
  [[nodiscard]] Integer fitted() const {
    using Range = std::numeric_limits<Member>;
    Integer changed = *this;
    if (std::cmp_less(min_, Range::min())) changed.min_ = static_cast<std::int64_t>(Range::min());
    if (std::cmp_greater(max_, Range::max()))
      changed.max_ = static_cast<std::int64_t>(Range::max());
    return changed;
  }

  template <std::integral Member>
  void read(json::Reader& reader, json::Value& value, Member& out) const {
    std::int64_t number = 0;
    if (read_number(reader, value, number)) out = static_cast<Member>(number);
  }
  template <std::integral Member>
  void check(json::Report& report, Member number) const {
    const bool below = std::cmp_less(number, min_);
    if (below || std::cmp_greater(number, max_)) {
      out_of_bounds(report, below, std::to_string(number));
    }
  }
  template <std::integral Member>
  void write(json::Writer& writer, Member number) const {
    if constexpr (std::is_signed_v<Member>) {
      writer.number(std::int64_t{number});
    } else {
      writer.number(std::uint64_t{number});
    }
  }
  [[nodiscard]] std::string json_schema(std::string_view description, bool nullable) const;
  [[nodiscard]] std::string typescript() const { return "number"; }
  [[nodiscard]] std::string expected() const { return "integer"; }

 private:
  static constexpr std::int64_t most = (std::int64_t{1} << 53) - 1;

  bool read_number(json::Reader& reader, json::Value& value, std::int64_t& out) const;
  void out_of_bounds(json::Report& report, bool below, std::string_view number) const;

  std::int64_t min_ = -most;
  std::int64_t max_ = most;
};

class Boolean {
 public:
  void read(json::Reader& reader, json::Value& value, bool& out) const;
  void check(json::Report&, bool) const {}
  void write(json::Writer& writer, bool value) const {
    writer.raw(value ? std::string_view("true") : std::string_view("false"));
  }
  [[nodiscard]] std::string json_schema(std::string_view description, bool nullable) const;
  [[nodiscard]] std::string typescript() const { return "boolean"; }
  [[nodiscard]] std::string expected() const { return "boolean"; }
};

// A Timestamp, RFC 3339 in text.
class Time {
 public:
  void read(json::Reader& reader, json::Value& value, Timestamp& out) const;
  void check(json::Report& report, Timestamp time) const;
  void write(json::Writer& writer, Timestamp time) const { writer.timestamp(time); }
  [[nodiscard]] std::string json_schema(std::string_view description, bool nullable) const;
  [[nodiscard]] std::string typescript() const { return "string"; }
  [[nodiscard]] std::string expected() const { return "string"; }
};

// An id type, which brings its own rule:
//
//     static std::optional<Id> parse(std::string_view);
//     static constexpr std::string_view rule = "1 to 200 letters, digits, ...";   in plain words
//     str()
class Identifier {
 public:
  template <class Id>
  void read(json::Reader& reader, json::Value& value, Id& out) const {
    if (value.first() != '"') return reader.wrong_type(value, "a string");
    const std::string_view text = reader.string(value);
    if (auto id = Id::parse(text)) {
      out = *std::move(id);
    } else {
      breaks_rule(reader, text, Id::rule);
    }
  }
  template <class Id>
  void check(json::Report& report, const Id& id) const {
    if (!Id::parse(id.str())) breaks_rule(report, id.str(), Id::rule);
  }
  template <class Id>
  void write(json::Writer& writer, const Id& id) const {
    writer.string(id.str());
  }
  [[nodiscard]] std::string json_schema(std::string_view description, bool nullable) const;
  [[nodiscard]] std::string typescript() const { return "string"; }
  [[nodiscard]] std::string expected() const { return "string"; }

 private:
  static void breaks_rule(json::Report& report, std::string_view text, std::string_view rule);
};

// What an enumeration shares whatever its C++ type: the names.
class EnumerationNames {
 public:
  [[nodiscard]] std::string json_schema(std::string_view description, bool nullable) const;
  [[nodiscard]] std::string typescript() const;
  [[nodiscard]] std::string expected() const { return "string"; }

 protected:
  // "one of active, paused, completed"
  void unknown_name(json::Report& report, std::string_view name) const;
  void unknown_value(json::Report& report) const;

  std::vector<std::string_view> names_;
};

template <class Enum>
class Enumeration : public EnumerationNames {
 public:
  explicit Enumeration(std::span<const std::pair<std::string_view, Enum>> names) {
    for (const auto& [name, value] : names) {
      names_.push_back(name);
      values_.push_back(value);
    }
  }

  void read(json::Reader& reader, json::Value& value, Enum& out) const {
    if (value.first() != '"') return reader.wrong_type(value, "a string");
    const std::string_view name = reader.string(value);
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == name) {
        out = values_[i];
        return;
      }
    }
    unknown_name(reader, name);
  }
  void check(json::Report& report, Enum value) const {
    if (name_of(value).empty()) unknown_value(report);
  }
  void write(json::Writer& writer, Enum value) const {
    writer.raw('"');
    writer.raw(name_of(value));
    writer.raw('"');
  }

 private:
  [[nodiscard]] std::string_view name_of(Enum value) const noexcept {
    for (std::size_t i = 0; i < values_.size(); ++i)
      if (values_[i] == value) return names_[i];
    return {};
  }

  std::vector<Enum> values_;
};

// A json::Raw that is an object.
class FreeObject {
 public:
  void read(json::Reader& reader, json::Value& value, json::Raw& out) const;
  void check(json::Report& report, const json::Raw& value) const;
  void write(json::Writer& writer, const json::Raw& value) const { writer.raw(value.view()); }
  [[nodiscard]] std::string json_schema(std::string_view description, bool nullable) const;
  [[nodiscard]] std::string typescript() const { return "Record<string, unknown>"; }
  [[nodiscard]] std::string expected() const { return "object"; }
};

// A json::Raw of any type. In an optional field null means "none", in a required one it is a value.
class FreeAny {
 public:
  static constexpr bool null_is_none = true;

  void read(json::Reader& reader, json::Value& value, json::Raw& out) const;
  void check(json::Report&, const json::Raw&) const {}
  void write(json::Writer& writer, const json::Raw& value) const { writer.raw(value.view()); }
  [[nodiscard]] std::string json_schema(std::string_view description, bool nullable) const;
  [[nodiscard]] std::string typescript() const { return "unknown"; }
  [[nodiscard]] std::string expected() const { return "any JSON"; }
};

// Another kind in an optional field, where null says the same as leaving it out.
template <class Kind>
class Nullable : public Kind {
 public:
  static constexpr bool null_is_none = true;

  explicit Nullable(Kind kind) : Kind(std::move(kind)) {}

  template <class Member>
    requires requires(const Kind& kind) { kind.template fitted<Member>(); }
  [[nodiscard]] Nullable fitted() const {
    return Nullable(Kind::template fitted<Member>());
  }
};

// A std::vector of what another kind holds.
template <class Item>
class Array {
 public:
  explicit Array(Item item) : item_(std::move(item)) {}

  [[nodiscard]] Array max(std::size_t n) const {
    Array changed = *this;
    changed.max_ = n;
    return changed;
  }

  // This kind, its items bounded by what an element can hold.
  template <class Elements>
    requires requires(const Item& item) { item.template fitted<typename Elements::value_type>(); }
  [[nodiscard]] Array fitted() const {
    Array changed = *this;
    changed.item_ = item_.template fitted<typename Elements::value_type>();
    return changed;
  }

  template <class Element>
  void read(json::Reader& reader, json::Value& value, std::vector<Element>& out) const {
    if (value.first() != '[') return reader.wrong_type(value, "an array");
    out.clear();
    std::size_t size = 0;
    for (json::Elements elements(reader, value); elements.next(); ++size) {
      if (size < max_) {
        item_.read(reader, elements.value(), out.emplace_back());
      } else {
        reader.check(elements.value());
      }
    }
    check_size(reader, size);
  }
  template <class Element>
  void check(json::Report& report, const std::vector<Element>& elements) const {
    json::Place place{.parent = report.place(), .key = {}, .index = 0};
    report.move_to(&place);
    for (const Element& element : elements) {
      item_.check(report, element);
      ++place.index;
    }
    report.move_to(place.parent);
    check_size(report, elements.size());
  }
  template <class Element>
  void write(json::Writer& writer, const std::vector<Element>& elements) const {
    char separator = '[';
    for (const Element& element : elements) {
      writer.raw(std::exchange(separator, ','));
      item_.write(writer, element);
    }
    if (elements.empty()) writer.raw('[');
    writer.raw(']');
  }
  [[nodiscard]] std::string json_schema(std::string_view description, bool nullable) const {
    std::string rest = ",\"items\":" + item_.json_schema({}, false);
    if (max_ != unbounded) rest += ",\"maxItems\":" + std::to_string(max_);
    return json_type("array", description, nullable, rest);
  }
  [[nodiscard]] std::string typescript() const { return "Array<" + item_.typescript() + ">"; }
  [[nodiscard]] std::string expected() const { return "array"; }

 private:
  static constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

  void check_size(json::Report& report, std::size_t size) const {
    if (size <= max_) return;
    const std::string limit = "at most " + std::to_string(max_) + " items";
    report.add(IssueCode::too_big, "must have " + limit, limit, std::to_string(size) + " items");
  }

  Item item_;
  std::size_t max_ = unbounded;
};

// {"uniqueItems":true, ...} of an array's JSON Schema.
std::string json_unique(std::string array);

// An array in which no element stands twice; elements have an order.
template <class ArrayKind>
class Distinct : public ArrayKind {
 public:
  explicit Distinct(ArrayKind kind) : ArrayKind(std::move(kind)) {}

  template <class Elements>
    requires requires(const ArrayKind& kind) { kind.template fitted<Elements>(); }
  [[nodiscard]] Distinct fitted() const {
    return Distinct(ArrayKind::template fitted<Elements>());
  }

  template <class Element>
  void read(json::Reader& reader, json::Value& value, std::vector<Element>& out) const {
    const std::size_t before = reader.count();
    ArrayKind::read(reader, value, out);
    check_distinct(reader, out, reader.count() == before);
  }
  template <class Element>
  void check(json::Report& report, const std::vector<Element>& elements) const {
    const std::size_t before = report.count();
    ArrayKind::check(report, elements);
    check_distinct(report, elements, report.count() == before);
  }
  [[nodiscard]] std::string json_schema(std::string_view description, bool nullable) const {
    return json_unique(ArrayKind::json_schema(description, nullable));
  }

 private:
  // An element that does not fit holds its default, which says nothing of what was given.
  template <class Element>
  static void check_distinct(json::Report& report, const std::vector<Element>& elements,
                             bool all_fit) {
    const auto ascending = std::adjacent_find(
        elements.begin(), elements.end(), [](const auto& a, const auto& b) { return !(a < b); });
    if (ascending == elements.end()) return;  // nearly always
    std::vector<std::size_t> order(elements.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::tie(elements[a], a) < std::tie(elements[b], b);
    });
    std::vector<std::size_t> repeated;
    for (std::size_t i = 1; i < order.size(); ++i) {
      const Element& element = elements[order[i]];
      if (element == elements[order[i - 1]] && (all_fit || element != Element()))
        repeated.push_back(order[i]);
    }
    std::sort(repeated.begin(), repeated.end());
    for (const std::size_t index : repeated) {
      const json::Within item(report, index);
      report.add(IssueCode::custom, "stands there twice", "distinct items");
    }
  }
};

// "Session", "SessionCreate"
std::string name_of_form(std::string_view name, Form form);
// {"$ref":"#/components/schemas/Session"}, with what belongs beside it.
std::string json_reference(std::string_view name, std::string_view description, bool nullable);

// Another declared type.
template <class T>
class ObjectOf {
 public:
  explicit ObjectOf(Form form) : form_(form) {}

  void read(json::Reader& reader, json::Value& value, T& out) const {
    schema_of<T>().read_value(reader, value, form_, out);
  }
  void check(json::Report& report, const T& value) const {
    schema_of<T>().check_value(report, value, form_);
  }
  void write(json::Writer& writer, const T& value) const {
    schema_of<T>().write_value(writer, value, form_);
  }
  [[nodiscard]] std::string json_schema(std::string_view description, bool nullable) const {
    return json_reference(typescript(), description, nullable);
  }
  [[nodiscard]] std::string typescript() const {
    return name_of_form(schema_of<T>().name(), form_);
  }
  [[nodiscard]] std::string expected() const { return "object"; }

 private:
  Form form_;
};

inline Text text() { return {}; }
inline Integer integer() { return {}; }
inline Boolean boolean() { return {}; }
inline Time timestamp() { return {}; }
inline Identifier identifier() { return {}; }
inline FreeObject free_object() { return {}; }
inline FreeAny free_any() { return {}; }
template <class Kind>
Nullable<Kind> nullable(Kind kind) {
  return Nullable<Kind>(std::move(kind));
}

// The names are literals.
template <class Enum, std::size_t Size>
Enumeration<Enum> enumeration(const Names<Enum, Size>& names) {
  return Enumeration<Enum>(names);
}
// enumeration<Precondition>({{"none", Precondition::none}, ...})
template <class Enum>
Enumeration<Enum> enumeration(std::initializer_list<std::pair<std::string_view, Enum>> names) {
  return Enumeration<Enum>({names.begin(), names.size()});
}

template <class Item>
Array<Item> array(Item item) {
  return Array<Item>(std::move(item));
}

template <class ArrayKind>
Distinct<ArrayKind> distinct(ArrayKind kind) {
  return Distinct<ArrayKind>(std::move(kind));
}

template <class T>
ObjectOf<T> object_of(Form form = Form::full) {
  return ObjectOf<T>(form);
}

}  // namespace actionflows::schema
