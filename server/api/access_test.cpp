#include "server/api/access.hpp"

#include "actionflows/base/encoding.hpp"
#include "server/testing/faulty_storage.hpp"
#include "server/testing/served.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace actionflows {
namespace {

using namespace std::chrono_literals;
using api::ApiKeys;
using test::Client;
using test::FaultyStorage;
using test::Reply;
using test::Served;

std::string line(const std::string& name, const std::string& key) {
  return name + ":" + hex(sha256(key)) + "\n";
}

// A file of keys that is gone with the test.
class KeysFile {
 public:
  explicit KeysFile(const std::string& text)
      : path_(std::filesystem::temp_directory_path() /
              ("actionflows-keys-" + std::to_string(system_random().next()))) {
    write(text);
  }
  ~KeysFile() { std::filesystem::remove(path_); }
  KeysFile(const KeysFile&) = delete;
  KeysFile& operator=(const KeysFile&) = delete;

  void write(const std::string& text) const { std::ofstream(path_) << text; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

AppOptions with_keys(const KeysFile& file) {
  AppOptions options;
  options.api_keys_file = file.path();
  options.heartbeat = 20ms;
  return options;
}

// ---- the file

TEST(ApiKeys, AreFoundByTheKeyAlone) {
  const ApiKeys keys =
      ApiKeys::parse("# keys\n\n" + line("ann", "one") + "\r\n  " + line("bob", "two"));
  EXPECT_EQ(keys.size(), 2U);
  ASSERT_TRUE(keys.find("one"));
  EXPECT_EQ(keys.find("one")->name, "ann");
  EXPECT_TRUE(keys.find("one")->has_full_access());
  EXPECT_EQ(keys.find("two")->name, "bob");
  EXPECT_FALSE(keys.find("three"));
  EXPECT_FALSE(keys.find(""));
  EXPECT_FALSE(keys.find(hex(sha256("one")))) << "the digest is no key";
}

TEST(ApiKeys, AnyCaseOfDigitsWillDo) {
  std::string text = line("ann", "one");
  for (char& c : text)
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  EXPECT_TRUE(ApiKeys::parse(text).find("one"));
}

TEST(ApiKeys, SeveralMayShareAName) {
  const ApiKeys keys = ApiKeys::parse(line("ann", "old") + line("ann", "new"));
  EXPECT_TRUE(keys.find("old"));
  EXPECT_TRUE(keys.find("new"));
}

TEST(ApiKeys, MistakesAreNamedByLineAndNothingElse) {
  for (const char* text : {"secret", "ann:secret", ":", "ann:", "a b:"}) {
    try {
      ApiKeys::parse("# first\n" + std::string(text) + "\n");
      FAIL() << text;
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(std::string(error.what()).find("line 2 "), 0U) << error.what();
      EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos);
    }
  }
  EXPECT_THROW(ApiKeys::parse(line("", "key")), std::runtime_error);
}

TEST(ApiKeys, AnUnreadableFileIsNamed) {
  try {
    ApiKeys::load("/nowhere/keys");
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(),
                 "can't read the API keys from /nowhere/keys: No such file or directory");
  }
  try {
    ApiKeys::load("/");
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "can't read the API keys from /: it is a folder");
  }
}

// ---- keys

class AccessByKey : public testing::Test {
 protected:
  KeysFile file_{line("backend", "the-key")};
  Served served_{with_keys(file_)};
};

TEST_F(AccessByKey, AFileWithoutKeysIsNoneToStartWith) {
  EXPECT_THROW(Served(with_keys(KeysFile("# none\n"))), std::runtime_error);
}

TEST_F(AccessByKey, AllKeysMayBeTakenAwayWhileItRuns) {
  file_.write("");
  EXPECT_TRUE(served_.app->reload());
  EXPECT_EQ(served_.client("the-key").get("/v1/sessions").status, 401);
}

