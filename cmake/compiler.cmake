# One place for the language level, the warnings and the sanitizers.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")
# Enough optimisation that a sanitizer run stays short, enough debug info for a readable stack.
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE}")
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_library(streamobs_flags INTERFACE)
target_compile_options(streamobs_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these inside the standard library and fmt at -O3; clang does not.
  target_compile_options(streamobs_flags INTERFACE
    -Wno-error=maybe-uninitialized -Wno-error=array-bounds -Wno-error=stringop-overflow
    -Wno-error=stringop-overread -Wno-error=restrict -Wno-error=dangling-pointer
    # Asio's frames of coroutines, where one is inlined into another.
    -Wno-error=mismatched-new-delete)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # libstdc++ 12's own std::stable_sort uses what it has deprecated; clang 19 reports that as ours.
  target_compile_options(streamobs_flags INTERFACE -Wno-error=deprecated-declarations)
endif()
if(STREAMOBS_SANITIZE)
  target_compile_options(streamobs_flags INTERFACE
    # Lines for traces; the names of locals would take a tenth of the time to build.
    -g1 -fsanitize=${STREAMOBS_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(streamobs_flags INTERFACE -fsanitize=${STREAMOBS_SANITIZE})
  if(STREAMOBS_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(streamobs_flags INTERFACE -Wno-tsan)
  endif()
endif()
if(STREAMOBS_FUZZ)
  target_compile_options(streamobs_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
