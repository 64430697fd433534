# Installs the built library into a folder of its own, builds program/ against it as a user would,
# and runs it.
#
#   cmake -D BUILT=<build folder> -D COMPILER=<c++> -D FLAGS=<its flags> -D BOOST=<headers>
#         -D GENERATOR=<CMake generator> -P run.cmake
set(work ${BUILT}/tests/install)
file(REMOVE_RECURSE ${work})

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGV}\nended with ${status}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILT} --prefix ${work}/prefix)
# The flags are the library's, so that a library under a sanitizer finds its like.
run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/program -B ${work}/program -G ${GENERATOR}
    -D CMAKE_PREFIX_PATH=${work}/prefix -D BoostHeaders_INCLUDE_DIR=${BOOST}
    -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_CXX_FLAGS=${FLAGS})
run(${CMAKE_COMMAND} --build ${work}/program)
run(${work}/program/program)
# What README says of it.
if(NOT output MATCHES "^the chain is completed\n1 session:created\n(.*\n)?11 chain:completed\n$")
  message(FATAL_ERROR "the program printed something else:\n${output}")
endif()

# What is installed is whole: no installed header includes one that is not. (-I: where Boost is the
# system's, -isystem would put its folder in front of the compiler's own.)
file(GLOB_RECURSE headers RELATIVE ${work}/prefix/include ${work}/prefix/include/*.hpp)
list(TRANSFORM headers REPLACE "(.+)" "#include <\\1>\n")
file(WRITE ${work}/headers.cpp ${headers})
run(${COMPILER} -std=c++20 -fsyntax-only -I ${work}/prefix/include -I ${BOOST}
    ${work}/headers.cpp)
