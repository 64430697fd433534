// MemoryStorage keeps the contract.
#include "actionflows/storage/memory/memory_storage.hpp"

#include "tests/conformance/conformance.hpp"

namespace actionflows::test {
namespace {

DriverUnderTest memory() {
  DriverUnderTest memory;
  memory.name = "memory";
  memory.open = [max_wakeups = memory.max_wakeups](const DriverLimits& limits) {
    MemoryOptions options;
    options.limits = limits;
    options.max_wakeups = max_wakeups;
    return make_memory_storage(options);
  };
  return memory;
}

INSTANTIATE_TEST_SUITE_P(Memory, DriverConformance, testing::Values(memory()), name_of_driver);

}  // namespace
}  // namespace actionflows::test
