#include "cli/open_storage.hpp"

#include "actionflows/base/error.hpp"
#include "cli/failure.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <vector>

namespace actionflows::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string refusal_of(const StorageWishes& wishes) {
  try {
    choose_storage(wishes);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "none";
}

TEST(ChooseStorage, WhatIsAskedForDecides) {
  for (const char* url : {"memory:", "memory", "memory://", "sqlite:a.db", "sqlite:/var/a.db",
                          "redis://box", "rediss://u:p@box:1/", "redis+cluster://a,b"})
    for (const char* stage : {"", "development", "test", "production", "staging"}) {
      const StorageChoice choice = choose_storage({.url = url, .node_env = stage, .redis_url = ""});
      EXPECT_EQ(choice.url, url);
      EXPECT_THAT(choice.notes, IsEmpty());
    }
}

TEST(ChooseStorage, WithoutAWishDevelopmentAndTestMeanMemory) {
  for (const char* stage : {"", "development", "test"}) {
    const StorageChoice choice = choose_storage({.url = "", .node_env = stage, .redis_url = ""});
    EXPECT_EQ(choice.url, "memory:");
    EXPECT_THAT(choice.notes, IsEmpty());
  }
}

TEST(ChooseStorage, ARedisUrlThatIsNotUsedIsNamed) {
  const std::string redis = "redis://:secret@box:6379";
  for (const char* stage : {"", "development", "test"})
    EXPECT_THAT(choose_storage({.url = "", .node_env = stage, .redis_url = redis}).notes,
                ElementsAre(HasSubstr("REDIS_URL is set but not used")));
  const StorageChoice given =
      choose_storage({.url = "memory:", .node_env = "production", .redis_url = redis});
  EXPECT_EQ(given.url, "memory:");
  EXPECT_THAT(given.notes, ElementsAre(HasSubstr("REDIS_URL is set but not used")));
  EXPECT_THAT(given.notes, ElementsAre(Not(HasSubstr("secret"))));
}

TEST(ChooseStorage, ProductionNeverFallsBackToMemory) {
  EXPECT_THAT(refusal_of({.url = "", .node_env = "production", .redis_url = ""}),
              AllOf(HasSubstr("set REDIS_URL"), HasSubstr("ACTIONFLOWS_STORAGE")));
}

TEST(ChooseStorage, ProductionMeansTheRedisOfItsUrl) {
  const StorageChoice choice =
      choose_storage({.url = "", .node_env = "production", .redis_url = "redis://box:1"});
  EXPECT_EQ(choice.url, "redis://box:1");
  EXPECT_THAT(choice.notes, IsEmpty());
  for (const char* url : {"memory:", "http://:secret@box", "redis://:secret@box:port"})
    EXPECT_THAT(refusal_of({.url = "", .node_env = "production", .redis_url = url}),
                AllOf(HasSubstr("REDIS_URL"), Not(HasSubstr("secret"))));
}

TEST(ChooseStorage, ARedisHasAFallbackAndAJournal) {
  StorageWishes wishes;
  wishes.url = "redis://box";
  EXPECT_EQ(choose_storage(wishes).fallback, "memory:");
  EXPECT_EQ(choose_storage(wishes).journal, "");
  wishes.fallback = "sqlite:a.db";
  wishes.journal = "b.db";
  EXPECT_EQ(choose_storage(wishes).fallback, "sqlite:a.db");
  EXPECT_EQ(choose_storage(wishes).journal, "b.db");
  wishes.journal = "a.db";
  EXPECT_THAT(refusal_of(wishes), HasSubstr("can't be one file"));
  wishes.fallback = "redis://other";
  EXPECT_THAT(refusal_of(wishes), HasSubstr("memory: or sqlite:PATH"));
  wishes.url = "memory:";
  EXPECT_EQ(choose_storage(wishes).fallback, "");
  EXPECT_THAT(choose_storage(wishes).notes,
              ElementsAre(HasSubstr("--fallback is set but not used"),
                          HasSubstr("--journal is set but not used")));
}

TEST(ChooseStorage, AnUnknownStageIsNoGuess) {
  EXPECT_THAT(refusal_of({.url = "", .node_env = "prod", .redis_url = ""}),
              HasSubstr("NODE_ENV is \"prod\""));
}

TEST(ChooseStorage, AnUnknownUrlIsRefusedWithoutItsSecrets) {
  const std::string refusal =
      refusal_of({.url = "rediss3://:secret@box", .node_env = "", .redis_url = ""});
  EXPECT_THAT(refusal, HasSubstr("unknown storage URL"));
  EXPECT_THAT(refusal, HasSubstr("memory:"));
  EXPECT_THAT(refusal, Not(HasSubstr("secret")));
  for (const char* url : {"sqlite", "SQLITE:a", "Memory:", "memory:x", "mem", ":", "/tmp/store"})
    EXPECT_THAT(refusal_of({.url = url, .node_env = "", .redis_url = ""}),
                HasSubstr("unknown storage URL"))
        << url;
}

TEST(OpenStorage, OpensWhatWasChosen) {
  const auto driver = open_storage("memory:");
  const Health health = test::run(driver->health());
  EXPECT_TRUE(health.ok);
  EXPECT_EQ(health.driver, "memory");
  EXPECT_THROW(open_storage("redis://box:port"), UsageError);
}

TEST(OpenStorage, TheTouchIntervalReachesTheDriver) {
  StorageBounds bounds;
  bounds.limits.touch_interval = std::chrono::milliseconds(300);
  const auto driver = open_storage("memory:", bounds);
  Commit commit;
  commit.session = *SessionId::parse("s");
  commit.operation_id = "create";
  commit.puts.push_back({RecordKey::of_session(), Bytes("{}"), 0, 1});
  commit.events.push_back({Bytes("{}"), "session:created", {}});
  const Timestamp start = commit.at;
  const auto active_at = [&](int milliseconds) {
    const Timestamp now = start + std::chrono::milliseconds(milliseconds);
    return Activity{now, now + std::chrono::seconds(3)};
  };
  commit.activity = active_at(0);
  commit.listed = ListKeys{*UserId::parse("ann"), "active"};
  test::run(driver->commit(commit));
  const auto last_active = [&] {
    return test::run(driver->read(commit.session, {})).activity.last_active - start;
  };
  EXPECT_TRUE(test::run(driver->touch(commit.session, active_at(299))));
  EXPECT_EQ(last_active().count(), 0);
  EXPECT_TRUE(test::run(driver->touch(commit.session, active_at(300))));
  EXPECT_EQ(last_active().count(), 300);
}

TEST(OpenStorage, AFileThatIsNotNamedIsRefused) {
  EXPECT_THAT(refusal_of({.url = "sqlite:", .node_env = "", .redis_url = ""}),
              HasSubstr("names no file"));
}

TEST(OpenStorage, WhoOnlyReadsMakesNoFile) {
  const test::Folder folder;
  const std::string path = folder.path("mistyped.db");
  EXPECT_THROW(open_storage("sqlite:" + path, {}, Opening::existing), StorageError);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(OpenStorage, OpensAFile) {
  const test::Folder folder;
  const auto driver = open_storage("sqlite:" + folder.path("a.db"));
  const Health health = test::run(driver->health());
  EXPECT_TRUE(health.ok) << health.detail;
  EXPECT_EQ(health.driver, "sqlite");
  EXPECT_EQ(to_string(health.durability), "fsynced");
  EXPECT_THROW(open_storage("sqlite:" + folder.path("absent/a.db")), StorageError);
}

TEST(OpenStorage, ARedisServerNeedNotBeThere) {
  std::mutex mutex;
  std::vector<std::string> lines;
  StorageBounds bounds;
  bounds.log = [&](std::string_view line) {
    const std::lock_guard lock(mutex);
    lines.emplace_back(line);
  };
  {
    const auto driver = open_storage("redis://:secret@127.0.0.1:1", bounds);
    const Health health = test::run(driver->health());
    EXPECT_EQ(health.driver, "redis");
    EXPECT_FALSE(health.ok);
    EXPECT_THAT(health.detail, Not(HasSubstr("secret")));
  }
  EXPECT_THAT(lines, ElementsAre(HasSubstr("can't connect to 127.0.0.1:1")));
}

TEST(OpenStorage, AServerOnRedisGoesOnWhileThatIsAway) {
  const test::Folder folder;
  const StorageChoice choice{.url = "redis://127.0.0.1:1",
                             .fallback = "sqlite:" + folder.path("fallback.db"),
                             .journal = folder.path("journal.db")};
  const auto driver = open_served_storage(choice, {});
  const auto resilience = [&] { return test::run(driver->health()).resilience; };
  ASSERT_TRUE(resilience().has_value());
  const SessionId session = *SessionId::parse("s");
  for (int calls = 0; calls < 100 && resilience()->breaker == "closed"; ++calls)
    EXPECT_THROW(test::run(driver->read(session, {})), StorageError);
  EXPECT_NE(resilience()->breaker, "closed");
  EXPECT_EQ(to_string(test::run(driver->health()).durability), "journal");
  const auto memory = open_served_storage({.url = "memory:"}, {});
  EXPECT_FALSE(test::run(memory->health()).resilience.has_value());
}

TEST(OpenStorage, BoundsReachTheDriver) {
  StorageBounds bounds;
  bounds.max_sessions = 1;
  const auto driver = open_storage("memory:", bounds);
  const auto create = [&](const char* name) {
    Commit commit;
    commit.session = *SessionId::parse(name);
    commit.operation_id = name;
    commit.puts.push_back({RecordKey::of_session(), Bytes("{}"), 0, 1});
    commit.events.push_back({Bytes("{}"), "session:created", {}});
    commit.activity = Activity{Timestamp{}, Timestamp::max()};
    commit.listed = ListKeys{*UserId::parse("ann"), "active"};
    test::run(driver->commit(commit));
  };
  create("first");
  EXPECT_THROW(create("second"), StorageError);
}

}  // namespace
}  // namespace actionflows::cli