TEST_F(AccessByKey, NothingWithoutCredentials) {
  Client client = served_.client();
  for (const char* path : {"/v1/sessions", "/v1/stream", "/v1/archive", "/metrics"}) {
    const Reply reply = client.get(path);
    EXPECT_EQ(reply.status, 401) << path;
    EXPECT_EQ(reply.header("WWW-Authenticate"), "Bearer") << path;
    EXPECT_EQ(reply.at("/type"), "urn:actionflows:problem:unauthenticated");
  }
  EXPECT_EQ(client.post("/v1/sessions", R"({"userId":"ann"})").status, 401);
  for (const char* path : {"/healthz", "/readyz", "/openapi.json"})
    EXPECT_EQ(client.get(path).status, 200) << path;
}

TEST_F(AccessByKey, NothingWithWrongCredentials) {
  Client client = served_.client();
  for (const char* value : {"Bearer wrong", "Bearer ", "Bearer", "bearer  the-key x", "the-key",
                            "Basic dGhlLWtleQ==", "Bearerthe-key", "Bearer aft.czE.AAAA", ""}) {
    const Reply reply = client.get("/v1/sessions", {{"Authorization", value}});
    EXPECT_EQ(reply.status, 401) << value;
    EXPECT_EQ(reply.header("WWW-Authenticate"), "Bearer error=\"invalid_token\"") << value;
    EXPECT_EQ(reply.body.find("the-key"), std::string::npos);
  }
}

TEST_F(AccessByKey, EverythingWithAKey) {
  Client client = served_.client("the-key");
  EXPECT_EQ(client.post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})").status, 201);
  for (const char* path : {"/v1/sessions", "/v1/sessions/s", "/v1/archive", "/metrics",
                           "/v1/sessions/s/verify", "/v1/sessions/s/export"})
    EXPECT_EQ(client.get(path).status, 200) << path;
  EXPECT_EQ(client.get("/v1/sessions/s/events").at("/items/0/actor"), "backend");
  EXPECT_EQ(client.get("/v1/sessions", {}).status, 200);
  Client other_case = served_.client();
  EXPECT_EQ(other_case.get("/v1/sessions", {{"authorization", "bearer  the-key"}}).status, 200);
}

TEST_F(AccessByKey, KeysOfIdempotencyBelongToTheirOwner) {
  file_.write(line("backend", "the-key") + line("worker", "other-key"));
  ASSERT_TRUE(served_.app->reload());
  Client one = served_.client("the-key");
  Client two = served_.client("other-key");
  one.post("/v1/sessions", R"({"userId":"ann","sessionId":"s"})");
  const test::Headers key{{"Idempotency-Key", "1"}};
  EXPECT_EQ(one.post("/v1/sessions/s/events", R"({"type":"a:b"})", key).at("/sequence"), "2");
  EXPECT_EQ(two.post("/v1/sessions/s/events", R"({"type":"a:b"})", key).at("/sequence"), "3");
  EXPECT_EQ(one.post("/v1/sessions/s/events", R"({"type":"a:b"})", key).at("/sequence"), "2");
}

TEST_F(AccessByKey, ReloadTakesNewKeysAndDropsOldOnes) {
  Client old_key = served_.client("the-key");
  Client new_key = served_.client("new-key");
  file_.write(line("backend", "new-key"));
  EXPECT_EQ(old_key.get("/v1/sessions").status, 200);
  EXPECT_TRUE(served_.app->reload());
  EXPECT_EQ(old_key.get("/v1/sessions").status, 401);
  EXPECT_EQ(new_key.get("/v1/sessions").status, 200);
  file_.write("not a key");
  EXPECT_FALSE(served_.app->reload());
  EXPECT_EQ(new_key.get("/v1/sessions").status, 200) << "the keys of before stay";
}

TEST_F(AccessByKey, AStreamEndsWhenItsKeyIsDropped) {
  auto source = served_.stream("/v1/stream", Served::bearer("the-key"));
  EXPECT_EQ(source.head.status, 200);
  file_.write("");
  EXPECT_TRUE(served_.app->reload());
  const auto end = source.next_event();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->event, "end");
  EXPECT_EQ(end->data, R"({"reason":"unauthenticated"})");
  EXPECT_FALSE(source.next());
}

// ---- tokens

