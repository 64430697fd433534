// What every driver looks for first in a commit: that it makes sense in itself.
#pragma once

#include "actionflows/storage/driver.hpp"

namespace actionflows {

// Throws invalid: the commit contradicts itself. Needs nothing of what is stored.
void check_shape(const Commit& commit);

// Whether the commit creates the session's own record.
bool creates_session(const Commit& commit);

}  // namespace actionflows
