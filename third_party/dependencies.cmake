# Where every dependency is found. Versions: third_party/README.md.
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(SQLite3 3.40 REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(RDKAFKA REQUIRED IMPORTED_TARGET rdkafka>=2.0)
pkg_check_modules(SIMDJSON REQUIRED IMPORTED_TARGET simdjson>=3.0)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash>=0.8)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4>=1.9)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd>=1.5)

# toml++ is header-only.
find_path(TOMLPP_INCLUDE_DIR toml++/toml.h REQUIRED)

add_library(third_party_asio INTERFACE)
target_link_libraries(third_party_asio INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(third_party_asio INTERFACE
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_ARRAY BOOST_ASIO_DISABLE_BOOST_REGEX)
add_library(ThirdParty::asio ALIAS third_party_asio)

add_library(third_party_simdjson INTERFACE)
# Not the imported target: its flags turn simdjson's worker thread on (any value of
# SIMDJSON_THREADS_ENABLED does), and we parse one document at a time.
target_link_libraries(third_party_simdjson INTERFACE ${SIMDJSON_LINK_LIBRARIES})
target_include_directories(third_party_simdjson SYSTEM INTERFACE ${SIMDJSON_INCLUDE_DIRS})
add_library(ThirdParty::simdjson ALIAS third_party_simdjson)

add_library(third_party_toml INTERFACE)
target_include_directories(third_party_toml SYSTEM INTERFACE "${TOMLPP_INCLUDE_DIR}")
target_compile_definitions(third_party_toml INTERFACE TOML_EXCEPTIONS=0)
add_library(ThirdParty::toml ALIAS third_party_toml)
