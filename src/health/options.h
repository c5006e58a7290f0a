// [health]: how often the engine looks at itself, and from where on it says so.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/clock.h"

namespace streamobs::health {

/// What a stream says of itself, in [stream.NAME].
struct StreamBounds {
  std::optional<Duration> freshness;        ///< None: as [health] has it; 0: not looked at.
  std::map<std::string, double> nulls_max;  ///< By field: the largest share that may be null.
};

struct HealthOptions {
  Duration quick_every = 5 * kMinute;  ///< Freshness, lag, stages, disk: a look at counters.
  Duration deep_every = 6 * kHour;     ///< Data quality and the database.
  Duration freshness = 5 * kMinute;    ///< Of a stream's newest event; 0: not looked at.
  Duration lag = kMinute;              ///< Of what waits to be read, stored or delivered.
  std::uint64_t disk_free_bytes = std::uint64_t{1} << 30;
  double refused_max = 0.05;  ///< Share of a stream's events.
  double late_max = 0.05;
  double unmatched_max = 0.05;                  ///< Of the events of a join's side.
  std::map<std::string, StreamBounds> streams;  ///< By name; those that say something.

  Duration freshness_of(const std::string& stream) const {
    const auto found = streams.find(stream);
    return found == streams.end() ? freshness : found->second.freshness.value_or(freshness);
  }
};

}  // namespace streamobs::health
