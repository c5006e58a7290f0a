// Names of columns and lists of things as they stand in a sentence. Free functions; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/quantity.h"

namespace streamobs::narrate {

/// How a metric moved, as the end of a clause: "had doubled (230, normally 115)",
/// "was up by 35% (135 ms, normally 100 ms)".
std::string how_it_moved(double value, double mean, const MetricWords& metric);

/// What a column is about, without how it is summed up: p95_latency_ms and avg_latency_ms are both
/// about "latency", error_count and error_rate about "error".
std::string stem(std::string_view column);

/// Whether a name is a plural: "errors have", but "error rate has", "status has".
bool is_plural(std::string_view name);

/// "endpoint" → "endpoints", "category" → "categories".
std::string plural(std::string_view noun);
/// "1 window", "3 windows".
std::string counted(std::size_t count, std::string_view noun);
/// "a", "a and b", "a, b and c"; beyond `limit` items: "a, b and 3 more".
std::string listed(const std::vector<std::string>& items, std::size_t limit);
std::string capitalised(std::string text);

}  // namespace streamobs::narrate
