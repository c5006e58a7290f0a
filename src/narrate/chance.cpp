#include "narrate/chance.h"

#include <algorithm>
#include <cmath>

namespace streamobs::narrate {

bool share_is_unusual(double hits, double events, double past_hits, double past_events) {
  if (events <= 0) return false;
  const double p = (past_hits + 1) / (past_events + 2);
  const double expected = events * p;
  // What there is more of than usual: hits, or misses.
  const double surprising = hits > expected ? hits : events - hits;
  return surprising >= kLeastEvents &&
         std::abs(hits - expected) >= kSigmas * std::sqrt(expected * (1 - p));
}

bool level_is_unusual(double value, double mean, double deviation, bool counts) {
  const double distance = std::abs(value - mean);
  if (!counts) return distance > 0 && distance >= kSigmas * deviation;
  const double spread = std::max(deviation, std::sqrt(std::max(mean, 0.0)));
  return distance >= kLeastEvents && distance >= kSigmas * spread;
}

}  // namespace streamobs::narrate
