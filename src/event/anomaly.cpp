#include "event/anomaly.h"

namespace streamobs {

namespace {
constexpr std::string_view kSeverities[] = {"low", "medium", "high", "critical"};
}

std::string_view to_text(Severity severity) { return kSeverities[static_cast<int>(severity)]; }

std::optional<Severity> parse_severity(std::string_view text) {
  for (int i = 0; i < 4; ++i) {
    if (text == kSeverities[i]) return static_cast<Severity>(i);
  }
  return std::nullopt;
}

}  // namespace streamobs
