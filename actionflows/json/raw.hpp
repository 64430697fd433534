// Raw: a free-form JSON value, checked once and kept byte for byte.
//
// What clients attach to records (metadata, inputs, results, event data) has no schema. It is held
// as the text they sent, so that it comes back exactly so: big integers, member order and inner
// whitespace included.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace actionflows::json {

// Bounds of one JSON text.
struct Limits {
  std::size_t max_bytes = std::size_t{2} * 1024 * 1024;
  std::size_t max_depth = 64;  // arrays and objects inside one another; a scalar alone has depth 0
};

// Thread-safety: as a std::string.
class Raw {
 public:
  // null
  Raw() : text_("null") {}

  // Checks `text` in full: strict UTF-8 JSON (RFC 8259) of one value, with no byte order mark, no
  // lone surrogate, no duplicate key at any depth, within `limits`. Numbers of any size pass and
  // "\u0000" is allowed. Surrounding whitespace is dropped.
  // Throws StorageError(invalid) with every issue.
  static Raw parse(std::string_view text, const Limits& limits = {});

  // `text` as it stands. For code that has just checked it or built it from checked parts: anything
  // else breaks the promise of this class.
  static Raw from_checked(std::string_view text) { return Raw(text); }
  void assign_checked(std::string_view text) { text_ = std::string(text); }

  // Valid while this object lives and is not assigned to.
  [[nodiscard]] std::string_view view() const noexcept { return text_; }

  [[nodiscard]] bool is_object() const noexcept { return text_.front() == '{'; }
  [[nodiscard]] bool is_null() const noexcept { return text_.front() == 'n'; }

  // The same bytes: {"a":1} and {"a": 1} differ.
  friend bool operator==(const Raw&, const Raw&) = default;

 private:
  explicit Raw(std::string_view text) : text_(text) {}

  std::string text_;
};

// Applies an RFC 7396 merge patch. Members of the target that the patch does not name keep their
// bytes and their order; members it names keep their place; new ones follow in the patch's order;
// null removes. Arrays and scalars are replaced whole. An untouched target keeps all of its bytes.
Raw merge_patch(const Raw& target, const Raw& patch);

}  // namespace actionflows::json
