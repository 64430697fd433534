// Ended chains: moved whole, immutable, readable as before, and kept beyond their session.
#include "tests/conformance/conformance.hpp"

namespace actionflows::test {
namespace {

TEST_P(DriverConformance, MovesAChainWithItsStepsToTheArchive) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann, 2);
  commit(Change(s)
             .put(chain(1), 1)
             .put(step(1, 1), 1)
             .put(step(1, 3))
             .erase(step(1, 2), 1)
             .move_to_archive(1));
  const SessionView seen = view(s);
  EXPECT_EQ(seen.last_archived, 1u);
  for (const auto& [key, version] : {std::pair(chain(1), 2), {step(1, 1), 2}, {step(1, 3), 1}}) {
    SCOPED_TRACE(to_string(key));
    const StoredRecord& moved = seen.records.at(key);
    EXPECT_TRUE(moved.archived);
    EXPECT_EQ(moved.version, static_cast<std::uint64_t>(version));
    EXPECT_EQ(moved.bytes, bytes_of(key, static_cast<std::uint64_t>(version)));
  }
  EXPECT_FALSE(seen.records.contains(step(1, 2)));
  EXPECT_FALSE(seen.records.at(chain(2)).archived);
  EXPECT_FALSE(seen.records.at(step(2, 1)).archived);
  EXPECT_TRUE(seen.live);
}

TEST_P(DriverConformance, ArchivesWhatTheSameCommitMade) {
  const SessionId s = live_session(new_user());
  commit(Change(s).put(chain(1)).put(step(1, 1)).move_to_archive(1));
  EXPECT_TRUE(record(s, chain(1))->archived);
  EXPECT_TRUE(record(s, step(1, 1))->archived);
}

TEST_P(DriverConformance, KeepsArchivedRecordsAsTheyAre) {
  const SessionId s = live_session(new_user(), 1);
  commit(Change(s).move_to_archive(1));
  for (const RecordKey key : {chain(1), step(1, 1)}) {
    SCOPED_TRACE(to_string(key));
    expect_refused(Change(s).put(key), ErrorCode::conflict);
    expect_refused(Change(s).put(key, 1), ErrorCode::conflict);
    expect_refused(Change(s).erase(key, 1), ErrorCode::conflict);
    expect_refused(Change(s).expect(key, 0), ErrorCode::conflict);
    expect_refused(Change(s).expect(key, 2), ErrorCode::conflict);
    commit(Change(s).expect(key, 1));  // it stands as it was read
  }
  expect_refused(Change(s).put(step(1, 4)), ErrorCode::conflict);  // nor does the chain grow
  expect_refused(Change(s).move_to_archive(1), ErrorCode::conflict);
}

TEST_P(DriverConformance, ArchivesOnlyChainsThatAreThere) {
  const SessionId s = live_session(new_user(), 1);
  commit(Change(s).put(step(2, 1)));
  expect_refused(Change(s).move_to_archive(3), ErrorCode::conflict);
  expect_refused(Change(s).move_to_archive(2), ErrorCode::conflict);  // a step, but no chain
  expect_refused(Change(s).move_to_archive(1'000'000), ErrorCode::conflict);
}

TEST_P(DriverConformance, RefusesToArchiveWhatIsNoChain) {
  const SessionId s = live_session(new_user(), 1);
  expect_refused(Change(s).move_to_archive(0), ErrorCode::invalid);
}

TEST_P(DriverConformance, RefusesToArchiveAChainTwice) {
  const SessionId s = live_session(new_user(), 1);
  expect_refused(Change(s).move_to_archive(1).move_to_archive(1), ErrorCode::invalid);
}

TEST_P(DriverConformance, RefusesToArchiveAnErasedChain) {
  const SessionId s = live_session(new_user(), 1);
  expect_refused(Change(s).erase(chain(1), 1).move_to_archive(1), ErrorCode::invalid);
}

TEST_P(DriverConformance, KeepsTheArchiveWhenTheSessionEnds) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann, 3);
  commit(Change(s).move_to_archive(1));
  commit(Change(s).put(chain(3), 1).move_to_archive(3).end());
  const SessionView seen = view(s);
  EXPECT_FALSE(seen.live);
  EXPECT_EQ(seen.last_archived, 3u);
  EXPECT_EQ(seen.records.size(), 6u);
  EXPECT_EQ(seen.records.at(chain(1)).version, 1u);
  EXPECT_EQ(seen.records.at(chain(3)).version, 2u);
  EXPECT_TRUE(seen.records.at(step(3, 2)).archived);
  EXPECT_FALSE(seen.records.contains(chain(2)));
  EXPECT_EQ(view(ann).archive.size(), 2u);
}

