#include "actionflows/storage/redis/meta.hpp"

#include <algorithm>
#include <charconv>

namespace actionflows::redis {

std::string_view Words::next() {
  const std::size_t end = std::min(left_.find(' '), left_.size());
  const std::string_view word = left_.substr(0, end);
  left_.remove_prefix(std::min(end + 1, left_.size()));
  return word;
}

std::int64_t Words::number() {
  const std::string_view word = next();
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) ok_ = false;
  return ok_ ? value : 0;
}

std::optional<Meta> parse_meta(std::string_view text) {
  Words words(text);
  Meta meta;
  meta.live = words.next() == "1";
  meta.until = from_unix_milliseconds(words.number());
  meta.last_active = from_unix_milliseconds(words.number());
  meta.first_sequence = words.count();
  meta.last_sequence = words.count();
  meta.last_archived = static_cast<std::uint32_t>(words.count());
  words.number();  // until when the archive is kept: only the scripts need it
  meta.user = words.next();
  meta.state = words.rest();
  if (!words.ok() || meta.user.empty()) return std::nullopt;
  return meta;
}

}  // namespace actionflows::redis
