// Which pane a moment falls into, and which windows are made of it: panes aligned to the epoch, or
// whole days of a time zone. A tumbling window is one pane; a hopping one is several that follow
// one another, and each pane belongs to as many windows. A plain value, immutable; used on any
// strand.
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
  explicit Assigner(Duration size = kMinute) : Assigner(size, size) {}
  /// A window of `size` begins at each multiple of `hop`; `size` is a multiple of it.
  Assigner(Duration size, Duration hop) : size_(hop), panes_(size / hop) {}
  /// `size` is a whole number of days, counted from 1970-01-01 in the zone; a day is as long as it
  /// is there: 23 hours when the clocks go forward.
  Assigner(Duration size, std::shared_ptr<const TimeZone> zone);

  /// The pane.
  Interval at(Timestamp t) const;
  /// Panes of a window; one, where windows are tumbling.
  std::int64_t panes() const { return panes_; }
  /// Of several panes only: the window that ends at `end`, a multiple of the hop.
  Interval ending(Timestamp end) const { return {saturating_add(end, -size_ * panes_), end}; }
  /// The end of the last window that `pane` belongs to.
  Timestamp last_end(const Interval& pane) const {
    return saturating_add(pane.end, size_ * (panes_ - 1));
  }
  /// The first end of a pane behind `t`.
  Timestamp end_after(Timestamp t) const { return at(t).end; }
  /// Every start and end is a multiple of this.
  Duration step() const { return zone_ == nullptr ? size_ : kZoneStep; }

 private:
  /// No zone in use is off UTC by anything finer; the few of before 1972 that were (to the minute)
  /// keep to it as well.
  static constexpr Duration kZoneStep = kMinute;

  Interval days(std::int64_t index) const;

  Duration size_;                         ///< Of a pane.
  std::int64_t panes_ = 1;                ///< Of a window.
  std::shared_ptr<const TimeZone> zone_;  ///< Null: aligned to the epoch.
};

}  // namespace streamobs::window
