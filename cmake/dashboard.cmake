# The dashboard: TypeScript built with npm, then put into the binary byte for byte (.incbin).
#
# Which files npm makes is known only after it has run, so the assembler file and the table of
# assets are written by embed_assets.cmake at build time.
find_program(NPM npm REQUIRED)

set(page "${PROJECT_SOURCE_DIR}/src/serve/dashboard")
set(dist "${PROJECT_BINARY_DIR}/dashboard")
file(GLOB page_sources CONFIGURE_DEPENDS "${page}/src/*")
list(APPEND page_sources "${page}/build.mjs" "${page}/tsconfig.json")

# node_modules stays beside package.json; several build directories share it, so its stamp is there.
add_custom_command(
  OUTPUT "${page}/node_modules/.streamobs-installed"
  COMMAND "${NPM}" ci --no-audit --no-fund --loglevel=error
  COMMAND "${CMAKE_COMMAND}" -E touch "${page}/node_modules/.streamobs-installed"
  DEPENDS "${page}/package.json" "${page}/package-lock.json"
  WORKING_DIRECTORY "${page}"
  COMMENT "dashboard: npm ci" VERBATIM)
add_custom_command(
  OUTPUT "${PROJECT_BINARY_DIR}/dashboard_assets.S" "${PROJECT_BINARY_DIR}/dashboard_assets.cpp"
  COMMAND "${CMAKE_COMMAND}" -E rm -rf "${dist}"
  COMMAND "${NPM}" run --silent build -- --outDir "${dist}"
  COMMAND "${CMAKE_COMMAND}" -DDIST=${dist} -DOUT=${PROJECT_BINARY_DIR}
          -P "${PROJECT_SOURCE_DIR}/cmake/embed_assets.cmake"
  DEPENDS ${page_sources} "${page}/node_modules/.streamobs-installed"
          "${PROJECT_SOURCE_DIR}/cmake/embed_assets.cmake"
  WORKING_DIRECTORY "${page}"
  COMMENT "dashboard: build and embed" VERBATIM)

add_library(streamobs_dashboard STATIC
  "${PROJECT_BINARY_DIR}/dashboard_assets.S" "${PROJECT_BINARY_DIR}/dashboard_assets.cpp")
target_link_libraries(streamobs_dashboard PRIVATE streamobs_flags)
target_include_directories(streamobs_dashboard PRIVATE "${PROJECT_SOURCE_DIR}/src")
