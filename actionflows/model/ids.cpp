#include "actionflows/model/ids.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace actionflows {
namespace {

using CharacterSet = std::array<bool, 256>;

constexpr CharacterSet id_characters(std::string_view punctuation) {
  CharacterSet set{};
  for (char c = '0'; c <= '9'; ++c) set[static_cast<unsigned char>(c)] = true;
  for (char c = 'A'; c <= 'Z'; ++c) set[static_cast<unsigned char>(c)] = true;
  for (char c = 'a'; c <= 'z'; ++c) set[static_cast<unsigned char>(c)] = true;
  for (const char c : punctuation) set[static_cast<unsigned char>(c)] = true;
  return set;
}

constexpr CharacterSet session_characters = id_characters("._:@-");

constexpr CharacterSet user_characters = [] {
  CharacterSet set{};
  for (unsigned char c = '!'; c <= '~'; ++c) set[c] = true;
  return set;
}();

bool is_id(std::string_view text, const CharacterSet& allowed) {
  return !text.empty() && text.size() <= max_id_length &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return allowed[static_cast<unsigned char>(c)]; });
}

struct Split {
  std::string_view parent;
  std::uint32_t number = 0;
};

// Takes `.c3` or `.s4` from the end. The number has no leading zero, so that one thing has one
// name.
std::optional<Split> split_last(std::string_view text, char kind) {
  const std::size_t dot = text.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view digits = text.substr(std::min(text.size(), dot + 2));
  if (text.substr(dot + 1).substr(0, 1) != std::string_view(&kind, 1)) return std::nullopt;
  if (digits.empty() || digits[0] == '0') return std::nullopt;
  Split split{text.substr(0, dot), 0};
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), split.number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return split;
}

std::string join(const std::string& parent, char kind, std::uint32_t number) {
  std::array<char, 10> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  std::string text;
  text.reserve(parent.size() + 2 + digits.size());
  text.append(parent).append({'.', kind}).append(digits.data(), end);
  return text;
}

}  // namespace

std::optional<UserId> UserId::parse(std::string_view text) {
  if (!is_id(text, user_characters)) return std::nullopt;
  UserId id;
  id.text_ = text;
  return id;
}

std::optional<SessionId> SessionId::parse(std::string_view text) {
  if (!is_id(text, session_characters)) return std::nullopt;
  SessionId id;
  id.text_ = text;
  return id;
}

SessionId SessionId::mint(Timestamp now, Random& random) {
  std::array<unsigned char, 16> bytes;
  random.fill(std::as_writable_bytes(std::span(bytes)));
  const auto milliseconds = static_cast<std::uint64_t>(now.time_since_epoch().count());
  for (std::size_t i = 0; i < 6; ++i)
    bytes[i] = static_cast<unsigned char>(milliseconds >> (40 - 8 * i));
  bytes[6] = static_cast<unsigned char>(0x70 | (bytes[6] & 0x0f));  // version 7
  bytes[8] = static_cast<unsigned char>(0x80 | (bytes[8] & 0x3f));  // variant 10

  constexpr std::string_view hex = "0123456789abcdef";
  SessionId id;
  id.text_.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) id.text_ += '-';
    id.text_ += hex[bytes[i] >> 4];
    id.text_ += hex[bytes[i] & 0xf];
  }
  return id;
}

ChainId::ChainId(const SessionId& session, std::uint32_t number)
    : text_(join(session.str(), 'c', number)), number_(number) {}

std::optional<ChainId> ChainId::parse(std::string_view text) {
  const auto split = split_last(text, 'c');
  if (!split || !is_id(split->parent, session_characters)) return std::nullopt;
  ChainId id;
  id.text_ = text;
  id.number_ = split->number;
  return id;
}

SessionId ChainId::session() const {
  SessionId session;
  session.text_ = text_.substr(0, text_.rfind('.'));
  return session;
}

StepId::StepId(const ChainId& chain, std::uint32_t number)
    : text_(join(chain.str(), 's', number)), number_(number) {}

std::optional<StepId> StepId::parse(std::string_view text) {
  const auto split = split_last(text, 's');
  if (!split || !ChainId::parse(split->parent)) return std::nullopt;
  StepId id;
  id.text_ = text;
  id.number_ = split->number;
  return id;
}

ChainId StepId::chain() const {
  return ChainId::parse(std::string_view(text_).substr(0, text_.rfind('.'))).value_or(ChainId());
}

}  // namespace actionflows
