// Declaring a record type: object<T>(name, description, field(...)...).
//
//     template <>
//     const Schema<Session>& schema_of<Session>() {
//       static const auto& schema = *new auto(object<Session>("Session", "A user's session.",
//           field("sessionId", &Session::session_id, identifier()).creation(optional_on_create),
//           field("title", &Session::title, text().max(500))
//               .creation(optional_on_create).writable(),
//           field("version", &Session::version, integer().min(1)).beside()));
//       return schema;
//     }
//
// Whether a field may be absent follows from its member: a std::optional may. Included only by the
// .cpp files that declare types: it pulls in simdjson.
#pragma once

#include "actionflows/schema/kinds.hpp"

#include <array>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

namespace actionflows::schema {

// Whether a client gives a field on creation.
enum class Creation { refused, optional, required };
inline constexpr Creation optional_on_create = Creation::optional;
inline constexpr Creation required_on_create = Creation::required;

namespace detail {

template <class Member>
struct Unwrapped {
  using type = Member;
  static constexpr bool optional = false;
};
template <class Member>
struct Unwrapped<std::optional<Member>> {
  using type = Member;
  static constexpr bool optional = true;
};

template <class Member, class Kind>
Kind fit(Kind kind) {
  if constexpr (requires { kind.template fitted<Member>(); }) {
    return kind.template fitted<Member>();
  } else {
    return kind;
  }
}

}  // namespace detail

// One field; `Size` is the length of its name with the final NUL.
template <class Owner, class Member, class Kind, std::size_t Size>
class Field {
 public:
  static constexpr bool optional = detail::Unwrapped<Member>::optional;
  static constexpr bool is_free =
      std::derived_from<Kind, FreeObject> || std::derived_from<Kind, FreeAny>;
  static constexpr bool null_is_none = optional && requires { Kind::null_is_none; };
  static_assert(Size <= 60, "names are compared within the padding behind a text");

  Field(const char (&name)[Size], Member Owner::* member, Kind kind)
      : member_(member),
        kind_(detail::fit<typename detail::Unwrapped<Member>::type>(std::move(kind))) {
    opening_[0] = '"';
    std::memcpy(&opening_[1], name, Size - 1);
    opening_[Size] = '"';
    opening_[Size + 1] = ':';
  }

  // A client may (or must) give it on creation; without this, it may not.
  [[nodiscard]] Field creation(Creation rule) const {
    Field changed = *this;
    changed.creation_ = rule;
    return changed;
  }
  // A client may change it.
  [[nodiscard]] Field writable() const {
    Field changed = *this;
    changed.writable_ = true;
    return changed;
  }
  // Kept by the backend beside the record, not in its stored bytes.
  [[nodiscard]] Field beside() const {
    Field changed = *this;
    changed.beside_ = true;
    return changed;
  }
  // A sentence for the API's readers; a literal.
  [[nodiscard]] Field describe(std::string_view description) const {
    Field changed = *this;
    changed.description_ = description;
    return changed;
  }

 private:
  template <class, class...>
  friend class ObjectSchema;

  [[nodiscard]] std::string_view name() const noexcept { return {&opening_[1], Size - 1}; }

  // Whether the key that starts at `key`, behind its quote, is this name. The closing quote is
  // compared too, so a longer key is not taken for it.
  [[nodiscard]] bool matches(const char* key) const noexcept {
    return std::memcmp(key, &opening_[1], Size) == 0;
  }
  [[nodiscard]] bool in(Form form) const noexcept {
    return form == Form::full || (form == Form::stored ? !beside_ : creation_ != Creation::refused);
  }
  [[nodiscard]] bool required_in(Form form) const noexcept {
    return form == Form::create ? creation_ == Creation::required : in(form) && !optional;
  }
  // On creation, a field that need not be given is absent while it holds its default.
  [[nodiscard]] bool absent(const Member& member, Form form) const noexcept {
    if constexpr (optional) {
      return !member;
    } else if constexpr (std::equality_comparable<Member>) {
      return form == Form::create && creation_ == Creation::optional && member == Member();
    } else {
      return false;
    }
  }
  static const auto& content(const Member& member) noexcept {
    if constexpr (optional) {
      return *member;
    } else {
      return member;
    }
  }

