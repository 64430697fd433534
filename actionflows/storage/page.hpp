// Pages of lists, and the cursors that lead from one to the next.
#pragma once

#include "actionflows/base/error.hpp"
#include "actionflows/storage/driver.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows {

// A cursor stays valid while records come and go: what does not move while pages are read is seen
// exactly once.
struct PageQuery {
  std::size_t limit = 50;             // 1-1000
  std::optional<std::string> cursor;  // of the page before; absent: the first page
};

template <class T>
struct Page {
  std::vector<T> items;
  std::optional<std::string> next_cursor;  // absent: this was the last page
  std::vector<StorageError> corrupt;       // records that could not be read; the others are there
};

// The largest page.
inline constexpr std::size_t max_page = 1'000;

// Throws invalid: `limit` out of range.
void check_limit(std::size_t limit);

// The lists; a cursor of one is refused by the others.
enum class ListKind : char { sessions = 's', archive = 'a', chains = 'c', steps = 't' };

// Opaque text from a position (of sessions or the archive) or a number (of chains or steps), and
// back. Throws invalid when it is no cursor of such a list.
std::string encode_cursor(ListKind kind, const ListPosition& position);
std::string encode_cursor(ListKind kind, std::uint32_t number);
ListPosition decode_position(ListKind kind, std::string_view cursor);
std::uint32_t decode_number(ListKind kind, std::string_view cursor);

}  // namespace actionflows
