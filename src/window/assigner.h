// Which window instance a moment falls into: tumbling windows aligned to the epoch, or whole days
// of a time zone. A plain value, immutable; used on any strand.
#pragma once

#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "base/time_zone.h"

namespace streamobs::window {

/// [start, end)
struct Interval {
  Timestamp start = 0;
  Timestamp end = 0;

  bool contains(Timestamp t) const { return t >= start && t < end; }
};

/// a + b, held at the ends of time where it would leave them.
inline Timestamp saturating_add(Timestamp a, Duration b) {
  Timestamp sum;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? kMaxTimestamp : kMinTimestamp;
}

class Assigner {
 public:
  explicit Assigner(Duration size = kMinute) : size_(size) {}
  /// `size` is a whole number of days, counted from 1970-01-01 in the zone; a day is as long as it
  /// is there: 23 hours when the clocks go forward.
  Assigner(Duration size, std::shared_ptr<const TimeZone> zone);

  Interval at(Timestamp t) const;
  /// Every start and end is a multiple of this.
  Duration step() const { return zone_ == nullptr ? size_ : kZoneStep; }

 private:
  /// No zone in use is off UTC by anything finer; the few of before 1972 that were (to the minute)
  /// keep to it as well.
  static constexpr Duration kZoneStep = kMinute;

  Interval days(std::int64_t index) const;

  Duration size_;
  std::shared_ptr<const TimeZone> zone_;  ///< Null: aligned to the epoch.
};

}  // namespace streamobs::window