class AccessByToken : public testing::Test {
 protected:
  void SetUp() override {
    key_.post("/v1/sessions", R"({"userId":"ann","sessionId":"a"})");
    key_.post("/v1/sessions", R"({"userId":"ann","sessionId":"a2"})");
    key_.post("/v1/sessions", R"({"userId":"bob","sessionId":"b"})");
    for (const char* session : {"a", "a2", "b"}) {
      key_.post("/v1/sessions/" + std::string(session) + "/chains",
                R"({"title":"t","source":"flow","steps":[{"action":"x"}]})");
    }
    token_ = key_.post("/v1/sessions/a/token").at("/token");
    ann_ = served_.client(token_);
  }

  KeysFile file_{line("backend", "the-key")};
  Served served_{with_keys(file_)};
  Client key_ = served_.client("the-key");
  std::string token_;
  Client ann_ = served_.client();
};

TEST_F(AccessByToken, ReachesItsUsersOwn) {
  for (const char* path : {"/v1/sessions/a", "/v1/sessions/a2", "/v1/sessions/a/chains",
                           "/v1/chains/a2.c1", "/v1/chains/a.c1?include=steps",
                           "/v1/chains/a.c1/steps", "/v1/steps/a2.c1.s1", "/v1/sessions/a2/events"})
    EXPECT_EQ(ann_.get(path).status, 200) << path;
  EXPECT_EQ(ann_.post("/v1/steps/a2.c1.s1/start").status, 200);
  EXPECT_EQ(ann_.get("/v1/sessions/a2/events?type=step:started").at("/items/0/actor"), "ann");
}

TEST_F(AccessByToken, WhatIsSomebodyElsesIsNotThere) {
  const std::pair<const char*, const char*> requests[] = {
      {"GET", "/v1/sessions/b"},           {"PATCH", "/v1/sessions/b"},
      {"DELETE", "/v1/sessions/b"},        {"POST", "/v1/sessions/b/touch"},
      {"POST", "/v1/sessions/b/token"},    {"DELETE", "/v1/sessions/b/token"},
      {"POST", "/v1/sessions/b/logout"},   {"POST", "/v1/sessions/b/chains"},
      {"GET", "/v1/sessions/b/chains"},    {"GET", "/v1/sessions/b/events"},
      {"POST", "/v1/sessions/b/events"},   {"GET", "/v1/sessions/b/stream"},
      {"GET", "/v1/chains/b.c1"},          {"PATCH", "/v1/chains/b.c1"},
      {"DELETE", "/v1/chains/b.c1"},       {"POST", "/v1/chains/b.c1/cancel"},
      {"POST", "/v1/chains/b.c1/archive"}, {"POST", "/v1/chains/b.c1/steps"},
      {"GET", "/v1/chains/b.c1/steps"},    {"GET", "/v1/steps/b.c1.s1"},
      {"PATCH", "/v1/steps/b.c1.s1"},      {"DELETE", "/v1/steps/b.c1.s1"},
      {"POST", "/v1/steps/b.c1.s1/start"}, {"POST", "/v1/steps/b.c1.s1/complete"},
      {"POST", "/v1/steps/b.c1.s1/fail"},  {"POST", "/v1/steps/b.c1.s1/skip"},
      {"POST", "/v1/steps/b.c1.s1/retry"}};
  for (const auto& [method, path] : requests) {
    const Reply theirs = ann_.send(method, path, "{}");
    EXPECT_EQ(theirs.status, 404) << method << ' ' << path << ' ' << theirs.body;
    // Not to be told apart from what does not exist.
    std::string absent_path(path);
    absent_path.replace(absent_path.find("/b"), 2, "/q");
    std::string absent = ann_.send(method, absent_path, "{}").body;
    if (const auto at = absent.find(" q"); at != std::string::npos) absent[at + 1] = 'b';
    EXPECT_EQ(theirs.body, absent) << method << ' ' << path;
  }
  EXPECT_EQ(key_.get("/v1/sessions/b/events").at("/lastSequence"), "3") << "nothing happened";
}

TEST_F(AccessByToken, ListsAreItsUsersOwn) {
  for (const char* path : {"/v1/sessions", "/v1/sessions?userId=ann"}) {
    const Reply reply = ann_.get(path);
    EXPECT_TRUE(reply.has("/items/1"));
    EXPECT_FALSE(reply.has("/items/2"));
    EXPECT_EQ(reply.body.find("\"bob\""), std::string::npos);
  }
  EXPECT_EQ(ann_.get("/v1/sessions?userId=bob").status, 404);
  key_.post("/v1/chains/a2.c1/cancel");
  key_.post("/v1/chains/b.c1/cancel");
  const Reply archive = ann_.get("/v1/archive");
  EXPECT_EQ(archive.at("/items/0/chainId"), "a2.c1");
  EXPECT_FALSE(archive.has("/items/1"));
  EXPECT_EQ(ann_.get("/v1/archive?userId=bob").status, 404);
}

