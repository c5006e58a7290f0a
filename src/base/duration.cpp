#include "base/duration.h"

#include <cstddef>
#include <iterator>

#include <fmt/format.h>

namespace streamobs {

namespace {

struct Unit {
  std::string_view name;
  Duration size;
};

// Largest first: the order in which they may appear.
constexpr Unit kUnits[] = {{"w", 7 * kDay},     {"d", kDay},    {"h", kHour},
                           {"m", kMinute},      {"s", kSecond}, {"ms", kMillisecond},
                           {"us", kMicrosecond}};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

Error bad_duration(std::string_view text, std::string_view why) {
  return fail(ErrorCode::invalid,
              fmt::format("'{}' is not a duration: {} (write it as 90s, 1m, 1h30m, 500ms or 7d)",
                          text, why));
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  if (text == "0") return Duration{0};
  if (text.empty()) return bad_duration(text, "it is empty");

  Duration total = 0;
  std::size_t next_unit = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    if (!is_digit(text[at])) return bad_duration(text, "a whole number was expected");
    Duration count = 0;
    for (; at < text.size() && is_digit(text[at]); ++at) {
      if (__builtin_mul_overflow(count, Duration{10}, &count) ||
          __builtin_add_overflow(count, Duration{text[at] - '0'}, &count)) {
        return bad_duration(text, "it is too long");
      }
    }

    const std::size_t begin = at;
    while (at < text.size() && text[at] >= 'a' && text[at] <= 'z') ++at;
    const std::string_view name = text.substr(begin, at - begin);
    if (name.empty()) {
      return bad_duration(text, at == text.size() ? "the unit is missing"
                                                  : "only whole numbers and units can stand in it");
    }
    std::size_t unit = 0;
    while (unit < std::size(kUnits) && kUnits[unit].name != name) ++unit;
    if (unit == std::size(kUnits)) {
      return bad_duration(
          text, fmt::format("there is no unit '{}', only w, d, h, m, s, ms and us", name));
    }
    if (unit < next_unit) {
      return bad_duration(text, "each unit may stand once, the largest first");
    }
    next_unit = unit + 1;

    Duration part = 0;
    if (__builtin_mul_overflow(count, kUnits[unit].size, &part) ||
        __builtin_add_overflow(total, part, &total)) {
      return bad_duration(text, "it is too long");
    }
  }
  return total;
}

}  // namespace streamobs
