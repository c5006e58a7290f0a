# What `make install` leaves: the binary, the embedding library with its headers, and a package that
# find_package(streamobs) finds. The library is shared and hides everything that is not in
# include/streamobs, so a host needs none of our dependencies' headers.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

add_library(streamobs_embedding SHARED "${PROJECT_SOURCE_DIR}/src/app/embedding.cpp")
add_library(streamobs::streamobs ALIAS streamobs_embedding)
target_link_libraries(streamobs_embedding PRIVATE streamobs_app streamobs_flags)
target_include_directories(streamobs_embedding PUBLIC
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
set_target_properties(streamobs_embedding PROPERTIES
  OUTPUT_NAME streamobs EXPORT_NAME streamobs VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR})
target_link_options(streamobs_embedding PRIVATE
  "-Wl,--exclude-libs,ALL" "-Wl,--no-undefined")
target_compile_features(streamobs_embedding INTERFACE cxx_std_17)

install(TARGETS streamobs RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS streamobs_embedding EXPORT streamobs LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/streamobs" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT streamobs NAMESPACE streamobs:: FILE streamobsTargets.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/streamobs)
file(WRITE "${PROJECT_BINARY_DIR}/streamobsConfig.cmake"
  "include(\"\${CMAKE_CURRENT_LIST_DIR}/streamobsTargets.cmake\")\n")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/streamobsConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/streamobsConfig.cmake"
              "${PROJECT_BINARY_DIR}/streamobsConfigVersion.cmake"
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/streamobs)
