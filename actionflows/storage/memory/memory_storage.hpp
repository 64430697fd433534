// MemoryStorage: sessions in this process's memory. For development and tests, and as the fallback
// of a backend that is away. Everything is gone with the process.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <cstdint>
#include <memory>

namespace actionflows {

struct MemoryOptions {
  DriverLimits limits;

  // Bounds of the whole store; a commit that would pass one is `exhausted`. Ended sessions count as
  // long as their log or archive is kept.
  std::uint64_t max_sessions = 1'000'000;
  std::uint64_t max_bytes = std::uint64_t{4} << 30;  // of records, events and their keeping

  // How many of each subscription's wake-ups wait before it has `missed` some.
  std::size_t max_wakeups = 1'024;
};

// Thread-safety of the driver: shared objects: safe; calls for different sessions seldom wait for
// each other. Durability: memory.
std::unique_ptr<StorageDriver> make_memory_storage(MemoryOptions options = {});

}  // namespace actionflows
