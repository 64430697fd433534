#include "actionflows/storage/redis/records_sink.hpp"

#include <charconv>
#include <utility>

namespace actionflows::redis {

void RecordsSink::restart() {
  records.clear();
  meta_seen_ = damaged_ = false;
  meta_.clear();
}

void RecordsSink::add(const ReplyPart& part) {
  if (part.kind == ReplyPart::Kind::array) return;
  if (with_meta_ && !std::exchange(meta_seen_, true)) {
    meta_ = part.text;
    return;
  }
  auto& record = records.emplace_back();
  if (part.kind == ReplyPart::Kind::null) return;
  const std::string_view text = part.text;
  std::uint64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  const auto length = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || length == text.size() || text[length] != ':') {
    damaged_ = true;
    return;
  }
  record.emplace(StoredRecord{Bytes(text.substr(length + 1)), version, !with_meta_});
}

std::optional<Meta> RecordsSink::meta(const std::string& session) const {
  if (meta_.empty()) return std::nullopt;
  auto parsed = parse_meta(meta_);
  if (!parsed)
    throw failure(ErrorCode::corrupt, "what is kept of the session can't be read", "read", session);
  return parsed;
}

void RecordsSink::check(const std::string& session) const {
  if (damaged_)
    throw failure(ErrorCode::corrupt, "a stored record has no version", "read", session);
}

}  // namespace actionflows::redis
