# Each public header compiles alone: one source per header, which includes nothing else. Without
# optimisation and without the precompiled header, which would hide what is missing.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
     ${PROJECT_SOURCE_DIR}/actionflows/*.hpp)
set(header_sources)
foreach(header ${headers})
  set(source ${PROJECT_BINARY_DIR}/headers/${header}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n")
  list(APPEND header_sources ${source})
endforeach()
add_library(headers_alone OBJECT ${header_sources})
target_link_libraries(headers_alone PRIVATE actionflows simdjson::simdjson)
if(TARGET actionflows_testing)
  target_link_libraries(headers_alone PRIVATE GTest::gtest rapidcheck)
endif()
target_compile_options(headers_alone PRIVATE -O0 -g0)
