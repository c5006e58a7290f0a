// How quick checks put what they have found. Used by QuickChecks' own files only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/time_format.h"
#include "base/wording.h"
#include "health/report.h"

namespace streamobs::health {

/// Nobody wants to read microseconds.
inline std::string in_words(Duration span) {
  return span < kSecond ? "less than a second" : span_in_words(span - span % kSecond);
}

inline std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", number_in_words(static_cast<double>(count)), noun,
                     count == 1 ? "" : "s");
}

inline CheckResult result_of(std::string check, std::string of = {}) {
  CheckResult result;
  result.check = std::move(check);
  result.of = std::move(of);
  return result;
}

inline void measure(CheckResult& result, Duration value, Duration bound) {
  result.value = static_cast<double>(value) / kSecond;
  result.bound = static_cast<double>(bound) / kSecond;
  result.unit = "seconds";
}

}  // namespace streamobs::health
