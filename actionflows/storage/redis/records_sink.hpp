// Reads what HMGET says of a session: its meta field first, then records.
#pragma once

#include "actionflows/storage/redis/command.hpp"
#include "actionflows/storage/redis/meta.hpp"

#include <boost/container/small_vector.hpp>

#include <optional>
#include <string>

namespace actionflows::redis {

class RecordsSink final : public Sink {
 public:
  // Whether the first value is the meta field.
  explicit RecordsSink(bool with_meta = true) : with_meta_(with_meta) {}

  void restart() override;
  void add(const ReplyPart& part) override;

  // nullopt: nothing stands there. Throws corrupt.
  [[nodiscard]] std::optional<Meta> meta(const std::string& session) const;
  [[nodiscard]] const std::string& meta_text() const { return meta_; }
  // Throws corrupt when one of them is none.
  void check(const std::string& session) const;

  // In the order of the fields asked for.
  boost::container::small_vector<std::optional<StoredRecord>, 2> records;

 private:
  const bool with_meta_;
  bool meta_seen_ = false;
  bool damaged_ = false;
  std::string meta_;
};

}  // namespace actionflows::redis
