# Finds Boost's headers, without its compiled libraries, and makes BoostHeaders::BoostHeaders.
# Set BoostHeaders_INCLUDE_DIR to the folder that holds boost/version.hpp where they stand in an
# unusual place. Also installed, for those who use the library.
find_path(BoostHeaders_INCLUDE_DIR boost/version.hpp DOC "Folder that holds boost/version.hpp")
mark_as_advanced(BoostHeaders_INCLUDE_DIR)

set(BoostHeaders_VERSION "")
if(BoostHeaders_INCLUDE_DIR)
  file(STRINGS ${BoostHeaders_INCLUDE_DIR}/boost/version.hpp line REGEX "define BOOST_LIB_VERSION")
  string(REGEX MATCH "[0-9]+_[0-9]+" BoostHeaders_VERSION "${line}")
  string(REPLACE "_" "." BoostHeaders_VERSION "${BoostHeaders_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(BoostHeaders
  REQUIRED_VARS BoostHeaders_INCLUDE_DIR
  VERSION_VAR BoostHeaders_VERSION
  REASON_FAILURE_MESSAGE "set BoostHeaders_INCLUDE_DIR to the folder that holds boost/version.hpp")

if(BoostHeaders_FOUND AND NOT TARGET BoostHeaders::BoostHeaders)
  add_library(BoostHeaders::BoostHeaders INTERFACE IMPORTED)
  target_include_directories(BoostHeaders::BoostHeaders INTERFACE ${BoostHeaders_INCLUDE_DIR})
endif()
