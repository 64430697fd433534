# `cmake --install`, and what find_package(actionflows) reads afterwards. Only the library and its
# headers are for others to build on; the program goes with them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/actionflows)

install(TARGETS actionflows EXPORT actionflowsTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET actionflows_program)
  install(TARGETS actionflows_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY actionflows DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN *.hpp PATTERN testing EXCLUDE)
install(EXPORT actionflowsTargets NAMESPACE actionflows:: DESTINATION ${package_dir})

configure_package_config_file(cmake/actionflowsConfig.cmake.in
  ${PROJECT_BINARY_DIR}/actionflowsConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/actionflowsConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/actionflowsConfig.cmake
              ${PROJECT_BINARY_DIR}/actionflowsConfigVersion.cmake
              cmake/FindBoostHeaders.cmake
        DESTINATION ${package_dir})