TEST_F(AccessByToken, CreatesForItsUserUnderNewIds) {
  EXPECT_EQ(ann_.post("/v1/sessions", R"({"userId":"ann"})").status, 201);
  const Reply reply = ann_.post("/v1/sessions", R"({"userId":"bob","sessionId":"x"})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.at("/issues/0/path/0"), "userId");
  EXPECT_EQ(reply.at("/issues/1/path/0"), "sessionId");
}

TEST_F(AccessByToken, WhatOperatorsDoTakesAKey) {
  for (const char* path : {"/metrics", "/v1/sessions/a/export", "/v1/sessions/a/verify"}) {
    const Reply reply = ann_.get(path);
    EXPECT_EQ(reply.status, 403) << path;
    EXPECT_EQ(reply.at("/type"), "urn:actionflows:problem:forbidden");
  }
  EXPECT_EQ(ann_.del("/v1/sessions/a/events?before=2").status, 403);
  EXPECT_EQ(ann_.post("/v1/import", "{}").status, 403);
}

TEST_F(AccessByToken, ItsActorIsItsUser) {
  ann_.patch("/v1/sessions/a", R"({"title":"t"})", {{"ActionFlows-Actor", "somebody"}});
  const Reply reply = ann_.get("/v1/sessions/a/events?type=session:updated&limit=1000");
  EXPECT_EQ(reply.body.find("somebody"), std::string::npos);
}

TEST_F(AccessByToken, NoticesAreItsUsersOwn) {
  auto source = served_.stream("/v1/stream", Served::bearer(token_));
  while (source.next()->comment != "heartbeat") {
  }
  key_.post("/v1/sessions/b/events", R"({"type":"a:b"})");
  key_.post("/v1/sessions/a2/events", R"({"type":"a:b"})");
  EXPECT_EQ(test::json_at(source.next_event()->data, "/sessionId"), "a2");
}

TEST_F(AccessByToken, ItsStreamsEndWhenItIsRevoked) {
  auto events = served_.stream("/v1/sessions/a2/stream", Served::bearer(token_));
  auto notices = served_.stream("/v1/stream", Served::bearer(token_));
  while (events.next()->comment != "heartbeat") {
  }
  key_.del("/v1/sessions/a/token");
  key_.post("/v1/sessions/a2/events", R"({"type":"a:secret"})");
  for (auto* source : {&events, &notices}) {
    const auto end = source->next_event();
    ASSERT_TRUE(end);
    EXPECT_EQ(end->event, "end") << "nothing is delivered any more";
    EXPECT_FALSE(source->next());
  }
}

TEST_F(AccessByToken, IsExchangedForOneOfItsOwnSessionOnly) {
  const Reply refused = ann_.post("/v1/sessions/a2/token");
  EXPECT_EQ(refused.status, 403) << "a session of the same user";
  EXPECT_EQ(refused.at("/type"), "urn:actionflows:problem:forbidden");
  EXPECT_EQ(key_.get("/v1/sessions/a2/events?type=session:token_issued").at("/items"), "[]");
  const Reply exchanged = ann_.post("/v1/sessions/a/token");
  EXPECT_EQ(exchanged.status, 200);
  EXPECT_EQ(ann_.get("/v1/sessions/a").status, 401);
  EXPECT_EQ(served_.client(exchanged.at("/token")).get("/v1/sessions/a").status, 200);
}

TEST_F(AccessByToken, EndsWithItsSession) {
  EXPECT_EQ(ann_.post("/v1/sessions/a/logout").status, 204);
  EXPECT_EQ(ann_.get("/v1/sessions/a2").status, 401);
}

// ---- without keys

TEST(OpenAccess, CredentialsAreHonouredAllTheSame) {
  Served served;
  Client client = served.client();
  client.post("/v1/sessions", R"({"userId":"ann","sessionId":"a"})");
  client.post("/v1/sessions", R"({"userId":"bob","sessionId":"b"})");
  Client ann = served.client(client.post("/v1/sessions/a/token").at("/token"));
  EXPECT_EQ(client.get("/v1/sessions/b").status, 200);
  EXPECT_EQ(ann.get("/v1/sessions/b").status, 404);
  EXPECT_EQ(served.client("wrong").get("/v1/sessions/b").status, 401);
}

TEST(Tokens, AreRefusedWhenIdleOrOld) {
  FakeClock clock;
  AppOptions options;
  options.sweep_interval = 1h;
  Served served(options, make_memory_storage(), clock);
  Client client = served.client();
  client.post("/v1/sessions", R"({"userId":"ann","sessionId":"a"})");
  Client ann = served.client(client.post("/v1/sessions/a/token").at("/token"));
  for (int hour = 0; hour < 23; ++hour) {
    EXPECT_EQ(ann.get("/v1/sessions/a").status, 200) << hour;
    clock.advance(1h);
  }
  EXPECT_EQ(ann.get("/v1/sessions/a").status, 200);
  clock.advance(1h);
  EXPECT_EQ(ann.get("/v1/sessions/a").status, 401) << "24 hours after it was issued";

  Client again = served.client(client.post("/v1/sessions/a/token").at("/token"));
  clock.advance(2h);
  EXPECT_EQ(again.get("/v1/sessions/a").status, 401) << "idle for two hours";
}

TEST(Tokens, AreExchangedWithoutLivingLonger) {
  FakeClock clock;
  AppOptions options;
  options.sweep_interval = 1h;
  Served served(options, make_memory_storage(), clock);
  Client client = served.client();
  client.post("/v1/sessions", R"({"userId":"ann","sessionId":"a"})");
  Reply token = client.post("/v1/sessions/a/token");
  const std::string expires = token.at("/expiresAt");
  for (int hour = 0; hour < 23; ++hour) {
    clock.advance(1h);
    token = served.client(token.at("/token")).post("/v1/sessions/a/token");
    ASSERT_EQ(token.status, 200) << hour;
    EXPECT_EQ(token.at("/expiresAt"), expires);
  }
  clock.advance(1h);
  EXPECT_EQ(served.client(token.at("/token")).post("/v1/sessions/a/token").status, 401);
}

TEST(Tokens, AreNotKeptAliveByAStream) {
  FakeClock clock;
  AppOptions options;
  options.sweep_interval = 1h;
  options.heartbeat = 20ms;
  Served served(options, make_memory_storage(), clock);
  Client client = served.client();
  client.post("/v1/sessions", R"({"userId":"ann","sessionId":"a"})");
  const std::string token = client.post("/v1/sessions/a/token").at("/token");
  auto events = served.stream("/v1/sessions/a/stream", Served::bearer(token));
  auto notices = served.stream("/v1/stream", Served::bearer(token));
  const auto beat = [](test::EventSource& source) {
    for (int beats = 0; beats < 3;) beats += source.next()->comment == "heartbeat" ? 1 : 0;
  };
  clock.advance(1h);
  beat(events);
  beat(notices);
  clock.advance(1h);
  for (auto* source : {&events, &notices}) {
    const auto end = source->next_event();
    ASSERT_TRUE(end);
    EXPECT_EQ(end->data, R"({"reason":"unauthenticated"})") << "idle for two hours";
  }
}

TEST(Tokens, AreNotAcceptedWhileNobodyCanTell) {
  FaultyStorage::Switch fault;
  AppOptions options;
  options.sweep_interval = 1h;
  Served served(options, std::make_unique<FaultyStorage>(make_memory_storage(), fault));
  Client client = served.client();
  client.post("/v1/sessions", R"({"userId":"ann","sessionId":"a"})");
  Client ann = served.client(client.post("/v1/sessions/a/token").at("/token"));
  fault.fail_with(ErrorCode::unavailable);
  const Reply reply = ann.get("/v1/sessions/a");
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.header("Retry-After"), "1");
  fault.work();
  EXPECT_EQ(ann.get("/v1/sessions/a").status, 200);
}

}  // namespace
}  // namespace actionflows
