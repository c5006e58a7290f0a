// Reading times as text: the forms that people and programs write, without the zone that a text may
// leave open. decode (a stream's times, options of commands) and serve (parameters) build on it.
// Pure; any thread.
#pragma once

#include <cstdint>
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
/// where the text is not of that form or there is no such time (hour 24 is refused). The date may
/// have slashes instead: 2024/01/09 12:34:56.
std::optional<TimeReading> read_iso_time(std::string_view text);

/// By the month's name: "Jan  9 12:34:56", perhaps with a weekday in front, a fraction behind the
/// seconds and the year at the end. It has no zone.
struct MonthTimeReading {
  bool fits = false;                ///< The text is of that form.
  bool names_year = false;          ///< Else `year_if_none` was taken.
  std::optional<TimeReading> time;  ///< None: there is no such time in that year.
};
MonthTimeReading read_month_time(std::string_view text, std::int64_t year_if_none);

/// Of an access log: 17/May/2015:10:05:03 +0000.
std::optional<TimeReading> read_access_log_time(std::string_view text);

}  // namespace streamobs
