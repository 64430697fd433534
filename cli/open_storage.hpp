// Which storage is used, and how its parts are put together: the one place that names concrete
// drivers and decides the order of their wrappers.
//
//   memory:      MemoryStorage: sessions in the process's own memory, gone with it
//   sqlite:PATH  SqliteStorage: sessions in that file, durable; made when it is not there
//   redis://..., rediss://..., redis+cluster://..., rediss+cluster://...
//                RedisStorage: sessions on a server or a cluster that others share; the URL's form
//                stands at parse_redis_url
#pragma once

#include "actionflows/storage/driver.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::cli {

// What decides. An empty text counts as not set, as usual for variables.
struct StorageWishes {
  std::string url;            // --storage or ACTIONFLOWS_STORAGE
  std::string node_env;       // NODE_ENV
  std::string redis_url;      // REDIS_URL
  std::string fallback = {};  // --fallback or ACTIONFLOWS_FALLBACK
  std::string journal = {};   // --journal or ACTIONFLOWS_JOURNAL
};

struct StorageChoice {
  std::string url;
  // Of a Redis, which can be away: where it goes on meanwhile, and what that is journaled in.
  std::string fallback = {};            // memory: or sqlite:PATH
  std::string journal = {};             // a path; empty: in memory
  std::vector<std::string> notes = {};  // for the log: what was set in vain
};

// The URL that is asked for; else, by NODE_ENV: `development`, `test` or unset mean memory;
// `production` means the Redis of REDIS_URL, and never memory, because it would lose what it is
// given. Throws UsageError, saying what to set.
StorageChoice choose_storage(const StorageWishes& wishes);

// Whether what is stored at `url` is gone with the process.
bool is_memory(std::string_view url);

// What a storage is bounded by; where a backend has no such bound, it is not used.
struct StorageBounds {
  std::uint64_t max_sessions = 1'000'000;
  std::uint64_t max_bytes = std::uint64_t{4} << 30;
  // Of the touch interval, see activity_interval (services/session_service.hpp).
  DriverLimits limits{.touch_interval = std::chrono::minutes(1)};
  // Told what happens to a backend that is away or comes back, a line each, without secrets; from
  // any thread. Empty: nobody is told.
  std::function<void(std::string_view)> log;
};

// Whether a file that is not there is made: not by those who only read.
enum class Opening { make, existing };

// The storage at `url`, ready for use. Throws UsageError for a URL that is none of the above, and
// StorageError for one that can't be opened. A Redis server need not be there yet: the driver's
// health tells.
std::unique_ptr<StorageDriver> open_storage(std::string_view url, const StorageBounds& bounds = {},
                                            Opening opening = Opening::make);

// The storage that a server runs on: as above, and around a Redis ResilientStorage, which goes on
// while that is away.
std::unique_ptr<StorageDriver> open_served_storage(const StorageChoice& choice,
                                                   const StorageBounds& bounds);

}  // namespace actionflows::cli