TEST_P(DriverConformance, NeverReusesAnArchivedNumber) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann, 2);
  commit(Change(s).move_to_archive(2).end());
  expect_refused(Change(s).create(ann).put(chain(2)), ErrorCode::conflict);
  commit(Change(s).create(ann).put(chain(1)).put(chain(3)));
  EXPECT_EQ(read(s).last_archived, 2u);
  EXPECT_FALSE(record(s, chain(1))->archived);
  EXPECT_EQ(record(s, chain(2))->bytes, bytes_of(chain(2), 1));
  commit(Change(s).move_to_archive(1));
  EXPECT_EQ(read(s).last_archived, 2u);
  commit(Change(s).move_to_archive(3));
  EXPECT_EQ(read(s).last_archived, 3u);
}

TEST_P(DriverConformance, ListsTheArchiveLatestFirst) {
  const UserId ann = new_user();
  const UserId bob = new_user();
  const SessionId a = live_session(ann, 3);
  const SessionId b = live_session(ann, 1);
  const SessionId c = live_session(bob, 1);
  commit(Change(a, test_start + 3s).move_to_archive(2));
  commit(Change(b, test_start + 1s).move_to_archive(1));
  commit(Change(c, test_start + 2s).move_to_archive(1));
  commit(Change(a, test_start + 2s).move_to_archive(3).move_to_archive(1));
  const std::vector<std::string> expected = {
      line_of({ChainId(a, 2), {bytes_of(chain(2), 1), 1, true}}),
      line_of({ChainId(a, 1), {bytes_of(chain(1), 1), 1, true}}),
      line_of({ChainId(a, 3), {bytes_of(chain(3), 1), 1, true}}),
      line_of({ChainId(b, 1), {bytes_of(chain(1), 1), 1, true}})};
  EXPECT_EQ(view(ann).archive, expected);
  EXPECT_EQ(view(bob).archive.size(), 1u);

  for (const std::size_t limit : {1U, 2U, 3U, 4U, 5U}) {
    SCOPED_TRACE(limit);
    std::vector<std::string> paged;
    for (const ArchivedChain& item : all_archived(driver(), pages_of(ann, limit)))
      paged.push_back(line_of(item));
    EXPECT_EQ(paged, expected);
  }
}

TEST_P(DriverConformance, ListsTheArchiveOfAllUsers) {
  const UserId ann = new_user();
  const SessionId a = live_session(ann, 2);
  const SessionId b = live_session(new_user(), 1);
  commit(Change(a, test_start + 1s).move_to_archive(1));
  commit(Change(b, test_start + 2s).move_to_archive(1));
  commit(Change(a, test_start + 3s).move_to_archive(2));
  std::vector<std::string> ours;
  for (const ArchivedChain& item : all_archived(driver(), pages_of(std::nullopt, 2)))
    if (item.id.session() == a || item.id.session() == b) ours.push_back(item.id.str());
  EXPECT_EQ(ours, (std::vector<std::string>{ChainId(a, 2).str(), ChainId(b, 1).str(),
                                            ChainId(a, 1).str()}));
}

TEST_P(DriverConformance, ListsTheArchiveByTheUserOfThatTime) {
  const UserId ann = new_user();
  const UserId bob = new_user();
  const SessionId s = live_session(ann, 2);
  commit(Change(s).move_to_archive(1));
  commit(Change(s).put(session_record, 1).list_as(bob, "active").move_to_archive(2));
  EXPECT_EQ(view(ann).archive.size(), 1u);
  EXPECT_EQ(view(bob).archive.size(), 1u);
  commit(Change(s).end());
  EXPECT_EQ(view(ann).archive.size(), 1u);
  EXPECT_EQ(view(bob).archive.size(), 1u);
}

TEST_P(DriverConformance, PagesTheArchiveWhileItGrows) {
  const UserId ann = new_user();
  const SessionId s = live_session(ann, 4);
  for (std::uint32_t n = 1; n <= 3; ++n)
    commit(Change(s, test_start + std::chrono::seconds(n)).move_to_archive(n));
  ListQuery query = pages_of(ann, 1);
  const ArchivePage first = run(driver().list_archive(query));
  ASSERT_EQ(first.items.size(), 1u);
  EXPECT_EQ(first.items[0].id.number(), 3u);
  commit(Change(s, test_start + 30min).move_to_archive(4));
  query.after = first.next;
  ASSERT_TRUE(query.after.has_value());
  std::vector<std::uint32_t> rest;
  for (const ArchivedChain& item : all_archived(driver(), query)) rest.push_back(item.id.number());
  EXPECT_EQ(rest, (std::vector<std::uint32_t>{2, 1}));
}

}  // namespace
}  // namespace actionflows::test
