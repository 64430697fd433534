// SqliteStorage: sessions in one SQLite file. The durable default: no server, survives a restart,
// kill -9 and power loss. Several processes may use the same file on one machine.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace actionflows {

struct SqliteOptions {
  std::string path;  // of the file, made when it is not there; SQLite keeps two more beside it
  DriverLimits limits;

  // Bound of the file; a commit that would pass it is `exhausted`. 0: as large as the disk allows.
  std::uint64_t max_bytes = 0;

  // Threads that read, each with up to 8 MiB of cached pages; writing has one thread of its own.
  std::size_t readers = 2;

  // How many calls wait at the same time for a thread; more are refused as `unavailable`.
  std::size_t max_waiting = 10'000;

  // How long a call waits for another process that holds the file's lock; then it is `unavailable`.
  std::chrono::milliseconds busy_timeout{5'000};

  // How often subscriptions look for what other processes have committed.
  std::chrono::milliseconds poll_interval{200};

  // How many of each subscription's wake-ups wait before it has `missed` some.
  std::size_t max_wakeups = 1'024;
};

// Opens the file, brings an older schema up to date, and removes nothing. Throws
//   unavailable  it can't be opened, made or written, is locked by another program for longer than
//                the busy timeout, or was written by a newer version
//   corrupt      it is no SQLite database, or a damaged one
//   invalid      it is the database of another program
// each with what to do about it.
//
// Thread-safety of the driver: shared objects: safe; its own threads do the blocking work.
// Durability: fsynced. After an error of the disk it refuses to write until it is opened again.
// Destroying the driver first finishes the calls it has accepted. A context in which calls wait
// must not be destroyed by one of its own handlers; destroying it waits for those calls.
std::unique_ptr<StorageDriver> open_sqlite_storage(SqliteOptions options);

}  // namespace actionflows
