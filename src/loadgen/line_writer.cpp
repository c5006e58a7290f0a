#include "loadgen/line_writer.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/time_format.h"

namespace streamobs::loadgen {

std::string_view TimeText::seconds(Timestamp t) {
  const std::int64_t second = t / kSecond;
  Entry& entry = recent_[static_cast<std::uint64_t>(second) % recent_.size()];
  if (entry.second != second) {
    entry.second = second;
    const CivilDate date = civil_from_days(second / 86'400);
    const std::int64_t of_day = second % 86'400;
    fmt::format_to_n(entry.text.data(), kLength, "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}", date.year,
                     date.month, date.day, separator_, of_day / 3'600, of_day / 60 % 60,
                     of_day % 60);
  }
  return {entry.text.data(), kLength};
}

}  // namespace streamobs::loadgen
