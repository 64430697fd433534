// The limits of what is stored, as flags: of a server, and of a command that writes into a storage
// by itself and has to know the same ones.
#pragma once

#include "actionflows/storage/storage.hpp"
#include "cli/quantities.hpp"

namespace CLI {
class App;
}

namespace actionflows::cli {

struct LimitFlags {
  Count max_events{DriverLimits{}.max_events};
  Count max_chains{DriverLimits{}.max_chains};
  Count max_steps{DriverLimits{}.max_steps};
  Size max_record_bytes{StorageOptions{}.record_limits.max_bytes};
  Duration session_ttl{StorageOptions{}.session_ttl};
  Duration log_retention{DriverLimits{}.log_retention};
  Duration archive_retention{DriverLimits{}.archive_retention};

  // But for the touch interval, which is no limit.
  [[nodiscard]] DriverLimits driver_limits() const;
  [[nodiscard]] StorageOptions storage_options() const;
};

void add_limit_flags(CLI::App& command, LimitFlags& flags);

}  // namespace actionflows::cli
