// How times of one incident are said: with the date only where it lasts beyond midnight.
//
// Made anew for each telling, on the narrator's strand.
#pragma once

#include <string>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/time_format.h"
#include "base/wording.h"
#include "event/anomaly.h"

namespace streamobs::narrate {

class Times {
 public:
  Times(const Incident& incident, Duration window_size)
      : whole_days_(window_size >= kDay),
        dated_(date_of(incident.started_at) != date_of(incident.last_seen_at - 1)) {}

  /// "12:34 UTC", "2024-01-09 12:34 UTC", "2024-01-09".
  std::string at(Timestamp t) const { return bare(t) + (whole_days_ ? "" : " UTC"); }
  /// "from 12:34 to 12:36 UTC".
  std::string range(Timestamp from, Timestamp to) const {
    return fmt::format("from {} to {}", bare(from), at(to));
  }
  /// "in the minute from 12:34 UTC", "on 2024-01-09".
  std::string in_window(const Anomaly& a) const {
    const std::string when = window_in_words(a.window_start, a.window_end);
    const bool said = whole_days_ || !dated_;
    return fmt::format("{} {}{}{}", when.starts_with("the") ? "in" : "on", when,
                       whole_days_ ? "" : " UTC", said ? "" : " on " + date_of(a.window_start));
  }

 private:
  static std::string date_of(Timestamp t) { return to_rfc3339(t).substr(0, 10); }
  std::string bare(Timestamp t) const {
    if (whole_days_) return date_of(t);
    return (dated_ ? date_of(t) + " " : "") + time_of_day(t);
  }

  bool whole_days_;
  bool dated_;
};

}  // namespace streamobs::narrate
