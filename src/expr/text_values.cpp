#include "expr/text_values.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>

#include "base/time_format.h"
#include "expr/lexer.h"

namespace streamobs::expr {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\r\f\v";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

struct Unit {
  std::string_view name;
  Duration size;
};
constexpr Unit kUnits[] = {{"us", kMicrosecond}, {"microsecond", kMicrosecond},
                           {"ms", kMillisecond}, {"millisecond", kMillisecond},
                           {"s", kSecond},       {"sec", kSecond},
                           {"second", kSecond},  {"m", kMinute},
                           {"min", kMinute},     {"minute", kMinute},
                           {"h", kHour},         {"hr", kHour},
                           {"hour", kHour},      {"d", kDay},
                           {"day", kDay},        {"w", 7 * kDay},
                           {"week", 7 * kDay}};

std::optional<Duration> unit_size(std::string_view name) {
  for (const Unit& unit : kUnits) {
    if (name == unit.name) return unit.size;
    if (unit.name.size() > 1 && name.size() == unit.name.size() + 1 && name.back() == 's' &&
        name.starts_with(unit.name)) {
      return unit.size;
    }
  }
  return std::nullopt;
}

/// Reads up to `max_digits` digits, at least `min_digits`.
std::optional<int> take_digits(std::string_view& text, int min_digits, int max_digits) {
  int value = 0;
  int count = 0;
  while (count < max_digits && !text.empty() && is_digit(text.front())) {
    value = value * 10 + (text.front() - '0');
    text.remove_prefix(1);
    ++count;
  }
  if (count < min_digits) return std::nullopt;
  return value;
}

bool take_char(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

/// The fraction of a second behind the point, in microseconds; finer digits are cut off.
std::optional<Duration> take_fraction(std::string_view& text) {
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  Duration fraction = 0;
  Duration unit = 100'000;
  while (!text.empty() && is_digit(text.front())) {
    fraction += (text.front() - '0') * unit;
    unit /= 10;
    text.remove_prefix(1);
  }
  return fraction;
}

/// HH:MM[:SS[.ffffff]].
std::optional<Duration> take_clock(std::string_view& text, int max_hour_digits, int max_hour) {
  const auto hour = take_digits(text, 1, max_hour_digits);
  if (!hour || *hour > max_hour || !take_char(text, ':')) return std::nullopt;
  const auto minute = take_digits(text, 2, 2);
  if (!minute || *minute > 59) return std::nullopt;
  Duration time = *hour * kHour + *minute * kMinute;
  if (take_char(text, ':')) {
    const auto second = take_digits(text, 2, 2);
    if (!second || *second > 60) return std::nullopt;
    time += *second * kSecond;
    if (take_char(text, '.')) {
      const auto fraction = take_fraction(text);
      if (!fraction) return std::nullopt;
      time += *fraction;
    }
  }
  return time;
}

/// Z, +02, +02:00, -0730 or nothing at all.
std::optional<Duration> take_zone(std::string_view& text) {
  if (text.empty()) return 0;
  if (take_char(text, 'Z') || take_char(text, 'z')) return 0;
  const bool minus = text.front() == '-';
  if (!take_char(text, '+') && !take_char(text, '-')) return std::nullopt;
  const auto hour = take_digits(text, 2, 2);
  if (!hour || *hour > 15) return std::nullopt;
  int minute = 0;
  const bool colon = take_char(text, ':');
  if (colon || !text.empty()) {
    const auto digits = take_digits(text, 2, 2);
    if (!digits || *digits > 59) return std::nullopt;
    minute = *digits;
  }
  const Duration offset = *hour * kHour + minute * kMinute;
  return minus ? -offset : offset;
}

unsigned days_in_month(int year, int month) {
  static constexpr unsigned kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[month - 1];
}

/// from_chars knows no leading plus; everything else it does as we want.
std::string_view without_plus(std::string_view text) {
  return text.size() > 1 && text[0] == '+' && text[1] != '-' ? text.substr(1) : text;
}

}  // namespace

std::optional<Duration> parse_interval(std::string_view text) {
  const std::string lower = ascii_lower(trim(text));
  std::string_view rest = lower;
  if (rest.empty()) return std::nullopt;
  __int128 total = 0;
  while (!rest.empty()) {
    const bool minus = rest.front() == '-';
    if (minus || rest.front() == '+') rest.remove_prefix(1);
    __int128 part = 0;
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (digits < rest.size() && rest[digits] == ':') {
      const auto clock = take_clock(rest, 6, 999'999);
      if (!clock) return std::nullopt;
      part = *clock;
    } else {
      std::int64_t whole = 0;
      if (digits == 0 || digits > 18) return std::nullopt;
      std::from_chars(rest.data(), rest.data() + digits, whole);
      rest.remove_prefix(digits);
      // Digits behind the point, in millionths of the unit.
      Duration millionths = 0;
      if (take_char(rest, '.')) {
        const auto fraction = take_fraction(rest);
        if (!fraction) return std::nullopt;
        millionths = *fraction;
      }
      rest = trim(rest);
      const std::size_t letters =
          std::min(rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz"), rest.size());
      const auto size = unit_size(rest.substr(0, letters));
      if (!size) return std::nullopt;
      rest.remove_prefix(letters);
      part = static_cast<__int128>(whole) * *size +
             static_cast<__int128>(millionths) * *size / 1'000'000;
    }
    total += minus ? -part : part;
    if (total > kMaxTimestamp || total <= kMinTimestamp) return std::nullopt;
    rest = trim(rest);
  }
  return static_cast<Duration>(total);
}

std::optional<Timestamp> parse_timestamp(std::string_view text) {
  std::string_view rest = trim(text);
  const auto year = take_digits(rest, 4, 4);
  if (!year || !take_char(rest, '-')) return std::nullopt;
  const auto month = take_digits(rest, 1, 2);
  if (!month || *month < 1 || *month > 12 || !take_char(rest, '-')) return std::nullopt;
  const auto day = take_digits(rest, 1, 2);
  if (!day || *day < 1 || static_cast<unsigned>(*day) > days_in_month(*year, *month)) {
    return std::nullopt;
  }
  Timestamp time =
      days_from_civil(*year, static_cast<unsigned>(*month), static_cast<unsigned>(*day)) * kDay;
  if (rest.empty()) return time;
  if (!take_char(rest, 'T') && !take_char(rest, 't') && !take_char(rest, ' ')) return std::nullopt;
  rest = trim(rest);
  const auto clock = take_clock(rest, 2, 23);
  if (!clock) return std::nullopt;
  rest = trim(rest);
  const auto zone = take_zone(rest);
  if (!zone || !rest.empty()) return std::nullopt;
  return time + *clock - *zone;
}

NumberError parse_integer(std::string_view text, std::int64_t& out) {
  text = without_plus(trim(text));
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, out);
  if (end != last || error == std::errc::invalid_argument) return NumberError::not_a_number;
  return error == std::errc() ? NumberError::none : NumberError::out_of_range;
}

NumberError parse_float(std::string_view text, double& out) {
  text = without_plus(trim(text));
  // from_chars would take "inf" and "nan", which no value of ours can be.
  if (text.empty() || text.find_first_not_of("0123456789+-.eE") != std::string_view::npos) {
    return NumberError::not_a_number;
  }
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, out);
  if (end != last || error == std::errc::invalid_argument) return NumberError::not_a_number;
  return error == std::errc() ? NumberError::none : NumberError::out_of_range;
}

NumberError parse_decimal(std::string_view text, int scale, std::int64_t& out) {
  text = without_plus(trim(text));
  const bool minus = take_char(text, '-');
  // Digits are gathered while they fit; `exponent` says where the point stands behind them.
  unsigned __int128 digits = 0;
  constexpr auto kFull = static_cast<unsigned __int128>(1) << 100;
  std::int64_t exponent = 0;
  bool any = false;
  bool point = false;
  while (!text.empty()) {
    const char c = text.front();
    if (c == '.' && !point) {
      point = true;
    } else if (is_digit(c)) {
      any = true;
      if (digits < kFull) {
        digits = digits * 10 + static_cast<unsigned>(c - '0');
        if (point) --exponent;
      } else if (!point) {
        ++exponent;
      }
    } else {
      break;
    }
    text.remove_prefix(1);
  }
  if (!any) return NumberError::not_a_number;
  if (!text.empty()) {
    if (!take_char(text, 'e') && !take_char(text, 'E')) return NumberError::not_a_number;
    std::int64_t written = 0;
    const std::string_view power = without_plus(text);
    const auto [end, error] = std::from_chars(power.data(), power.data() + power.size(), written);
    if (end != power.data() + power.size() || error == std::errc::invalid_argument) {
      return NumberError::not_a_number;
    }
    if (error != std::errc()) written = power.starts_with('-') ? -1'000'000 : 1'000'000;
    exponent += std::clamp<std::int64_t>(written, -1'000'000, 1'000'000);
  }
  exponent += scale;
  while (exponent > 0 && digits != 0) {
    if (digits >= kFull) return NumberError::out_of_range;
    digits *= 10;
    --exponent;
  }
  unsigned rest = 0;  // The last digit cut off decides the rounding.
  while (exponent < 0 && (digits != 0 || rest != 0)) {
    rest = static_cast<unsigned>(digits % 10);
    digits /= 10;
    ++exponent;
  }
  if (rest >= 5) ++digits;
  const auto limit = static_cast<unsigned __int128>(std::numeric_limits<std::int64_t>::max());
  if (digits > limit + (minus ? 1 : 0)) return NumberError::out_of_range;
  const auto magnitude = static_cast<std::uint64_t>(digits);
  out = static_cast<std::int64_t>(minus ? 0 - magnitude : magnitude);
  return NumberError::none;
}

std::optional<bool> parse_boolean(std::string_view text) {
  const std::string lower = ascii_lower(trim(text));
  for (const std::string_view word : {"true", "t", "yes", "y", "on", "1"}) {
    if (lower == word) return true;
  }
  for (const std::string_view word : {"false", "f", "no", "n", "off", "0"}) {
    if (lower == word) return false;
  }
  return std::nullopt;
}

}  // namespace streamobs::expr
