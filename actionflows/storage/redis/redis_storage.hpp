// RedisStorage: sessions on a Redis or Valkey server, or on a cluster of them. Shared by many
// processes, which see each other's changes live; every key expires by itself.
//
// Needs Redis 6.2 or newer, or Valkey. What keys it makes is told in redis/keys.hpp.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows {

struct RedisAddress {
  std::string host;
  std::uint16_t port = 6379;

  friend auto operator<=>(const RedisAddress&, const RedisAddress&) = default;
};

struct RedisOptions {
  // One server, or some nodes of a cluster: the others are learned from these.
  std::vector<RedisAddress> servers;
  bool cluster = false;

  std::string user;      // empty: the server's default user; else with a password
  std::string password;  // empty: none
  int database = 0;      // of a single server

  bool tls = false;     // the server's certificate and its name are checked
  std::string ca_file;  // who is trusted, PEM; empty: whom the system trusts

  // What every key begins with. Stores with different prefixes share a server and nothing else.
  // 1-100 characters of A-Z a-z 0-9 . _ -
  std::string prefix = "af";

  DriverLimits limits;

  // A call that has no answer by then is `timeout` when it was sent, else `unavailable`.
  std::chrono::milliseconds timeout{2'000};

  // A commit waits until this many replicas have confirmed it, or for so long, which is less than
  // `timeout` and than twice `health_interval`; it tells how many did. 0: it does not wait.
  int wait_replicas = 0;
  std::chrono::milliseconds wait_timeout{500};

  // Calls that have no answer yet; one more is refused as `unavailable`, at once.
  std::size_t max_waiting = 1'000;

  // Threads that talk to the servers, each with a connection of its own to every node.
  std::size_t io_threads = 1;

  // How long after an attempt to connect failed the next one comes: doubling from the first to the
  // second, each with full jitter.
  std::chrono::milliseconds reconnect_min{50};
  std::chrono::milliseconds reconnect_max{20'000};

  // A connection that carries nothing is asked for a sign of life so often, and given up when it
  // owes one for twice as long.
  std::chrono::milliseconds health_interval{2'000};

  // How often a followed session is looked at for events whose wake-up was lost.
  std::chrono::milliseconds look_interval{1'000};

  // How long, after a server was found to have lost its data, what is not found is `unavailable`
  // instead of absent. Then the loss is taken as a fact.
  std::chrono::milliseconds loss_hold{30'000};

  // How many of each subscription's wake-ups wait before it has `missed` some.
  std::size_t max_wakeups = 1'024;

  // Told of connections that are made and lost, of data that is gone: one line each, without
  // secrets. Called on the driver's own threads; must not throw. Empty: nobody is told.
  std::function<void(std::string_view)> log;
};

// What a URL says:
//   redis://[[user]:password@]host[:port][/database][?option=value&...]
//   rediss://...                 the same over TLS
//   redis+cluster://[[user]:password@]host[:port],host[:port]...[?...]
//   rediss+cluster://...
// User, password and values are percent-decoded; "redis://:password@host" has a password only, and
// a user without one is refused.
// Options, by their names above: prefix, ca_file, timeout, wait_replicas, wait_timeout,
// max_waiting, io_threads; times in milliseconds. Throws StorageError (invalid) that names what is
// wrong and shows nothing of user or password.
RedisOptions parse_redis_url(std::string_view url);

// Whether the URL's scheme is one of those above.
bool is_redis_url(std::string_view url);

// Returns at once: connections are made in the background, and calls before that wait for them, for
// their time. Throws invalid for options that contradict themselves, unavailable where `ca_file`
// can't be read.
//
// Thread-safety of the driver: shared objects: safe; its own threads talk to the servers.
// Durability: redis, or redis-replicated(n) where n replicas have confirmed.
// Destroying the driver ends the calls that wait for a server as `unavailable`; while one goes on
// after an answer, the driver must still be there.
std::unique_ptr<StorageDriver> make_redis_storage(RedisOptions options);

}  // namespace actionflows
