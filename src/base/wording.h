// Numbers, times and spans as people say them, for descriptions and narration. Text that programs
// read back is written by json_writer.h and time_format.h. Free functions; any thread.
#pragma once

#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace streamobs {

/// "a", "a and b", "a, b and c"; empty for none.
template <class Texts>
std::string listed(const Texts& items, std::string_view last = " and ") {
  std::string out;
  const std::size_t count = std::size(items);
  std::size_t n = 0;
  for (const auto& item : items) {
    if (n != 0) out += n + 1 == count ? last : std::string_view(", ");
    out += item;
    ++n;
  }
  return out;
}

/// Three significant digits, whole above a thousand, with separators: "0.31", "142", "2,340".
std::string number_in_words(double v);

/// A ratio: one decimal below ten, whole above: "6.2", "12".
std::string ratio_in_words(double ratio);

/// The two largest units: "7 minutes", "1 hour 5 minutes", "30 seconds".
std::string span_in_words(Duration d);

/// Time of day in UTC, seconds only where there are any: "12:34", "12:34:05".
std::string time_of_day(Timestamp t);

/// A window in a sentence: "the minute from 12:34", "the 5 minutes from 12:30", "2024-01-09" for
/// a whole day of UTC, "the 7 days from 2024-01-09" for longer ones.
std::string window_in_words(Timestamp start, Timestamp end);

}  // namespace streamobs
