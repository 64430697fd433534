// Whether a file's write-ahead log is damaged before its end. SQLite takes what stands before the
// damage and says nothing of what comes behind, as it must for a commit that a crash cut off.
#pragma once

#include <string>

namespace actionflows {

// In plain words; empty: no log, a sound one, or one whose last frame only is not whole. For a
// database that no process has open. As https://sqlite.org/fileformat2.html describes it (4, The
// Write-Ahead Log). Throws StorageError unavailable: the log can't be read.
std::string log_damage(const std::string& database_path);

}  // namespace actionflows
