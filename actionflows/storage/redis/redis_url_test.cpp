#include "actionflows/base/error.hpp"
#include "actionflows/storage/redis/redis_storage.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace actionflows {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string refusal_of(std::string_view url) {
  try {
    parse_redis_url(url);
  } catch (const StorageError& error) {
    EXPECT_EQ(to_string(error.code()), "invalid");
    return error.message();
  }
  return "none";
}

TEST(RedisUrl, NamesAServerAndLeavesTheRestAsItIs) {
  const RedisOptions options = parse_redis_url("redis://box");
  EXPECT_THAT(options.servers, ElementsAre(RedisAddress{"box", 6379}));
  EXPECT_FALSE(options.cluster);
  EXPECT_FALSE(options.tls);
  EXPECT_EQ(options.user, "");
  EXPECT_EQ(options.password, "");
  EXPECT_EQ(options.database, 0);
  EXPECT_EQ(options.prefix, RedisOptions().prefix);
  EXPECT_EQ(options.timeout, RedisOptions().timeout);
}

TEST(RedisUrl, SaysAllOfIt) {
  const RedisOptions options = parse_redis_url(
      "rediss://ann:secret@db.example-1.net:6380/3?prefix=af-test&ca_file=/etc/ca%20s.pem"
      "&timeout=1500&wait_replicas=2&wait_timeout=300&max_waiting=50&io_threads=4");
  EXPECT_THAT(options.servers, ElementsAre(RedisAddress{"db.example-1.net", 6380}));
  EXPECT_TRUE(options.tls);
  EXPECT_FALSE(options.cluster);
  EXPECT_EQ(options.user, "ann");
  EXPECT_EQ(options.password, "secret");
  EXPECT_EQ(options.database, 3);
  EXPECT_EQ(options.prefix, "af-test");
  EXPECT_EQ(options.ca_file, "/etc/ca s.pem");
  EXPECT_EQ(options.timeout.count(), 1'500);
  EXPECT_EQ(options.wait_replicas, 2);
  EXPECT_EQ(options.wait_timeout.count(), 300);
  EXPECT_EQ(options.max_waiting, 50u);
  EXPECT_EQ(options.io_threads, 4u);
}

TEST(RedisUrl, NamesTheNodesOfACluster) {
  const RedisOptions options =
      parse_redis_url("redis+cluster://u:p@10.0.0.1:7000,box,[2001:db8::1]:7002/?timeout=9");
  EXPECT_TRUE(options.cluster);
  EXPECT_FALSE(options.tls);
  EXPECT_THAT(options.servers,
              ElementsAre(RedisAddress{"10.0.0.1", 7000}, RedisAddress{"box", 6379},
                          RedisAddress{"2001:db8::1", 7002}));
  EXPECT_EQ(options.user, "u");
  EXPECT_EQ(options.timeout.count(), 9);
  EXPECT_TRUE(parse_redis_url("rediss+cluster://a,b").tls);
  EXPECT_TRUE(parse_redis_url("rediss+cluster://a,b").cluster);
}

TEST(RedisUrl, AddressesOfIpv6StandInBrackets) {
  EXPECT_THAT(parse_redis_url("redis://[::1]").servers, ElementsAre(RedisAddress{"::1", 6379}));
  EXPECT_THAT(parse_redis_url("redis://[::ffff:10.0.0.1]:1/0").servers,
              ElementsAre(RedisAddress{"::ffff:10.0.0.1", 1}));
  EXPECT_THAT(refusal_of("redis://[::1"), HasSubstr("lacks the ]"));
  EXPECT_THAT(refusal_of("redis://[]:6379"), HasSubstr("no IPv6 address"));
  EXPECT_THAT(refusal_of("redis://[box]"), HasSubstr("no IPv6 address"));
  EXPECT_THAT(refusal_of("redis://[::1]6379"), HasSubstr("between a host and its port"));
  EXPECT_THAT(refusal_of("redis://::1"), HasSubstr("lacks a host"));
}

TEST(RedisUrl, UserAndPasswordArePercentDecoded) {
  const RedisOptions both = parse_redis_url("redis://a%40b:p%3a%2F%3F%23%25%40%c3%A9@box");
  EXPECT_EQ(both.user, "a@b");
  EXPECT_EQ(both.password, "p:/?#%@\xc3\xa9");
  const RedisOptions password = parse_redis_url("redis://:only@box");
  EXPECT_EQ(password.user, "");
  EXPECT_EQ(password.password, "only");
  EXPECT_THAT(refusal_of("redis://only@box"), HasSubstr("a user without a password"));
  EXPECT_THAT(refusal_of("redis://only:@box"), HasSubstr("a user without a password"));
  EXPECT_EQ(parse_redis_url("redis://u:with:colons@box").password, "with:colons");
  EXPECT_EQ(parse_redis_url("redis://u:a+b@box").password, "a+b");  // no form: + is itself
  EXPECT_EQ(parse_redis_url("redis://u:a,b@box").password, "a,b");
}

TEST(RedisUrl, ReplicasAreWaitedForWithinACall) {
  EXPECT_EQ(refusal_of("redis://box?wait_replicas=1&timeout=501"), "none");
  const auto refused = HasSubstr("wait_timeout");
  EXPECT_THAT(refusal_of("redis://box?wait_replicas=1&timeout=500"), refused);
  EXPECT_THAT(refusal_of("redis://box?wait_replicas=1&timeout=9000&wait_timeout=4000"), refused);
}

TEST(RedisUrl, WhatIsWrongIsNamed) {
  const std::pair<const char*, const char*> bad[] = {
      {"", "does not begin with"},
      {"box:6379", "does not begin with"},
      {"http://box", "does not begin with"},
      {"REDIS://box", "does not begin with"},
      {"redis:box", "does not begin with"},
      {"redis://", "lacks a host"},
      {"redis://:6379", "lacks a host"},
      {"redis:///0", "lacks a host"},
      {"redis://u:p@", "lacks a host"},
      {"redis://bo x", "odd characters"},
      {"redis://b%6Fx", "odd characters"},
      {"redis://b\xc3\xb6x", "odd characters"},
      {"redis://box:", "a port that is none"},
      {"redis://box:0", "a port that is none"},
      {"redis://box:65536", "a port that is none"},
      {"redis://box:+1", "a port that is none"},
      {"redis://box:-1", "a port that is none"},
      {"redis://box:1 ", "a port that is none"},
      {"redis://a,b", "names several servers"},
      {"redis+cluster://a,,b", "lacks a host"},
      {"redis+cluster://a,", "lacks a host"},
      {"redis+cluster://a/0", "a cluster has only one"},
      {"redis://box/x", "a database that is no number"},
      {"redis://box/-1", "a database that is no number"},
      {"redis://box/1/", "a database that is no number"},
      {"redis://box/2147483648", "a database that is no number"},
      {"redis://box#x", "has a fragment"},
      {"redis://box/0?timeout=1#x", "has a fragment"},
      {"redis://%4:p@box", "hexadecimal digits"},
      {"redis://u:%zz@box", "hexadecimal digits"},
      {"redis://u:p%@box", "hexadecimal digits"},
      {"redis://u:p@ss@box", "has an @ where none belongs"},
      {"redis://u:p/ss@box", "has an @ where none belongs"},
      {"redis://u:p#ss@box", "has an @ where none belongs"},
      {"redis://u:p?ss=1@box", "has an @ where none belongs"},
  };
  for (const auto& [url, what] : bad) EXPECT_THAT(refusal_of(url), HasSubstr(what)) << url;
}

TEST(RedisUrl, OptionsThatAreUnknownTwiceOrOutOfBoundsAreRefused) {
  const std::pair<const char*, const char*> bad[] = {
      {"nonsense=1", "unknown option; known are prefix ca_file timeout"},
      {"Timeout=1", "unknown option"},
      {"=1", "unknown option"},
      {"timeout", "an option without a value"},
      {"timeout=1&", "an option without a value"},
      {"&timeout=1", "an option without a value"},
      {"timeout=1&timeout=1", "sets timeout twice"},
      {"timeout=", "sets timeout to what is no number from 1 to 3600000"},
      {"timeout=0", "sets timeout to"},
      {"timeout=-5", "sets timeout to"},
      {"timeout=2s", "sets timeout to"},
      {"timeout=3600001", "sets timeout to"},
      {"timeout=99999999999999999999", "sets timeout to"},
      {"wait_replicas=101", "sets wait_replicas to what is no number from 0 to 100"},
      {"wait_timeout=0", "sets wait_timeout to"},
      {"max_waiting=0", "sets max_waiting to"},
      {"io_threads=0", "sets io_threads to"},
      {"io_threads=65", "sets io_threads to"},
      {"prefix=", "sets prefix to"},
      {"prefix=a%7Bb%7D", "sets prefix to"},
      {"prefix=a*", "sets prefix to"},
      {"prefix=a:b", "sets prefix to"},
      {"prefix=a%20b", "sets prefix to"},
      {"ca_file=/etc/ca.pem", "only rediss://"},
  };
  for (const auto& [query, what] : bad)
    EXPECT_THAT(refusal_of(std::string("redis://box?") + query), HasSubstr(what)) << query;
  EXPECT_THAT(refusal_of("rediss://box?ca_file="), HasSubstr("sets ca_file to nothing"));
  EXPECT_EQ(refusal_of("redis://box?"), "none");
  EXPECT_EQ(refusal_of("redis://box/"), "none");
}

TEST(RedisUrl, NoRefusalShowsASecret) {
  const char* const urls[] = {
      "redis://user:secret",
      "redis://user:secret@",
      "redis://user:secret@box:port",
      "redis://user:secret@box/nope",
      "redis://user:secret@box?nope=1",
      "redis://user:secret@box?timeout=nope",
      "redis://user:se/cret@box",
      "redis://user:12/secret",
      "redis://user:12?secret=secret",
      "redis://user:12#secret",
      "redis://user:secret%@box",
      "redis://user:secret@a,b",
      "rediss+cluster://user:secret@a/0",
      "nope://user:secret@box",
  };
  for (const char* url : urls) {
    const std::string refusal = refusal_of(url);
    EXPECT_NE(refusal, "none") << url;
    // What the URL looks like is told by words of our own, which name a user, too.
    const std::string own = refusal.substr(0, refusal.find("; it looks like"));
    EXPECT_THAT(own, Not(HasSubstr("secret"))) << url;
    EXPECT_THAT(own, Not(HasSubstr("cret"))) << url;
    EXPECT_THAT(own, Not(HasSubstr("user:"))) << url;
  }
}

TEST(RedisUrl, IsKnownByItsScheme) {
  for (const char* url : {"redis://", "rediss://x", "redis+cluster://x", "rediss+cluster://"})
    EXPECT_TRUE(is_redis_url(url)) << url;
  for (const char* url : {"", "redis", "redis:", "redis:x", "Redis://x", "valkey://x", "memory:"})
    EXPECT_FALSE(is_redis_url(url)) << url;
}

// An option that no URL can set once let one store's keys be another's.
TEST(RedisOptions, APrefixThatNoUrlMaySetIsRefused) {
  for (const char* prefix : {"", "a:b", "a{b}", "a*", "a b"}) {
    RedisOptions options = parse_redis_url("redis://127.0.0.1:1");
    options.prefix = prefix;
    EXPECT_THROW(make_redis_storage(options), StorageError) << prefix;
  }
}

}  // namespace
}  // namespace actionflows
