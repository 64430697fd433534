# find_sources(<variable> <folder>): the folder's own sources, without tests, benchmarks and helpers
# for tests.
function(find_sources variable folder)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
       ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
  list(FILTER found EXCLUDE REGEX "(_test|_bench)\\.cpp$|/testing/")
  list(TRANSFORM found PREPEND ${PROJECT_SOURCE_DIR}/)
  set(${variable} ${found} PARENT_SCOPE)
endfunction()

# find_public_headers(<variable>): what is installed and has to compile alone. All of the library's
# headers but those that declare schemas, which need simdjson, and the drivers' inner ones: of a
# driver's folder only what is named here is for others.
function(find_public_headers variable)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
       ${PROJECT_SOURCE_DIR}/actionflows/*.hpp)
  list(FILTER found EXCLUDE REGEX
       "/testing/|/storage/[^/]+/|json/reader\\.hpp$|schema/(kinds|object)\\.hpp$")
  foreach(header memory/memory_storage sqlite/sqlite_storage redis/redis_storage
                 resilient/circuit_breaker resilient/commit_text resilient/journal
                 resilient/resilient_storage resilient/retry_policy resilient/shadow)
    list(APPEND found actionflows/storage/${header}.hpp)
  endforeach()
  list(TRANSFORM found PREPEND ${PROJECT_SOURCE_DIR}/)
  set(${variable} ${found} PARENT_SCOPE)
endfunction()
