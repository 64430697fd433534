#include "actionflows/storage/redis/cluster_layout.hpp"

#include <charconv>

namespace actionflows::redis {
namespace {

std::uint16_t number_of(std::string_view text) {
  std::uint16_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

void LayoutSink::restart() {
  map_ = SlotMap();
  ranges_ = 0;
}

void LayoutSink::add(const ReplyPart& part) {
  const bool array = part.kind == ReplyPart::Kind::array;
  if (part.depth == 1 && array) {
    nodes_ = values_ = 0;
  } else if (part.depth == 2 && array) {
    ++nodes_;
    values_ = 0;
  } else if (part.depth == 2) {
    (values_++ == 0 ? first_ : last_) = number_of(part.text);
  } else if (part.depth == 3 && nodes_ == 1 && !array) {
    if (values_ == 0) master_.host = part.text.empty() ? asked_.host : std::string(part.text);
    if (values_ == 1) {
      master_.port = number_of(part.text);
      if (master_.port == 0) master_.port = asked_.port;
      if (first_ <= last_ && last_ < slot_count) map_.set(first_, last_, master_);
      ++ranges_;
    }
    ++values_;
  }
}

}  // namespace actionflows::redis
