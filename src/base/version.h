// What this build calls itself; set by CMake from project(VERSION).
#pragma once

#include <string_view>

namespace streamobs {
#ifdef STREAMOBS_VERSION
inline constexpr std::string_view kVersion = STREAMOBS_VERSION;
#else
inline constexpr std::string_view kVersion = "unknown";
#endif
}  // namespace streamobs
