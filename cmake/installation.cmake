# `cmake --install`, and what find_package(actionflows) reads afterwards. Only the library and its
# public headers are for others to build on; the program goes with them.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/actionflows)

install(TARGETS actionflows EXPORT actionflowsTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS actionflows_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT actionflowsTargets NAMESPACE actionflows:: DESTINATION ${package_dir})

configure_package_config_file(cmake/actionflowsConfig.cmake.in
  ${PROJECT_BINARY_DIR}/actionflowsConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/actionflowsConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/actionflowsConfig.cmake
              ${PROJECT_BINARY_DIR}/actionflowsConfigVersion.cmake
              cmake/FindBoostHeaders.cmake
        DESTINATION ${package_dir})
