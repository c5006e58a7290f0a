// When windows of a stream close, as far as whoever moves the watermark must know.
#pragma once

#include <vector>

#include "base/clock.h"
#include "window/window_plan.h"

namespace streamobs::window {

/// Something may close, or be corrected, whenever the watermark less `lateness` enters a new
/// multiple of `step`.
struct ClosingGrid {
  Duration step = kMinute;
  Duration lateness = 0;
};

/// One for each window of the stream.
std::vector<ClosingGrid> closing_grids(const StreamWindowsPlan& plan);

/// The watermark that closes every window an event of time `t` falls into.
Timestamp closing_watermark(const StreamWindowsPlan& plan, Timestamp t);

}  // namespace streamobs::window
