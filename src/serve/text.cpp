#include "serve/text.h"

#include <charconv>
#include <cstdint>

#include "base/time_reading.h"

namespace streamobs::serve {

std::optional<Timestamp> parse_time(std::string_view text) {
  std::int64_t millis = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), millis);
  if (problem == std::errc() && end == text.data() + text.size()) {
    constexpr std::int64_t kMost = kMaxTimestamp / kMillisecond;
    if (millis > kMost || millis < -kMost) return std::nullopt;
    return millis * kMillisecond;
  }
  std::string unescaped(text);
  constexpr std::size_t kDateEnd = 10;  // A space there stands between date and time.
  if (const std::size_t space = text.rfind(' '); space != text.npos && space > kDateEnd) {
    unescaped[space] = '+';
  }
  const std::optional<TimeReading> reading = read_iso_time(unescaped);
  if (!reading) return std::nullopt;
  return reading->clock - reading->offset.value_or(0);
}

}  // namespace streamobs::serve
