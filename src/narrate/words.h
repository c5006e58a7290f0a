// Names of columns and lists of things as they stand in a sentence. Free functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "event/anomaly.h"

namespace streamobs::narrate {

/// p95_latency_ms → {"p95 latency", " ms"}; error_rate → {"error rate", ""}.
struct MetricWords {
  std::string name;
  std::string unit;  ///< With the space before it, where there is one.
};
MetricWords metric_words(std::string_view column);

/// A value with the metric's unit: "2,340 ms", "0.31".
std::string quantity(double value, const MetricWords& metric);

/// "product_category" → "product category".
std::string plain(std::string_view name);
/// "endpoint" → "endpoints", "category" → "categories".
std::string plural(std::string_view noun);
/// "a", "a and b", "a, b and c"; beyond `limit` items: "a, b and 3 more".
std::string listed(const std::vector<std::string>& items, std::size_t limit);
std::string capitalised(std::string text);

/// The values of a key: "checkout", "checkout / eu"; empty for no key.
std::string label(const std::vector<NamedValue>& keys);

}  // namespace streamobs::narrate
