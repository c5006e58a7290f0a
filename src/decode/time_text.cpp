#include "decode/time_text.h"

#include <limits>
#include <utility>

#include "base/time_format.h"
#include "decode/number_text.h"
#include "decode/text_scan.h"

namespace streamobs::decode {

namespace {

/// A clock reading on a date, and the zone if one is named.
struct Reading {
  std::int64_t year = 0;
  unsigned month = 1, day = 1, hour = 0, minute = 0, second = 0, microsecond = 0;
  std::optional<Duration> offset;  ///< East of UTC.
};

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
    if (end_ - p_ < width) return false;
    value = 0;
    for (int i = 0; i < width; ++i, ++p_) {
      if (!is_digit(*p_)) return false;
      value = value * 10 + static_cast<T>(*p_ - '0');
    }
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

bool read_iso(std::string_view text, Reading& r) {
  Cursor c(text);
  if (!c.digits(4, r.year) || !c.take('-') || !c.digits(2, r.month) || !c.take('-') ||
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

bool read_access_log(std::string_view text, Reading& r) {
  static constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  Cursor c(text);
  if (!c.digits(2, r.day) || !c.take('/')) return false;
  r.month = 1;
  while (r.month <= 12 && !c.word(kMonths[r.month - 1])) ++r.month;
  return r.month <= 12 && c.take('/') && c.digits(4, r.year) && c.take(':') &&
         c.digits(2, r.hour) && c.take(':') && c.digits(2, r.minute) && c.take(':') &&
         c.digits(2, r.second) && c.take(' ') && c.zone(r.offset);
}

}  // namespace

TimeParser::TimeParser(std::shared_ptr<const TimeZone> zone)
    : zone_(zone != nullptr ? std::move(zone) : TimeZone::utc()) {
  // No text belongs to its slot with these words: an empty slot never matches.
  minutes_[0].high = std::uint64_t{1} << 56;
}

std::optional<Timestamp> TimeParser::parse(std::string_view text) const {
  Reading r;
  if (text.size() > 4 && text[4] == '-') {
    if (!read_iso(text, r)) return std::nullopt;
  } else if (text.size() > 2 && text[2] == '/') {
    if (!read_access_log(text, r)) return std::nullopt;
  } else {
    return parse_epoch(text);
  }
  if (!is_date(r.year, r.month, r.day) || r.hour > 23 || r.minute > 59 || r.second > 60) {
    return std::nullopt;
  }
  if (r.second == 60) {
    r.second = 59;
    r.microsecond = 999'999;
  }
  const Timestamp reading = days_from_civil(r.year, r.month, r.day) * kDay + r.hour * kHour +
                            r.minute * kMinute + r.second * kSecond + r.microsecond;
  return r.offset ? reading - *r.offset : zone_->to_utc(reading);
}

std::optional<Timestamp> TimeParser::parse_epoch(std::string_view text) {
  const auto number = read_number(text);
  if (!number) return std::nullopt;
  if (number->digits == 0) return 0;
  // Whole units and the rest, without ever leaving 64 bits: digits · 10^exponent.
  std::uint64_t whole = number->digits;
  std::uint64_t rest = 0;      // Behind the point, to nine places.
  bool more = !number->exact;  // There are digits that `rest` does not hold.
  if (number->exponent > 0) {
    if (!number->exact || number->exponent > 18) return std::nullopt;
    for (std::int64_t i = 0; i < number->exponent; ++i) {
      if (__builtin_mul_overflow(whole, std::uint64_t{10}, &whole)) return std::nullopt;
    }
  } else if (number->exponent < 0) {
    std::uint64_t place = 1;  // What the digit taken off next is worth in `rest`.
    std::int64_t places = -number->exponent;
    if (places > 9 + 20) {  // Nothing of 20 digits is left above the ninth place.
      more = true;
      whole = 0;
      places = 9;
    }
    for (; places > 9; --places) {
      more |= whole % 10 != 0;
      whole /= 10;
    }
    for (; places > 0; --places, place *= 10) {
      rest += whole % 10 * place;
      whole /= 10;
    }
    for (std::int64_t i = -number->exponent; i < 9; ++i) rest *= 10;
  }
  if (whole > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return std::nullopt;
  }
  // From here on microseconds = whole · up / down + what `rest` adds.
  std::uint64_t micros = 0;
  if (whole < 100'000'000'000) {
    micros = whole * 1'000'000 + rest / 1'000;
    more |= rest % 1'000 != 0;
  } else if (whole < 100'000'000'000'000) {
    micros = whole * 1'000 + rest / 1'000'000;
    more |= rest % 1'000'000 != 0;
  } else if (whole < 100'000'000'000'000'000) {
    micros = whole;
    more |= rest != 0;
  } else {
    micros = whole / 1'000;
    more |= whole % 1'000 != 0 || rest != 0;
  }
  const auto value = static_cast<Timestamp>(micros);
  if (!number->negative) return value;
  return more ? -value - 1 : -value;  // Cut off towards the past, as everywhere.
}

bool TimeParser::learn_minute(const char* p, Minute& m) const {
  Reading r;
  if (!read_iso({p, 16}, r) || !is_date(r.year, r.month, r.day) || r.hour > 23 || r.minute > 59) {
    return false;
  }
  m.low = load_word(p);
  m.high = load_word(p + 8);
  m.utc = days_from_civil(r.year, r.month, r.day) * kDay + r.hour * kHour + r.minute * kMinute;
  m.local = zone_->to_utc(m.utc);
  m.has_local = zone_->to_utc(m.utc + kMinute - 1) - m.local == kMinute - 1;
  return true;
}

}  // namespace streamobs::decode
