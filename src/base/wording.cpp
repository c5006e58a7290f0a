#include "base/wording.h"

#include <cmath>

#include <fmt/format.h>

#include "base/time_format.h"

namespace streamobs {

namespace {

std::string with_separators(std::string digits) {
  const std::size_t first = digits.starts_with('-') ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, 1, ',');
  }
  return digits;
}

struct Unit {
  Duration size;
  const char* name;
};
constexpr Unit kUnits[] = {{kDay, "day"},
                           {kHour, "hour"},
                           {kMinute, "minute"},
                           {kSecond, "second"},
                           {kMillisecond, "millisecond"},
                           {kMicrosecond, "microsecond"}};

std::string date(Timestamp t) {
  return to_rfc3339(t).substr(0, 10);
}

}  // namespace

std::string number_in_words(double v) {
  if (!std::isfinite(v)) return "unknown";
  const double magnitude = std::abs(v);
  if (magnitude >= 1e15) return fmt::format("{:.3g}", v);
  if (magnitude >= 999.5) return with_separators(fmt::format("{:.0f}", v));
  if (v == 0) return "0";
  return fmt::format("{:.3g}", v);
}

std::string ratio_in_words(double ratio) {
  if (std::abs(ratio) >= 9.95) return number_in_words(std::round(ratio));
  std::string text = fmt::format("{:.1f}", ratio);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

std::string span_in_words(Duration d) {
  std::string out;
  int parts = 0;
  for (const Unit& unit : kUnits) {
    const Duration count = d / unit.size;
    if (count == 0) {
      if (parts > 0) break;
      continue;
    }
    d -= count * unit.size;
    out += fmt::format("{}{} {}{}", parts > 0 ? " " : "", count, unit.name, count == 1 ? "" : "s");
    if (++parts == 2) break;
  }
  return parts == 0 ? "no time" : out;
}

std::string time_of_day(Timestamp t) {
  Duration rest = t % kDay;
  if (rest < 0) rest += kDay;
  std::string text = fmt::format("{:02}:{:02}", rest / kHour, rest / kMinute % 60);
  if (const Duration seconds = rest / kSecond % 60; seconds != 0) {
    text += fmt::format(":{:02}", seconds);
  }
  return text;
}

std::string window_in_words(Timestamp start, Timestamp end) {
  const Duration size = end - start;
  const bool whole_days = size >= kDay && size % kDay == 0;
  const bool midnight = start % kDay == 0;
  if (size == kDay && midnight) return date(start);
  std::string from;
  if (size >= kDay) {
    from = midnight && whole_days ? date(start) : date(start) + " " + time_of_day(start);
  } else {
    from = time_of_day(start);
  }
  for (const Unit& unit : kUnits) {
    if (size == unit.size) return fmt::format("the {} from {}", unit.name, from);
  }
  return fmt::format("the {} from {}", span_in_words(size), from);
}

}  // namespace streamobs
