// How many files the process may have open at once; sockets are files.
#pragma once

#include <cstdint>

namespace actionflows::cli {

// Raises the process's limit to `wanted`, or as far as it may; never lowers it. The limit as it is
// then.
std::uint64_t allow_open_files(std::uint64_t wanted);

}  // namespace actionflows::cli
