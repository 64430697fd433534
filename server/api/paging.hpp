// Pages of lists, as their JSON: {"items":[...],"nextCursor":"..."}, with "corrupt":[...] where
// records could not be read.
#pragma once

#include "actionflows/base/task.hpp"
#include "actionflows/storage/page.hpp"
#include "server/api/call.hpp"
#include "server/api/views.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace actionflows::api {

// A page ends early once its records are this long together, so that a thousand large records are
// never in memory at once.
inline constexpr std::size_t page_bytes = 4 << 20;

// How many records are asked of the storage at once.
inline constexpr std::size_t page_portion = 50;

// Writes the items of lists one after the other.
class ItemsWriter {
 public:
  // `opening`: what stands before the items, up to their '['.
  explicit ItemsWriter(std::string opening = "{\"items\":[") : out_(std::move(opening)) {}

  template <class T>
  void add(const T& item) {
    if (out_.back() != '[') out_ += ',';
    schema::schema_of<T>().encode(item, schema::Form::full, out_);
  }
  void add(const std::vector<StorageError>& corrupt) {
    for (const StorageError& error : corrupt) corrupt_.push_back({error.record, error.message()});
  }

  [[nodiscard]] std::size_t size() const noexcept { return out_.size(); }

  // The list, `members` ("\"nextCursor\":null") behind it.
  [[nodiscard]] std::string finish(std::string_view members = {}) &&;

 private:
  std::string out_;
  std::vector<CorruptView> corrupt_;
};

std::string next_cursor_member(const std::optional<std::string>& cursor);

// The page that `query`, a checked one, asks for; `list` answers a PageQuery with a Task<Page<T>>.
template <class List>
Task<std::string> encode_page(PageQuery query, List list) {
  ItemsWriter writer;
  for (;;) {
    PageQuery portion = query;
    portion.limit = std::min(query.limit, page_portion);
    auto page = co_await list(std::move(portion));
    for (const auto& item : page.items) writer.add(item);
    writer.add(page.corrupt);
    query.limit -= std::min(query.limit, page.items.size());
    query.cursor = std::move(page.next_cursor);
    if (!query.cursor || query.limit == 0 || writer.size() >= page_bytes) break;
    // An empty portion is no end, but nothing to go on with for ever within one request either.
    if (page.items.empty()) break;
  }
  co_return std::move(writer).finish(next_cursor_member(query.cursor));
}

}  // namespace actionflows::api
