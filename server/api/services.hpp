// What the handlers work with.
#pragma once

#include "actionflows/services/chain_service.hpp"
#include "actionflows/services/event_log.hpp"
#include "actionflows/services/session_service.hpp"
#include "actionflows/services/step_service.hpp"
#include "actionflows/storage/storage.hpp"

#include <chrono>

namespace actionflows::api {

inline constexpr std::chrono::milliseconds default_request_timeout{30'000};

// Thread-safety: shared objects: safe. The storage must outlive it.
struct Services {
  explicit Services(Storage& the_storage, SessionServiceOptions options = {},
                    std::chrono::milliseconds the_request_timeout = default_request_timeout)
      : storage(the_storage),
        request_timeout(the_request_timeout),
        sessions(the_storage, options),
        chains(the_storage),
        steps(the_storage),
        events(the_storage) {}

  Storage& storage;
  const std::chrono::milliseconds request_timeout;  // for one call; see Call
  SessionService sessions;
  ChainService chains;
  StepService steps;
  EventLog events;
};

}  // namespace actionflows::api
