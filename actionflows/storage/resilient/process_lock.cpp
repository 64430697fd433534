#include "actionflows/storage/resilient/process_lock.hpp"

#include "actionflows/base/error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace actionflows {

ProcessLock::ProcessLock(const std::string& path)
    : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
  struct flock whole{};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (file_ >= 0 && ::fcntl(file_, F_SETLK, &whole) == 0) return;
  const int why = errno;
  if (file_ >= 0) ::close(file_);
  const bool held = file_ >= 0 && (why == EAGAIN || why == EACCES);
  StorageError error = failure(ErrorCode::unavailable,
                               held ? "another process uses it" : "it can't be locked", "open");
  error.set_cause(path + ": " + std::strerror(why));
  throw StorageError(error);
}

ProcessLock::~ProcessLock() { ::close(file_); }

}  // namespace actionflows
