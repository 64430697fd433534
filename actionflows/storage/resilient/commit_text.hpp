// Commits as text: JSON that a person can read and a program checks in full when it reads it back.
// What the journal holds.
#pragma once

#include "actionflows/storage/driver.hpp"

#include <string>
#include <string_view>

namespace actionflows {

// Records and events that are JSON stand in it as they are; other bytes as base64url.
std::string text_of_commit(const Commit& commit);

// Throws corrupt: it is no such text. The result has been checked for its form, not for its sense
// (see commit_checks.hpp).
Commit commit_of_text(std::string_view text);

}  // namespace actionflows
