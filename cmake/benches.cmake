# Every x_bench.cpp beside a source, and every source in bench/, is a program of its own, in
# build/release/bench.
file(GLOB_RECURSE benches CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/actionflows/*_bench.cpp
                                            ${PROJECT_SOURCE_DIR}/server/*_bench.cpp
                                            ${PROJECT_SOURCE_DIR}/bench/*.cpp)
add_custom_target(benches)
foreach(source ${benches})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE tests_support actionflows_server simdjson::simdjson SQLite::SQLite3
                                        benchmark::benchmark benchmark::benchmark_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
  add_dependencies(benches ${name})
endforeach()
