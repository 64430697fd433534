// Bytes as text: base64url and hexadecimal, and the one digest the library uses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace actionflows {

// RFC 4648 section 5, without padding.
std::string base64url(std::string_view bytes);
// nullopt: not the one spelling that `base64url` makes.
std::optional<std::string> from_base64url(std::string_view text);

// Lower case.
std::string hex(std::span<const std::uint8_t> bytes);

using Sha256 = std::array<std::uint8_t, 32>;

// FIPS 180-4, by OpenSSL. Throws std::runtime_error when OpenSSL can't.
Sha256 sha256(std::string_view text);

// Whether two secrets are equal, in a time that depends on their lengths only.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace actionflows
