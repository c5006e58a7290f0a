#include "base/time_format.h"

#include <iterator>

#include <fmt/format.h>

namespace streamobs {

std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day) {
  year -= month <= 2;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const auto year_of_era = static_cast<unsigned>(year - era * 400);
  const unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const unsigned day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + static_cast<std::int64_t>(day_of_era) - 719468;
}

CivilDate civil_from_days(std::int64_t days) {
  days += 719468;
  const std::int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const auto day_of_era = static_cast<unsigned>(days - era * 146097);
  const unsigned year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const unsigned day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned shifted_month = (5 * day_of_year + 2) / 153;
  const unsigned day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
  const unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  return {static_cast<std::int64_t>(year_of_era) + era * 400 + (month <= 2), month, day};
}

void append_rfc3339(std::string& out, Timestamp t) {
  std::int64_t days = t / kDay;
  std::int64_t rest = t % kDay;
  if (rest < 0) {
    rest += kDay;
    --days;
  }
  const CivilDate date = civil_from_days(days);
  fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", date.year,
                 date.month, date.day, rest / kHour, rest / kMinute % 60, rest / kSecond % 60);
  if (std::int64_t fraction = rest % kSecond; fraction != 0) {
    int digits = 6;
    while (fraction % 10 == 0) {
      fraction /= 10;
      --digits;
    }
    fmt::format_to(std::back_inserter(out), ".{:0{}}", fraction, digits);
  }
  out += 'Z';
}

std::string to_rfc3339(Timestamp t) {
  std::string out;
  append_rfc3339(out, t);
  return out;
}

std::string to_text(Duration d) {
  if (d == 0) return "0s";
  struct Unit {
    Duration size;
    const char* name;
  };
  static constexpr Unit kUnits[] = {{kDay, "d"},    {kHour, "h"},         {kMinute, "m"},
                                    {kSecond, "s"}, {kMillisecond, "ms"}, {kMicrosecond, "us"}};
  std::string out = d < 0 ? "-" : "";
  if (d < 0) d = -d;
  for (const Unit& unit : kUnits) {
    if (const Duration count = d / unit.size; count != 0) {
      fmt::format_to(std::back_inserter(out), "{}{}", count, unit.name);
      d -= count * unit.size;
    }
  }
  return out;
}

}  // namespace streamobs
