#include "actionflows/storage/redis/errors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>

namespace actionflows::redis {

// For the messages of failed tests.
void PrintTo(const Fault& fault, std::ostream* out) {
  *out << to_string(fault.code) << (fault.retryable ? ", retryable" : "")
       << (fault.reconnect ? ", reconnect" : "")
       << (fault.applied_unknown ? ", perhaps applied" : "");
}

namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using enum ErrorCode;

constexpr bool yes = true;
constexpr bool no = false;

struct Case {
  std::string_view word;  // that the message shows
  std::string_view reply;
  Fault fault;
};

// As Redis 7.0 words them.
const Case cases[] = {
    {"LOADING", "LOADING Redis is loading the dataset in memory", {unavailable, yes, no, no}},
    {"READONLY",
     "READONLY You can't write against a read only replica.",
     {unavailable, yes, yes, no}},
    {"MASTERDOWN",
     "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
     {unavailable, yes, yes, no}},
    {"CLUSTERDOWN", "CLUSTERDOWN The cluster is down", {unavailable, yes, no, no}},
    {"TRYAGAIN",
     "TRYAGAIN Multiple keys request during rehashing of slot",
     {unavailable, yes, no, no}},
    {"MOVED", "MOVED 3999 10.0.0.1:6381", {unavailable, yes, no, no}},
    {"ASK", "ASK 3999 10.0.0.1:6381", {unavailable, yes, no, no}},
    {"OOM", "OOM command not allowed when used memory > 'maxmemory'.", {exhausted, yes, no, no}},
    {"MISCONF",
     "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to "
     "disk.",
     {unavailable, yes, no, no}},
    {"NOREPLICAS", "NOREPLICAS Not enough good replicas to write.", {unavailable, yes, no, no}},
    {"BUSY",
     "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
     {unavailable, yes, no, no}},
    {"UNKILLABLE",
     "UNKILLABLE Sorry the script already executed write commands against the dataset.",
     {unavailable, yes, no, no}},
    {"NOSCRIPT", "NOSCRIPT No matching script. Please use EVAL.", {unavailable, yes, no, no}},
    {"EXECABORT",
     "EXECABORT Transaction discarded because of previous errors.",
     {unavailable, no, no, no}},
    {"NOAUTH", "NOAUTH Authentication required.", {unavailable, no, no, no}},
    {"WRONGPASS",
     "WRONGPASS invalid username-password pair or user is disabled.",
     {unavailable, no, no, no}},
    {"NOPERM",
     "NOPERM this user has no permissions to run the 'evalsha' command",
     {unavailable, no, no, no}},
    {"DENIED",
     "DENIED Redis is running in protected mode because protected mode is enabled",
     {unavailable, no, no, no}},
    {"WRONGTYPE",
     "WRONGTYPE Operation against a key holding the wrong kind of value",
     {corrupt, no, no, no}},
    {"CORRUPT", "CORRUPT words of our own", {corrupt, no, no, no}},
    {"ERR", "ERR max number of clients reached", {unavailable, yes, yes, no}},
    {"ERR",
     "ERR unknown command 'SPUBLISH', with args beginning with: ",
     {unavailable, no, no, no}},
    {"CROSSSLOT",
     "CROSSSLOT Keys in request don't hash to the same slot",
     {unavailable, no, no, no}},
    {"NEWWORD", "NEWWORD of a later version", {unavailable, no, no, no}},
    {"NEWWORD", "NEWWORD", {unavailable, no, no, no}},
    {"", "", {unavailable, no, no, no}},
    {"", "lower case and no word of Redis'", {unavailable, no, no, no}},
    {"", "READONLYX_9 not quite", {unavailable, no, no, no}},
};

TEST(RedisErrors, EachReplyHasItsFault) {
  for (const Case& row : cases) EXPECT_EQ(classify(row.reply), row.fault) << row.reply;
}

TEST(RedisErrors, TheErrorSaysWhatTheFaultSays) {
  for (const Case& row : cases) {
    const StorageError error = to_storage_error(row.reply, "update_step", "s.c1.s2");
    EXPECT_EQ(error.code(), row.fault.code) << row.reply;
    EXPECT_EQ(error.retryable, row.fault.retryable) << row.reply;
    EXPECT_EQ(error.operation, "update_step");
    EXPECT_EQ(error.record, "s.c1.s2");
    EXPECT_FALSE(error.message().empty());
    std::string shown("(");
    shown.append(row.word).append(")");
    if (row.word.empty()) {
      EXPECT_THAT(error.message(), Not(HasSubstr("("))) << row.reply;
    } else {
      EXPECT_THAT(error.message(), EndsWith(shown)) << row.reply;
    }
  }
}

// A script's error of Redis 7, and what Redis 6 makes of the same.
std::string of_script_7(std::string_view error) {
  return std::string(error) + " script: 6b1bf486c81ceb7edf3c, on @user_script:12.";
}
std::string of_script_6(std::string_view error) {
  return "ERR Error running script (call to f_6b1bf486c81ceb7edf3c): @user_script:12: "
         "@user_script: 12: " +
         std::string(error);
}

TEST(RedisErrors, WhatRedisRefusesBeforeAScriptWritesIsNotApplied) {
  for (std::string_view word :
       {"READONLY", "MASTERDOWN", "OOM", "MISCONF", "NOREPLICAS", "CORRUPT"}) {
    const std::string text = std::string(word) + " some words.";
    const Fault plain = classify(text);
    EXPECT_FALSE(plain.applied_unknown);
    EXPECT_EQ(classify(of_script_7(text)), plain) << word;
    EXPECT_EQ(classify(of_script_6(text)), plain) << word;
    EXPECT_EQ(classify(of_script_6("-" + text)), plain) << word;
    EXPECT_THAT(to_storage_error(of_script_6("-" + text), "", "").message(),
                EndsWith("(" + std::string(word) + ")"));
  }
}

TEST(RedisErrors, AnErrorAmidAScriptLeavesOpenWhetherItWasApplied) {
  const std::string type = "WRONGTYPE Operation against a key holding the wrong kind of value";
  const std::string right = "NOPERM this user has no permissions to run the 'publish' command";
  const std::string nil = "ERR user_script:12: attempt to compare nil with number";
  EXPECT_EQ(classify(of_script_7(type)), (Fault{corrupt, no, no, yes}));
  EXPECT_EQ(classify(of_script_6(type)), (Fault{corrupt, no, no, yes}));
  EXPECT_EQ(classify(of_script_7(right)), (Fault{unavailable, no, no, yes}));
  EXPECT_EQ(classify(of_script_6(right)), (Fault{unavailable, no, no, yes}));
  EXPECT_EQ(classify(of_script_7(nil)), (Fault{corrupt, no, no, yes}));
  EXPECT_EQ(classify(of_script_6("attempt to compare nil with number")),
            (Fault{corrupt, no, no, yes}));
}

TEST(RedisErrors, NoReplyIsShownBeyondItsFirstWord) {
  const std::string replies[] = {
      "secret",
      "Secret words",
      "SECRETSECRETSECRETSECRET of more than a word",
      "ERR invalid secret",
      "WRONGPASS secret",
      "MOVED 1 secret:6379",
      "NOPERM this user can't access the key 'secret'",
      of_script_7("ERR secret"),
      of_script_6("secret"),
  };
  for (const std::string& reply : replies) {
    const std::string message = to_storage_error(reply, "", "").message();
    EXPECT_THAT(message, Not(HasSubstr("secret"))) << reply;
    EXPECT_THAT(message, Not(HasSubstr("SECRET"))) << reply;
    EXPECT_THAT(message, Not(HasSubstr("Secret"))) << reply;
  }
}

TEST(RedisErrors, EachFailureOfTheLinkHasItsFault) {
  const std::pair<LinkFailure, Fault> links[] = {
      {LinkFailure::refused, {unavailable, yes, yes, no}},
      {LinkFailure::rejected, {unavailable, yes, yes, no}},
      {LinkFailure::lost, {unavailable, yes, yes, yes}},
      {LinkFailure::deadline_unsent, {unavailable, yes, no, no}},
      {LinkFailure::deadline_sent, {timeout, yes, no, yes}},
      {LinkFailure::queue_full, {unavailable, yes, no, no}},
      {LinkFailure::closed, {unavailable, no, no, yes}},
  };
  for (const auto& [link, fault] : links) {
    EXPECT_EQ(classify(link), fault) << static_cast<int>(link);
    const StorageError error = to_storage_error(link, "commit", "s");
    EXPECT_EQ(error.code(), fault.code);
    EXPECT_EQ(error.retryable, fault.retryable);
    EXPECT_EQ(error.operation, "commit");
    EXPECT_EQ(error.record, "s");
    EXPECT_FALSE(error.message().empty());
  }
}

}  // namespace
}  // namespace actionflows::redis
