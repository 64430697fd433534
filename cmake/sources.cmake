# find_sources(<variable> <folder>): the folder's own sources, without tests, benchmarks and helpers
# for tests.
function(find_sources variable folder)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
  list(FILTER found EXCLUDE REGEX "(_test|_bench)\\.cpp$|/testing/")
  set(${variable} ${found} PARENT_SCOPE)
endfunction()

# find_public_headers(<variable>): what is installed and has to compile alone. All of the library's
# headers but the inner ones of the drivers, whose folders show only what makes them.
function(find_public_headers variable)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/actionflows/*.hpp)
  list(FILTER found EXCLUDE REGEX "/testing/|/storage/(memory|sqlite|redis|resilient)/")
  foreach(header memory/memory_storage sqlite/sqlite_storage redis/redis_storage
                 resilient/circuit_breaker resilient/commit_text resilient/journal
                 resilient/resilient_storage resilient/retry_policy resilient/shadow)
    list(APPEND found ${PROJECT_SOURCE_DIR}/actionflows/storage/${header}.hpp)
  endforeach()
  set(${variable} ${found} PARENT_SCOPE)
endfunction()
