#include "serve/text.h"

#include <charconv>
#include <cstdint>

#include "base/time_format.h"

namespace streamobs::serve {

namespace {

/// Length of the valid UTF-8 sequence at the start of `text`, 0 where there is none (Unicode 15,
/// table 3-7).
std::size_t sequence_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto within = [&](std::size_t i, unsigned low, unsigned high) {
    return i < text.size() && at(i) >= low && at(i) <= high;
  };
  const unsigned lead = at(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return within(1, 0x80, 0xbf) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const unsigned low = lead == 0xe0 ? 0xa0 : 0x80;
    const unsigned high = lead == 0xed ? 0x9f : 0xbf;
    return within(1, low, high) && within(2, 0x80, 0xbf) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const unsigned low = lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xf4 ? 0x8f : 0xbf;
    return within(1, low, high) && within(2, 0x80, 0xbf) && within(3, 0x80, 0xbf) ? 4 : 0;
  }
  return 0;
}

/// Exactly `digits` decimal digits off the front of `text`.
bool take_number(std::string_view& text, std::size_t digits, std::int64_t& out) {
  if (text.size() < digits) return false;
  out = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return false;
    out = out * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return true;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

bool take_fraction(std::string_view& text, Duration& out) {
  Duration unit = kSecond;
  std::size_t digits = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    unit /= 10;
    out += unit * (text.front() - '0');
    text.remove_prefix(1);
    ++digits;
  }
  return digits != 0;
}

bool take_offset(std::string_view& text, Duration& out) {
  if (take(text, "Zz")) return true;
  if (text.empty() || (text.front() != '+' && text.front() != '-' && text.front() != ' ')) {
    return false;
  }
  const bool west = text.front() == '-';
  text.remove_prefix(1);
  std::int64_t hours = 0;
  std::int64_t minutes = 0;
  if (!take_number(text, 2, hours) || !take(text, ":") || !take_number(text, 2, minutes)) {
    return false;
  }
  if (hours > 23 || minutes > 59) return false;
  out = (hours * kHour + minutes * kMinute) * (west ? -1 : 1);
  return true;
}

int days_in_month(std::int64_t year, std::int64_t month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[month - 1];
}

std::optional<Timestamp> parse_rfc3339(std::string_view text) {
  std::int64_t year = 0;
  std::int64_t month = 0;
  std::int64_t day = 0;
  std::int64_t hour = 0;
  std::int64_t minute = 0;
  std::int64_t second = 0;
  const bool shape = take_number(text, 4, year) && take(text, "-") && take_number(text, 2, month) &&
                     take(text, "-") && take_number(text, 2, day) && take(text, "Tt ") &&
                     take_number(text, 2, hour) && take(text, ":") &&
                     take_number(text, 2, minute) && take(text, ":") &&
                     take_number(text, 2, second);
  if (!shape || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
      hour > 23 || minute > 59 || second > 59) {
    return std::nullopt;
  }
  Duration fraction = 0;
  if (take(text, ".") && !take_fraction(text, fraction)) return std::nullopt;
  Duration offset = 0;
  if (!take_offset(text, offset) || !text.empty()) return std::nullopt;
  const std::int64_t days =
      days_from_civil(year, static_cast<unsigned>(month), static_cast<unsigned>(day));
  return days * kDay + hour * kHour + minute * kMinute + second * kSecond + fraction - offset;
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return out;
}

std::optional<Timestamp> parse_time(std::string_view text) {
  std::int64_t millis = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), millis);
  if (problem == std::errc() && end == text.data() + text.size()) {
    constexpr std::int64_t kMost = kMaxTimestamp / kMillisecond;
    if (millis > kMost || millis < -kMost) return std::nullopt;
    return millis * kMillisecond;
  }
  return parse_rfc3339(text);
}

}  // namespace streamobs::serve
