// Reading times as text: the forms that people and programs write, without the zone that a text may
// leave open. decode (a stream's times, options of commands) and serve (parameters) build on it.
// Pure; any thread.
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"

namespace streamobs {

struct TimeReading {
  Timestamp clock = 0;             ///< What calendar and clock showed, as if that were UTC.
  std::optional<Duration> offset;  ///< East of UTC, where the text names a zone.
};

/// ISO 8601: 2024-01-09, 2024-01-09T12:34, 2024-01-09 12:34:56.789Z, …+02:00, …+0200, …+02. T, t or
/// a space stands between date and time; a fraction follows '.' or ',' and may have any length
/// (digits beyond microseconds are cut off). A leap second (:60) is taken as :59.999999. Nothing
/// where the text is not of that form or there is no such time (hour 24 is refused).
std::optional<TimeReading> read_iso_time(std::string_view text);

/// Of an access log: 17/May/2015:10:05:03 +0000.
std::optional<TimeReading> read_access_log_time(std::string_view text);

}  // namespace streamobs
