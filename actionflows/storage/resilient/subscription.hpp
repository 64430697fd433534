// Wake-ups of the primary and of what is changed here while that is away, as one subscription.
#pragma once

#include "actionflows/storage/driver.hpp"
#include "actionflows/storage/resilient/gate.hpp"

#include <memory>
#include <optional>

namespace actionflows {

// `distant` is the primary's, nullptr: to be made when the gate admits. `gate` must outlive the
// subscription. When the primary comes back the subscription has `missed` what happened there.
std::unique_ptr<Subscription> make_resilient_subscription(Gate& gate,
                                                          std::unique_ptr<Subscription> local,
                                                          std::unique_ptr<Subscription> distant,
                                                          std::optional<SessionId> session);

}  // namespace actionflows
