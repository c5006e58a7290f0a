#include "base/time_reading.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "base/time_format.h"

namespace streamobs {

namespace {

struct Parts {
  std::int64_t year = 0;
  unsigned month = 1, day = 1, hour = 0, minute = 0, second = 0, microsecond = 0;
  std::optional<Duration> offset;
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Walks over the text; every step says whether what it looked for was there.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : p_(text.data()), end_(p_ + text.size()) {}
  bool done() const { return p_ == end_; }
  bool take(char c) {
    if (done() || *p_ != c) return false;
    ++p_;
    return true;
  }
  bool take_any(std::string_view chars) {
    if (done() || chars.find(*p_) == std::string_view::npos) return false;
    ++p_;
    return true;
  }
  /// Exactly `width` digits.
  template <class T>
  bool digits(int width, T& value) {
    if (end_ - p_ < width || !std::all_of(p_, p_ + width, is_digit)) return false;
    value = 0;
    for (int i = 0; i < width; ++i, ++p_) value = value * 10 + static_cast<T>(*p_ - '0');
    return true;
  }
  bool word(std::string_view text) {
    if (std::string_view(p_, static_cast<std::size_t>(end_ - p_)).substr(0, text.size()) != text) {
      return false;
    }
    p_ += text.size();
    return true;
  }
  /// One digit or more; the first six become microseconds.
  bool fraction(unsigned& microsecond) {
    unsigned unit = 100'000;
    if (done() || !is_digit(*p_)) return false;
    for (; !done() && is_digit(*p_); ++p_, unit /= 10) {
      microsecond += static_cast<unsigned>(*p_ - '0') * unit;
    }
    return true;
  }
  /// Z, +hh, +hhmm or +hh:mm, to the end of the text.
  bool zone(std::optional<Duration>& offset) {
    if (take_any("Zz")) {
      offset = 0;
      return done();
    }
    const bool west = !done() && *p_ == '-';
    unsigned hours = 0;
    unsigned minutes = 0;
    if (!take_any("+-") || !digits(2, hours)) return false;
    if (!done()) {
      take(':');
      if (!digits(2, minutes)) return false;
    }
    if (hours > 23 || minutes > 59) return false;
    offset = hours * kHour + minutes * kMinute;
    if (west) *offset = -*offset;
    return done();
  }

 private:
  const char* p_;
  const char* end_;
};

bool is_date(std::int64_t year, unsigned month, unsigned day) {
  static constexpr std::uint8_t kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (month < 1 || month > 12 || day < 1) return false;
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return day <= kDays[month - 1] + (month == 2 && leap ? 1u : 0u);
}

bool read_iso(std::string_view text, Parts& r) {
  Cursor c(text);
  const char between = text.size() > 4 && text[4] == '/' ? '/' : '-';
  if (!c.digits(4, r.year) || !c.take(between) || !c.digits(2, r.month) || !c.take(between) ||
      !c.digits(2, r.day)) {
    return false;
  }
  if (c.done()) return true;
  if (!c.take_any("Tt ") || !c.digits(2, r.hour) || !c.take(':') || !c.digits(2, r.minute)) {
    return false;
  }
  if (c.take(':')) {
    if (!c.digits(2, r.second)) return false;
    if (c.take_any(".,") && !c.fraction(r.microsecond)) return false;
  }
  return c.done() || c.zone(r.offset);
}

/// "Jan": the number of the month.
bool month_name(Cursor& c, unsigned& month) {
  static constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  for (month = 1; month <= 12; ++month) {
    if (c.word(kMonths[month - 1])) return true;
  }
  return false;
}

bool weekday_name(Cursor& c) {
  static constexpr std::string_view kDays[] = {"Mon ", "Tue ", "Wed ", "Thu ",
                                               "Fri ", "Sat ", "Sun "};
  return std::any_of(std::begin(kDays), std::end(kDays),
                     [&c](std::string_view day) { return c.word(day); });
}

/// What is left of the year is `r.year` as it came.
bool read_by_month(std::string_view text, Parts& r, bool& names_year) {
  Cursor c(text);
  weekday_name(c);
  if (!month_name(c, r.month) || !c.take(' ')) return false;
  // "Jan  9", "Jan 09" and "Jan 9".
  if (c.take(' ')) {
    if (!c.digits(1, r.day)) return false;
  } else if (!c.digits(2, r.day) && !c.digits(1, r.day)) {
    return false;
  }
  if (!c.take(' ') || !c.digits(2, r.hour) || !c.take(':') || !c.digits(2, r.minute) ||
      !c.take(':') || !c.digits(2, r.second)) {
    return false;
  }
  if (c.take_any(".,") && !c.fraction(r.microsecond)) return false;
  names_year = c.take(' ');
  return (!names_year || c.digits(4, r.year)) && c.done();
}

bool read_access_log(std::string_view text, Parts& r) {
  Cursor c(text);
  return c.digits(2, r.day) && c.take('/') && month_name(c, r.month) && c.take('/') &&
         c.digits(4, r.year) && c.take(':') && c.digits(2, r.hour) && c.take(':') &&
         c.digits(2, r.minute) && c.take(':') && c.digits(2, r.second) && c.take(' ') &&
         c.zone(r.offset);
}

std::optional<TimeReading> checked(Parts r) {
  if (!is_date(r.year, r.month, r.day) || r.hour > 23 || r.minute > 59 || r.second > 60) {
    return std::nullopt;
  }
  if (r.second == 60) {
    r.second = 59;
    r.microsecond = 999'999;
  }
  const Timestamp clock = days_from_civil(r.year, r.month, r.day) * kDay + r.hour * kHour +
                          r.minute * kMinute + r.second * kSecond + r.microsecond;
  return TimeReading{clock, r.offset};
}

}  // namespace

std::optional<TimeReading> read_iso_time(std::string_view text) {
  Parts parts;
  return read_iso(text, parts) ? checked(parts) : std::nullopt;
}

MonthTimeReading read_month_time(std::string_view text, std::int64_t year_if_none) {
  MonthTimeReading reading;
  Parts parts;
  parts.year = year_if_none;
  reading.fits = read_by_month(text, parts, reading.names_year);
  if (reading.fits) reading.time = checked(parts);
  return reading;
}

std::optional<TimeReading> read_access_log_time(std::string_view text) {
  Parts parts;
  return read_access_log(text, parts) ? checked(parts) : std::nullopt;
}

}  // namespace streamobs
