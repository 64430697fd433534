// The suite notices what it is there to notice: it is run on drivers with planted faults, each in
// a process of its own, and must fail on every one; on a driver that is merely wrapped it passes.
//
// To see how a fault shows:
//   ACTIONFLOWS_FAULT=drops_the_archive_at_the_end conformance_tests --gtest_filter='Faulty*'
#include "actionflows/storage/memory/memory_storage.hpp"
#include "tests/conformance/conformance.hpp"
#include "tests/conformance/faulty_storage.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

namespace actionflows::test {
namespace {

constexpr const char* variable = "ACTIONFLOWS_FAULT";

const Fault& no_fault() {
  static const Fault none{.name = "no_fault"};
  return none;
}

// The driver with the fault that the environment names; nothing where it names none, so that a
// usual run of this program has no failing tests in it.
std::vector<DriverUnderTest> faulty() {
  const char* name = std::getenv(variable);
  if (name == nullptr) return {};
  const auto found = std::find_if(faults().begin(), faults().end(),
                                  [&](const Fault& fault) { return fault.name == name; });
  const Fault& fault = found != faults().end() ? *found : no_fault();
  DriverUnderTest driver;
  driver.name = fault.name;
  driver.open = [&fault, max_wakeups = driver.max_wakeups](const DriverLimits& limits) {
    MemoryOptions options;
    options.limits = limits;
    options.max_wakeups = max_wakeups;
    if (fault.limits != nullptr) fault.limits(options.limits);
    return make_faulty_storage(make_memory_storage(options), fault);
  };
  return {driver};
}

INSTANTIATE_TEST_SUITE_P(Faulty, DriverConformance, testing::ValuesIn(faulty()), name_of_driver);

// The exit code of these tests on a driver with this fault: 0 passed, 1 failed, else it died. Under
// a sanitizer it takes as many sequences to notice one as elsewhere.
int run_suite(const Fault& fault, const std::string& filter) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  std::ostringstream command;
  command << variable << '=' << fault.name << " ACTIONFLOWS_SEED=1 ACTIONFLOWS_SEQUENCES=300"
          << " RC_PARAMS=noshrink=1 '" << program << "' --gtest_fail_fast --gtest_filter='"
          << filter << "' >/dev/null 2>&1";
  const int status =
      std::system(command.str().c_str());  // NOLINT: the command is this program's own
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

constexpr const char* model_part = "Faulty/*Model*";
constexpr const char* other_part = "Faulty/*-*Model*";

std::string name_of_fault(const testing::TestParamInfo<Fault>& info) { return info.param.name; }

class SuiteOnFaultyDriver : public testing::TestWithParam<Fault> {};

TEST_P(SuiteOnFaultyDriver, Fails) {
  EXPECT_EQ(run_suite(GetParam(), other_part), 1) << "no case notices it";
  if (GetParam().seen_by_model) {
    EXPECT_EQ(run_suite(GetParam(), model_part), 1) << "no random sequence notices it";
  }
}

INSTANTIATE_TEST_SUITE_P(Planted, SuiteOnFaultyDriver,
                         testing::ValuesIn(faults().begin(), faults().end()), name_of_fault);

TEST(SuiteOnWrappedDriver, Passes) {
  EXPECT_EQ(run_suite(no_fault(), other_part), 0);
  EXPECT_EQ(run_suite(no_fault(), model_part), 0);
}

}  // namespace
}  // namespace actionflows::test
