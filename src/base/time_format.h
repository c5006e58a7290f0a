// Writing times for people and for other programs (reading them: base/time_reading.h).
#pragma once

#include <string>

#include "base/clock.h"

namespace streamobs {

/// A date of the proleptic Gregorian calendar.
struct CivilDate {
  std::int64_t year;
  unsigned month;  ///< 1–12
  unsigned day;    ///< 1–31
};

/// Days since 1970-01-01 and back (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day);
CivilDate civil_from_days(std::int64_t days);

/// "2024-01-09T12:34:00Z", with ".5" or ".123456" before the Z only where there is a fraction.
void append_rfc3339(std::string& out, Timestamp t);
std::string to_rfc3339(Timestamp t);

/// "90s", "1m", "1h30m": the shortest exact form, as it would stand in a config.
std::string to_text(Duration d);

}  // namespace streamobs
