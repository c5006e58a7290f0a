# streamobs_library(NAME DEPS a b c): one static library for each folder of src/.
#
# DEPS are folders (or imported targets). They are what the folder may include; the test
# tests/house/includes_test.py holds them against the rules of docs/architecture.md.
function(streamobs_library name)
  cmake_parse_arguments(ARG "" "" "DEPS;EXCLUDE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp")
  if(NOT sources)
    add_library(streamobs_${name} INTERFACE)
    set(scope INTERFACE)
  else()
    add_library(streamobs_${name} STATIC ${sources})
    set(scope PUBLIC)
  endif()
  target_include_directories(streamobs_${name} ${scope}
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  foreach(dep IN LISTS ARG_DEPS)
    if(dep MATCHES "::")
      target_link_libraries(streamobs_${name} ${scope} ${dep})
    else()
      target_link_libraries(streamobs_${name} ${scope} streamobs_${dep})
    endif()
  endforeach()
  target_link_libraries(streamobs_${name} ${scope} $<BUILD_INTERFACE:streamobs_flags>)
endfunction()

# streamobs_test(NAME DEPS a b): tests/NAME/*.cpp as one Catch2 program, test_NAME.
function(streamobs_test name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${name}/*_test.cpp")
  if(NOT sources)
    return()
  endif()
  add_executable(test_${name} ${sources})
  target_include_directories(test_${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(test_${name} PRIVATE streamobs_test_main)
  foreach(dep IN LISTS ARG_DEPS)
    target_link_libraries(test_${name} PRIVATE streamobs_${dep})
  endforeach()
  add_test(NAME unit.${name} COMMAND test_${name} -w NoTests
           WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
endfunction()
