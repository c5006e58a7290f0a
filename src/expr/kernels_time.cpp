#include "base/decimal.h"
#include "base/time_format.h"
#include "expr/kernel_loops.h"
#include "expr/kernels.h"

namespace streamobs::expr::kernels {
namespace {

using Int = std::int64_t;

Int floor_divide(Int x, Int y) {
  return x / y - (x % y < 0);
}

/// Rounds down to a multiple of `unit` (counted from `origin`); false where that leaves the range.
bool floor_to(Int t, Int unit, Int origin, Int& out) {
  Int shifted = 0;
  if (__builtin_sub_overflow(t, origin, &shifted)) return false;
  const Int rest = shifted % unit;
  return !__builtin_sub_overflow(t, rest < 0 ? rest + unit : rest, &out);
}

bool truncate_calendar(Int t, TimeUnit unit, Int& out) {
  const CivilDate date = civil_from_days(floor_divide(t, kDay));
  unsigned month = 1;
  if (unit == TimeUnit::month) month = date.month;
  if (unit == TimeUnit::quarter) month = (date.month - 1) / 3 * 3 + 1;
  const std::int64_t days = days_from_civil(date.year, month, 1);
  return !__builtin_mul_overflow(days, kDay, &out);
}

bool truncate_time(Int t, TimeUnit unit, Int& out) {
  switch (unit) {
    case TimeUnit::microsecond:
      out = t;
      return true;
    case TimeUnit::millisecond:
      return floor_to(t, kMillisecond, 0, out);
    case TimeUnit::second:
      return floor_to(t, kSecond, 0, out);
    case TimeUnit::minute:
      return floor_to(t, kMinute, 0, out);
    case TimeUnit::hour:
      return floor_to(t, kHour, 0, out);
    case TimeUnit::day:
      return floor_to(t, kDay, 0, out);
    case TimeUnit::week:
      return floor_to(t, 7 * kDay, 4 * kDay, out);  // 1970-01-05 was a Monday.
    case TimeUnit::month:
    case TimeUnit::quarter:
    case TimeUnit::year:
      return truncate_calendar(t, unit, out);
  }
  return false;
}

/// ISO 8601: the week belongs to the year of its Thursday.
void iso_week(Int days, Int& year, Int& week) {
  const Int weekday = (days + 3) % 7 < 0 ? (days + 3) % 7 + 7 : (days + 3) % 7;  // Monday is 0.
  const Int thursday = days - weekday + 3;
  year = civil_from_days(thursday).year;
  week = (thursday - days_from_civil(year, 1, 1)) / 7 + 1;
}

Int time_field(Int t, TimeField field) {
  const Int days = floor_divide(t, kDay);
  const Int rest = t % kDay < 0 ? t % kDay + kDay : t % kDay;
  const CivilDate date = civil_from_days(days);
  Int year = 0;
  Int week = 0;
  switch (field) {
    case TimeField::epoch:
      return t;
    case TimeField::microseconds:
    case TimeField::milliseconds:
    case TimeField::second:
      return rest % kMinute;
    case TimeField::minute:
      return rest / kMinute % 60;
    case TimeField::hour:
      return rest / kHour;
    case TimeField::day:
      return date.day;
    case TimeField::day_of_week:
      return ((days + 4) % 7 + 7) % 7;  // Sunday is 0.
    case TimeField::iso_day_of_week:
      return ((days + 3) % 7 + 7) % 7 + 1;
    case TimeField::day_of_year:
      return days - days_from_civil(date.year, 1, 1) + 1;
    case TimeField::month:
      return date.month;
    case TimeField::quarter:
      return (date.month - 1) / 3 + 1;
    case TimeField::year:
      return date.year;
    case TimeField::week:
      iso_week(days, year, week);
      return week;
    case TimeField::iso_year:
      iso_week(days, year, week);
      return year;
  }
  return 0;
}

Int span_field(Int span, TimeField field) {
  switch (field) {
    case TimeField::epoch:
      return span;
    case TimeField::microseconds:
    case TimeField::milliseconds:
    case TimeField::second:
      return span % kMinute;
    case TimeField::minute:
      return span / kMinute % 60;
    case TimeField::hour:
      return span / kHour % 24;
    default:
      return span / kDay;
  }
}

}  // namespace

void date_trunc(Frame& f) {
  const auto unit = static_cast<TimeUnit>(f.a);
  const Int* const in = f.args[0].ints;
  // Times come in order, so that a month's bounds usually serve the next row, too.
  Int begin = 0;
  Int end = 0;
  for (std::size_t i = 0; i < f.rows; ++i) {
    if (in[i] >= begin && in[i] < end) {
      f.ints[i] = begin;
      continue;
    }
    Int out = 0;
    if (!truncate_time(in[i], unit, out)) {
      f.ints[i] = 0;
      if (!f.is_null(i)) f.set_overflow(i);
      continue;
    }
    f.ints[i] = out;
    if (unit >= TimeUnit::month && !__builtin_add_overflow(out, 28 * kDay, &end)) begin = out;
  }
}

void date_part(Frame& f) {
  const auto field = static_cast<TimeField>(f.a);
  map_one<Int, Int>(f, [field](Int t) { return time_field(t, field); });
}

void interval_part(Frame& f) {
  const auto field = static_cast<TimeField>(f.a);
  map_one<Int, Int>(f, [field](Int span) { return span_field(span, field); });
}

}  // namespace streamobs::expr::kernels
