// ProcessLock: a file that one process at a time holds, for as long as it lives.
#pragma once

#include <string>

namespace actionflows {

// POSIX's record locks: the system takes one back when its process ends, however that ends. Within
// a process it excludes nobody, and the first of several that is destroyed ends it for all.
//
// Thread-safety: none.
class ProcessLock {
 public:
  // Makes the file where it is not there; it stays. Throws unavailable: another process holds it,
  // or the file can't be opened.
  explicit ProcessLock(const std::string& path);
  ~ProcessLock();
  ProcessLock(const ProcessLock&) = delete;
  ProcessLock& operator=(const ProcessLock&) = delete;

 private:
  int file_ = -1;
};

}  // namespace actionflows
