// One batch of the upkeep: who has expired, and what is past its retention.
#pragma once

#include "actionflows/storage/redis/client.hpp"
#include "actionflows/storage/redis/keys.hpp"

#include <string>

namespace actionflows::redis {

// `instance`: who sweeps. What one instance was told has expired, no other is told for ten seconds
// of `query.now`. Its parts don't depend on each other: what one fails with is thrown only where
// the others found nothing to do.
Task<SweepResult> sweep(Client& client, const Keys& keys, const DriverLimits& limits,
                        std::string instance, SweepQuery query);

}  // namespace actionflows::redis
