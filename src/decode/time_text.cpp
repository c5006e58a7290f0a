#include "decode/time_text.h"

#include <limits>
#include <utility>

#include "base/time_format.h"
#include "base/time_reading.h"
#include "decode/number_text.h"
#include "decode/text_scan.h"

namespace streamobs::decode {

TimeParser::TimeParser(std::shared_ptr<const TimeZone> zone)
    : zone_(zone != nullptr ? std::move(zone) : TimeZone::utc()) {
  // No text belongs to its slot with these words: an empty slot never matches.
  minutes_[0].high = std::uint64_t{1} << 56;
}

std::optional<Timestamp> TimeParser::parse(std::string_view text) const {
  std::optional<TimeReading> reading;
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') {
    return parse_by_month(text);
  }
  if (text.size() > 4 && (text[4] == '-' || text[4] == '/')) {
    reading = read_iso_time(text);
  } else if (text.size() > 2 && text[2] == '/') {
    reading = read_access_log_time(text);
  } else {
    return parse_epoch(text);
  }
  if (!reading) return std::nullopt;
  return to_utc(*reading);
}

Timestamp TimeParser::to_utc(const TimeReading& reading) const {
  return reading.offset ? reading.clock - *reading.offset : zone_->to_utc(reading.clock);
}

std::optional<Timestamp> TimeParser::parse_by_month(std::string_view text) const {
  // A 29 February may be eight years away; two further ones for zones and clocks.
  constexpr std::int64_t kYearsBack = 9;
  const std::int64_t days = arrival_ / kDay - (arrival_ % kDay < 0 ? 1 : 0);
  const std::int64_t latest = civil_from_days(days).year + 1;
  for (std::int64_t year = latest; year > latest - kYearsBack; --year) {
    const MonthTimeReading reading = read_month_time(text, year);
    if (!reading.fits) return std::nullopt;
    if (!reading.time) {
      if (reading.names_year) return std::nullopt;
      continue;
    }
    const Timestamp time = to_utc(*reading.time);
    if (reading.names_year || time - kDay <= arrival_) return time;
  }
  return std::nullopt;
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
  const std::optional<TimeReading> reading = read_iso_time({p, 16});
  if (!reading) return false;
  m.low = load_word(p);
  m.high = load_word(p + 8);
  m.utc = reading->clock;
  m.local = zone_->to_utc(m.utc);
  m.has_local = zone_->to_utc(m.utc + kMinute - 1) - m.local == kMinute - 1;
  return true;
}

}  // namespace streamobs::decode
