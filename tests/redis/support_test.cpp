// What the tests of RedisStorage stand on does what it says: else they would show nothing.
#include "tests/support/fake_redis.hpp"
#include "tests/support/redis_cluster.hpp"
#include "tests/support/redis_server.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace actionflows::test {
namespace {

using testing::HasSubstr;
using Data = RedisServer::Data;

TEST(RedisServerOfTests, KeepsItsDataOverAKillWhereItIsToldTo) {
  NEEDS_REDIS();
  RedisServerOptions options;
  options.appendonly = true;
  RedisServer server(options);
  const RedisAddress address = server.address();
  EXPECT_EQ(server.text({"SET", "a", "1"}), "OK");
  server.kill();
  EXPECT_FALSE(server.runs());
  EXPECT_THROW(server.text({"PING"}), std::runtime_error);
  server.restart(Data::kept);
  EXPECT_TRUE(server.runs());
  EXPECT_EQ(server.address(), address);
  EXPECT_EQ(server.text({"GET", "a"}), "1");
  server.restart(Data::dropped);
  EXPECT_EQ(server.call({"GET", "a"}).kind, '_');
}

TEST(RedisServerOfTests, StandsStillAndGoesOn) {
  NEEDS_REDIS();
  RedisServer server;
  server.stop();
  EXPECT_FALSE(server.runs());
  server.go_on();
  EXPECT_TRUE(server.runs());
  EXPECT_EQ(server.text({"PING"}), "PONG");
  server.stop();  // and is ended nevertheless
}

TEST(RedisServerOfTests, TakesConfigurationAndRefusesWrongOne) {
  NEEDS_REDIS();
  RedisServerOptions options;
  options.config = {"user ann on >secret ~af:* +get"};
  const RedisServer server(options);
  EXPECT_EQ(server.text({"AUTH", "ann", "secret"}), "OK");
  EXPECT_EQ(server.call({"AUTH", "ann", "wrong"}).text.substr(0, 9), "WRONGPASS");
  EXPECT_EQ(server.info("tcp_port"), std::to_string(server.address().port));
  options.config = {"nonsense yes"};
  EXPECT_THROW(RedisServer{options}, std::runtime_error);
}

TEST(RedisServerOfTests, ServersDoNotMeet) {
  NEEDS_REDIS();
  const RedisServer a;
  const RedisServer b;
  EXPECT_NE(a.address(), b.address());
  EXPECT_EQ(a.text({"SET", "key", "a"}), "OK");
  EXPECT_EQ(b.call({"GET", "key"}).kind, '_');
}

TEST(RedisServerOfTests, SpeaksTlsWithACertificateOfItsOwn) {
  NEEDS_REDIS();
  RedisServerOptions options;
  options.tls = true;
  const RedisServer server(options);
  EXPECT_TRUE(std::filesystem::exists(server.ca_file()));
  EXPECT_EQ(server.text({"PING"}), "PONG");
  EXPECT_THAT(server.url(), HasSubstr("rediss://127.0.0.1:"));
}

TEST(RedisClusterOfTests, ReplacesAMasterThatIsKilled) {
  NEEDS_REDIS();
  const RedisCluster cluster;
  std::set<const RedisServer*> masters;
  for (const std::uint16_t slot : std::initializer_list<std::uint16_t>{0, 5461, 16383})
    masters.insert(&cluster.master_of(slot));
  EXPECT_EQ(masters.size(), RedisCluster::masters);

  RedisServer& old = cluster.master_of(12'182);  // foo
  EXPECT_EQ(old.text({"SET", "foo", "1"}), "OK");
  EXPECT_EQ(old.text({"WAIT", "1", "5000"}), "1");
  old.kill();
  cluster.wait_until_well();
  const RedisServer& promoted = cluster.master_of(12'182);
  EXPECT_NE(&promoted, &old);
  EXPECT_EQ(promoted.text({"GET", "foo"}), "1");

  old.restart(Data::dropped);
  cluster.wait_until_well(RedisCluster::Replicas::in_step);
  EXPECT_EQ(old.info("role"), "slave");
}

TEST(RedisClusterOfTests, MovesASlot) {
  NEEDS_REDIS();
  const RedisCluster cluster;
  RedisServer& from = cluster.master_of(12'182);
  RedisServer& to = cluster.master_of(0);
  ASSERT_NE(&from, &to);
  EXPECT_EQ(from.text({"SET", "foo", "1"}), "OK");
  cluster.move_slot(12'182, to);
  EXPECT_EQ(to.text({"GET", "foo"}), "1");
  EXPECT_THAT(from.call({"GET", "foo"}).text, HasSubstr("MOVED 12182"));
}

// What a client reads that sends this, up to the end or as many bytes.
std::string conversation(const FakeRedis& fake, const std::string& sent, std::size_t bytes) {
  boost::asio::io_context context;
  boost::asio::ip::tcp::socket socket(context);
  socket.connect({boost::asio::ip::address_v4::loopback(), fake.address().port});
  boost::asio::write(socket, boost::asio::buffer(sent));
  std::string answer(bytes, ' ');
  boost::system::error_code ended;
  answer.resize(boost::asio::read(socket, boost::asio::buffer(answer), ended));
  return answer;
}

TEST(FakeRedis, AnswersAsItIsTold) {
  FakeRedis fake([](const FakeRedis::Command& command) -> std::optional<FakeRedis::Answer> {
    if (command[0] == "GET") return FakeRedis::Answer{.bytes = error_reply("LOADING x")};
    return std::nullopt;
  });
  const std::string ping_and_get = "*1\r\n$4\r\nping\r\n*2\r\n$3\r\nget\r\n$1\r\na\r\n";
  EXPECT_EQ(conversation(fake, ping_and_get, 19), "+PONG\r\n-LOADING x\r\n");
  EXPECT_EQ(fake.commands().at("GET"), 1);
  fake.answer_all_by({.bytes = "nonsense", .cut = true});
  EXPECT_EQ(conversation(fake, ping_and_get, 100), "+PONG\r\nnonsense");
  EXPECT_EQ(fake.connections(), 2);
}

}  // namespace
}  // namespace actionflows::test
