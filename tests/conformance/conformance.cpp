#include "tests/conformance/conformance.hpp"

#include "actionflows/base/random.hpp"
#include "tests/support/redis_server.hpp"

#include <algorithm>
#include <cctype>

namespace actionflows::test {
namespace {

// The test's name and a random part: so that a store that is shared and kept can be understood.
std::string unique_name() {
  const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
  std::string name = info != nullptr ? info->name() : "test";
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '-');
  return name + "." + std::to_string(system_random().next());
}

}  // namespace

std::span<const RecordKey> usual_keys() {
  static const std::vector<RecordKey> keys = [] {
    std::vector<RecordKey> made = {session_record, credentials};
    for (std::uint32_t c = 1; c <= 4; ++c)
      for (std::uint32_t s = 0; s <= 4; ++s) made.push_back({c, s});
    return made;
  }();
  return keys;
}

DriverConformance::~DriverConformance() {
  if (driver_ == nullptr) return;
  for (const SessionId& session : sessions_) run(driver_->erase_session(session));
}

void DriverConformance::SetUp() {
  const std::string missing = GetParam().missing();
  if (missing.empty()) return;
  if (in_ci()) FAIL() << missing;
  GTEST_SKIP() << missing;
}

StorageDriver& DriverConformance::driver() {
  if (driver_ == nullptr) driver_ = GetParam().open({});
  return *driver_;
}

void DriverConformance::open(const DriverLimits& limits) {
  driver_.reset();
  driver_ = GetParam().open(limits);
}

SessionId DriverConformance::new_session() {
  sessions_.push_back(SessionId::parse(unique_name()).value());
  return sessions_.back();
}

UserId DriverConformance::new_user() {
  users_.push_back(UserId::parse(unique_name()).value());
  return users_.back();
}

std::optional<StoredRecord> DriverConformance::record(const SessionId& session, RecordKey key) {
  return read(session, {key}).records.at(0);
}

bool DriverConformance::touch(const SessionId& session, Timestamp at, Timestamp expires) {
  return run(driver().touch(session, Activity{at, expires}));
}

SessionId DriverConformance::live_session(const UserId& user, std::uint32_t chains) {
  const SessionId session = new_session();
  Change change(session);
  change.create(user);
  for (std::uint32_t number = 1; number <= chains; ++number)
    change.put(chain(number)).put(step(number, 1)).put(step(number, 2));
  commit(change);
  return session;
}

void DriverConformance::expect_refused(const Commit& change, ErrorCode code) {
  const auto everything = [&] {
    std::vector<UserView> lists;
    for (const UserId& user : users_) lists.push_back(view(user));
    return std::pair(view(change.session), std::move(lists));
  };
  const auto before = everything();
  const auto subscription = run(driver().subscribe(change.session));
  EXPECT_STORAGE_ERROR(commit(change), code);
  const auto after = everything();
  EXPECT_EQ(after.first, before.first);
  EXPECT_EQ(after.second, before.second);
  EXPECT_TRUE(run(subscription->next(0ms)).wakeups.empty());
}

}  // namespace actionflows::test
