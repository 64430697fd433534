# Each public header compiles alone: one source per header, which includes nothing else. Without
# optimisation and without the precompiled header, which would hide what is missing.
set(header_sources)
foreach(header ${public_headers})
  file(RELATIVE_PATH header ${PROJECT_SOURCE_DIR} ${header})
  set(source ${PROJECT_BINARY_DIR}/headers/${header}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n")
  list(APPEND header_sources ${source})
endforeach()
add_library(headers_alone OBJECT ${header_sources})
target_link_libraries(headers_alone PRIVATE actionflows simdjson::simdjson)
target_compile_options(headers_alone PRIVATE -O0 -g0)

# That this catches anything: a header which lacks an include is refused, by the same compiler.
add_test(NAME headers_alone.refuses_a_header_that_lacks_an_include
         COMMAND ${CMAKE_CXX_COMPILER} -std=c++20 -fsyntax-only -x c++
                 ${PROJECT_SOURCE_DIR}/tests/tidy/planted/lacks_an_include.hpp)
set_tests_properties(headers_alone.refuses_a_header_that_lacks_an_include PROPERTIES
  PASS_REGULAR_EXPRESSION "lacks_an_include.hpp:7:.*error.*string"
  LABELS tidy)
