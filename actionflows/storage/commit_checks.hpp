// What can be told of a commit without what is stored; first of all, that it makes sense.
#pragma once

#include "actionflows/storage/driver.hpp"

namespace actionflows {

// Throws invalid: the commit contradicts itself. Needs nothing of what is stored.
void check_shape(const Commit& commit);

// Whether the commit creates the session's own record.
bool creates_session(const Commit& commit);

// Whether it changes no record. Whatever does can't be applied twice, because the second time it
// meets the version it made; what only appends could.
bool only_appends(const Commit& commit);

}  // namespace actionflows
