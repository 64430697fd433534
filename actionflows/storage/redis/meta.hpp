// What is kept of a session beside its records, in one field of its hash: one look tells all that a
// commit has to know. It stays when the session ends, for as long as an archive or a log is there.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows::redis {

struct Meta {
  bool live = false;
  // The deadline of a live session, the end of the log's retention of an ended one.
  Timestamp until;
  Timestamp last_active;
  std::uint64_t first_sequence = 0;  // of the log; 0: no log
  std::uint64_t last_sequence = 0;
  std::uint32_t last_archived = 0;
  std::string user;
  std::string state;

  [[nodiscard]] Activity activity() const { return {last_active, until}; }
};

// The text is "live until last_active first last last_archived archive_until user state"; times are
// milliseconds since 1970. nullopt: it is none such.
std::optional<Meta> parse_meta(std::string_view text);

// The parts of a text between single spaces, one after the other; the last takes all that is left.
class Words {
 public:
  explicit Words(std::string_view text) : left_(text) {}

  std::string_view next();
  // 0 where it is no number; then `ok` is false from then on.
  std::int64_t number();
  std::uint64_t count() { return static_cast<std::uint64_t>(number()); }
  [[nodiscard]] std::string_view rest() const { return left_; }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  std::string_view left_;
  bool ok_ = true;
};

}  // namespace actionflows::redis
