// Columns and their values as people say them: "error rate 40.2%", "p95 latency 2,340 ms". One set
// of words for descriptions of anomalies and for incidents. Free functions; any thread.
//
// A schema has no units, so they are guessed from the column's name, as the dashboard does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace streamobs {

enum class Unit : std::uint8_t {
  none,
  share,  ///< Of one: 0.31 is said as 31%.
  percent,
  nanoseconds,
  microseconds,
  milliseconds,
  seconds,
  bytes,
  usd,
  eur,
  per_second,
  per_minute,
};

/// p95_latency_ms → "p95 latency", milliseconds; error_rate → "error rate", a share.
struct MetricWords {
  std::string name;
  Unit unit = Unit::none;
};
/// `largest`: the largest size that will be told; a `…_rate` above 1 is no share of anything.
MetricWords metric_words(std::string_view column, double largest);

/// A value with its unit: "2,340 ms", "12.5 s", "31%", "1.2 MB", "120/s".
std::string quantity(double value, const MetricWords& metric);

/// A mean beside a value: whole where the value is, unless it is small; of times in the same unit.
std::string usual_quantity(double mean, double value, const MetricWords& metric);

/// A value against what is normal: "6.2 times its normal 5%", "20% of its normal 100", "35% above
/// its normal 100", "about its normal 100"; "normally 0" where a ratio says nothing.
std::string against_normal(double value, double mean, const MetricWords& metric);
/// The same in a title, behind the value: "6.2× normal", "20% of normal", "normally 0%".
std::string against_normal_short(double value, double mean, const MetricWords& metric);

/// "product_category" → "product category".
std::string plain(std::string_view name);

/// Somebody else's text as part of one line: without control characters and marks that turn the
/// direction of writing, and cut when it has more than `longest` bytes.
std::string on_one_line(std::string_view text, std::size_t longest);

/// A name that came with the events, for a sentence: as it is where it cannot be mistaken for part
/// of the sentence, else in quotes, without control characters, and cut when it is long.
std::string name_in_words(std::string_view name);

}  // namespace streamobs
