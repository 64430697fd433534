// The names of things. Distinct types: passing one for another does not compile.
//
// A chain's id contains its session's, a step's id its chain's: `S.c3` is the third chain of
// session S, `S.c3.s4` that chain's fourth step. So an id alone tells where its record lives.
//
// Thread-safety: as std::string.
#pragma once

#include "actionflows/base/random.hpp"
#include "actionflows/base/time.hpp"

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace actionflows {

// The longest session or user id, in characters.
inline constexpr std::size_t max_id_length = 200;

// A user, as the client's identity provider names them: 1-200 printable ASCII characters, no space.
// Never made here. A backend that builds keys from it must encode it.
class UserId {
 public:
  static constexpr std::string_view rule = "1-200 printable ASCII characters without spaces";

  UserId() = default;  // empty: no user
  static std::optional<UserId> parse(std::string_view text);

  [[nodiscard]] const std::string& str() const noexcept { return text_; }
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
  friend auto operator<=>(const UserId&, const UserId&) = default;

 private:
  std::string text_;
};

// A session: 1-200 characters of [A-Za-z0-9._:@-], so that it can be no key delimiter and no hash
// tag of a backend. A name, never a secret.
class SessionId {
 public:
  static constexpr std::string_view rule = "1-200 characters of A-Z a-z 0-9 . _ : @ -";

  SessionId() = default;  // empty: no session
  static std::optional<SessionId> parse(std::string_view text);

  // A new UUIDv7 (RFC 9562): `now` in its first 48 bits, the rest random.
  static SessionId mint(Timestamp now, Random& random);

  [[nodiscard]] const std::string& str() const noexcept { return text_; }
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
  friend auto operator<=>(const SessionId&, const SessionId&) = default;

 private:
  friend class ChainId;
  std::string text_;
};

// The nth chain of a session: `<session>.c<n>`, n from 1.
class ChainId {
 public:
  static constexpr std::string_view rule = "<sessionId>.c<number>, the number from 1";

  ChainId() = default;  // empty: no chain
  ChainId(const SessionId& session, std::uint32_t number);
  static std::optional<ChainId> parse(std::string_view text);

  [[nodiscard]] SessionId session() const;
  [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
  [[nodiscard]] const std::string& str() const noexcept { return text_; }
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
  friend bool operator==(const ChainId& a, const ChainId& b) { return a.text_ == b.text_; }

 private:
  std::string text_;
  std::uint32_t number_ = 0;
};

// The mth step of a chain: `<chain>.s<m>`, m from 1.
class StepId {
 public:
  static constexpr std::string_view rule = "<sessionId>.c<number>.s<number>, both numbers from 1";

  StepId() = default;  // empty: no step
  StepId(const ChainId& chain, std::uint32_t number);
  static std::optional<StepId> parse(std::string_view text);

  [[nodiscard]] ChainId chain() const;
  [[nodiscard]] SessionId session() const { return chain().session(); }
  [[nodiscard]] std::uint32_t number() const noexcept { return number_; }
  [[nodiscard]] const std::string& str() const noexcept { return text_; }
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }
  friend bool operator==(const StepId& a, const StepId& b) { return a.text_ == b.text_; }

 private:
  std::string text_;
  std::uint32_t number_ = 0;
};

}  // namespace actionflows
