// Which storage is used, and how its parts are put together: the one place that names concrete
// drivers and decides the order of their wrappers.
//
//   memory:      MemoryStorage: sessions in the process's own memory, gone with it
//   sqlite:PATH  SqliteStorage: sessions in that file, durable; made when it is not there
#pragma once

#include "actionflows/storage/driver.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace actionflows::cli {

// What decides. An empty text counts as not set, as usual for variables.
struct StorageWishes {
  std::string url;        // --storage or ACTIONFLOWS_STORAGE
  std::string node_env;   // NODE_ENV
  std::string redis_url;  // REDIS_URL
};

struct StorageChoice {
  std::string url;
  std::vector<std::string> notes;  // for the log: what was set in vain
};

// The URL that is asked for; else, by NODE_ENV: `development`, `test` or unset mean memory, and
// `production` never does, because it would lose what it is given. Throws UsageError, saying what
// to set.
StorageChoice choose_storage(const StorageWishes& wishes);

// What a storage is bounded by; where a backend has no such bound, it is not used.
struct StorageBounds {
  std::uint64_t max_sessions = 1'000'000;
  std::uint64_t max_bytes = std::uint64_t{4} << 30;
  // Of the touch interval, see activity_interval (services/session_service.hpp).
  DriverLimits limits{.touch_interval = std::chrono::minutes(1)};
};

// Whether a file that is not there is made: not by those who only read.
enum class Opening { make, existing };

// The storage at `url`, ready for use. Throws UsageError for a URL that is none of the above, and
// StorageError for one that can't be opened.
std::unique_ptr<StorageDriver> open_storage(std::string_view url, const StorageBounds& bounds = {},
                                            Opening opening = Opening::make);

}  // namespace actionflows::cli
