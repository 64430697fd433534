// What `read` promises.
#include "tests/conformance/conformance.hpp"

#include <algorithm>
#include <numeric>

namespace actionflows::test {
namespace {

// Every byte there is, and what trips over strings.
std::string all_bytes() {
  std::string text(256, '\0');
  std::iota(text.begin(), text.end(), '\0');
  return text + "\r\n{tag}:'\\\"";
}

TEST_P(DriverConformance, ReadsNothingOfAnUnknownSession) {
  const ReadResult result = read(new_session(), {session_record, credentials, chain(1)});
  ASSERT_EQ(result.records.size(), 3u);
  EXPECT_TRUE(std::none_of(result.records.begin(), result.records.end(),
                           [](const auto& record) { return record.has_value(); }));
  EXPECT_FALSE(result.live);
  EXPECT_EQ(result.last_sequence, 0u);
  EXPECT_EQ(result.last_archived, 0u);
}

TEST_P(DriverConformance, ReadsRecordsInTheOrderOfTheKeys) {
  const SessionId s = live_session(new_user(), 2);
  const std::vector<RecordKey> keys = {step(2, 1), chain(4), session_record, step(1, 2),
                                       step(1, 3), chain(1), step(2, 1)};
  const ReadResult result = read(s, keys);
  ASSERT_EQ(result.records.size(), keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto& found = result.records[i];
    const bool absent = keys[i] == chain(4) || keys[i] == step(1, 3);
    ASSERT_EQ(found.has_value(), !absent) << to_string(keys[i]);
    if (absent) continue;
    EXPECT_EQ(found->bytes, bytes_of(keys[i], 1)) << to_string(keys[i]);
    EXPECT_EQ(found->version, 1u);
    EXPECT_FALSE(found->archived);
  }
}

TEST_P(DriverConformance, ReadsTheHeadWithoutAnyKey) {
  const SessionId s = new_session();
  commit(Change(s).create(new_user()).active_until(test_start + 5min).event_count(3));
  const ReadResult result = read(s);
  EXPECT_TRUE(result.records.empty());
  EXPECT_TRUE(result.live);
  EXPECT_EQ(result.activity, (Activity{test_start, test_start + 5min}));
  EXPECT_EQ(result.last_sequence, 3u);
  EXPECT_EQ(result.last_archived, 0u);
}

TEST_P(DriverConformance, ReadsManyKeysAtOnce) {
  const SessionId s = new_session();
  Change change(s);
  change.create(new_user());
  std::vector<RecordKey> keys;
  for (std::uint32_t c = 1; c <= 10; ++c)
    for (std::uint32_t n = 0; n < 200; ++n) keys.push_back({c, n});
  for (const RecordKey key : keys) change.put(key);
  commit(change);
  std::reverse(keys.begin(), keys.end());
  const ReadResult result = read(s, keys);
  ASSERT_EQ(result.records.size(), keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i)
    ASSERT_TRUE(result.records[i] && result.records[i]->bytes == bytes_of(keys[i], 1))
        << to_string(keys[i]);
}

TEST_P(DriverConformance, ReadsExactlyTheBytesThatWerePut) {
  const SessionId s = new_session();
  const std::string large(2 << 20, '\xff');
  const std::vector<std::string> texts = {all_bytes(), std::string(1, '\0'), "", large};
  Change change(s);
  change.create(new_user()).put(credentials, 0, Bytes(all_bytes()));
  for (std::uint32_t i = 0; i < texts.size(); ++i) change.put(chain(i + 1), 0, Bytes(texts[i]));
  change.operation(all_bytes().substr(0, 200));
  change.no_events();
  for (const std::string& text : texts) change.events.push_back({Bytes(text), "test:bytes", ""});
  commit(change);

  EXPECT_EQ(record(s, credentials)->bytes.view(), all_bytes());
  for (std::uint32_t i = 0; i < texts.size(); ++i) {
    const auto found = record(s, chain(i + 1));
    ASSERT_TRUE(found.has_value()) << texts[i].size();
    EXPECT_TRUE(found->bytes.view() == texts[i]) << texts[i].size();
  }
  const EventPage page = events(s);
  ASSERT_EQ(page.events.size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_TRUE(page.events[i].bytes.view() == texts[i]) << texts[i].size();
    EXPECT_EQ(page.events[i].operation_id, change.operation_id);
  }
}

TEST_P(DriverConformance, KeepsWhatWasReadWhenTheStoreMovesOn) {
  const SessionId s = live_session(new_user(), 1);
  const std::optional<StoredRecord> before = record(s, chain(1));
  const EventPage page = events(s);
  commit(Change(s).put(chain(1), 1));
  run(driver().erase_session(s));
  EXPECT_EQ(before->bytes, bytes_of(chain(1), 1));
  EXPECT_EQ(page.events.at(0).bytes.view(), "test:changed #0");
}

TEST_P(DriverConformance, ReadsWhoIsPastTheDeadlineUntilEnded) {
  const UserId ann = new_user();
  const SessionId s = new_session();
  const Timestamp long_ago = *parse_rfc3339("2001-01-01T00:00:00Z");
  commit(Change(s, long_ago).create(ann));
  EXPECT_TRUE(view(s).live);
  EXPECT_EQ(view(s).records.size(), 1u);
  EXPECT_EQ(view(ann).sessions.size(), 1u);
  commit(Change(s, long_ago + 2h).end());
  EXPECT_FALSE(view(s).live);
  EXPECT_TRUE(view(s).records.empty());
  EXPECT_TRUE(view(ann).sessions.empty());
}

TEST_P(DriverConformance, KeepsCredentialsApart) {
  const SessionId s = live_session(new_user());
  EXPECT_FALSE(record(s, credentials).has_value());
  commit(Change(s).put(credentials));
  commit(Change(s).put(credentials, 1));
  EXPECT_EQ(record(s, credentials)->bytes, bytes_of(credentials, 2));
  EXPECT_EQ(record(s, session_record)->bytes, bytes_of(session_record, 1));
  commit(Change(s).erase(credentials, 2));
  EXPECT_FALSE(record(s, credentials).has_value());
}

TEST_P(DriverConformance, SessionsAreApart) {
  const UserId ann = new_user();
  const SessionId a = live_session(ann, 1);
  // Ids that a careless key would mix up.
  const SessionId b = SessionId::parse(a.str() + ".c1").value();
  commit(Change(b).create(ann));
  commit(Change(b).put(chain(1)).put(step(1, 1)).event("test:b"));
  commit(Change(a).put(chain(1), 1));
  EXPECT_EQ(record(a, chain(1))->version, 2u);
  EXPECT_EQ(record(b, chain(1))->version, 1u);
  EXPECT_EQ(events(a).last_sequence, 2u);
  EXPECT_EQ(events(b).last_sequence, 2u);
  EXPECT_TRUE(run(driver().erase_session(b)));
  EXPECT_EQ(view(a).records.size(), 4u);
}

TEST_P(DriverConformance, TakesTheLongestNames) {
  const std::string odd = "0123456789._:@-";
  const std::string longest = odd + std::string(max_id_length - odd.size(), 'z');
  const SessionId s = SessionId::parse(longest).value();
  const UserId user = UserId::parse(std::string(max_id_length, '~')).value();
  run(driver().erase_session(s));  // of an earlier run
  const std::uint32_t last = DriverLimits().max_chains;
  commit(Change(s).create(user).put(chain(last)).put(step(last, DriverLimits().max_steps)));
  commit(Change(s).move_to_archive(last));
  EXPECT_TRUE(record(s, step(last, DriverLimits().max_steps))->archived);
  EXPECT_EQ(all_sessions(driver(), pages_of(user)).at(0).id, s);
  EXPECT_EQ(all_archived(driver(), pages_of(user)).at(0).id, ChainId(s, last));
  EXPECT_TRUE(run(driver().erase_session(s)));
}

TEST_P(DriverConformance, AnswersAreOfNow) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann, 1);
  EXPECT_EQ(read(s).provenance.age, 0ms);
  EXPECT_EQ(events(s).provenance.age, 0ms);
  EXPECT_EQ(run(driver().list_sessions(pages_of(ann))).provenance.age, 0ms);
  EXPECT_EQ(run(driver().list_archive(pages_of(ann))).provenance.age, 0ms);
}

TEST_P(DriverConformance, TellsItsHealth) {
  const Health before = run(driver().health());
  EXPECT_TRUE(before.ok) << before.detail;
  EXPECT_FALSE(before.driver.empty());
  const UserId ann = new_user();
  const SessionId a = live_session(ann);
  live_session(ann);
  // Much, because a server gives back what earlier tests have left, too.
  commit(Change(a).put(chain(1), 0, Bytes(std::string(500'000, 'x'))));
  const Health full = run(driver().health());
  EXPECT_EQ(full.sessions, before.sessions + 2);
  EXPECT_GT(full.bytes, before.bytes);
  commit(Change(a).end());
  EXPECT_EQ(run(driver().health()).sessions, before.sessions + 1);
}

}  // namespace
}  // namespace actionflows::test
