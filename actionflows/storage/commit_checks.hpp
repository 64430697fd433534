// What all drivers decide alike: what can be told of a commit without what is stored, first of all
// that it makes sense, and how a session's activity moves.
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

// What a live session's activity becomes by another: neither of its two times moves back. Nothing
// where neither would move, or neither by `interval`. They move together unless the time to live
// has been made shorter since: then the deadline stands for a while, and what is used is active all
// the same.
std::optional<Activity> moved_activity(const Activity& stands, const Activity& given,
                                       std::chrono::milliseconds interval);

}  // namespace actionflows