  Member Owner::* member_;
  Kind kind_;
  char opening_[Size + 2];  // "name":
  Creation creation_ = Creation::refused;
  bool writable_ = false;
  bool beside_ = false;
  std::string_view description_;
};

template <class Owner, class Member, class Kind, std::size_t Size>
Field<Owner, Member, Kind, Size> field(const char (&name)[Size], Member Owner::* member,
                                       Kind kind) {
  return {name, member, std::move(kind)};
}

namespace detail {

// Keys that an object must not have.
struct Strangers {
  std::vector<std::string> unknown;  // some of them, cut
  std::vector<std::string> refused;
  std::size_t unknown_count = 0;
  std::size_t refused_count = 0;

  // Reports them at the current place; `refusal` says why a known field is not accepted.
  void report(json::Report& report, std::string_view refusal) const;
};

// What a reading of one object takes and has found so far.
struct Reading {
  std::uint64_t accepted;         // fields, a bit for each
  bool changes = false;           // null removes
  std::string_view refusal = {};  // why a known field is not accepted
  std::uint64_t seen = 0;
  std::uint64_t removed = 0;
  std::unique_ptr<Strangers> strangers = nullptr;  // rarely any

  void add_unknown(std::string_view key);
  void add_refused(std::string_view key);
  void report(json::Report& report) const {
    if (strangers) strangers->report(report, refusal);
  }
};

void report_missing(json::Report& report, std::string expected);
void report_null(json::Report& report, bool removable, std::string expected);
std::string_view refusal_of(Form form);
// {"type":"object", ...} and "export interface ...".
std::string json_object(std::string_view title, std::string_view description,
                        const std::string& properties, const std::string& required);
std::string typescript_interface(std::string_view name, std::string_view description,
                                 const std::string& members);
std::string typescript_member(std::string_view name, std::string_view description, bool optional,
                              const std::string& type);
[[noreturn]] void throw_corrupt(std::string_view name, Issues issues);

}  // namespace detail

template <class T, class... Fields>
class ObjectSchema final : public Schema<T> {
 public:
  using Check = void (*)(const T&, json::Report&);

  ObjectSchema(std::string_view name, std::string_view description, Fields... fields)
      : name_(name), description_(description), fields_(std::move(fields)...) {
    each([this](const auto& field, std::uint64_t bit) {
      for (const Form form : {Form::full, Form::stored, Form::create}) {
        if (field.in(form)) masks_[index(form)].accepted |= bit;
        if (field.required_in(form)) masks_[index(form)].required |= bit;
      }
      if (field.writable_) writable_ |= bit;
      if (field.is_free) free_ |= bit;
    });
  }

  // Rules between fields, for whole records (forms full and stored). They run whatever else is
  // wrong, so that all issues come at once: a field that is missing or does not fit holds its
  // default or a part of what it should, and a rule says nothing of a default. Paths of its issues
  // start at this object. It must not keep what it is given.
  [[nodiscard]] ObjectSchema check(Check rule) && {
    checks_.push_back(rule);
    return std::move(*this);
  }
  // The same for what a client gives on creation.
  [[nodiscard]] ObjectSchema check_on_create(Check rule) && {
    create_checks_.push_back(rule);
    return std::move(*this);
  }

  [[nodiscard]] std::string_view name() const override { return name_; }

  void encode(const T& value, Form form, std::string& out) const override {
    json::Writer writer(out);
    write_value(writer, value, form);
  }

  bool validate(const T& value, Form form, Issues& issues) const override {
    json::Report report(issues);
    check_value(report, value, form);
    return report.clean();
  }

  [[nodiscard]] Partial<T> decode_update(std::string_view text,
                                         const json::Limits& limits) const override {
    Partial<T> update;
    detail::Reading reading{.accepted = writable_, .changes = true, .refusal = "can't be changed"};
    Issues issues;
    if (!read_changes(text, limits, update.values_, reading, issues)) {
      detail::throw_invalid(std::move(issues));
    }
    update.set_ = reading.seen;
    update.merge_ = reading.seen & free_ & ~reading.removed;
    return update;
  }

