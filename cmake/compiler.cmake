# How everything here is compiled. The optimisation level and the sanitizers are the presets'.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)

if(PROJECT_IS_TOP_LEVEL)
  add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
  # GCC 12 takes Asio's allocation of coroutine frames for a mismatch where it inlines half of it.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-mismatched-new-delete>)
  # Where it inlines much, GCC 12 finds faults in its own std::string (its bug 105651).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    add_compile_options(-Wno-array-bounds -Wno-restrict -Wno-stringop-overread
                        -Wno-stringop-overflow)
  endif()
endif()

# ccache takes part where it is present. The sloppiness is what it asks for to work with precompiled
# headers; it goes with each call, so that nobody has to set it up.
find_program(CCACHE ccache)
mark_as_advanced(CCACHE)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
endif()

# unite(<targets>...): the sources of a target that stand in one folder are compiled as one, which
# takes a third of the time, since what they share of Boost's templates is made once. So names
# outside functions are unlike within a folder. To build one by one: ACTIONFLOWS_UNITY=OFF.
option(ACTIONFLOWS_UNITY "Compile the sources of a folder as one" OFF)
if(ACTIONFLOWS_UNITY)
  # What holds for headers is no fault of a source that another includes: types of its own.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()
function(unite)
  foreach(target ${ARGN})
    set_target_properties(${target} PROPERTIES UNITY_BUILD ${ACTIONFLOWS_UNITY}
                                               UNITY_BUILD_MODE GROUP)
    get_target_property(sources ${target} SOURCES)
    foreach(source ${sources})
      get_filename_component(folder ${source} DIRECTORY)
      file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${folder})
      string(MAKE_C_IDENTIFIER ${folder} group)
      set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${group})
    endforeach()
  endforeach()
endfunction()
