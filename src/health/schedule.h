// When something is due that is done every so often. By whatever clock its owner has; what was
// missed (a machine that slept) is done once, not made up for, and a clock that is set back delays
// nothing by more than one period. One thread.
#pragma once

#include <algorithm>

#include "base/clock.h"

namespace streamobs::health {

class Schedule {
 public:
  Schedule(Duration every, Timestamp first) : every_(every), next_(first) {}

  /// Whether it is due, and if so, the next time is counted from now on.
  bool take(Timestamp now) {
    next_ = std::min(next_, now + every_);
    if (now < next_) return false;
    next_ = now + every_;
    return true;
  }
  Timestamp next() const { return next_; }

 private:
  Duration every_;
  Timestamp next_;
};

}  // namespace streamobs::health