  bool validate(const Partial<T>& update, Issues& issues, Reach reach) const override {
    json::Report report(issues);
    const std::uint64_t allowed =
        reach == Reach::writable ? writable_ : masks_[index(Form::stored)].accepted;
    detail::Reading refused{.accepted = allowed, .refusal = "can't be changed"};
    json::Place place{.parent = nullptr, .key = "", .index = 0};
    each([&](const auto& field, std::uint64_t bit) {
      if ((update.set_ & bit) == 0) return;
      if ((allowed & bit) == 0) return refused.add_refused(field.name());
      report.move_to(&place);
      place.key = field.name();
      check_field(report, field, update.values_, Form::full);
      report.move_to(nullptr);
    });
    refused.report(report);
    return report.clean();
  }

  void apply(const Partial<T>& update, T& value) const override {
    each([&]<class F>(const F& field, std::uint64_t bit) {
      if ((update.set_ & bit) == 0) return;
      const auto& change = update.values_.*field.member_;
      auto& member = value.*field.member_;
      if constexpr (F::is_free) {
        if ((update.merge_ & bit) != 0) return merge(member, F::content(change));
      }
      member = change;
    });
  }

  bool diff(const T& before, const T& after, std::string& out) const override {
    json::Writer writer(out);
    char separator = '{';
    each([&](const auto& field, std::uint64_t bit) {
      if ((masks_[index(Form::stored)].accepted & bit) == 0) return;
      const auto& now = after.*field.member_;
      if (equal(field, before.*field.member_, now)) return;
      open_member(writer, field, separator);
      if (field.absent(now, Form::stored)) {
        writer.raw(std::string_view("null"));
      } else {
        field.kind_.write(writer, field.content(now));
      }
    });
    if (separator == '{') writer.raw('{');
    writer.raw('}');
    return separator != '{';
  }

  void patch(T& value, std::string_view diff) const override {
    T changed = value;
    detail::Reading reading{.accepted = masks_[index(Form::stored)].accepted,
                            .changes = true,
                            .refusal = detail::refusal_of(Form::stored)};
    Issues issues;
    // What was stored has been bounded when it was stored, perhaps by other limits than today's.
    constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();
    if (!read_changes(diff, {.max_bytes = unbounded, .max_depth = 1024}, changed, reading,
                      issues)) {
      detail::throw_corrupt(name_, std::move(issues));
    }
    value = std::move(changed);
  }

  [[nodiscard]] std::string json_schema(Form form) const override {
    const std::uint64_t required = masks_[index(form)].required;
    return json_schema(name_of_form(name_, form), masks_[index(form)].accepted, required, false);
  }
  [[nodiscard]] std::string json_schema_of_update() const override {
    return json_schema(std::string(name_) + "Update", writable_, 0, true);
  }
  [[nodiscard]] std::string typescript(Form form) const override {
    const std::uint64_t required = masks_[index(form)].required;
    return typescript(name_of_form(name_, form), masks_[index(form)].accepted, required, false);
  }
  [[nodiscard]] std::string typescript_of_update() const override {
    return typescript(std::string(name_) + "Update", writable_, 0, true);
  }

  void read_value(json::Reader& reader, json::Value& value, Form form, T& out) const override {
    if (value.first() != '{') return reader.wrong_type(value, "an object");
    read_record(reader, value, form, out);
  }

  void write_value(json::Writer& writer, const T& value, Form form) const override {
    const std::uint64_t written = masks_[index(form)].accepted;
    char separator = '{';
    each([&](const auto& field, std::uint64_t bit) {
      const auto& member = value.*field.member_;
      if ((written & bit) == 0 || field.absent(member, form)) return;
      open_member(writer, field, separator);
      field.kind_.write(writer, field.content(member));
    });
    if (separator == '{') writer.raw('{');
    writer.raw('}');
  }

  void check_value(json::Report& report, const T& value, Form form) const override {
    json::Place place{.parent = report.place(), .key = "", .index = 0};
    report.move_to(&place);
    each([&](const auto& field, std::uint64_t) {
      if (!field.in(form)) return;
      place.key = field.name();
      check_field(report, field, value, form);
    });
    report.move_to(place.parent);
    run_checks(report, value, form);
  }

