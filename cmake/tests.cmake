# One program per group of tests, every test of it known to ctest by its own name.
include(GoogleTest)

# Generous: sanitizers make a test up to 20 times slower.
set(ACTIONFLOWS_TEST_TIMEOUT 300 CACHE STRING "Seconds after which a test counts as hanging")

# What tests share: the helpers in tests/support, and what every test is linked with.
file(GLOB support_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/support/*.cpp)
add_library(tests_support STATIC ${support_sources})
target_link_libraries(tests_support PUBLIC
  actionflows GTest::gtest GTest::gmock rapidcheck simdjson::simdjson SQLite::SQLite3)
target_compile_definitions(tests_support PUBLIC
  PROJECT_DIR="${PROJECT_SOURCE_DIR}" PROGRAM="$<TARGET_FILE:actionflows_program>")
target_precompile_headers(tests_support PRIVATE ${PROJECT_SOURCE_DIR}/cmake/precompiled.hpp
                                                <gtest/gtest.h>)
unite(tests_support)

# What is the same under a sanitizer, which finds nothing there, runs without one only: tidy, which
# reads sources, and the planted faults, which judge the conformance suite.
set(left_out RedisCluster/*)
if(CMAKE_CXX_FLAGS_RELWITHDEBINFO MATCHES "-fsanitize")
  set(folders_left_out ${PROJECT_SOURCE_DIR}/tests/tidy)
  string(APPEND left_out ":Planted/*:SuiteOnWrappedDriver.*")
endif()

# add_tests(<name> <library> <sources>...): the program <name>_tests; nothing without a test.
function(add_tests name library)
  set(program ${name}_tests)
  if(NOT "${ARGN}" MATCHES "_test\\.cpp")
    return()
  endif()
  add_executable(${program} ${ARGN})
  target_link_libraries(${program} PRIVATE tests_support ${library} GTest::gtest_main)
  target_precompile_headers(${program} REUSE_FROM tests_support)
  unite(${program})
  # Listed when ctest starts, not when it is built: a program under a sanitizer takes its time.
  # A cluster of servers takes seconds to come up: its conformance is one test, below.
  gtest_discover_tests(${program} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120
                       NO_PRETTY_VALUES TEST_FILTER "-${left_out}"
                       PROPERTIES TIMEOUT ${ACTIONFLOWS_TEST_TIMEOUT} LABELS ${name})
endfunction()

# Beside the sources.
foreach(group unit:actionflows:actionflows server:server:actionflows_server cli:cli:actionflows_cli)
  string(REPLACE ":" ";" group ${group})
  list(GET group 0 name)
  list(GET group 1 folder)
  list(GET group 2 library)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
       ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
  list(FILTER sources INCLUDE REGEX "_test\\.cpp$|/testing/")
  list(TRANSFORM sources PREPEND ${PROJECT_SOURCE_DIR}/)
  add_tests(${name} ${library} ${sources})
endforeach()

# Every folder of tests/ that holds an x_test.cpp is a program of its own; it may run PROGRAM.
file(GLOB folders CONFIGURE_DEPENDS LIST_DIRECTORIES true ${PROJECT_SOURCE_DIR}/tests/*)
list(REMOVE_ITEM folders ${folders_left_out})
foreach(folder ${folders})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  get_filename_component(name ${folder} NAME)
  add_tests(${name} actionflows_cli ${sources})
  if(TARGET ${name}_tests)
    add_dependencies(${name}_tests actionflows_program)
  endif()
endforeach()

add_test(NAME RedisCluster/DriverConformance
         COMMAND conformance_tests --gtest_filter=RedisCluster/*)
set_tests_properties(RedisCluster/DriverConformance PROPERTIES
  TIMEOUT ${ACTIONFLOWS_TEST_TIMEOUT} LABELS conformance COST 1000)

# The library as others find it: installed, found by find_package and linked into a small program.
add_test(NAME install.a_program_builds_against_the_installed_library
         COMMAND ${CMAKE_COMMAND} -D BUILT=${PROJECT_BINARY_DIR} -D COMPILER=${CMAKE_CXX_COMPILER}
                 -D "FLAGS=${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_RELWITHDEBINFO}"
                 -D BOOST=${BoostHeaders_INCLUDE_DIR} -D GENERATOR=${CMAKE_GENERATOR}
                 -P ${PROJECT_SOURCE_DIR}/tests/install/run.cmake)
set_tests_properties(install.a_program_builds_against_the_installed_library PROPERTIES
  TIMEOUT ${ACTIONFLOWS_TEST_TIMEOUT} LABELS install COST 900)

set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES
             ${PROJECT_SOURCE_DIR}/cmake/long_tests.cmake)
