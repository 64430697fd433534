#include "cli/open_files.hpp"

#include <sys/resource.h>

#include <algorithm>

namespace actionflows::cli {

std::uint64_t allow_open_files(std::uint64_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  rlimit raised = limit;
  raised.rlim_cur = std::clamp<rlim_t>(wanted, limit.rlim_cur, limit.rlim_max);
  return ::setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

}  // namespace actionflows::cli