 private:
  static_assert(sizeof...(Fields) <= 64, "fields are counted in the bits of one word");
  static constexpr auto indexes = std::index_sequence_for<Fields...>();

  struct Masks {
    std::uint64_t accepted = 0;
    std::uint64_t required = 0;
  };

  static constexpr std::size_t index(Form form) noexcept { return static_cast<std::size_t>(form); }

  // visit(field, bit) for each field in order.
  template <class Visit>
  void each(const Visit& visit) const {
    each(visit, indexes);
  }
  template <class Visit, std::size_t... I>
  void each(const Visit& visit, std::index_sequence<I...>) const {
    (visit(std::get<I>(fields_), std::uint64_t{1} << I), ...);
  }

  template <class F>
  static void open_member(json::Writer& writer, const F& field, char& separator) {
    writer.raw(std::exchange(separator, ','));
    writer.template raw_bytes<sizeof field.opening_>(field.opening_);
  }

  template <class F, class Member>
  static bool equal(const F& field, const Member& a, const Member& b) {
    if constexpr (std::equality_comparable<Member>) {
      return a == b;
    } else {
      if (field.absent(a, Form::stored) != field.absent(b, Form::stored)) return false;
      if (field.absent(a, Form::stored)) return true;
      std::string texts[2];
      for (const auto* member : {&a, &b}) {
        json::Writer writer(texts[member == &b]);
        field.kind_.write(writer, field.content(*member));
      }
      return texts[0] == texts[1];
    }
  }

  static void merge(std::optional<json::Raw>& target, const json::Raw& patch) {
    target = json::merge_patch(target.value_or(json::Raw()), patch);
  }
  static void merge(json::Raw& target, const json::Raw& patch) {
    target = json::merge_patch(target, patch);
  }

  template <class F>
  static void check_field(json::Report& report, const F& field, const T& value, Form form) {
    const auto& member = value.*field.member_;
    if (field.absent(member, form)) {
      if (field.required_in(form)) detail::report_missing(report, field.kind_.expected());
      return;
    }
    if constexpr (F::null_is_none && F::is_free) {
      if (member->is_null()) return detail::report_null(report, true, field.kind_.expected());
    }
    field.kind_.check(report, field.content(member));
  }

  void run_checks(json::Report& report, const T& value, Form form) const {
    for (const Check rule : form == Form::create ? create_checks_ : checks_) rule(value, report);
  }

  bool read(std::string_view text, Form form, T& out, Issues& issues,
            const json::Limits& limits) const override {
    const json::ReaderLease reader;
    return reader->read_object(text, limits, issues, [&](simdjson::ondemand::object& root) {
      read_record(*reader, root, form, out);
    });
  }

  bool read_changes(std::string_view text, const json::Limits& limits, T& out,
                    detail::Reading& reading, Issues& issues) const {
    const json::ReaderLease reader;
    return reader->read_object(text, limits, issues, [&](simdjson::ondemand::object& root) {
      {
        json::Members members(*reader, root);
        read_members(*reader, members, out, reading, indexes);
      }
      reading.report(*reader);
    });
  }

  // `source` is a json::Value or the root.
  template <class Source>
  void read_record(json::Reader& reader, Source& source, Form form, T& out) const {
    const Masks& masks = masks_[index(form)];
    detail::Reading reading{.accepted = masks.accepted, .refusal = detail::refusal_of(form)};
    {
      json::Members members(reader, source);
      read_members(reader, members, out, reading, indexes);
      const std::uint64_t missing = masks.required & ~reading.seen;
      if (missing != 0) report_missing(reader, members, missing);
    }
    reading.report(reader);
    run_checks(reader, out, form);
  }

  void report_missing(json::Reader& reader, json::Members& members, std::uint64_t missing) const {
    each([&](const auto& field, std::uint64_t bit) {
      if ((missing & bit) == 0) return;
      members.name(field.name());
      detail::report_missing(reader, field.kind_.expected());
    });
  }

