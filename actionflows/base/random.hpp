// Where randomness comes from: injected, so that a test can repeat itself from its seed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace actionflows {

// Thread-safety: shared objects: safe.
class Random {
 public:
  virtual ~Random() = default;

  virtual void fill(std::span<std::byte> out) = 0;
  virtual std::uint64_t next();

  // Uniform in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound);
};

// Cryptographically strong (OpenSSL's generator), drawn in blocks per thread. Fit for secrets.
// One object for the whole process; never destroyed. Throws std::runtime_error when the system has
// no randomness to give.
Random& system_random();

// SplitMix64 (Steele, Lea, Flood 2014): the same seed gives the same numbers. Never for secrets.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::byte> out) override;
  std::uint64_t next() override;

 private:
  std::atomic<std::uint64_t> state_;
};

}  // namespace actionflows
