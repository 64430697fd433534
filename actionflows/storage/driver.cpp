#include "actionflows/storage/driver.hpp"

namespace actionflows {

std::string_view to_string(Source source) {
  switch (source) {
    case Source::memory: return "memory";
    case Source::sqlite: return "sqlite";
    case Source::redis: return "redis";
    case Source::fallback: return "fallback";
  }
  return "memory";
}

std::string to_string(const Durability& durability) {
  switch (durability.level) {
    case DurabilityLevel::memory: return "memory";
    case DurabilityLevel::fsynced: return "fsynced";
    case DurabilityLevel::journal: return "journal";
    case DurabilityLevel::redis: break;
  }
  if (durability.replicas == 0) return "redis";
  return "redis-replicated(" + std::to_string(durability.replicas) + ")";
}

}  // namespace actionflows
