#include "actionflows/base/random.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

namespace actionflows {
namespace {

void fill_from_openssl(std::span<std::byte> out) {
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size())) != 1)
    throw std::runtime_error("the system's random generator failed");
}

// Asking OpenSSL costs about 300 ns however little is taken, so each thread keeps a block in stock.
class SystemRandom final : public Random {
 public:
  void fill(std::span<std::byte> out) override {
    thread_local std::array<std::byte, 4096> stock;
    thread_local std::size_t left = 0;
    if (out.size() > stock.size()) return fill_from_openssl(out);
    if (left < out.size()) {
      fill_from_openssl(stock);
      left = stock.size();
    }
    left -= out.size();
    std::memcpy(out.data(), stock.data() + left, out.size());
    std::memset(stock.data() + left, 0, out.size());  // what was handed out is a secret elsewhere
  }
};

}  // namespace

std::uint64_t Random::next() {
  std::uint64_t value = 0;
  fill(std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

std::uint64_t Random::below(std::uint64_t bound) {
  // Values of the incomplete last round are drawn again, so that no remainder is favoured.
  const std::uint64_t rejected = (0 - bound) % bound;
  std::uint64_t value = next();
  while (value < rejected) value = next();
  return value % bound;
}

Random& system_random() {
  static auto* const random = new SystemRandom;  // never destroyed: threads may outlive main
  return *random;
}

std::uint64_t SeededRandom::next() {
  constexpr std::uint64_t golden_gamma = 0x9e3779b97f4a7c15;
  std::uint64_t z = state_.fetch_add(golden_gamma) + golden_gamma;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void SeededRandom::fill(std::span<std::byte> out) {
  for (std::size_t at = 0; at < out.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t value = next();
    std::memcpy(out.data() + at, &value, std::min(sizeof value, out.size() - at));
  }
}

}  // namespace actionflows
