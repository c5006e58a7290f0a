// The sentence that describes an anomaly: from the rule's own template, or made from its figures.
//
// A template is parsed once with the rule and then only read. Placeholders stand in braces,
// {{ and }} are braces themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/source_text.h"
#include "event/anomaly.h"
#include "event/window_result.h"

namespace streamobs::detect {

/// A description cut into literal text and what stands between it.
struct DescriptionTemplate {
  enum class What : std::uint8_t {
    text,
    rule,
    window,
    severity,
    window_start,
    window_end,
    metric_name,
    metric_value,
    baseline_value,
    threshold_value,
    key,     ///< `index` of the window's keys.
    metric,  ///< `index` of the window's metrics.
  };
  struct Piece {
    What what = What::text;
    std::size_t index = 0;
    std::string text;
  };
  std::vector<Piece> pieces;
};

/// Adds a diagnostic for each unknown placeholder and each stray brace.
std::optional<DescriptionTemplate> parse_description(const SourceText& source,
                                                     const WindowSchema& schema,
                                                     Diagnostics& diagnostics);

/// Which way a value may not go, for the words about its threshold: up to it, no lower than it, or
/// not even as far as it.
enum class Bound : std::uint8_t { none, upper, lower, below, above };

/// `anomaly` with all its fields but the description.
std::string describe(const DescriptionTemplate& description, const Anomaly& anomaly,
                     const WindowRow& row);
std::string describe(const Anomaly& anomaly, Bound bound);

}  // namespace streamobs::detect
