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

/// A mean beside a value: whole where the value is, unless it is small.
std::string usual_quantity(double mean, double value, const MetricWords& metric);

/// A value against what is normal: "6.2 times its normal 0.05", "20% of its normal 100", "35% above
/// its normal 100", "about its normal 100", "normally 0".
std::string against_normal(double value, double mean, const MetricWords& metric);
/// The same in a title, behind the metric's name: "6.2× normal", "down to 20% of normal",
/// "0.31, normally 0".
std::string against_normal_short(double value, double mean, const MetricWords& metric);
/// How a metric that moved() did so, as the end of a clause: "had doubled (230, normally 115)",
/// "was up by 35% (135 ms, normally 100 ms)".
std::string how_it_moved(double value, double mean, const MetricWords& metric);
/// Whether that was far enough to be called a move.
bool moved(double value, double mean);

/// What a column is about, without how it is summed up: p95_latency_ms and avg_latency_ms are both
/// about "latency", error_count and error_rate about "error".
std::string stem(std::string_view column);

/// Whether a name is a plural: "errors have", but "error rate has", "status has".
bool is_plural(std::string_view name);

/// "product_category" → "product category".
std::string plain(std::string_view name);
/// "endpoint" → "endpoints", "category" → "categories".
std::string plural(std::string_view noun);
/// "1 window", "3 windows".
std::string counted(std::size_t count, std::string_view noun);
/// "a", "a and b", "a, b and c"; beyond `limit` items: "a, b and 3 more".
std::string listed(const std::vector<std::string>& items, std::size_t limit);
std::string capitalised(std::string text);

/// The values of a key: "checkout", "checkout / eu"; empty for no key.
std::string label(const std::vector<NamedValue>& keys);

}  // namespace streamobs::narrate
