# Everything comes from Debian's packages; `./dev setup` installs them and says what each is for.
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(simdjson REQUIRED)
find_package(SQLite3 3.40 REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(ZLIB REQUIRED)

# On Debian 12 `./dev setup` unpacks the headers into the project, since its own Boost is older.
set(unpacked ${PROJECT_SOURCE_DIR}/.deps/boost-1.88/usr/include)
if(NOT BoostHeaders_INCLUDE_DIR AND EXISTS ${unpacked}/boost/version.hpp)
  set(BoostHeaders_INCLUDE_DIR ${unpacked} CACHE PATH "Folder that holds boost/version.hpp")
endif()
find_package(BoostHeaders 1.88)
if(NOT BoostHeaders_FOUND)
  message(FATAL_ERROR "Boost 1.88 or newer (headers only) is needed and was not found. "
                      "On Debian, run: ./dev setup")
endif()

if(ACTIONFLOWS_TESTS)
  find_package(GTest REQUIRED)
  find_package(rapidcheck REQUIRED)
endif()
if(ACTIONFLOWS_BENCH)
  find_package(benchmark REQUIRED)
endif()
