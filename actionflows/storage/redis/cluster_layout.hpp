// Reads what a node says of its cluster (CLUSTER SLOTS): who owns which slots.
#pragma once

#include "actionflows/storage/redis/command.hpp"
#include "actionflows/storage/redis/slots.hpp"

#include <cstdint>
#include <string>

namespace actionflows::redis {

// The reply is an array of ranges; each is [first, last, [host, port, ...], replicas...].
class LayoutSink final : public Sink {
 public:
  // `asked`: the node that answers, which may leave out its own host.
  explicit LayoutSink(RedisAddress asked) : asked_(std::move(asked)) {}

  void restart() override;
  void add(const ReplyPart& part) override;

  // Whether some range was read.
  [[nodiscard]] bool complete() const { return ranges_ > 0; }
  [[nodiscard]] const SlotMap& map() const { return map_; }

 private:
  const RedisAddress asked_;
  SlotMap map_;
  std::size_t ranges_ = 0;
  std::size_t nodes_ = 0;   // of the present range
  std::size_t values_ = 0;  // of the present range, or of its master
  std::uint16_t first_ = 0;
  std::uint16_t last_ = 0;
  RedisAddress master_;
};

}  // namespace actionflows::redis
