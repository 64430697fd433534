# One program per group of tests, every test of it known to ctest by its own name.
include(GoogleTest)

# Generous: sanitizers make a test up to 20 times slower.
set(ACTIONFLOWS_TEST_TIMEOUT 300 CACHE STRING "Seconds after which a test counts as hanging")

# Helpers for tests: fakes, and the suite that every storage driver has to pass.
file(GLOB_RECURSE testing_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/actionflows/testing/*.cpp
                                                    ${PROJECT_SOURCE_DIR}/actionflows/*/testing/*.cpp)
add_library(actionflows_testing INTERFACE)
target_link_libraries(actionflows_testing INTERFACE
  actionflows GTest::gtest GTest::gmock rapidcheck simdjson::simdjson)
target_sources(actionflows_testing INTERFACE ${testing_sources})

# add_tests(<name> <libraries> <sources>...): the program <name>_tests; nothing where it has no test.
function(add_tests name libraries)
  set(tests ${ARGN})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  if(NOT tests)
    return()
  endif()
  set(program ${name}_tests)
  add_executable(${program} ${ARGN})
  target_link_libraries(${program} PRIVATE actionflows_testing ${libraries} GTest::gtest_main)
  target_compile_definitions(${program} PRIVATE PROJECT_DIR="${PROJECT_SOURCE_DIR}")
  target_precompile_headers(${program} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/precompiled.hpp
                                               <gtest/gtest.h>)
  if(TARGET actionflows_program)
    add_dependencies(${program} actionflows_program)
    target_compile_definitions(${program} PRIVATE PROGRAM="$<TARGET_FILE:actionflows_program>")
  endif()
  gtest_discover_tests(${program} DISCOVERY_TIMEOUT 120
                       PROPERTIES TIMEOUT ${ACTIONFLOWS_TEST_TIMEOUT} LABELS ${name})
endfunction()

foreach(group unit:actionflows:actionflows
              server:server:actionflows_server
              cli:cli:actionflows_cli)
  string(REPLACE ":" ";" group ${group})
  list(GET group 0 name)
  list(GET group 1 folder)
  list(GET group 2 library)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*_test.cpp)
  add_tests(${name} ${library} ${sources})
endforeach()

# Every folder of tests/ that holds an x_test.cpp is a program of its own, its helpers included.
file(GLOB folders CONFIGURE_DEPENDS LIST_DIRECTORIES true ${PROJECT_SOURCE_DIR}/tests/*)
foreach(folder ${folders})
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  get_filename_component(name ${folder} NAME)
  set(library actionflows_server)
  if(TARGET actionflows_cli)
    set(library actionflows_cli)
  endif()
  add_tests(${name} ${library} ${sources})
endforeach()
