# find_sources(<variable> <folder>): the folder's own sources, without tests, benchmarks and helpers
# for tests.
function(find_sources variable folder)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
  list(FILTER found EXCLUDE REGEX "(_test|_bench)\\.cpp$|/testing/")
  set(${variable} ${found} PARENT_SCOPE)
endfunction()
