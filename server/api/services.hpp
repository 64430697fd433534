// What the handlers work with.
#pragma once

#include "actionflows/services/chain_service.hpp"
#include "actionflows/services/event_log.hpp"
#include "actionflows/services/session_service.hpp"
#include "actionflows/services/step_service.hpp"
#include "actionflows/storage/storage.hpp"

namespace actionflows::api {

// Thread-safety: shared objects: safe. The storage must outlive it.
struct Services {
  explicit Services(Storage& the_storage, SessionServiceOptions options = {})
      : storage(the_storage),
        sessions(the_storage, options),
        chains(the_storage),
        steps(the_storage),
        events(the_storage) {}

  Storage& storage;
  SessionService sessions;
  ChainService chains;
  StepService steps;
  EventLog events;
};

}  // namespace actionflows::api