  // Members usually come in the order of declaration: one pass over the fields then reads them all.
  // A pass that matches nothing has met a key that is unknown or written with escapes.
  template <std::size_t... I>
  void read_members(json::Reader& reader, json::Members& members, T& out, detail::Reading& reading,
                    std::index_sequence<I...>) const {
    for (bool more = members.next(); more;) {
      bool matched = false;
      (void)((!std::get<I>(fields_).matches(members.key_start()) ||
              (read_field(reader, members, std::get<I>(fields_), std::uint64_t{1} << I, out,
                          reading),
               matched = true, more = members.next())) &&
             ...);
      if (matched) continue;
      read_other(reader, members, out, reading);
      more = members.next();
    }
  }

  void read_other(json::Reader& reader, json::Members& members, T& out,
                  detail::Reading& reading) const {
    const std::string_view key = members.key();
    bool known = false;
    each([&](const auto& field, std::uint64_t bit) {
      if (known || field.name() != key) return;
      known = true;
      read_field(reader, members, field, bit, out, reading);
    });
    if (known) return;
    reading.add_unknown(key);
    members.name(key);
    reader.check(members.value());
  }

  template <class F>
  static void read_field(json::Reader& reader, json::Members& members, const F& field,
                         std::uint64_t bit, T& out, detail::Reading& reading) {
    members.name(field.name());
    json::Value& value = members.value();
    if ((reading.accepted & ~reading.seen & bit) == 0) [[unlikely]] {
      if ((reading.seen & bit) != 0) {
        reader.add_duplicate();
      } else {
        reading.add_refused(field.name());
      }
      return reader.check(value);
    }
    reading.seen |= bit;
    auto& member = out.*field.member_;
    if constexpr (F::optional) {
      if (value.first() == 'n') [[unlikely]] {
        reader.check(value);
        member.reset();
        reading.removed |= bit;
        if (!reading.changes && !F::null_is_none) {
          detail::report_null(reader, true, field.kind_.expected());
        }
        return;
      }
      field.kind_.read(reader, value, member.emplace());
    } else {
      if (reading.changes && value.first() == 'n' && !F::is_free) [[unlikely]] {
        reader.check(value);
        return detail::report_null(reader, false, field.kind_.expected());
      }
      field.kind_.read(reader, value, member);
    }
  }

  std::uint64_t field_bit(const T& object, const void* member) const override {
    std::uint64_t found = 0;
    each([&](const auto& field, std::uint64_t bit) {
      if (&(object.*field.member_) == member) found = bit;
    });
    if (found == 0) throw std::logic_error("not a declared member of " + std::string(name_));
    return found;
  }

  std::string json_schema(std::string_view title, std::uint64_t included, std::uint64_t required,
                          bool nullable) const {
    std::string properties;
    std::string names;
    each([&](const auto& field, std::uint64_t bit) {
      if ((included & bit) == 0) return;
      if (!properties.empty()) properties += ',';
      json::append_string(properties, field.name());
      properties += ':' + field.kind_.json_schema(field.description_, nullable && field.optional);
      if ((required & bit) == 0) return;
      if (!names.empty()) names += ',';
      json::append_string(names, field.name());
    });
    return detail::json_object(title, description_, properties, names);
  }

  std::string typescript(std::string_view title, std::uint64_t included, std::uint64_t required,
                         bool nullable) const {
    std::string members;
    each([&](const auto& field, std::uint64_t bit) {
      if ((included & bit) == 0) return;
      std::string type = field.kind_.typescript();
      if (nullable && field.optional && !field.null_is_none) type += " | null";
      members +=
          detail::typescript_member(field.name(), field.description_, (required & bit) == 0, type);
    });
    return detail::typescript_interface(title, description_, members);
  }

  std::string_view name_;
  std::string_view description_;
  std::tuple<Fields...> fields_;
  std::array<Masks, 3> masks_{};
  std::uint64_t writable_ = 0;
  std::uint64_t free_ = 0;
  std::vector<Check> checks_;
  std::vector<Check> create_checks_;
};

// `name` and `description` are literals.
template <class T, class... Fields>
ObjectSchema<T, Fields...> object(std::string_view name, std::string_view description,
                                  Fields... fields) {
  return {name, description, std::move(fields)...};
}

}  // namespace actionflows::schema
