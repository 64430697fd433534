#include "actionflows/storage/redis/slots.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <utility>

namespace actionflows::redis {
namespace {

constexpr std::array<std::uint16_t, 256> crc_table = [] {
  std::array<std::uint16_t, 256> table{};
  for (unsigned byte = 0; byte < table.size(); ++byte) {
    unsigned crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc << 1) ^ ((crc & 0x8000) != 0 ? 0x1021u : 0u);
    table[byte] = static_cast<std::uint16_t>(crc);
  }
  return table;
}();

std::uint16_t crc16(std::string_view text) {
  std::uint16_t crc = 0;
  for (const char c : text) {
    const auto index = static_cast<std::uint8_t>((crc >> 8) ^ static_cast<std::uint8_t>(c));
    crc = static_cast<std::uint16_t>((crc << 8) ^ crc_table.at(index));
  }
  return crc;
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [behind, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || behind != end) return std::nullopt;
  return value;
}

// "host:port", ":port", "::1:port" (as servers write IPv6) or "[::1]:port". A host "?" is one that
// the answering node does not know either.
std::optional<RedisAddress> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  if (!port || *port == 0) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  if (host == "?") return std::nullopt;
  return RedisAddress{std::string(host), *port};
}

// Removes the first word of `text` and returns it.
std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(word.size() + 1, text.size()));
  return word;
}

}  // namespace

std::uint16_t slot_of(std::string_view key) {
  const std::size_t open = key.find('{');
  if (open != key.npos) {
    const std::size_t close = key.find('}', open + 1);
    if (close != key.npos && close != open + 1) key = key.substr(open + 1, close - open - 1);
  }
  return crc16(key) % slot_count;
}

std::optional<Redirect> parse_redirect(std::string_view error_reply) {
  Redirect redirect;
  const std::string_view word = take_word(error_reply);
  if (word == "ASK") {
    redirect.kind = Redirect::Kind::ask;
  } else if (word != "MOVED") {
    return std::nullopt;
  }
  const auto slot = parse_number<std::uint16_t>(take_word(error_reply));
  if (!slot || *slot >= slot_count) return std::nullopt;
  redirect.slot = *slot;
  // A newer server may tell more behind the address.
  auto address = parse_address(take_word(error_reply));
  if (!address) return std::nullopt;
  redirect.to = *std::move(address);
  return redirect;
}

std::optional<RedisAddress> SlotMap::owner(std::uint16_t slot) const {
  if (slot >= slot_count || owners_[slot] == nobody) return std::nullopt;
  return addresses_[owners_[slot]];
}

void SlotMap::set(std::uint16_t first, std::uint16_t last, const RedisAddress& address) {
  const auto found = std::ranges::find(addresses_, address);
  const auto index = static_cast<std::uint16_t>(found - addresses_.begin());
  if (found == addresses_.end()) addresses_.push_back(address);
  for (std::size_t slot = first; slot <= last && slot < slot_count; ++slot) owners_[slot] = index;
}

std::vector<RedisAddress> SlotMap::masters() const {
  std::vector<bool> owns(addresses_.size());
  for (const std::uint16_t index : owners_)
    if (index != nobody) owns[index] = true;
  std::vector<RedisAddress> masters;
  for (std::size_t i = 0; i < addresses_.size(); ++i)
    if (owns[i]) masters.push_back(addresses_[i]);
  std::ranges::sort(masters);
  return masters;
}

bool SlotMap::covers_all() const { return !std::ranges::count(owners_, nobody); }

Decision decide(std::string_view error_reply, int tries, const RedisAddress& from, int most) {
  using enum Decision::Action;
  std::string_view rest = error_reply;
  const std::string_view word = take_word(rest);

  Decision decision;
  if (word == "MOVED" || word == "ASK") {
    // One that names nobody: the answering node is about to learn more itself.
    auto redirect = parse_redirect(error_reply);
    decision.refresh = word == "MOVED" || !redirect;
    if (redirect) {
      decision.action = word == "ASK" ? resend_asking : resend;
      decision.to = std::move(redirect->to);
      if (decision.to.host.empty()) decision.to.host = from.host;
    } else {
      decision.action = wait_and_resend;
    }
  } else if (word == "TRYAGAIN") {
    // The slot's keys are on their way to another node; the map is as good as it can be.
    decision.action = wait_and_resend;
  } else if (word == "CLUSTERDOWN" || word == "READONLY" || word == "MASTERDOWN") {
    decision.action = wait_and_resend;
    decision.refresh = true;
  }
  if (tries >= most && decision.action != wait_and_resend) {
    decision.action = answer;
    decision.to = {};
  }
  return decision;
}

}  // namespace actionflows::redis
