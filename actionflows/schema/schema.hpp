// Schema: what the declaration of a record type gives its users.
//
// A type is declared once, in its .cpp, with schema/object.hpp. From that come decoding with
// validation, encoding, partial updates, differences, JSON Schema and TypeScript. This header is
// what everybody else includes; it stays light.
#pragma once

#include "actionflows/base/issue.hpp"
#include "actionflows/json/raw.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace actionflows::json {
class Reader;
class Report;
class Writer;
struct Value;
}  // namespace actionflows::json

namespace actionflows::schema {

// Which fields of a declaration are meant.
enum class Form {
  full,    // all: what the API shows
  stored,  // without those kept beside the record's bytes
  create,  // those a client may give on creation
};

// Which fields an update may touch.
enum class Reach {
  writable,  // those a client may change
  stored,    // all that the record's bytes hold
};

template <class T>
class Partial;

// One per type, made once, never destroyed. All functions are safe to call from any thread. The
// default constructor of T initialises every member.
template <class T>
class Schema {
 public:
  virtual ~Schema() = default;

  // "Session"; forms other than full append "Create" and "Update" to it.
  [[nodiscard]] virtual std::string_view name() const = 0;

  // Decodes and validates. Throws StorageError(invalid) with every issue.
  [[nodiscard]] T decode(std::string_view text, Form form, const json::Limits& limits = {}) const;

  // The same into `out`, which it replaces; false, with the issues appended, if there are any: then
  // `out` is valid but unspecified.
  bool decode(std::string_view text, Form form, T& out, Issues& issues,
              const json::Limits& limits = {}) const {
    out = T();
    return read(text, form, out, issues, limits);
  }
  // The same into a `fresh` one, which nothing was put into yet.
  bool decode_into(T& fresh, std::string_view text, Form form, Issues& issues,
                   const json::Limits& limits = {}) const {
    return read(text, form, fresh, issues, limits);
  }

  // Appends compact JSON, members in the order of declaration, absent ones left out. On creation, a
  // field that need not be given is left out while it holds its default.
  virtual void encode(const T& value, Form form, std::string& out) const = 0;

  // The rules of decoding, over a value made in C++.
  virtual bool validate(const T& value, Form form, Issues& issues) const = 0;

  // Reads an RFC 7396 merge patch of the writable fields: null clears an optional field, free-form
  // objects merge. Throws StorageError(invalid) with every issue.
  [[nodiscard]] virtual Partial<T> decode_update(std::string_view text,
                                                 const json::Limits& limits = {}) const = 0;
  virtual bool validate(const Partial<T>& update, Issues& issues,
                        Reach reach = Reach::writable) const = 0;
  virtual void apply(const Partial<T>& update, T& value) const = 0;

  // Appends what changed, as a JSON object over the stored fields: a changed field with its new
  // value, a removed one with null. Free-form fields are replaced whole. Returns whether anything
  // changed; if not, "{}" is appended.
  virtual bool diff(const T& before, const T& after, std::string& out) const = 0;

  // Applies such a difference. Throws StorageError(corrupt) if it does not fit; then `value` is as
  // it was.
  virtual void patch(T& value, std::string_view diff) const = 0;

  // JSON Schema 2020-12; other types by "#/components/schemas/Name".
  [[nodiscard]] virtual std::string json_schema(Form form) const = 0;
  [[nodiscard]] virtual std::string json_schema_of_update() const = 0;
  // "export interface Session { ... }"
  [[nodiscard]] virtual std::string typescript(Form form) const = 0;
  [[nodiscard]] virtual std::string typescript_of_update() const = 0;

  // For the declarations of types that contain this one.
  virtual void read_value(json::Reader& reader, json::Value& value, Form form, T& out) const = 0;
  virtual void write_value(json::Writer& writer, const T& value, Form form) const = 0;
  virtual void check_value(json::Report& report, const T& value, Form form) const = 0;

 private:
  friend class Partial<T>;

  // Into a default-constructed `out`.
  virtual bool read(std::string_view text, Form form, T& out, Issues& issues,
                    const json::Limits& limits) const = 0;

  // The bit of the field whose member of `object` is at `member`; throws std::logic_error if that
  // member is not declared.
  virtual std::uint64_t field_bit(const T& object, const void* member) const = 0;
};

// The declaration of T: specialised for each declared type.
template <class T>
const Schema<T>& schema_of();

// Changes to some fields of a T. What is not named stays as it is.
//
//     SessionUpdate().set(&Session::title, "Nightly run").clear(&Session::summary)
template <class T>
class Partial {
 public:
  // Gives a field a new value.
  template <class Member, class Owner, class Value>
    requires std::derived_from<T, Owner> && std::assignable_from<Member&, Value>
  Partial& set(Member Owner::* member, Value&& value) {
    values_.*member = std::forward<Value>(value);
    const std::uint64_t bit = bit_of(member);
    set_ |= bit;
    merge_ &= ~bit;
    return *this;
  }

  // Removes an optional field.
  template <class Member, class Owner>
  Partial& clear(std::optional<Member> Owner::* member) {
    return set(member, std::nullopt);
  }

  // Changes a free-form field by an RFC 7396 merge patch.
  template <class Owner>
  Partial& merge(std::optional<json::Raw> Owner::* member, json::Raw patch) {
    set(member, std::move(patch));
    merge_ |= bit_of(member);
    return *this;
  }

  [[nodiscard]] bool empty() const noexcept { return set_ == 0; }

  // Whether the update names this field.
  template <class Member, class Owner>
  [[nodiscard]] bool has(Member Owner::* member) const {
    return (set_ & bit_of(member)) != 0;
  }

  // The new value of a field that the update names (of a merged one: the patch).
  template <class Member, class Owner>
  [[nodiscard]] const Member& get(Member Owner::* member) const {
    return values_.*member;
  }

 private:
  template <class, class...>
  friend class ObjectSchema;

  template <class Member, class Owner>
  [[nodiscard]] std::uint64_t bit_of(Member Owner::* member) const {
    return schema_of<T>().field_bit(values_, &(values_.*member));
  }

  T values_{};
  std::uint64_t set_ = 0;    // the fields named, a bit for each
  std::uint64_t merge_ = 0;  // those of them whose value is a merge patch
};

namespace detail {
[[noreturn]] void throw_invalid(Issues issues);
}  // namespace detail

template <class T>
T Schema<T>::decode(std::string_view text, Form form, const json::Limits& limits) const {
  T value;
  Issues issues;
  if (!read(text, form, value, issues, limits)) [[unlikely]] {
    detail::throw_invalid(std::move(issues));
  }
  return value;
}

}  // namespace actionflows::schema
